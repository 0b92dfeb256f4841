"""A run's folder has a name of its own."""

import secrets
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backfill.running.folder import StateFolder


def test_two_runs_of_one_second_never_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tokens = iter(["ddad", "ddad", "beef"])
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(tokens))
    state, now = StateFolder(tmp_path), datetime(2026, 11, 28, 11, 7, 58, tzinfo=UTC)

    assert [state.begin(now).id[-4:] for _ in range(2)] == ["ddad", "beef"]
