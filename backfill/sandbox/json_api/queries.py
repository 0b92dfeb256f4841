"""What today's API finds in a store: of one account, and only what has been visible long enough."""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backfill.sandbox.json_api.filters import ORDER, Condition, instant, number
from backfill.sandbox.json_api.problems import Problem, Turned
from backfill.sandbox.json_api.resources import Row, number_of
from backfill.sandbox.store.store import Store

EVENT_FILTERS: Final = {
    "metric_id": ("equals",),
    "profile_id": ("equals",),
    "datetime": tuple(ORDER),
    "timestamp": tuple(ORDER),
}
"""Source: OAS, ``filter`` of Get Events."""

SORTS: Final = ("datetime", "-datetime", "timestamp", "-timestamp")


@dataclass(frozen=True, slots=True)
class View:
    """What an account may see now: events that arrived at ``until_s`` or before."""

    store: Store
    account: str
    until_s: float


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Row]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class MetricRow:
    number: int
    name: str
    created_s: float


def events(
    view: View, conditions: Sequence[Condition], *, sort: str, size: int, cursor: str | None
) -> Page:
    where, values = _where(view, conditions)
    newest_first = sort.startswith("-")
    if cursor is not None:
        where += f" AND (e.time_s, e.id) {'<' if newest_first else '>'} (?, ?)"
        values = [*values, *_place(cursor)]
    order = "DESC" if newest_first else "ASC"
    found = view.store.db.execute(
        "SELECT e.id, e.metric, e.profile, e.event_id, e.time_s, e.properties"
        " FROM events e JOIN metrics m ON m.id = e.metric"
        f" WHERE {where} ORDER BY e.time_s {order}, e.id {order} LIMIT ?",
        (*values, size + 1),
    ).fetchall()
    rows = [Row(*row) for row in found[:size]]
    return Page(rows, _cursor(rows[-1]) if len(found) > size else None)


def metrics(view: View, numbers: Iterable[int] | None = None) -> list[MetricRow]:
    """Metrics with a visible event, by number; ``numbers`` narrows them."""
    rows = view.store.db.execute(
        "SELECT m.id, m.name, min(e.arrived_s) FROM metrics m JOIN events e ON e.metric = m.id"
        " WHERE m.token = ? AND e.arrived_s <= ? GROUP BY m.id ORDER BY m.id",
        (view.account, view.until_s),
    )
    wanted = None if numbers is None else set(numbers)
    return [MetricRow(*row) for row in rows if wanted is None or row[0] in wanted]


def metric(view: View, given: str) -> MetricRow | None:
    found = number_of("M", given)
    return next(iter(metrics(view, [found])), None) if found is not None else None


def profiles(
    view: View, numbers: Iterable[int]
) -> list[tuple[int, dict[str, str | None], dict[str, Any]]]:
    """Number, identifiers, attributes of each."""
    wanted = sorted(set(numbers))
    rows = view.store.db.execute(
        "SELECT id, email, phone_number, external_id, attributes FROM profiles"
        f" WHERE id IN ({', '.join('?' * len(wanted))})",
        wanted,
    )
    kinds = ("email", "phone_number", "external_id")
    return [(row[0], dict(zip(kinds, row[1:4], strict=True)), json.loads(row[4])) for row in rows]


def values(view: View, metric: int, start_s: float, end_s: float) -> list[tuple[int, int, float]]:
    """Time, profile, value of a metric's events from ``start_s`` up to, not with, ``end_s``."""
    return view.store.db.execute(
        "SELECT e.time_s, e.profile, coalesce(json_extract(e.properties, '$.\"$value\"'), 0)"
        " FROM events e WHERE e.metric = ? AND e.arrived_s <= ? AND e.time_s >= ? AND e.time_s < ?",
        (metric, view.until_s, start_s, end_s),
    ).fetchall()


def _where(view: View, conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    parts = ["m.token = ?", "e.arrived_s <= ?"]
    values: list[object] = [view.account, view.until_s]
    for condition in conditions:
        match condition.field:
            case "metric_id":
                parts.append("e.metric = ?")
                values.append(_known_metric(view, condition))
            case "profile_id":
                parts.append("e.profile = ?")
                values.append(number_of("P", condition.text or ""))
            case field:
                parts.append(f"e.time_s {ORDER[condition.operator]} ?")
                values.append(
                    instant(condition).timestamp() if field == "datetime" else number(condition)
                )
    return " AND ".join(parts), values


def _known_metric(view: View, condition: Condition) -> int:
    """Source: klaviyo-api-python#41, how an id was answered that the account has not."""
    found = metric(view, condition.text or "")
    if found is None:
        detail = f"Metric IDs ['{(condition.text or '')[:20]}'] do not exist."
        raise Turned([Problem("filter", detail, parameter="filter")])
    return found.number


def _cursor(row: Row) -> str:
    return base64.urlsafe_b64encode(f"next::{row.time_s}::{row.number}".encode()).decode()


def _place(cursor: str) -> tuple[int, int]:
    """The official SDK (klaviyo-api 25.0.0) cuts ``=…`` out of a link and sends it like that."""
    cursor = cursor.removeprefix("=")
    try:
        _, time_s, number = base64.urlsafe_b64decode(cursor).decode().split("::")
        return int(time_s), int(number)
    except (binascii.Error, ValueError):
        detail = "Invalid page cursor."
        raise Turned([Problem("cursor", detail, parameter="page[cursor]")]) from None
