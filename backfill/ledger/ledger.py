"""What was delivered, to whom: an SQLite file that survives a kill at any moment.

A row holds many events, because a row an event costs 22 ms a batch at a million keys, and one
blob of keys 1 to 2. No key of an account, no address and no name is in the file.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import pyarrow as pa

from backfill.event import SEPARATOR
from backfill.ledger.file import begin, check, connect, translated
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
"""Person, time, key of an event that carried profile attributes."""

_EVENTS_A_READ: Final = 65_536

RunState: TypeAlias = Literal[
    "running", "planned", "finished", "stopped", "gated", "failed", "killed"
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go: what was sent to one target is not taken for sent to another."""

    url: str
    account: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(f"{base_url(self.url)}{SEPARATOR}{self.account}".encode()).digest()


@dataclass(frozen=True, slots=True)
class DeliveredBatch:
    """Events that Klaviyo acknowledged: 16, 8 and (for those with attributes) 40 bytes each."""

    keys: bytes
    contents: bytes
    carriers: bytes
    metrics: frozenset[str]

    def __len__(self) -> int:
        return len(self.keys) // KEY_BYTES


@dataclass(frozen=True, slots=True)
class Run:
    """One run as ``status`` shows it; ``command`` must hold no key."""

    id: str
    command: str
    schema_name: str
    started: int
    ended: int | None = None
    state: RunState = "running"
    summary: str = "{}"


class Ledger:
    """Make one with ``Ledger.open``; a context manager. Calls may come from any one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection, target: Target) -> None:
        self._path = path
        self._connection = connection
        self._target = target.digest
        with translated(path, to_write=False):
            self._metrics = self.metrics()

    @classmethod
    def open(cls, path: Path, target: Target) -> Self:
        """Open the ledger at ``path`` for ``target``, or begin one.

        Raises:
            UsageError: the file is damaged, of a newer version, or cannot be opened.
        """
        with translated(path, to_write=False):
            if not path.exists():
                begin(path)
            connection = connect(path)
            try:
                check(path, connection)
                return cls(path, connection, target)
            except BaseException:
                connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def record(self, landed: DeliveredBatch, *, run_id: str, time_s: int) -> None:
        """Write down what was acknowledged; it is on the disk when this returns.

        Raises:
            StoppedError: it cannot be written; nothing more may be sent.
        """
        blobs = (landed.keys, landed.contents, landed.carriers)
        unseen = landed.metrics - self._metrics
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
        """Take events out again, so that the next run sends them; how many were there.

        All of them or none: it is on the disk when this returns.

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
        if checksum != _checksum(self._target, *blobs):
            raise sqlite3.DatabaseError("a batch does not match its checksum")
        keys, contents, carriers = blobs
        each = [keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)]
        if struck.isdisjoint(each):
            return frozenset()
        stay = [at for at, key in enumerate(each) if key not in struck]
        left = (
            b"".join(each[at] for at in stay),
            b"".join(contents[at * CONTENT_BYTES : (at + 1) * CONTENT_BYTES] for at in stay),
            b"".join(
                CARRIER.pack(*carrier)
                for carrier in CARRIER.iter_unpack(carriers)
                if carrier[2] not in struck
            ),
        )
        if stay:
            self._connection.execute(
                "UPDATE batches SET checksum = ?, keys = ?, contents = ?, carriers = ?"
                " WHERE id = ?",
                (_checksum(self._target, *left), *left, row),
            )
        else:
            self._connection.execute("DELETE FROM batches WHERE id = ?", (row,))
        return struck.intersection(each)

    def delivered(self, run_id: str | None = None) -> Iterator[pa.RecordBatch]:
        """Give key and content of every event delivered to this target, as ``DELIVERED``.

        An event that was delivered twice is there twice. ``run_id``: by that run alone.
        """
        for keys, contents, _ in self._blobs(run_id):
            yield pa.record_batch(
                [_fixed(keys, KEY_BYTES), _fixed(contents, CONTENT_BYTES)], schema=DELIVERED
            )

    def carried(self) -> Iterator[pa.RecordBatch]:
        """Give every event that carried profile attributes to this target, as ``CARRIED``."""
        for _, _, carriers in self._blobs():
            columns = list(zip(*CARRIER.iter_unpack(carriers), strict=True)) or [(), (), ()]
            yield pa.record_batch(
                [
                    pa.array(column, named.type)
                    for column, named in zip(columns, CARRIED, strict=True)
                ],
                schema=CARRIED,
            )

    def newest(self) -> int | None:
        """When events were last delivered to this target, in Unix seconds; None: never."""
        with translated(self._path, to_write=False):
            query = "SELECT max(time) FROM batches WHERE target = ?"
            [newest] = self._connection.execute(query, (self._target,)).fetchone()
        return None if newest is None else int(newest)

    def metrics(self) -> frozenset[str]:
        """The metrics of which an event was delivered to this target."""
        return frozenset(self._texts("SELECT metric FROM metrics WHERE target = ?"))

    def rules(self, metric: str) -> frozenset[str]:
        """The id rules under which events of ``metric`` went to this target."""
        return frozenset(
            self._texts("SELECT rule FROM rules WHERE target = ? AND metric = ?", metric)
        )

    def add_rule(self, metric: str, rule: str) -> None:
        """Note the id rule of a metric before its first event goes.

        Rules of a metric that has delivered nothing are forgotten: no event stands under them.
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
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    run.id,
                    self._target,
                    run.command,
                    run.schema_name,
                    run.started,
                    run.ended,
                    run.state,
                    run.summary,
                ),
            )

    def end_run(self, run_id: str, *, state: RunState, ended: int, summary: str) -> None:
        with translated(self._path, to_write=True), self._connection:
            self._connection.execute(
                "UPDATE runs SET state = ?, ended = ?, summary = ? WHERE id = ?",
                (state, ended, summary, run_id),
            )

    def runs(self) -> list[Run]:
        """Every run of every target, the newest last, whatever the clock said of it."""
        with translated(self._path, to_write=False):
            rows = self._connection.execute(
                "SELECT id, command, schema_name, started, ended, state, summary FROM runs"
                " ORDER BY rowid"
            ).fetchall()
        return [Run(*row) for row in rows]

    def _texts(self, query: str, *more: str) -> Iterable[str]:
        with translated(self._path, to_write=False):
            return [row[0] for row in self._connection.execute(query, (self._target, *more))]

    def _blobs(self, run_id: str | None = None) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Give keys, contents and carriers of some ten thousand events at a time, checked."""
        held: list[tuple[bytes, bytes, bytes]] = []
        events = 0
        with translated(self._path, to_write=False):
            # Other targets' rows are looked at too: one of ours may stand under a damaged target.
            for target, run, checksum, *blobs in self._connection.execute(
                "SELECT target, run, checksum, keys, contents, carriers FROM batches ORDER BY id"
            ):
                if checksum != _checksum(target, *blobs):
                    raise sqlite3.DatabaseError("a batch does not match its checksum")
                if target != self._target or run_id not in (None, run):
                    continue
                held.append((blobs[0], blobs[1], blobs[2]))
                events += len(blobs[0]) // KEY_BYTES
                if events >= _EVENTS_A_READ:
                    yield _joined(held)
                    held, events = [], 0
            if held:
                yield _joined(held)


def _joined(held: list[tuple[bytes, bytes, bytes]]) -> tuple[bytes, bytes, bytes]:
    keys, contents, carriers = (b"".join(blobs) for blobs in zip(*held, strict=True))
    return keys, contents, carriers


def _fixed(blob: bytes, width: int) -> pa.Array:
    return pa.Array.from_buffers(pa.binary(width), len(blob) // width, [None, pa.py_buffer(blob)])


def _checksum(*blobs: bytes) -> bytes:
    """SQLite does not notice a changed byte inside a blob; a key it hid would be posted again."""
    digest = hashlib.blake2b(digest_size=8)
    for blob in blobs:
        digest.update(blob)
    return digest.digest()
