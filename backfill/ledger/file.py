"""The ledger's file: created whole or not at all, checked when opened, its errors explained."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Final

from backfill.errors import StoppedError, UsageError

VERSION: Final = 2
_VERSIONS: Final = range(1, VERSION + 1)
"""Those that are read; ``upgrade`` brings a ledger to the last of them."""
_MARK: Final = 0x4B4C4246  # "KLBF", by which `file` and later versions know the file
_WAIT_FOR_READERS_S: Final = 10.0


def create(path: Path) -> None:
    """Create a whole ledger under another name, and rename it.

    So an empty file at ``path`` is always damage. SQLite would take it for a new database, and
    everything would be sent again.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    tables = resources.files(__package__).joinpath("tables.sql").read_text(encoding="utf-8")
    unfinished = path.with_name(f"{path.name}.new")
    for stale in (unfinished, *_beside(unfinished), *_beside(path)):
        stale.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    with closing(sqlite3.connect(unfinished)) as connection:
        connection.executescript(
            f"BEGIN; {tables} PRAGMA application_id = {_MARK}; PRAGMA user_version = {VERSION};"
            "COMMIT;"
        )
        connection.execute("PRAGMA journal_mode = WAL")
    unfinished.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # otherwise the new name may be gone after a power cut
    finally:
        os.close(folder)


def _beside(path: Path) -> tuple[Path, ...]:
    """The files that SQLite keeps beside a database. Those of a deleted one spoil a new one."""
    return tuple(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))


def open_checked(path: Path) -> sqlite3.Connection:
    """Connect to a ledger that exists, and check it.

    Raises:
        UsageError: a newer version wrote it.
        sqlite3.Error: it is damaged, no ledger, or cannot be opened; see ``translated``.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_WAIT_FOR_READERS_S,
        check_same_thread=False,
    )
    try:
        # With WAL, only FULL waits at each commit until the disk has it.
        connection.execute("PRAGMA synchronous = FULL")
        _check(path, connection)
    except BaseException:
        connection.close()
        raise
    return connection


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the format that a ledger has."""
    ((version,),) = connection.execute("PRAGMA user_version")
    return int(version)


def _check(path: Path, connection: sqlite3.Connection) -> None:
    ((mark,),) = connection.execute("PRAGMA application_id")
    version = version_of(connection)
    if mark == _MARK and version > VERSION:
        raise UsageError(
            f"{path}: written by a newer backfill (version {version}); update this one, or move "
            "the file away and everything is sent again, which Klaviyo records once"
        )
    ((verdict,),) = connection.execute("PRAGMA quick_check(1)")
    if mark != _MARK or version not in _VERSIONS or verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


_SURROUNDINGS: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""SQLite's primary codes for problems around the file; all others mean that it is damaged."""


@contextmanager
def translated(path: Path, *, to_write: bool) -> Iterator[None]:
    """Explain what SQLite and the system report of the ledger, with a way out.

    Raises:
        UsageError: where the ledger is read, before anything is sent.
        StoppedError: where it is written, so that nothing more may be sent.
    """
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as err:
        if _is_damage(err, path):
            kind = StoppedError if to_write else UsageError
            raise kind(
                f"{path}: the ledger is damaged ({_why(err)}); move it away, with its -wal and "
                "-shm files, and put a copy of it in its place; without one everything is sent "
                "again, which Klaviyo records once, as it documents ids"
            ) from err
        if to_write:
            raise StoppedError(
                f"{path}: the ledger cannot be written ({err}), so nothing more is sent; make "
                "room or fix the folder, then run the same command to go on"
            ) from err
        raise UsageError(
            f"{path}: the ledger cannot be opened ({err}); make room, fix the folder or end what "
            "else holds the file, then run the same command"
        ) from err


def _is_damage(err: sqlite3.Error | OSError | UnicodeDecodeError, path: Path) -> bool:
    if isinstance(err, OSError):
        return False
    code = getattr(err, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK):
        # A wrong byte in the header makes SQLite think that it is too old to write the file. Do not
        # read the header here: to close the file would drop the locks that SQLite has on it.
        return os.access(path.parent, os.W_OK)
    return primary not in _SURROUNDINGS


def _why(err: sqlite3.Error | OSError | UnicodeDecodeError) -> str:
    """The error on one line, without the text that is no UTF-8."""
    if isinstance(err, UnicodeDecodeError) or "UTF-8" in str(err):
        return "a text in it is no UTF-8"
    return " ".join(str(err).split())
