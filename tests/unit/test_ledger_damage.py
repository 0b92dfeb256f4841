"""A ledger with a wrong byte is read as it was, or named with a way on that works."""

import re
import shutil
from decimal import Decimal

import pyarrow as pa
import pytest

from backfill.errors import BackfillError, UsageError
from backfill.event import EVENTS
from backfill.ledger.ledger import DeliveredBatch, Ledger, Target
from backfill.ledger.refund_sums import PLANNED
from backfill.ledger.runs import Run, read_runs

HERE = Target("http://127.0.0.1:8080", "aB3xYz")
BATCHES, IN_ONE = 6, 40
RUNS = {"r1": "stopped", "r2": "finished"}
SUM = pa.RecordBatch.from_pylist(
    [{"key": bytes(16), "sum_key": bytes(16), "value": Decimal(20), "sum_before": Decimal(10)}],
    pa.schema([EVENTS.field(name) for name in PLANNED]),
)
WAY_ON = r"ledger\.sqlite: .*; (move it away, .*|update this one, or move the file away .*)"


def batch(number):
    keys = b"".join((number * IN_ONE + n).to_bytes(16, "big") for n in range(IN_ONE))
    return DeliveredBatch(keys, bytes(8 * IN_ONE), bytes(40), frozenset(["Placed Order"]))


def work(path, run="r2"):
    """What a run does with a ledger; gives the events that it knew."""
    with Ledger.open(path, HERE) as ledger:
        known = [
            int.from_bytes(key, "big")
            for rows in ledger.delivered()
            for key in rows["key"].to_pylist()
        ]
        list(ledger.carried())
        assert ledger.metrics() == ({"Placed Order"} if known else set())
        assert ledger.rules("Placed Order") == ({"{No}"} if known else set())
        ledger.summaries("shop")
        runs = [(one.id, one.command, one.state) for one in read_runs(path)]
        assert bool(runs) == bool(known)
        assert set(runs) <= {(one, "backfill run", RUNS[one]) for one in RUNS}
        for sums in ledger.refund_sums.read(ledger.delivered()).values():
            assert [(one.total, one.before) for one in sums] == [(30, 10)]
        ledger.begin_run(Run(id=run, command="backfill run", schema_name="shop", started=8))
        ledger.add_rule("Placed Order", "{No}")
        ledger.record(batch(BATCHES), run_id=run, time_s=8)
        ledger.end_run(run, state="finished", ended=9, summary="{}")
        read_runs(path)
    return known


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def whole(path):
    with Ledger.open(path, HERE) as ledger:
        ledger.begin_run(Run(id="r1", command="backfill run", schema_name="shop", started=7))
        ledger.add_rule("Placed Order", "{No}")
        for number in range(BATCHES):
            ledger.record(batch(number), run_id="r1", time_s=7)
        ledger.refund_sums.note([SUM])
        ledger.end_run("r1", state="stopped", ended=9, summary='{"last_lines_end": true}')
    return path.read_bytes()


def spoiled(whole, at, how):
    if how == "cut":
        return whole[:at]
    return whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :]


def rows_of_small_tables(whole):
    """Places in and around the rows of metrics, rules, runs and sums of refunds."""
    for row in (b"Placed Order", b"{No}", b"backfill run", b"30.000000"):
        for found in re.finditer(re.escape(row), whole):
            yield from range(found.start() - 70, found.end() + 12, 3)


def outcome(path):
    try:
        return work(path)
    except BackfillError as error:
        return str(error).partition("/state/")[2]


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_any_byte_may_be_wrong(path, whole, how):
    # The header and the texts of the tables are dense, and so are the small tables; of the rest a
    # byte now and then is enough.
    dense = [*range(120), *range(3_000, 4_096, 7), *rows_of_small_tables(whole)]
    for at in (*dense, *range(4_096, len(whole), 101)):
        for file in path.parent.iterdir():
            file.unlink()
        path.write_bytes(spoiled(whole, at, how))
        found = outcome(path)
        known = found == list(range(BATCHES * IN_ONE))
        assert known or re.fullmatch(WAY_ON, found), f"byte {at}: {found}"


@pytest.mark.usefixtures("whole")
def test_a_ledger_that_was_moved_away_leaves_nothing_to_its_successor(path, tmp_path):
    """The WAL of a killed run would be read into the new file, which it does not belong to."""
    ledger = Ledger.open(path, HERE)
    ledger.record(batch(BATCHES), run_id="r1", time_s=8)
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        shutil.copy(path.with_name(name), tmp_path / name)
    ledger.close()
    shutil.move(tmp_path / "ledger.sqlite-wal", path.with_name("ledger.sqlite-wal"))
    path.unlink()

    assert work(path) == []
    assert work(path, "r3") == list(range(BATCHES * IN_ONE, (BATCHES + 1) * IN_ONE))


def test_runs_stand_in_the_sequence_of_their_starts_whatever_the_clock_says(path):
    with Ledger.open(path, HERE) as ledger:
        for name, started in (("first", 2_000), ("second", 1_000)):
            ledger.begin_run(
                Run(id=name, command="backfill run", schema_name="shop", started=started)
            )

        assert [run.id for run in read_runs(path)] == ["first", "second"]


def test_what_is_wrong_around_the_ledger_is_not_called_damage(path):
    path.mkdir(parents=True)

    with pytest.raises(UsageError, match=r"cannot be opened \(unable to open .*\); make room"):
        Ledger.open(path, HERE)


def test_a_summary_with_a_wrong_byte_is_damage(path, whole):
    path.with_name("ledger.sqlite-wal").unlink(missing_ok=True)
    assert whole.count(b'{"last_lines_end"') == 1
    path.write_bytes(whole.replace(b'{"last_lines_end"', b'{\x01last_lines_end"'))
    assert re.fullmatch(WAY_ON, outcome(path))
    with pytest.raises(UsageError, match="a run does not match its checksum"):
        read_runs(path)


@pytest.mark.usefixtures("whole")
def test_a_sum_of_refunds_with_a_wrong_byte_is_damage(path):
    with Ledger.open(path, HERE) as ledger:
        ledger._connection.execute("UPDATE refund_sums SET total = '31'")
        ledger._connection.commit()
        with pytest.raises(UsageError, match="does not match its checksum"):
            ledger.refund_sums.read(ledger.delivered())
