"""The state folder: what is said about the disk before a plan is made."""

from types import SimpleNamespace

import pandas as pd
import pytest

from backfill.account.account import Account
from backfill.running import folder as module
from backfill.running.folder import RunFolder
from backfill.running.run import Backfill
from backfill.running.settings import Hooks, Options
from backfill.schema.load import load_schema


@pytest.fixture
def free(monkeypatch):
    def set_free(size):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=size))

    return set_free


def test_a_plan_that_may_not_fit_is_announced_with_figures_and_the_way_out(free, tmp_path):
    free(2_000_000_000)
    note = RunFolder(tmp_path).space_note(4_000_000_000)
    assert note is not None
    assert "the plan may take 6,000 MB, and 2,000 MB are free" in note
    assert "--state" in note


def test_a_plan_that_fits_is_not_announced(free, tmp_path):
    free(6_000_000_000)
    assert RunFolder(tmp_path).space_note(4_000_000_000) is None


def test_a_disk_that_does_not_say_what_is_free_is_no_fault(monkeypatch, tmp_path):
    def refuse(_):
        raise OSError

    monkeypatch.setattr(module.shutil, "disk_usage", refuse)
    assert RunFolder(tmp_path).space_note(10**15) is None


SCHEMA = """name: disk
profiles: every
customer_properties: {$email: Mail}
events: [{event: Seen, time: {value: "2020-01-01T00:00:00Z"}, properties: {$event_id: No}}]
"""


def test_it_is_announced_before_the_first_row_and_the_plan_is_made(free, tmp_path):
    free(10)
    told = []
    hooks = Hooks(tell=told.append, on_rows=told.append)
    frame = pd.DataFrame({"No": ["1"], "Mail": ["a@shop.example"]})
    account = Account("http://127.0.0.1:1", "KEY")
    work = Backfill(load_schema(SCHEMA), frame, tmp_path / "state", account, Options(), hooks)
    assert work.plan().plan.to_send == 1
    assert "MB are free" in told[0]
    assert sum(told[1:]) == 1
