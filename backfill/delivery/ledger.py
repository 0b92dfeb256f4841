"""What was delivered, to whom: an SQLite file that survives a kill at any moment.

A row holds many events, because a row an event costs 22 ms a batch at a million keys, and one
blob of keys 1 to 2. No key of an account, no address and no name is in the file.
"""

import hashlib
import os
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import pyarrow as pa

from backfill.delivery.endpoint import base_url
from backfill.errors import StoppedError, UsageError
from backfill.event import SEPARATOR

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

_VERSION: Final = 1
_MARK: Final = 0x4B4C4246  # "KLBF", so that `file` and a later version know the file
_EVENTS_A_READ: Final = 65_536
_WAIT_FOR_READERS_S: Final = 10.0

_TABLES: Final = f"""
    CREATE TABLE batches (
        id INTEGER PRIMARY KEY, target BLOB NOT NULL, run TEXT NOT NULL, time INTEGER NOT NULL,
        checksum BLOB NOT NULL, keys BLOB NOT NULL, contents BLOB NOT NULL, carriers BLOB NOT NULL
    ) STRICT;
    CREATE TABLE metrics (
        target BLOB NOT NULL, metric TEXT NOT NULL, PRIMARY KEY (target, metric)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rules (
        target BLOB NOT NULL, metric TEXT NOT NULL, rule TEXT NOT NULL,
        PRIMARY KEY (target, metric, rule)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, target BLOB NOT NULL, command TEXT NOT NULL,
        schema_name TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER,
        state TEXT NOT NULL, summary TEXT NOT NULL
    ) STRICT;
    PRAGMA application_id = {_MARK};
    PRAGMA user_version = {_VERSION};
"""

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
class Landed:
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
        with _translated(path, to_write=False):
            self._metrics = self.metrics()

    @classmethod
    def open(cls, path: Path, target: Target) -> Self:
        """Open the ledger at ``path`` for ``target``, or begin one.

        Raises:
            UsageError: the file is damaged, of a newer version, or cannot be opened.
        """
        with _translated(path, to_write=False):
            if not path.exists():
                _begin(path)
            connection = _connect(path)
            try:
                _check(path, connection)
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

    def record(self, landed: Landed, *, run_id: str, time_s: int) -> None:
        """Write down what was acknowledged; it is on the disk when this returns.

        Raises:
            StoppedError: it cannot be written; nothing more may be sent.
        """
        blobs = (landed.keys, landed.contents, landed.carriers)
        unseen = landed.metrics - self._metrics
        with _translated(self._path, to_write=True), self._connection:
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

    def delivered(self) -> Iterator[pa.RecordBatch]:
        """Give key and content of every event delivered to this target, as ``DELIVERED``.

        An event that was delivered twice is there twice.
        """
        for keys, contents, _ in self._blobs():
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
        with _translated(self._path, to_write=True), self._connection:
            if metric not in self._metrics:
                self._connection.execute(
                    "DELETE FROM rules WHERE target = ? AND metric = ?", (self._target, metric)
                )
            self._connection.execute(
                "INSERT OR IGNORE INTO rules VALUES (?, ?, ?)", (self._target, metric, rule)
            )

    def begin_run(self, run: Run) -> None:
        """Note a run. Whoever begins one holds the lock, so an unfinished one was killed."""
        with _translated(self._path, to_write=True), self._connection:
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
        with _translated(self._path, to_write=True), self._connection:
            self._connection.execute(
                "UPDATE runs SET state = ?, ended = ?, summary = ? WHERE id = ?",
                (state, ended, summary, run_id),
            )

    def runs(self) -> list[Run]:
        """Every run of every target, the newest last."""
        with _translated(self._path, to_write=False):
            rows = self._connection.execute(
                "SELECT id, command, schema_name, started, ended, state, summary FROM runs"
                " ORDER BY started, rowid"
            ).fetchall()
        return [Run(*row) for row in rows]

    def _texts(self, query: str, *more: str) -> Iterable[str]:
        with _translated(self._path, to_write=False):
            return [row[0] for row in self._connection.execute(query, (self._target, *more))]

    def _blobs(self) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Give keys, contents and carriers of some ten thousand events at a time, checked."""
        held: list[tuple[bytes, bytes, bytes]] = []
        events = 0
        with _translated(self._path, to_write=False):
            # Other targets' rows are looked at too: one of ours may stand under a damaged target.
            for target, checksum, *blobs in self._connection.execute(
                "SELECT target, checksum, keys, contents, carriers FROM batches ORDER BY id"
            ):
                if checksum != _checksum(target, *blobs):
                    raise sqlite3.DatabaseError("a batch does not match its checksum")
                if target != self._target:
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


def _begin(path: Path) -> None:
    """Make a whole ledger under another name first: an empty file there is always damage.

    SQLite takes an empty file for a new database, and everything would be sent again.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(unfinished)) as connection:
        connection.executescript(f"BEGIN; {_TABLES} COMMIT;")
        connection.execute("PRAGMA journal_mode = WAL")
    unfinished.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the new name may be gone after a power cut
    finally:
        os.close(folder)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_WAIT_FOR_READERS_S,
        check_same_thread=False,
    )
    # With WAL, only FULL waits at each commit until the disk has it.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _check(path: Path, connection: sqlite3.Connection) -> None:
    ((mark,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    if mark == _MARK and version > _VERSION:
        raise UsageError(f"{path}: written by a newer backfill (version {version}); update this")
    ((verdict,),) = connection.execute("PRAGMA quick_check(1)")
    if mark != _MARK or version != _VERSION or verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


@contextmanager
def _translated(path: Path, *, to_write: bool) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as err:
        if to_write:
            raise StoppedError(
                f"{path}: the ledger cannot be written ({err}), so nothing more is sent; make "
                "room or mend the folder, then run the same command to go on"
            ) from err
        if isinstance(err, sqlite3.OperationalError | OSError):
            raise UsageError(f"{path}: the ledger cannot be opened ({err})") from err
        raise UsageError(
            f"{path}: the ledger is damaged ({err}); put a copy of it back, or move it away and "
            "everything is sent again, which Klaviyo counts once as it documents ids"
        ) from err
