"""What was delivered, to whom: an SQLite file that survives a kill at any moment.

**Promise.** An event that ``record`` was given is in the file when ``record`` returns, also after a
power cut; an event that it was not given is never there. Everything else follows from that: the
plan minus the ledger is what a run sends, so a resumed run, the nightly run over a growing export
and a second run by mistake are one thing.

**A set, not an offset.** Requests run beside each other, so what is delivered is no beginning of
the plan. The ledger keeps, for each event, a key of 16 bytes and a hash of the content of 8 (so
that a run reports an order that changed since), and for each person whose profile attributes the
event carried, 40 bytes with its time (so that no later run writes older attributes).

**A row for many events.** One row for each event costs 22 ms a batch at a million keys; one row for
all events that were acknowledged together, with one blob of keys, costs 1 to 2 ms. A row has a
checksum over its blobs: SQLite does not notice a changed byte inside a blob, and an event whose key
it hid would be sent again.

**Targets.** A row belongs to a hash of URL and account. Events that were sent to a sandbox do not
count as sent to the live account, and a rotated key posts nothing twice. The file contains no key
of an account, no address and no name.

**What a kill or a power cut leaves.** Each change is one transaction, in SQLite's write-ahead log,
synced at its commit:

==========================  ========================================================================
killed while                the file has
==========================  ========================================================================
a ledger is created         no ledger, or a whole one: it gets its name when it is complete
a group is recorded         all of the group, or nothing of it; then it is sent again
events are struck           all of them still, or none
a run is under way          the run as ``running``; the next run holds the state folder's lock, so
                            no other process works there, and marks it ``killed``
==========================  ========================================================================

**Damage.** The file is checked when it is opened, and each row when it is read. A damaged ledger is
an error with a way out, never a shorter set; ``file`` tells damage from a full disk.
"""

import hashlib
import math
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import astuple, dataclass, field
from itertools import chain, compress
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias

import pyarrow as pa

from backfill.event import SEPARATOR
from backfill.ledger.file import create, open_checked, read_summary, translated
from backfill.ledger.refund_sums import RefundSumTable
from backfill.transport.url import base_url

DELIVERED: Final = pa.schema(
    [
        pa.field("key", pa.binary(16), nullable=False),
        pa.field("content", pa.binary(8), nullable=False),
    ]
)
CARRIED: Final = pa.schema(
    [
        pa.field("person", pa.binary(16), nullable=False),
        pa.field("time", pa.int64(), nullable=False),
        pa.field("key", pa.binary(16), nullable=False),
    ]
)

KEY_BYTES: Final = 16
CONTENT_BYTES: Final = 8
CARRIER: Final = struct.Struct(">16sq16s")
"""Person, time in Unix seconds, key of an event that carried profile attributes."""

_EVENTS_A_READ: Final = 65_536

RunState: TypeAlias = Literal[
    "running", "planned", "finished", "stopped", "gated", "failed", "killed"
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go. An event that was sent to one target does not count as sent to another."""

    url: str
    account: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(f"{base_url(self.url)}{SEPARATOR}{self.account}".encode()).digest()


@dataclass(frozen=True, slots=True)
class DeliveredBatch:
    """Events that Klaviyo acknowledged."""

    keys: bytes
    """``KEY_BYTES`` an event."""
    contents: bytes
    """``CONTENT_BYTES`` an event."""
    carriers: bytes
    """A ``CARRIER`` for each person whose attributes went along."""
    metrics: frozenset[str]

    def __len__(self) -> int:
        return len(self.keys) // KEY_BYTES

    @classmethod
    def joined(cls, batches: Iterable["DeliveredBatch"]) -> "DeliveredBatch":
        """Join batches, in order, for one row of the ledger."""
        parts = list(batches)
        return cls(
            b"".join(part.keys for part in parts),
            b"".join(part.contents for part in parts),
            b"".join(part.carriers for part in parts),
            frozenset(chain.from_iterable(part.metrics for part in parts)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as ``status`` shows it."""

    id: str
    command: str
    """As it was typed; it holds no key."""
    schema_name: str
    started: int
    """Unix seconds, as ``ended``."""
    ended: int | None = None
    state: RunState = "running"
    summary: str = "{}"
    """A JSON object."""


def read_runs(path: Path) -> list[Run]:
    """Give every run of every target in the order in which they began, whatever the clock said.

    Raises:
        UsageError: there is no ledger, or it is damaged, of a newer version, or cannot be opened.
    """
    fields = tuple(Run.__dataclass_fields__)
    with translated(path, to_write=False), closing(open_checked(path)) as connection:
        rows = connection.execute(f"SELECT {', '.join(fields)} FROM runs ORDER BY rowid").fetchall()
        runs = [Run(**dict(zip(fields, row, strict=True))) for row in rows]
        for run in runs:
            read_summary(run.summary)
    return runs


class Ledger:
    """The events that were delivered to one target; make one with ``Ledger.open``.

    A context manager. Any thread may call it, one at a time. Each method raises UsageError where
    the file cannot be read, and StoppedError where it cannot be written.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, target: Target) -> None:
        self._path = path
        self._connection = connection
        self._target = target.digest
        self._metrics = self.metrics()
        self.refund_sums = RefundSumTable(path, connection, self._target)

    @classmethod
    def open(cls, path: Path, target: Target) -> Self:
        """Open a ledger, or create one.

        Args:
            path: an SQLite file.
            target: the account and the URL; what was sent to others does not count.

        Raises:
            UsageError: the file is damaged, of a newer version, or cannot be opened.
        """
        with translated(path, to_write=False):
            if not path.exists():
                create(path)
            connection = open_checked(path)
            try:
                return cls(path, connection, target)
            except BaseException:
                connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def record(self, batch: DeliveredBatch, *, run_id: str, time_s: int) -> None:
        """Record what was acknowledged; it is on the disk when this returns.

        Args:
            batch: events, each with its key and its content.
            run_id: the run that sent them.
            time_s: when they were acknowledged, in Unix seconds.

        Raises:
            StoppedError: it cannot be written; nothing more may be sent.
        """
        blobs = (batch.keys, batch.contents, batch.carriers)
        unseen = batch.metrics - self._metrics
        with translated(self._path, to_write=True), self._connection:
            self._connection.execute(
                "INSERT INTO batches (target, run, time, checksum, keys, contents, carriers)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self._target, run_id, time_s, _checksum(self._target, *blobs), *blobs),
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO metrics VALUES (?, ?)",
                [(self._target, metric) for metric in unseen],
            )
        self._metrics |= unseen

    def strike(self, keys: Iterable[bytes]) -> int:
        """Take events out, so that the next run sends them; give how many were there.

        All of them or none are gone, on the disk too, when this returns.

        Raises:
            StoppedError: the ledger cannot be written, or is damaged.
        """
        struck = frozenset(keys)
        found: set[bytes] = set()
        with translated(self._path, to_write=True), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            rows = self._connection.execute(
                "SELECT id FROM batches WHERE target = ? ORDER BY id", (self._target,)
            ).fetchall()
            for (row,) in rows:
                found |= self._strike_from(row, struck)
        return len(found)

    def _strike_from(self, row: int, struck: frozenset[bytes]) -> frozenset[bytes]:
        (checksum, *blobs), *_ = self._connection.execute(
            "SELECT checksum, keys, contents, carriers FROM batches WHERE id = ?", (row,)
        )
        _check_row(checksum, self._target, *blobs)
        keys, contents, carriers = (
            [blob[at : at + width] for at in range(0, len(blob), width)]
            for blob, width in zip(blobs, (KEY_BYTES, CONTENT_BYTES, CARRIER.size), strict=True)
        )
        if struck.isdisjoint(keys):
            return frozenset()
        stay = [key not in struck for key in keys]
        left = (
            b"".join(compress(keys, stay)),
            b"".join(compress(contents, stay)),
            b"".join(one for one in carriers if CARRIER.unpack(one)[2] not in struck),
        )
        if left[0]:
            self._connection.execute(
                "UPDATE batches SET checksum = ?, keys = ?, contents = ?, carriers = ?"
                " WHERE id = ?",
                (_checksum(self._target, *left), *left, row),
            )
        else:
            self._connection.execute("DELETE FROM batches WHERE id = ?", (row,))
        return struck.intersection(keys)

    def delivered(self, run_id: str | None = None) -> Iterator[pa.RecordBatch]:
        """Give key and content of every event delivered to this target, as ``DELIVERED``.

        An event that was delivered twice is there twice.

        Args:
            run_id: the run that delivered them; None is every run.
        """
        return map(_as_delivered, self._batches(run_id))

    def delivered_after(self, time_s: float) -> Iterator[pa.RecordBatch]:
        """Give what was acknowledged after a Unix time, as ``delivered`` does."""
        return map(_as_delivered, self._batches(after_s=time_s))

    def carried(self) -> Iterator[pa.RecordBatch]:
        """Give every event that carried profile attributes to this target, as ``CARRIED``."""
        for batch in self._batches():
            carriers = CARRIER.iter_unpack(batch.carriers)
            columns = list(zip(*carriers, strict=True)) or [(), (), ()]
            yield pa.record_batch(columns, schema=CARRIED)

    def newest(self) -> int | None:
        """The Unix time of the last delivery to this target; None if there was none."""
        with translated(self._path, to_write=False):
            query = "SELECT max(time) FROM batches WHERE target = ?"
            [newest] = self._connection.execute(query, (self._target,)).fetchone()
        return None if newest is None else int(newest)

    def metrics(self) -> frozenset[str]:
        """The metrics of which an event was delivered to this target."""
        return frozenset(self._texts("SELECT metric FROM metrics WHERE target = ?"))

    def rules(self, metric: str) -> frozenset[str]:
        """The id rules by which events of a metric went to this target.

        Args:
            metric: its name.
        """
        return frozenset(
            self._texts("SELECT rule FROM rules WHERE target = ? AND metric = ?", metric)
        )

    def add_rule(self, metric: str, rule: str) -> None:
        """Note the id rule of a metric before its first event goes.

        Rules of a metric that has delivered nothing are forgotten: no event has an id by them.

        Args:
            metric: its name.
            rule: as ``id_rules`` gives it.
        """
        with translated(self._path, to_write=True), self._connection:
            if metric not in self._metrics:
                self._connection.execute(
                    "DELETE FROM rules WHERE target = ? AND metric = ?", (self._target, metric)
                )
            self._connection.execute(
                "INSERT OR IGNORE INTO rules VALUES (?, ?, ?)", (self._target, metric, rule)
            )

    def begin_run(self, run: Run) -> None:
        """Note a run. Whoever begins one holds the lock, so an unfinished one was killed."""
        with translated(self._path, to_write=True), self._connection:
            self._connection.execute("UPDATE runs SET state = 'killed' WHERE state = 'running'")
            self._connection.execute(
                "INSERT INTO runs"
                " (target, id, command, schema_name, started, ended, state, summary)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (self._target, *astuple(run)),
            )

    def end_run(self, run_id: str, *, state: RunState, ended: int, summary: str) -> None:
        """Note how a run ended.

        Args:
            run_id: the run.
            state: how.
            ended: when, in Unix seconds.
            summary: its counts as JSON.
        """
        with translated(self._path, to_write=True), self._connection:
            self._connection.execute(
                "UPDATE runs SET state = ?, ended = ?, summary = ? WHERE id = ?",
                (state, ended, summary, run_id),
            )

    def summaries(self, schema_name: str) -> list[dict[str, Any]]:
        """The summaries of the ended runs of the schema of this name, to whichever target."""
        with translated(self._path, to_write=False):
            query = "SELECT summary FROM runs WHERE schema_name = ? AND ended IS NOT NULL"
            return [
                read_summary(text) for (text,) in self._connection.execute(query, (schema_name,))
            ]

    def _texts(self, query: str, *more: str) -> Iterable[str]:
        with translated(self._path, to_write=False):
            return [row[0] for row in self._connection.execute(query, (self._target, *more))]

    def _batches(
        self, run_id: str | None = None, after_s: float = -math.inf
    ) -> Iterator[DeliveredBatch]:
        """Check each row; give this target's, joined to some ten thousand events at a time."""
        held: list[DeliveredBatch] = []
        events = 0
        with translated(self._path, to_write=False):
            # Other targets' rows are checked too: a row of ours may have a damaged target.
            for target, run, time_s, checksum, keys, contents, carriers in self._connection.execute(
                "SELECT target, run, time, checksum, keys, contents, carriers FROM batches"
                " ORDER BY id"
            ):
                _check_row(checksum, target, keys, contents, carriers)
                if target != self._target or run_id not in (None, run) or time_s <= after_s:
                    continue
                held.append(DeliveredBatch(keys, contents, carriers, frozenset()))
                events += len(held[-1])
                if events >= _EVENTS_A_READ:
                    yield DeliveredBatch.joined(held)
                    held, events = [], 0
            if held:
                yield DeliveredBatch.joined(held)


def _as_delivered(batch: DeliveredBatch) -> pa.RecordBatch:
    columns = [_fixed(batch.keys, KEY_BYTES), _fixed(batch.contents, CONTENT_BYTES)]
    return pa.record_batch(columns, schema=DELIVERED)


def _fixed(blob: bytes, width: int) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(width), len(blob) // width, [None, pa.py_buffer(blob)])


def _checksum(*blobs: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=8)
    for blob in blobs:
        digest.update(blob)
    return digest.digest()


def _check_row(checksum: bytes, *blobs: bytes) -> None:
    if checksum != _checksum(*blobs):
        raise sqlite3.DatabaseError("a batch does not match its checksum")
