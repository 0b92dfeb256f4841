"""What Klaviyo keeps, in SQLite: events once each, the people behind them, what it turned down."""

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
        self._metrics_of = Counter(token for token, _ in self.metrics)
        self._profiles = profiles.Profiles(self.db)
        self._committed = self.counts.copy()

    def record(self, event: Event, *, now_s: float) -> None:
        """Take one event: it is recorded, merged with the one that it repeats, or discarded.

        Raises:
            Refused: the account has as many metrics as it may have.
        """
        properties, content = _text(event.properties), _content(event)
        if _is_discarded(event):
            self.counts["discarded"] += 1
        else:
            metric = self._metric(event)
            profile = self._profile(event)
            time_s = int(now_s) if event.time_s is None else event.time_s
            said = (metric, profile, event.event_id, time_s, properties, content)
            self._insert(said, event, now_s)
        self.counts["received"] += 1

    def repeats(self, events: Iterable[Event], *, now_s: float) -> list[int]:
        """The places of events that are here already, or stand twice among ``events``.

        Nothing is recorded, and no profile is made.
        """
        seen: set[tuple[object, str, str]] = set()
        people: dict[tuple[str, str], object] = {}
        found = []
        for place, event in enumerate(events):
            who = self._who(event, people)
            time_s = int(now_s) if event.time_s is None else event.time_s
            key = str(time_s) if event.event_id is None else event.event_id
            if (who, event.metric, key) in seen or self._holds(who, event, key):
                found.append(place)
            seen.add((who, event.metric, key))
        return found

    def lose(self, event_ids: Iterable[str]) -> int:
        """Forget events by their ids, of all accounts and metrics, as if they had never come."""
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

    def refuse(self, refused: RefusedError, *, now_s: int) -> None:
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

    def _metric(self, event: Event) -> int:
        """Today's API has no limit of metrics that we know of (klaviyo/facts.md 2.8)."""
        token, name = event.token, event.metric
        metric = self.metrics.get((token, name))
        if metric is None:
            if event.api == "track" and self._metrics_of[token] >= limits.TRACK_MAX_METRICS:
                limit = limits.TRACK_MAX_METRICS
                raise RefusedError("metrics", f"the account has its {limit} metrics", token=token)
            insert = "INSERT INTO metrics (token, name) VALUES (?, ?)"
            metric = cast("int", self.db.execute(insert, (token, name)).lastrowid)
            self.metrics[token, name] = metric
            self._metrics_of[token] += 1
        return metric

    def _who(self, event: Event, people: dict[tuple[str, str], object]) -> object:
        """A profile's number, or the first identifier of somebody who is new in this request."""
        given = list(profiles.identifiers(event.person))
        known = [people[one] for one in given if one in people]
        who = known[0] if known else self._profiles.find(event.token, event.person) or given[0]
        people.update((one, who) for one in given)
        return who

    def _holds(self, who: object, event: Event, key: str) -> bool:
        metric = self.metrics.get((event.token, event.metric))
        if metric is None or not isinstance(who, int):
            return False
        return self._first(who, metric, key) is not None

    def _first(self, profile: int, metric: int, key: str) -> bytes | None:
        row = self.db.execute(
            "SELECT content FROM events"
            " WHERE profile = ? AND metric = ? AND coalesce(event_id, time_s || '') = ?",
            (profile, metric, key),
        ).fetchone()
        return None if row is None else cast("bytes", row[0])

    def _profile(self, event: Event) -> int:
        match = self._profiles.match(event.token, event.person)
        for other in match.absorbed:
            self.counts["profile_merges"] += 1
            self._move_events(other, match.profile)
        self._profiles.describe(match.profile, event.attributes)
        return match.profile

    def _insert(
        self, said: tuple[int, int, str | None, int, str, bytes], event: Event, now_s: float
    ) -> None:
        metric, profile, event_id, time_s, _, content = said
        inserted = self.db.execute(
            "INSERT OR IGNORE INTO events (metric, profile, event_id, time_s, properties, content,"
            " api, backfill, arrived_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*said, event.api, event.backfill, now_s),
        ).rowcount
        if inserted:
            self.counts["recorded"] += 1
            self.counts[f"api {event.api}"] += 1
            self.counts["would_trigger_flows"] += event.api != "track" and not event.backfill
            self.recorded[metric] += 1
            return
        key = str(time_s) if event_id is None else event_id
        self._count_merged(differs=self._first(profile, metric, key) != content)

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
