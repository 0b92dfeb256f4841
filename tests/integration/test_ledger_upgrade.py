"""A ledger of version 1 is taken over whole: under a real SIGKILL, without room, and damaged."""

import hashlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from backfill.errors import BackfillError, UsageError
from backfill.ledger.ledger import CARRIER, DeliveredBatch, Ledger, Target
from backfill.ledger.runs import Run, read_runs

pytestmark = pytest.mark.slow

HERE = Target("http://127.0.0.1:8080", "aB3xYz")
THERE = Target("https://a.klaviyo.com", "aB3xYz")
WAY_ON = r".*ledger\.sqlite: .*; (move it away, .*|update this one, or move the file away .*)"

VERSION_1 = """
CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    target BLOB NOT NULL,
    run TEXT NOT NULL,
    time INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    keys BLOB NOT NULL,
    contents BLOB NOT NULL,
    carriers BLOB NOT NULL
) STRICT;
CREATE TABLE metrics (
    target BLOB NOT NULL,
    metric TEXT NOT NULL,
    PRIMARY KEY (target, metric)
) STRICT, WITHOUT ROWID;
CREATE TABLE rules (
    target BLOB NOT NULL,
    metric TEXT NOT NULL,
    rule TEXT NOT NULL,
    PRIMARY KEY (target, metric, rule)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    target BLOB NOT NULL,
    command TEXT NOT NULL,
    schema_name TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    state TEXT NOT NULL,
    summary TEXT NOT NULL
) STRICT;
PRAGMA application_id = 0x4B4C4246;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""

RUNS = [
    Run(
        id="z",
        command="backfill run",
        schema_name="shop",
        started=5,
        ended=6,
        state="finished",
        summary='{"n": 1}',
    ),
    Run(id="a", command="backfill run", schema_name="shop", started=7),
]

OPEN = """
import os, signal, sqlite3, sys
from pathlib import Path

connect, left = sqlite3.connect, int(sys.argv[2])

def kill_at(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def traced(*arguments, **more):
    connection = connect(*arguments, **more)
    connection.set_trace_callback(kill_at)
    return connection

sqlite3.connect = traced
if len(sys.argv) > 3:
    import resource
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)

from backfill.ledger.ledger import Ledger, Target
Ledger.open(Path(sys.argv[1]), Target("http://127.0.0.1:8080", "aB3xYz")).close()
"""


def key(number):
    return number.to_bytes(16, "big")


def blobs_of(*numbers):
    return (
        b"".join(map(key, numbers)),
        b"".join(number.to_bytes(8, "big") for number in numbers),
        CARRIER.pack(bytes(16), 5, key(numbers[0])),
    )


def fill(connection):
    connection.executescript(VERSION_1)
    for target, run, numbers in (
        (HERE, "z", range(40)),
        (THERE, "t", range(5)),
        (HERE, "z", range(40, 50)),
    ):
        blobs = blobs_of(*numbers)
        checksum = hashlib.blake2b(target.digest + b"".join(blobs), digest_size=8).digest()
        connection.execute(
            "INSERT INTO batches VALUES (NULL, ?, ?, 7, ?, ?, ?, ?)",
            (target.digest, run, checksum, *blobs),
        )
    for target in (HERE, THERE):
        connection.execute("INSERT INTO metrics VALUES (?, 'Placed Order')", (target.digest,))
        connection.execute(
            "INSERT INTO rules VALUES (?, 'Placed Order', ?)", (target.digest, f"{{{target.url}}}")
        )
    connection.executemany(
        "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (run.id, HERE.digest, *(getattr(run, name) for name in list(Run.__slots__)[1:]))
            for run in RUNS
        ],
    )
    connection.commit()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "state" / "ledger.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        fill(connection)
    return path


def version(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA user_version").fetchone()[0]


def open_in_a_process(path, request, *more):
    return subprocess.run(
        [sys.executable, "-c", OPEN, str(path), *map(str, more)],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        check=False,
    )


def events(ledger):
    return [
        int.from_bytes(one, "big")
        for batch in ledger.delivered()
        for one in batch["key"].to_pylist()
    ]


def assert_whole(path):
    assert read_runs(path) == RUNS
    with Ledger.open(path, HERE) as ledger:
        assert events(ledger) == list(range(50))
        assert ledger.metrics() == {"Placed Order"}
        assert ledger.rules("Placed Order") == {"{http://127.0.0.1:8080}"}
        assert ledger.summaries("shop") == [{"n": 1}]
        assert sum(batch.num_rows for batch in ledger.carried()) == 2
    with Ledger.open(path, THERE) as ledger:
        assert events(ledger) == list(range(5))
        assert ledger.rules("Placed Order") == {"{https://a.klaviyo.com}"}
    assert version(path) == 2


def test_what_an_old_ledger_has_a_new_one_has_and_can_be_written(path):
    assert_whole(path)

    with Ledger.open(path, HERE) as ledger:
        keys, contents, carriers = blobs_of(50, 51)
        batch = DeliveredBatch(keys, contents, carriers, frozenset(["Refunded Order"]))
        ledger.record(batch, run_id="b", time_s=8)
        assert ledger.strike([key(3), key(51)]) == 2
        assert [len(rows) for rows in ledger.delivered("b")] == [1]
    with Ledger.open(path, HERE) as ledger:
        assert events(ledger) == [*(n for n in range(51) if n != 3)]
        assert ledger.metrics() == {"Placed Order", "Refunded Order"}


def test_a_kill_at_any_statement_leaves_the_old_ledger_or_the_new_one(path, request, tmp_path):
    old, seen = path.read_bytes(), []
    for statement in range(1, 100):
        path.write_bytes(old)

        ended = open_in_a_process(path, request, statement)

        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        copy = tmp_path / f"copy-{statement}" / "ledger.sqlite"
        shutil.copytree(path.parent, copy.parent)
        seen.append(version(copy))
        assert read_runs(path) == RUNS
        assert_whole(path)
        for stale in path.parent.iterdir():
            stale.unlink()

    assert sorted(seen) == seen
    assert {*seen} == {1, 2}
    assert len(seen) > 15


def test_the_last_events_of_a_killed_run_are_taken_over_too(tmp_path):
    """They are in the write-ahead log alone."""
    source, path = tmp_path / "source.sqlite", tmp_path / "state" / "ledger.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(source)) as connection:
        fill(connection)
        for suffix in ("", "-wal"):
            shutil.copy(f"{source}{suffix}", f"{path}{suffix}")
    assert path.with_name("ledger.sqlite-wal").stat().st_size > 10_000

    assert_whole(path)


@pytest.mark.parametrize("room", [0, 4_096, 20_000])
def test_without_room_the_old_ledger_stays_and_a_sentence_says_so(path, request, room):
    old = path.read_bytes()

    ended = open_in_a_process(path, request, 0, room)

    assert re.search(r"UsageError: .*ledger\.sqlite: .*make room", ended.stderr), ended.stderr
    assert path.read_bytes() == old
    assert_whole(path)


def test_status_reads_an_old_ledger_as_it_is(path):
    old = path.read_bytes()

    assert read_runs(path) == RUNS

    assert path.read_bytes() == old


def test_two_processes_take_one_ledger_over_once(path, request):
    arguments = [sys.executable, "-c", OPEN, str(path), "0"]
    both = [subprocess.Popen(arguments, cwd=request.config.rootpath) for _ in range(2)]

    assert [process.wait() for process in both] == [0, 0]

    assert_whole(path)


@pytest.mark.parametrize(("made", "claimed"), [(1, 2), (2, 1), (1, 0), (2, 0)])
def test_a_ledger_that_claims_another_version_is_damaged(path, made, claimed):
    if made == 2:
        Ledger.open(path, HERE).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {claimed}")

    with pytest.raises(UsageError, match="the ledger is damaged"), Ledger.open(path, HERE):
        pass


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_no_event_of_a_damaged_old_ledger_is_lost(path, how):
    whole = path.read_bytes()
    for at in (*range(18, 110), *range(3_000, 4_096, 31), *range(4_096, len(whole), 101)):
        for file in path.parent.iterdir():
            file.unlink()
        flipped = bytes([whole[at] ^ (1 << at % 8)])
        path.write_bytes(whole[:at] if how == "cut" else whole[:at] + flipped + whole[at + 1 :])
        try:
            with Ledger.open(path, HERE) as ledger:
                found = events(ledger)
        except BackfillError as error:
            assert re.fullmatch(WAY_ON, str(error)), f"byte {at}: {error}"  # noqa: PT017
        else:
            assert found == list(range(50)), f"byte {at}"
