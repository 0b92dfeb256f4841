import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import suppress

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.errors import FixInputError, StoppedError, UsageError
from backfill.ledger.ledger import (
    CARRIED,
    CARRIER,
    DELIVERED,
    DeliveredBatch,
    Ledger,
    Target,
)
from backfill.ledger.runs import Run, read_runs

HERE = Target("http://127.0.0.1:8080", "aB3xYz")


def some(*numbers, carriers=(), metrics=("Placed Order",)):
    return DeliveredBatch(
        keys=b"".join(number.to_bytes(16, "big") for number in numbers),
        contents=b"".join(number.to_bytes(8, "little") for number in numbers),
        carriers=b"".join(
            CARRIER.pack(bytes(16), time_s, number.to_bytes(16, "big"))
            for number, time_s in carriers
        ),
        metrics=frozenset(metrics),
    )


def delivered(ledger):
    return pa.Table.from_batches(ledger.delivered(), DELIVERED).to_pylist()


def numbers(ledger):
    return [int.from_bytes(row["key"], "big") for row in delivered(ledger)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.sqlite"


def test_what_was_recorded_is_there_after_opening_again(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1, 2), run_id="r1", time_s=7)
        ledger.record(some(3), run_id="r1", time_s=8)

    with Ledger.open(path, HERE) as ledger:
        assert numbers(ledger) == [1, 2, 3]
        assert delivered(ledger)[1]["content"] == (2).to_bytes(8, "little")


def test_nobody_carried_attributes(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1), run_id="r", time_s=7)

        assert pa.Table.from_batches(ledger.carried(), CARRIED).num_rows == 0


def test_a_value_of_the_wrong_type_is_not_stored(path):
    with (
        Ledger.open(path, HERE) as ledger,
        pytest.raises(StoppedError, match="cannot store TEXT value in INTEGER column"),
    ):
        ledger.record(some(1), run_id="r", time_s="never")


def test_who_carried_attributes_and_when(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1, 2, 3, carriers=[(1, -5), (3, 1_500_000_000)]), run_id="r", time_s=7)
        ledger.record(some(4), run_id="r", time_s=7)

        rows = pa.Table.from_batches(ledger.carried(), CARRIED).to_pylist()

    assert [(int.from_bytes(row["key"], "big"), row["time"]) for row in rows] == [
        (1, -5),
        (3, 1_500_000_000),
    ]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Target("https://a.klaviyo.com", "aB3xYz"), id="another URL"),
        pytest.param(Target("http://127.0.0.1:8080", "zzzzzz"), id="another account"),
    ],
)
def test_what_went_to_one_target_did_not_go_to_another(path, other):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1, carriers=[(1, 5)]), run_id="r", time_s=7)
        ledger.add_rule("Placed Order", "{id}")

    with Ledger.open(path, other) as ledger:
        assert not list(ledger.delivered())
        assert not list(ledger.carried())
        assert not ledger.metrics()
        assert not ledger.rules("Placed Order")


def test_one_url_has_one_spelling(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1), run_id="r", time_s=7)

    with Ledger.open(path, Target("HTTP://127.0.0.1:8080/", "aB3xYz")) as ledger:
        assert numbers(ledger) == [1]


def test_many_rows_come_in_few_record_batches(path):
    with Ledger.open(path, HERE) as ledger:
        for start in range(0, 90_000, 30_000):
            ledger.record(some(*range(start, start + 30_000)), run_id="r", time_s=7)

        assert [len(batch) for batch in ledger.delivered()] == [90_000]
        assert numbers(ledger) == list(range(90_000))


def test_rules_stand_with_the_metrics_that_were_delivered(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.add_rule("Placed Order", "old")
        ledger.add_rule("Placed Order", "{id}")
        assert ledger.rules("Placed Order") == {"{id}"}, "nothing was delivered under the old one"

        ledger.record(some(1), run_id="r", time_s=7)
        ledger.add_rule("Placed Order", "{id}-{line}")
        ledger.add_rule("Placed Order", "{id}-{line}")

    with Ledger.open(path, HERE) as ledger:
        assert ledger.metrics() == {"Placed Order"}
        assert ledger.rules("Placed Order") == {"{id}", "{id}-{line}"}
        assert ledger.rules("Ordered Product") == set()


def test_runs_are_kept_and_an_unfinished_one_was_killed(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.begin_run(Run(id="a", command="backfill run", schema_name="shop", started=1))
        ledger.begin_run(Run(id="b", command="backfill run", schema_name="shop", started=2))
        ledger.end_run("b", state="finished", ended=3, summary='{"delivered":1}')

        assert read_runs(path) == [
            Run(id="a", command="backfill run", schema_name="shop", started=1, state="killed"),
            Run(
                id="b",
                command="backfill run",
                schema_name="shop",
                started=2,
                ended=3,
                state="finished",
                summary='{"delivered":1}',
            ),
        ]


def test_file_and_folder_are_for_their_owner(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1), run_id="r", time_s=7)

        files = list(path.parent.iterdir())
        assert {file.name for file in files} >= {"ledger.sqlite", "ledger.sqlite-wal"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_no_account_key_is_in_the_file(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1), run_id="r", time_s=7)
        ledger.add_rule("Placed Order", "{id}")

    assert b"aB3xYz" not in path.read_bytes()
    assert "aB3xYz" not in repr(HERE)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="an empty file is no new ledger"),
        pytest.param(b"not a database, but long enough to be one" * 100, id="another file"),
        pytest.param(b"SQLite format 3\0", id="only the beginning"),
    ],
)
def test_a_damaged_ledger_names_itself_and_the_way_out(path, content):
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(UsageError, match=r"ledger\.sqlite: the ledger is damaged .* a copy"):
        Ledger.open(path, HERE)


def test_another_database_is_not_taken_for_a_ledger(path):
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE t (x)")
    other.close()

    with pytest.raises(UsageError, match="the ledger is damaged"):
        Ledger.open(path, HERE)


def test_a_newer_ledger_asks_for_a_newer_program(path):
    Ledger.open(path, HERE).close()
    later = sqlite3.connect(path)
    later.execute("PRAGMA user_version = 3")
    later.close()

    with pytest.raises(UsageError, match="written by a newer backfill"):
        Ledger.open(path, HERE)


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    path = tmp_path_factory.mktemp("full") / "ledger.sqlite"
    with Ledger.open(path, HERE) as ledger:
        for number in range(30):
            ledger.record(some(*range(number * 100, number * 100 + 100)), run_id="r", time_s=7)
    return path


def read_all(path):
    with Ledger.open(path, HERE) as ledger:
        return numbers(ledger)


@settings(max_examples=60)
@given(place=st.integers(0, 10**9))
def test_a_ledger_cut_at_any_byte_is_never_read_as_less(full, tmp_path_factory, place):
    path = tmp_path_factory.mktemp("cut") / "ledger.sqlite"
    shutil.copy(full, path)
    with path.open("r+b") as file:
        file.truncate(place % full.stat().st_size)

    with pytest.raises(FixInputError, match="ledger"):
        read_all(path)


@settings(max_examples=100)
@given(place=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_a_changed_byte_is_found_or_changes_nothing(full, tmp_path_factory, place, flip):
    path = tmp_path_factory.mktemp("flip") / "ledger.sqlite"
    content = bytearray(full.read_bytes())
    content[place % len(content)] ^= flip
    path.write_bytes(content)

    with suppress(FixInputError):
        assert read_all(path) == list(range(3_000))


def test_what_is_recorded_waits_for_the_disk(path):
    """A kill does not tell: only a power cut loses what the system holds and the disk has not."""
    with Ledger.open(path, HERE) as ledger:
        found = [
            ledger._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    assert found == ["wal", 2]  # FULL: with WAL, NORMAL would sync at checkpoints alone


def key(number):
    return number.to_bytes(16, "big")


def test_struck_events_are_gone_and_all_others_stay(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1, 2, 3, carriers=[(1, 5), (2, 6)]), run_id="r1", time_s=7)
        ledger.record(some(4), run_id="r1", time_s=7)
        ledger.record(some(2, 5), run_id="r2", time_s=8)

        assert ledger.strike([key(2), key(4), key(99)]) == 2

    with Ledger.open(path, HERE) as ledger:
        assert numbers(ledger) == [1, 3, 5]
        assert delivered(ledger)[1]["content"] == (3).to_bytes(8, "little")
        carried = pa.Table.from_batches(ledger.carried(), CARRIED).to_pylist()
        assert [row["key"] for row in carried] == [key(1)]
        assert ledger.strike([key(2)]) == 0


def test_what_went_to_another_target_is_not_struck(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1), run_id="r", time_s=7)
    with Ledger.open(path, Target("https://a.klaviyo.com", "aB3xYz")) as other:
        assert other.strike([key(1)]) == 0

    with Ledger.open(path, HERE) as ledger:
        assert numbers(ledger) == [1]


def test_a_strike_that_fails_half_way_strikes_nothing(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1, 2), run_id="r", time_s=7)
        ledger.record(some(3, 4), run_id="r", time_s=7)
    with sqlite3.connect(path) as file:
        file.execute("UPDATE batches SET contents = zeroblob(16) WHERE id = 2")
    file.close()

    with Ledger.open(path, HERE) as ledger, pytest.raises(StoppedError, match="is damaged"):
        ledger.strike([key(1), key(3)])

    with sqlite3.connect(path) as file:
        assert file.execute("SELECT keys FROM batches WHERE id = 1").fetchone() == (
            key(1) + key(2),
        )
    file.close()


_KILLED_WHILE_STRIKING = """
import os, signal, sys
from pathlib import Path
from backfill.ledger.ledger import Ledger, Target

ledger = Ledger.open(Path(sys.argv[1]), Target("http://127.0.0.1:8080", "aB3xYz"))
strike_from = ledger._strike_from

def until_the_second(row, struck):
    if row == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return strike_from(row, struck)

ledger._strike_from = until_the_second
ledger.strike([(1).to_bytes(16, "big"), (3).to_bytes(16, "big")])
"""


def test_a_kill_while_striking_strikes_nothing(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.record(some(1, 2), run_id="r", time_s=7)
        ledger.record(some(3, 4), run_id="r", time_s=7)

    killed = subprocess.run([sys.executable, "-c", _KILLED_WHILE_STRIKING, path], check=False)

    assert killed.returncode == -signal.SIGKILL
    with Ledger.open(path, HERE) as ledger:
        assert numbers(ledger) == [1, 2, 3, 4]
        assert ledger.strike([key(1), key(3)]) == 2
