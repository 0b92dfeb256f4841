"""What Klaviyo keeps, in SQLite: events once each, the people behind them, what it turned down."""

import hashlib
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Final, cast

from backfill import limits
from backfill.sandbox import profiles
from backfill.sandbox.event import Event, Refused

_FORMAT: Final = 0x6B6C6176  # SQLite's application_id of a sandbox's store

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
    content BLOB NOT NULL
);
-- Klaviyo: "If you don't specify an $event_id, it will default to the timestamp of the event."
CREATE UNIQUE INDEX one_event ON events (profile, metric, coalesce(event_id, time_s || ''));
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

_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_sorted_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


class StoreError(ValueError):
    """A file that cannot be a sandbox's store."""


class Store:
    """One file (or memory) with all accounts; used by one thread, and one sandbox at a time.

    What is recorded is in the file after ``commit``, which the caller does now and then: a
    transaction for each event would cost more than everything else together.

    Raises:
        StoreError: the file cannot be opened, is in use, or is something else.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            self.db = _open(path)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{path}: cannot be the sandbox's store: {error}") from None
        self.counts: Counter[str] = Counter(dict(self.db.execute("SELECT name, count FROM counts")))
        self.recorded: Counter[int] = Counter(
            dict(self.db.execute("SELECT metric, count(*) FROM events GROUP BY metric"))
        )
        self.metrics: dict[tuple[str, str], int] = {
            (token, name): metric
            for metric, token, name in self.db.execute("SELECT id, token, name FROM metrics")
        }
        self._metrics_of = Counter(token for token, _ in self.metrics)
        self._profiles = profiles.Profiles(self.db)
        self._committed = self.counts.copy()

    def record(self, event: Event, *, now_s: int) -> None:
        """Take one event: it is recorded, merged with the one that it repeats, or discarded.

        Raises:
            Refused: the account has as many metrics as it may have.
        """
        properties, content = _text(event.properties), _content(event)
        if _is_discarded(event):
            self.counts["discarded"] += 1
        else:
            metric = self._metric(event.token, event.metric)
            profile = self._profile(event)
            time_s = now_s if event.time_s is None else event.time_s
            row = (metric, profile, event.event_id, time_s, properties, content)
            self._insert(row)
        self.counts["received"] += 1

    def refuse(self, refused: Refused, *, now_s: int) -> None:
        self.counts["refused"] += 1
        self.db.execute(
            "INSERT INTO refusals (time_s, token, reason, message) VALUES (?, ?, ?, ?)",
            (now_s, refused.token, refused.reason, str(refused)),
        )

    def commit(self) -> None:
        if self.counts == self._committed:  # whatever changes the store changes a count
            return
        self._committed = self.counts.copy()
        self.db.executemany("INSERT OR REPLACE INTO counts VALUES (?, ?)", self.counts.items())
        self.db.execute("COMMIT")
        self.db.execute("BEGIN")

    def close(self) -> None:
        self.commit()
        self.db.close()

    def _metric(self, token: str, name: str) -> int:
        metric = self.metrics.get((token, name))
        if metric is None:
            if self._metrics_of[token] >= limits.TRACK_MAX_METRICS:
                limit = limits.TRACK_MAX_METRICS
                raise Refused("metrics", f"the account has its {limit} metrics", token=token)
            insert = "INSERT INTO metrics (token, name) VALUES (?, ?)"
            metric = cast("int", self.db.execute(insert, (token, name)).lastrowid)
            self.metrics[token, name] = metric
            self._metrics_of[token] += 1
        return metric

    def _profile(self, event: Event) -> int:
        match = self._profiles.match(event.token, event.person)
        for other in match.absorbed:
            self.counts["profile_merges"] += 1
            self._move_events(other, match.profile)
        self._profiles.describe(match.profile, event.attributes)
        return match.profile

    def _insert(self, row: tuple[int, int, str | None, int, str, bytes]) -> None:
        metric, profile, event_id, time_s, _, content = row
        inserted = self.db.execute(
            "INSERT OR IGNORE INTO events (metric, profile, event_id, time_s, properties, content)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            row,
        ).rowcount
        if inserted:
            self.counts["recorded"] += 1
            self.recorded[metric] += 1
            return
        key = str(time_s) if event_id is None else event_id
        first = self.db.execute(
            "SELECT content FROM events"
            " WHERE profile = ? AND metric = ? AND coalesce(event_id, time_s || '') = ?",
            (profile, metric, key),
        ).fetchone()
        self._count_merged(differs=first[0] != content)

    def _count_merged(self, *, differs: bool) -> None:
        self.counts["merged"] += 1
        self.counts["merged_different"] += differs

    def _move_events(self, source: int, target: int) -> None:
        """Events of two profiles that are now one may repeat each other: the first is kept."""
        repeats = self.db.execute(
            "SELECT max(a.id, b.id), a.metric, a.content <> b.content FROM events a JOIN events b"
            " ON b.profile = ? AND b.metric = a.metric"
            " AND coalesce(b.event_id, b.time_s || '') = coalesce(a.event_id, a.time_s || '')"
            " WHERE a.profile = ?",
            (target, source),
        ).fetchall()
        for event, metric, differs in repeats:
            self.db.execute("DELETE FROM events WHERE id = ?", (event,))
            self.counts["recorded"] -= 1
            self.recorded[metric] -= 1
            self._count_merged(differs=bool(differs))
        self.db.execute("UPDATE events SET profile = ? WHERE profile = ?", (target, source))


def _open(path: Path | None) -> sqlite3.Connection:
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


def _is_discarded(event: Event) -> bool:
    email = event.person.email
    return email is not None and email.rpartition("@")[2] in limits.DISCARDED_DOMAINS


def _content(event: Event) -> bytes:
    """A hash of all that was said of the event; the same whatever the order of the keys."""
    person = event.person
    said = (
        event.time_s,
        (person.email, person.phone_number, person.external_id),
        event.properties,
        event.attributes,
    )
    return hashlib.blake2b(_sorted_text(said).encode(), digest_size=16).digest()
