"""The SQLite file that a sandbox keeps what it is sent in: its tables, and how it is opened."""

import sqlite3
from pathlib import Path
from typing import Final

from backfill.sandbox.store import profiles

_FORMAT: Final = 0x6B6C6177  # SQLite's application_id of a sandbox's store

_TABLES: Final = f"""
PRAGMA application_id = {_FORMAT};
BEGIN;
{profiles.TABLES}
CREATE TABLE metrics (
    id INTEGER PRIMARY KEY,
    token TEXT NOT NULL,
    name TEXT NOT NULL
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    metric INTEGER NOT NULL,
    profile INTEGER NOT NULL,
    event_id TEXT,
    time_s INTEGER NOT NULL,
    properties TEXT NOT NULL,
    content BLOB NOT NULL,
    api TEXT NOT NULL,
    backfill INTEGER NOT NULL,
    arrived_s REAL NOT NULL  -- by the sandbox's clock: when a query may see it
);
-- Klaviyo: "If you don't specify an $event_id, it will default to the timestamp of the event."
CREATE UNIQUE INDEX one_event ON events (profile, metric, coalesce(event_id, time_s || ''));
CREATE INDEX events_in_time ON events (time_s, id);
CREATE TABLE refusals (
    id INTEGER PRIMARY KEY,
    time_s INTEGER NOT NULL,
    token TEXT,
    reason TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE TABLE counts (
    name TEXT PRIMARY KEY,
    count INTEGER NOT NULL
) WITHOUT ROWID;
COMMIT;
"""


def connect(path: Path | None) -> sqlite3.Connection:
    """Raises: sqlite3.Error, OSError."""
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
        db.executescript(_TABLES)
    elif db.execute("PRAGMA application_id").fetchone()[0] != _FORMAT:
        raise sqlite3.DatabaseError("it is the database of something else")
    db.execute("BEGIN IMMEDIATE")
