"""The SQLite file that a sandbox keeps everything in, and how it is opened."""

import sqlite3
from importlib import resources
from pathlib import Path
from typing import Any, Final

_APPLICATION_ID: Final = 0x6B6C6177
"""SQLite's mark of whose file it is."""


def connect(path: Path | None) -> sqlite3.Connection:
    """Open the file, or memory for None; tables are made in an empty one.

    Raises:
        sqlite3.Error, OSError: it cannot be opened, is in use, or is something else.
    """
    if path is not None:
        path.touch(mode=0o600)  # it holds what a shop's customers bought
    db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0)
    try:
        _prepare(db)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA locking_mode = EXCLUSIVE")  # what is cached in memory must stay true
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    if not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.executescript(resources.files(__package__).joinpath("tables.sql").read_text("utf-8"))
    elif db.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise sqlite3.DatabaseError("it is the database of something else")
    db.execute("BEGIN IMMEDIATE")


def dicts(rows: sqlite3.Cursor) -> list[dict[str, Any]]:
    """All rows, each by the names of its columns."""
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows]
