"""What a store holds, read a page at a time, so that requests are taken between two pages."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backfill.sandbox.store.store import Store

_PAGE_ROWS: Final = 500
_LAST_EVENTS: Final = 50

_EVENTS: Final = """
SELECT e.id, m.token, m.name, e.event_id, e.time_s, e.properties, e.backfill,
       p.id, p.email, p.phone_number, p.external_id
FROM events e JOIN metrics m ON m.id = e.metric JOIN profiles p ON p.id = e.profile
"""
_PROFILES: Final = """
SELECT p.id, p.token, p.email, p.phone_number, p.external_id, p.attributes FROM profiles p
"""
_REFUSALS: Final = "SELECT r.id, r.time_s, r.token, r.reason, r.message FROM refusals r"

_MONTHS: Final = """
SELECT m.name, strftime('%Y-%m', e.time_s, 'unixepoch') AS month, count(*)
FROM events e JOIN metrics m ON m.id = e.metric GROUP BY 1, 2 ORDER BY 2, 1
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows; an account or a metric that is not known matches none."""

    token: str | None = None
    metric: str | None = None


Pages = Callable[[Store, Filter], Iterator[list[dict[str, Any]]]]


def stats(store: Store) -> dict[str, Any]:
    """``received`` is always the sum of ``recorded``, ``merged``, ``discarded`` and ``lost``.

    ``would_trigger_flows`` are the recorded events of today's API without ``backfill``. Track's
    are left out: it has no such word, and an account that still took them would start its flows.
    """
    counts = store.counts
    metrics: dict[str, int] = {}
    for (_, name), metric in store.metrics.items():
        metrics[name] = metrics.get(name, 0) + store.recorded[metric]
    return {
        **{name: counts[name] for name in ("requests", "received", "recorded", "merged")},
        **{name: counts[name] for name in ("merged_different", "discarded", "refused")},
        "limited": counts["limited"],
        "profiles": store.db.execute("SELECT count(*) FROM profiles").fetchone()[0],
        "profile_merges": counts["profile_merges"],
        "would_trigger_flows": counts["would_trigger_flows"],
        "lost": counts["lost"],
        "metrics": metrics,
        "apis": _under("api ", counts),
        "endpoints": _under("endpoint ", counts),
        "faults": _under("fault ", counts),
    }


def _under(prefix: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {
        name.removeprefix(prefix): count
        for name, count in counts.items()
        if name.startswith(prefix)
    }


def events(store: Store, wanted: Filter) -> Iterator[list[dict[str, Any]]]:
    """Pages of events, in the order in which they were recorded."""
    where, values = _metrics(store, wanted)
    for page in _pages(store.db, _EVENTS, "e.id", where, values):
        yield [_event(row) for row in page]


def profiles(store: Store, wanted: Filter) -> Iterator[list[dict[str, Any]]]:
    """Pages of profiles; those of a metric are those with an event of it."""
    where, values = ("1", ()) if wanted.token is None else ("p.token = ?", (wanted.token,))
    if wanted.metric is not None:
        metrics, more = _metrics(store, wanted)
        where += f" AND EXISTS (SELECT 1 FROM events e WHERE e.profile = p.id AND {metrics})"
        values = (*values, *more)
    for page in _pages(store.db, _PROFILES, "p.id", where, values):
        yield [_profile(row) for row in page]


def refusals(store: Store, wanted: Filter) -> Iterator[list[dict[str, Any]]]:
    where, values = ("1", ()) if wanted.token is None else ("r.token = ?", (wanted.token,))
    keys = ("time", "token", "reason", "message")
    for page in _pages(store.db, _REFUSALS, "r.id", where, values):
        yield [dict(zip(keys, row[1:], strict=True)) for row in page]


def last_events(store: Store) -> list[dict[str, Any]]:
    """The newest by arrival, not by time: a backfill's events are all old."""
    rows = store.db.execute(f"{_EVENTS} ORDER BY e.id DESC LIMIT {_LAST_EVENTS}")
    return [_event(row) for row in rows]


def months(store: Store) -> list[tuple[str, str, int]]:
    """Metric, month as ``2026-11`` (UTC), number of events."""
    return store.db.execute(_MONTHS).fetchall()


def _metrics(store: Store, wanted: Filter) -> tuple[str, tuple[int, ...]]:
    if wanted == Filter():
        return "1", ()
    found = tuple(
        metric
        for (token, name), metric in store.metrics.items()
        if wanted.token in (None, token) and wanted.metric in (None, name)
    )
    return f"e.metric IN ({', '.join('?' * len(found))})", found


def _pages(
    db: sqlite3.Connection, select: str, key: str, where: str, values: tuple[object, ...]
) -> Iterator[list[tuple[Any, ...]]]:
    last = 0
    query = f"{select} WHERE {key} > ? AND {where} ORDER BY {key} LIMIT {_PAGE_ROWS}"
    while page := db.execute(query, (last, *values)).fetchall():
        yield page
        last = page[-1][0]


def _event(row: tuple[Any, ...]) -> dict[str, Any]:
    _, token, metric, event_id, time_s, properties_json, backfill, *person = row
    properties = json.loads(properties_json)
    return {
        "token": token,
        "metric": metric,
        "event_id": event_id,
        "time": time_s,
        "value": properties.get("$value"),
        "properties": properties,
        "backfill": bool(backfill),
        "profile": _person(*person),
    }


def _profile(row: tuple[Any, ...]) -> dict[str, Any]:
    profile, token, email, phone_number, external_id, attributes = row
    return {
        "token": token,
        **_person(profile, email, phone_number, external_id),
        "attributes": json.loads(attributes),
    }


def _person(
    profile: int, email: str | None, phone_number: str | None, external_id: str | None
) -> dict[str, str | None]:
    return {
        "id": f"P{profile}",
        "email": email,
        "phone_number": phone_number,
        "external_id": external_id,
    }
