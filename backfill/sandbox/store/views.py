"""What a store holds, read a page at a time, so that requests are answered between two pages."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backfill.sandbox.store.file import dicts
from backfill.sandbox.store.store import Store

Row = dict[str, Any]

_PAGE_ROWS: Final = 500
_LAST_EVENTS: Final = 50

_EVENTS: Final = """
SELECT e.id AS row, m.token, m.name AS metric, e.event_id, e.time_s AS time, e.properties,
       e.backfill, e.profile, p.email, p.phone_number, p.external_id
FROM events e JOIN metrics m ON m.id = e.metric JOIN profiles p ON p.id = e.profile
"""
_PROFILES: Final = """
SELECT p.id AS row, p.token, p.email, p.phone_number, p.external_id, p.attributes FROM profiles p
"""
_REFUSALS: Final = """
SELECT r.id AS row, r.time_s AS time, r.token, r.reason, r.message FROM refusals r
"""
_MONTHS: Final = """
SELECT m.name, strftime('%Y-%m', e.time_s, 'unixepoch') AS month, count(*)
FROM events e JOIN metrics m ON m.id = e.metric GROUP BY 1, 2 ORDER BY 2, 1
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows: those of an account, of a metric; None for all of them."""

    token: str | None = None
    metric: str | None = None


Pages = Callable[[Store, Filter], Iterator[list[Row]]]


def stats(store: Store) -> dict[str, Any]:
    """``received`` is always the sum of ``recorded``, ``merged``, ``discarded`` and ``lost``.

    ``would_trigger_flows`` are the recorded events of the JSON:API without ``backfill``. Track's
    events are left out, because Track cannot say "backfill".
    """
    counts = store.counts
    metrics: dict[str, int] = {}
    for (_, name), metric in store.metrics.items():
        metrics[name] = metrics.get(name, 0) + store.recorded[metric]
    return {
        **{name: counts[name] for name in ("requests", "received", "recorded", "merged")},
        **{name: counts[name] for name in ("merged_different", "discarded", "refused", "limited")},
        "profiles": store.db.execute("SELECT count(*) FROM profiles").fetchone()[0],
        **{name: counts[name] for name in ("profile_merges", "would_trigger_flows", "lost")},
        "metrics": metrics,
        "apis": _without_prefix("api ", counts),
        "endpoints": _without_prefix("endpoint ", counts),
        "faults": _without_prefix("fault ", counts),
    }


def events(store: Store, wanted: Filter) -> Iterator[list[Row]]:
    """Pages of events, in the order in which they were recorded."""
    where, values = _of_metrics(store, wanted)
    for page in _pages(store, _EVENTS, "e.id", where, values):
        yield [_event(row) for row in page]


def profiles(store: Store, wanted: Filter) -> Iterator[list[Row]]:
    """Pages of profiles; those of a metric are those with an event of it."""
    where, values = _of_account("p", wanted)
    if wanted.metric is not None:
        of_metrics, metrics = _of_metrics(store, wanted)
        where += f" AND EXISTS (SELECT 1 FROM events e WHERE e.profile = p.id AND {of_metrics})"
        values = (*values, *metrics)
    for page in _pages(store, _PROFILES, "p.id", where, values):
        yield [
            {
                "token": row["token"],
                **_profile(row["row"], row),
                "attributes": json.loads(row["attributes"]),
            }
            for row in page
        ]


def refusals(store: Store, wanted: Filter) -> Iterator[list[Row]]:
    """Pages of refusals, in order."""
    where, values = _of_account("r", wanted)
    for page in _pages(store, _REFUSALS, "r.id", where, values):
        yield [{key: row[key] for key in ("time", "token", "reason", "message")} for row in page]


def last_events(store: Store) -> list[Row]:
    """The newest by arrival, not by time: a backfill's events are all old."""
    rows = store.db.execute(f"{_EVENTS} ORDER BY e.id DESC LIMIT {_LAST_EVENTS}")
    return [_event(row) for row in dicts(rows)]


def months(store: Store) -> list[tuple[str, str, int]]:
    """Metric, month as ``2026-11`` (UTC), number of events."""
    return store.db.execute(_MONTHS).fetchall()


def _without_prefix(prefix: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {
        name.removeprefix(prefix): count
        for name, count in counts.items()
        if name.startswith(prefix)
    }


def _of_account(table: str, wanted: Filter) -> tuple[str, tuple[object, ...]]:
    return ("1", ()) if wanted.token is None else (f"{table}.token = ?", (wanted.token,))


def _of_metrics(store: Store, wanted: Filter) -> tuple[str, tuple[object, ...]]:
    if wanted == Filter():
        return "1", ()
    metrics = tuple(
        metric
        for (token, name), metric in store.metrics.items()
        if wanted.token in (None, token) and wanted.metric in (None, name)
    )
    return f"e.metric IN ({', '.join('?' * len(metrics))})", metrics


def _pages(
    store: Store, select: str, key: str, where: str, values: tuple[object, ...]
) -> Iterator[list[Row]]:
    last = 0
    query = f"{select} WHERE {key} > ? AND {where} ORDER BY {key} LIMIT {_PAGE_ROWS}"
    while page := dicts(store.db.execute(query, (last, *values))):
        yield page
        last = page[-1]["row"]


def _event(row: Row) -> Row:
    properties = json.loads(row["properties"])
    return {
        **{key: row[key] for key in ("token", "metric", "event_id", "time")},
        "value": properties.get("$value"),
        "properties": properties,
        "backfill": bool(row["backfill"]),
        "profile": _profile(row["profile"], row),
    }


def _profile(number: int, row: Row) -> Row:
    identifiers = {key: row[key] for key in ("email", "phone_number", "external_id")}
    return {"id": f"P{number}", **identifiers}
