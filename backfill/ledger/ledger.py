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
all events that were acknowledged together, with one blob of keys, costs 1 to 2 ms, also at ten
million keys. A row has a checksum: SQLite does not notice a changed byte inside a blob, and an
event whose key it hid would be sent again.

**Read whole.** There is no index of keys: one that had lost an entry would have an event sent
again. Who looks for a few events reads all rows, checks them and passes over the others
(``HashFilter``), which takes a second for ten million.

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
it is brought to a version  the old ledger, or the new one; see ``upgrade``
a run is under way          the run as ``running``; the next run holds the state folder's lock, so
                            no other process works there, and marks it ``killed``
==========================  ========================================================================

**Damage.** The file is checked when it is opened: SQLite walks through all of its pages, so that no
row is lost. Each row of each table is checked when it is read. A damaged ledger is an error with a
way out, never a shorter set; ``file`` tells damage from a full disk.
"""

import hashlib
import math
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, compress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa

from backfill.engine.hash_filter import HASH, HashFilter
from backfill.event import SEPARATOR
from backfill.ledger.checksum import checksum
from backfill.ledger.file import create, open_checked, translated
from backfill.ledger.refund_sums import RefundSumTable
from backfill.ledger.rules import RuleTable
from backfill.ledger.runs import Run, RunState, RunTable
from backfill.ledger.upgrade import upgrade
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

_CARRIERS: Final = np.dtype([("person", "V16"), ("time", ">i8"), ("key", "V16")])
"""``CARRIER``, for many at once."""

_EVENTS_A_READ: Final = 65_536

_CHECKSUM_BYTES: Final = 16
_CHECKSUM_BYTES_OF_VERSION_1: Final = 8


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


class Ledger:
    """The events that were delivered to one target; make one with ``Ledger.open``.

    A context manager. Any thread may call it, one at a time. Each method raises UsageError where
    the file cannot be read, and StoppedError where it cannot be written.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, target: Target) -> None:
        self._path = path
        self._connection = connection
        self._target = target.digest
        self._runs = RunTable(path, connection, self._target)
        self._rules = RuleTable(path, connection, self._target)
        self.refund_sums = RefundSumTable(path, connection, self._target)
        self._metrics = self.metrics()

    @classmethod
    def open(cls, path: Path, target: Target) -> Self:
        """Open a ledger, or create one; one of an older version is brought to this one.

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
                upgrade(connection)
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
        row = (self._target, run_id, time_s, batch.keys, batch.contents, batch.carriers)
        unseen = batch.metrics - self._metrics
        with translated(self._path, to_write=True), self._connection:
            self._connection.execute(
                "INSERT INTO batches (target, run, time, keys, contents, carriers, checksum)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*row, checksum(*row, size=_CHECKSUM_BYTES)),
            )
            self._rules.insert_metrics(unseen)
        self._metrics |= unseen

    def strike(self, keys: Iterable[bytes]) -> int:
        """Take events out, so that the next run sends them; give how many were there.

        All of them or none are gone, on the disk too, when this returns.

        Raises:
            StoppedError: the ledger cannot be written, or is damaged.
        """
        struck = frozenset(keys)
        some = HashFilter(len(struck))
        some.add(pa.array(struck, HASH))
        found: set[bytes] = set()
        with translated(self._path, to_write=True), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            hit = [
                row.id
                for row in self._rows()
                if row.target == self._target and some.passes(_fixed(row.keys, KEY_BYTES)).any()
            ]
            for row_id in hit:
                found |= self._strike_from(row_id, struck)
        return len(found)

    def _strike_from(self, row_id: int, struck: frozenset[bytes]) -> frozenset[bytes]:
        [row] = self._rows(row_id)
        blobs = (row.keys, row.contents, row.carriers)
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
            values = (row.target, row.run, row.time, *left)
            self._connection.execute(
                "UPDATE batches SET checksum = ?, keys = ?, contents = ?, carriers = ?"
                " WHERE id = ?",
                (checksum(*values, size=_CHECKSUM_BYTES), *left, row_id),
            )
        else:
            self._connection.execute("DELETE FROM batches WHERE id = ?", (row_id,))
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
            carriers = np.frombuffer(batch.carriers, _CARRIERS)
            times = pa.py_buffer(carriers["time"].astype(np.int64))
            columns = [
                _fixed(carriers["person"].tobytes(), KEY_BYTES),
                pa.Array.from_buffers(pa.int64(), len(carriers), [None, times]),
                _fixed(carriers["key"].tobytes(), KEY_BYTES),
            ]
            yield pa.record_batch(columns, schema=CARRIED)

    def newest(self) -> int | None:
        """The Unix time of the last delivery to this target; None if there was none."""
        with translated(self._path, to_write=False):
            query = "SELECT max(time) FROM batches WHERE target = ?"
            [newest] = self._connection.execute(query, (self._target,)).fetchone()
        return None if newest is None else int(newest)

    def metrics(self) -> frozenset[str]:
        """The metrics of which an event was delivered to this target."""
        return self._rules.metrics()

    def rules(self, metric: str) -> frozenset[str]:
        """The id rules by which events of a metric went to this target.

        Args:
            metric: its name.
        """
        return self._rules.rules(metric)

    def add_rule(self, metric: str, rule: str) -> None:
        """Note the id rule of a metric before its first event goes.

        Rules of a metric that has delivered nothing are forgotten: no event has an id by them.

        Args:
            metric: its name.
            rule: as ``id_rules`` gives it.
        """
        self._rules.add(metric, rule, forget=metric not in self._metrics)

    def begin_run(self, run: Run) -> None:
        """Note a run. Whoever begins one holds the lock, so an unfinished one was killed."""
        self._runs.begin(run)

    def end_run(self, run_id: str, *, state: RunState, ended: int, summary: str) -> None:
        """Note how a run ended.

        Args:
            run_id: the run.
            state: how.
            ended: when, in Unix seconds.
            summary: its counts as JSON.
        """
        self._runs.end(run_id, state=state, ended=ended, summary=summary)

    def summaries(self, schema_name: str) -> list[dict[str, Any]]:
        """The summaries of the ended runs of the schema of this name, to whichever target."""
        return self._runs.summaries(schema_name)

    def _batches(
        self, run_id: str | None = None, after_s: float = -math.inf
    ) -> Iterator[DeliveredBatch]:
        """Give this target's batches, joined to some ten thousand events at a time."""
        held: list[DeliveredBatch] = []
        events = 0
        with translated(self._path, to_write=False):
            for row in self._rows():
                is_other = row.target != self._target or run_id not in (None, row.run)
                if is_other or row.time <= after_s:
                    continue
                held.append(DeliveredBatch(row.keys, row.contents, row.carriers, frozenset()))
                events += len(held[-1])
                if events >= _EVENTS_A_READ:
                    yield DeliveredBatch.joined(held)
                    held, events = [], 0
            if held:
                yield DeliveredBatch.joined(held)

    def _rows(self, row_id: int | None = None) -> Iterator["_Row"]:
        """Check and give each row, or one row.

        Other targets' rows are there too: a row of ours may have a damaged target.
        """
        where = "" if row_id is None else "WHERE id = ?"
        for *columns, stored in self._connection.execute(
            "SELECT id, target, run, time, keys, contents, carriers, checksum FROM batches"
            f" {where} ORDER BY id",
            () if row_id is None else (row_id,),
        ):
            row = _Row(*columns)
            row.check(stored)
            yield row


class _Row(NamedTuple):
    """A row of the table ``batches``."""

    id: int
    target: bytes
    run: str
    time: int
    keys: bytes
    contents: bytes
    carriers: bytes

    def check(self, stored: bytes) -> None:
        """Compare it with its checksum; that of version 1 is over target and blobs alone."""
        if len(stored) == _CHECKSUM_BYTES:
            blobs = (self.keys, self.contents, self.carriers)
            values = (self.target, self.run, self.time, *blobs)
            good = stored == checksum(*values, size=_CHECKSUM_BYTES)
        else:
            digest = hashlib.blake2b(self.target, digest_size=_CHECKSUM_BYTES_OF_VERSION_1)
            for blob in (self.keys, self.contents, self.carriers):
                digest.update(blob)
            good = stored == digest.digest()
        if not good:
            raise sqlite3.DatabaseError("a batch does not match its checksum")


def _as_delivered(batch: DeliveredBatch) -> pa.RecordBatch:
    columns = [_fixed(batch.keys, KEY_BYTES), _fixed(batch.contents, CONTENT_BYTES)]
    return pa.record_batch(columns, schema=DELIVERED)


def _fixed(blob: bytes, width: int) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(width), len(blob) // width, [None, pa.py_buffer(blob)])
