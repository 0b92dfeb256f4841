"""What Klaviyo keeps, in SQLite: each event once, the profiles, and the refusals."""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from backfill import limits
from backfill.sandbox.store import file, profiles
from backfill.sandbox.store.event import Event, RefusedError

_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_sorted_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


class StoreError(ValueError):
    """A file that cannot be a sandbox's store: which, and why."""


class Store:
    """One file (or memory) with all accounts; used by one thread, and one sandbox at a time.

    What is recorded is in the file after ``commit``, which the caller does now and then: a
    transaction for each event would cost more than everything else together.

    Raises:
        StoreError: the file cannot be opened, is in use, or is something else.
    """

    def __init__(self, path: Path | None) -> None:
        try:
            self.db = file.connect(path)
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
        self._profiles = profiles.Profiles(self.db)
        self._committed = self.counts.copy()

    def record(self, event: Event, *, now_s: float) -> None:
        """Take one event: it is recorded, merged with the one that it repeats, or discarded.

        ``now_s`` is in Unix seconds: the time of an event that has none.

        Raises:
            RefusedError: the account has as many metrics as it may have.
        """
        if _is_discarded(event):
            self.counts["discarded"] += 1
        else:
            metric = self._metric(event)
            self._insert(metric, self._profile(event), event, now_s)
        self.counts["received"] += 1

    def repeats(self, events: Iterable[Event], *, now_s: float) -> list[int]:
        """The indexes of events that are stored already, or occur twice in ``events``.

        Nothing is recorded, and no profile is made.
        """
        seen: set[tuple[object, str, str]] = set()
        people: dict[tuple[str, str], object] = {}
        found = []
        for index, event in enumerate(events):
            profile, key = self._profile_or_identifier(event, people), _key(event, now_s)
            metric = self.metrics.get((event.token, event.metric))
            is_stored = isinstance(profile, int) and self._content(profile, metric, key)
            if is_stored or (profile, event.metric, key) in seen:
                found.append(index)
            seen.add((profile, event.metric, key))
        return found

    def lose(self, event_ids: Iterable[str]) -> int:
        """Delete events by their ids, of all accounts and metrics; return how many there were."""
        lost = 0
        for event_id in event_ids:
            rows = self.db.execute(
                "DELETE FROM events WHERE event_id = ? RETURNING metric", (event_id,)
            ).fetchall()
            lost += len(rows)
            for (metric,) in rows:
                self.recorded[metric] -= 1
        self.counts["recorded"] -= lost
        self.counts["lost"] += lost
        return lost

    def refuse(self, error: RefusedError, *, now_s: int) -> None:
        """Record a refusal."""
        self.counts["refused"] += 1
        self.db.execute(
            "INSERT INTO refusals (time_s, token, reason, message) VALUES (?, ?, ?, ?)",
            (now_s, error.token, error.reason, str(error)),
        )

    def commit(self) -> None:
        """Write what has come since the last time into the file."""
        if self.counts == self._committed:  # whatever changes the store changes a count
            return
        self._committed = self.counts.copy()
        self.db.executemany("INSERT OR REPLACE INTO counts VALUES (?, ?)", self.counts.items())
        self.db.execute("COMMIT")
        self.db.execute("BEGIN")

    def close(self) -> None:
        self.commit()
        self.db.close()

    def _metric(self, event: Event) -> int:
        """The JSON:API documents no limit of metrics. Source: docs/klaviyo.md, "Limits"."""
        token, name = event.token, event.metric
        metric = self.metrics.get((token, name))
        if metric is None:
            limit = limits.TRACK_MAX_METRICS
            if event.api == "track" and sum(one == token for one, _ in self.metrics) >= limit:
                raise RefusedError("metrics", f"the account has its {limit} metrics", token=token)
            insert = "INSERT INTO metrics (token, name) VALUES (?, ?)"
            metric = cast("int", self.db.execute(insert, (token, name)).lastrowid)
            self.metrics[token, name] = metric
        return metric

    def _profile_or_identifier(self, event: Event, people: dict[tuple[str, str], object]) -> object:
        """A profile's number, or the first identifier of a person who is new in this request.

        ``people`` holds what was found for each identifier so far.
        """
        given = event.person.identifiers()
        known = [people[identifier] for identifier in given if identifier in people]
        if not known:
            known = [self._profiles.find(event.token, event.person) or given[0]]
        people.update((identifier, known[0]) for identifier in given)
        return known[0]

    def _content(self, profile: int, metric: int | None, key: str) -> bytes | None:
        """The content hash of the event that is stored under ``key``."""
        row = self.db.execute(
            "SELECT content FROM events"
            " WHERE profile = ? AND metric = ? AND coalesce(event_id, time_s || '') = ?",
            (profile, metric, key),
        ).fetchone()
        return None if row is None else cast("bytes", row[0])

    def _profile(self, event: Event) -> int:
        match = self._profiles.match(event.token, event.person)
        for other in match.merged:
            self.counts["profile_merges"] += 1
            self._move_events(other, match.profile)
        self._profiles.update_attributes(match.profile, event.attributes)
        return match.profile

    def _insert(self, metric: int, profile: int, event: Event, now_s: float) -> None:
        content = _content_hash(event)
        what = (metric, profile, event.event_id, _time_s(event, now_s), _text(event.properties))
        inserted = self.db.execute(
            "INSERT OR IGNORE INTO events (metric, profile, event_id, time_s, properties, content,"
            " api, backfill, arrived_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*what, content, event.api, event.backfill, now_s),
        ).rowcount
        if not inserted:
            first = self._content(profile, metric, _key(event, now_s))
            self._count_merged(differs=first != content)
            return
        self.counts["recorded"] += 1
        self.counts[f"api {event.api}"] += 1
        self.counts["would_trigger_flows"] += event.api != "track" and not event.backfill
        self.recorded[metric] += 1

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


def _is_discarded(event: Event) -> bool:
    email = event.person.email
    return email is not None and email.rpartition("@")[2] in limits.DISCARDED_DOMAINS


def _time_s(event: Event, now_s: float) -> int:
    return int(now_s) if event.time_s is None else event.time_s


def _key(event: Event, now_s: float) -> str:
    """The event's id, or the time that it defaults to."""
    return str(_time_s(event, now_s)) if event.event_id is None else event.event_id


def _content_hash(event: Event) -> bytes:
    """A hash of all that a request says of the event; the same whatever the order of the keys."""
    content = (event.time_s, event.person, event.properties, event.attributes)
    return hashlib.blake2b(_sorted_text(content).encode(), digest_size=16).digest()
