"""Files of the state folder are for their owner alone, and are not opened through a link."""

import os
import stat
from pathlib import Path

import pytest

from backfill.delivery.refusals import refusals_file
from backfill.errors import StoppedError, UsageError
from backfill.running.lock import hold
from backfill.running.own_file import check_ledger, private_file


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.write_text("keep me")
    return path


@pytest.fixture(params=["symbolic", "hard"])
def link(request, victim: Path):
    def make(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        if request.param == "symbolic":
            path.symlink_to(victim)
        else:
            os.link(victim, path)

    return make


def test_a_lock_that_is_a_link_changes_no_other_file(tmp_path: Path, victim: Path, link):
    link(tmp_path / "state" / "lock")

    with pytest.raises(UsageError, match=r"state/lock: .*it is a link.*--state"):
        hold(tmp_path / "state").__enter__()
    assert victim.read_text() == "keep me"


@pytest.mark.parametrize("mode", ["w", "a"])
def test_a_file_that_is_a_link_changes_no_other_file(tmp_path: Path, victim: Path, link, mode):
    link(tmp_path / "state" / "log.jsonl")

    with pytest.raises(OSError, match="it is a link"):
        private_file(tmp_path / "state" / "log.jsonl", mode)
    assert victim.read_text() == "keep me"


def test_refusals_go_through_no_symbolic_link(tmp_path: Path, victim: Path):
    (tmp_path / "refusals.jsonl").symlink_to(victim)

    with pytest.raises(StoppedError, match=r"refusals\.jsonl: refusals cannot be written"):
        refusals_file(tmp_path / "refusals.jsonl").__enter__()
    assert victim.read_text() == "keep me"


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
def test_a_ledger_that_is_a_link_is_refused(tmp_path: Path, link, end: str):
    link(tmp_path / "state" / f"ledger.sqlite{end}")

    with pytest.raises(UsageError, match=rf"ledger\.sqlite{end}: it is a link"):
        check_ledger(tmp_path / "state" / "ledger.sqlite")


def test_a_file_is_written_anew_or_on_and_is_private(tmp_path: Path):
    path = tmp_path / "file"
    for mode, text in (("w", "one two"), ("w", "three"), ("a", " four")):
        with private_file(path, mode) as file:
            file.write(text)

    assert path.read_text() == "three four"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
