"""What the JSON:API reads from a store: one account's rows, of events that are visible by now."""

import base64
import binascii
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from backfill.sandbox.json_api.filters import ORDER, Condition, read_number, read_time
from backfill.sandbox.json_api.problems import invalid_parameter
from backfill.sandbox.store.file import dicts
from backfill.sandbox.store.store import Store

EVENT_FILTERS: Final = {
    "metric_id": ("equals",),
    "profile_id": ("equals",),
    "datetime": tuple(ORDER),
    "timestamp": tuple(ORDER),
}
"""Source: OAS, ``filter`` of Get Events."""

EVENT_SORTS: Final = ("datetime", "-datetime", "timestamp", "-timestamp")


@dataclass(frozen=True, slots=True)
class AccountView:
    """What an account sees: its events that arrived at ``until_s``, in Unix seconds, or before."""

    store: Store
    account: str
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """``metric`` and ``profile`` are numbers of rows, ``properties`` is JSON."""

    number: int
    metric: int
    profile: int
    event_id: str | None
    time_s: int
    properties: str


@dataclass(frozen=True, slots=True)
class MetricRow:
    """``created_s``: when its first event arrived."""

    number: int
    name: str
    created_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow:
    """``attributes`` is JSON, under Track's names."""

    number: int
    email: str | None
    phone_number: str | None
    external_id: str | None
    attributes: str


def row_number(letter: str, resource_id: str) -> int | None:
    """The row's number in an id such as ``M00001``; None for any other text."""
    digits = resource_id.removeprefix(letter)
    is_id = resource_id.startswith(letter) and digits.isascii() and digits.isdigit()
    return int(digits) if is_id else None


def events(
    view: AccountView, conditions: Sequence[Condition], *, sort: str, size: int, cursor: str | None
) -> tuple[list[EventRow], str | None]:
    """A page of events, and the next page's cursor.

    Args:
        view: whose events, and of when.
        conditions: all of them hold.
        sort: one of ``EVENT_SORTS``.
        size: the most events on the page.
        cursor: that of the page; None for the first one.

    Raises:
        ProblemsError: a condition's value, or the cursor, is not understood.
    """
    where, values = _where(view, conditions)
    newest_first = sort.startswith("-")
    if cursor is not None:
        where += f" AND (e.time_s, e.id) {'<' if newest_first else '>'} (?, ?)"
        values += _decode_cursor(cursor)
    order = "DESC" if newest_first else "ASC"
    found = view.store.db.execute(
        "SELECT e.id AS number, e.metric, e.profile, e.event_id, e.time_s, e.properties"
        " FROM events e JOIN metrics m ON m.id = e.metric"
        f" WHERE {where} ORDER BY e.time_s {order}, e.id {order} LIMIT ?",
        (*values, size + 1),
    )
    rows = [EventRow(**row) for row in dicts(found)]
    page = rows[:size]
    return page, _encode_cursor(page[-1]) if len(rows) > size else None


def metrics(view: AccountView, numbers: AbstractSet[int] | None = None) -> list[MetricRow]:
    """Metrics with a visible event, by number; all of them, or those of ``numbers``."""
    found = view.store.db.execute(
        "SELECT m.id AS number, m.name, min(e.arrived_s) AS created_s"
        " FROM metrics m JOIN events e ON e.metric = m.id"
        " WHERE m.token = ? AND e.arrived_s <= ? GROUP BY m.id ORDER BY m.id",
        (view.account, view.until_s),
    )
    rows = [MetricRow(**row) for row in dicts(found)]
    return rows if numbers is None else [row for row in rows if row.number in numbers]


def metric(view: AccountView, metric_id: str) -> MetricRow | None:
    number = row_number("M", metric_id)
    return next((row for row in metrics(view) if row.number == number), None)


def profiles(view: AccountView, numbers: AbstractSet[int]) -> list[ProfileRow]:
    found = view.store.db.execute(
        "SELECT id AS number, email, phone_number, external_id, attributes FROM profiles"
        f" WHERE id IN ({', '.join('?' * len(numbers))}) ORDER BY id",
        tuple(numbers),
    )
    return [ProfileRow(**row) for row in dicts(found)]


def values(
    view: AccountView, metric: int, start_s: float, end_s: float
) -> list[tuple[int, int, float]]:
    """Time, profile, value of a metric's events from ``start_s`` up to, not with, ``end_s``."""
    return view.store.db.execute(
        "SELECT e.time_s, e.profile, coalesce(json_extract(e.properties, '$.\"$value\"'), 0)"
        " FROM events e WHERE e.metric = ? AND e.arrived_s <= ? AND e.time_s >= ? AND e.time_s < ?",
        (metric, view.until_s, start_s, end_s),
    ).fetchall()


def _where(view: AccountView, conditions: Sequence[Condition]) -> tuple[str, list[object]]:
    clauses = ["m.token = ?", "e.arrived_s <= ?"]
    values: list[object] = [view.account, view.until_s]
    for condition in conditions:
        match condition.field:
            case "metric_id":
                clauses.append("e.metric = ?")
                values.append(_metric_number(view, condition.text))
            case "profile_id":
                clauses.append("e.profile = ?")
                values.append(row_number("P", condition.text))
            case field:
                clauses.append(f"e.time_s {ORDER[condition.operator]} ?")
                is_datetime = field == "datetime"
                values.append(
                    read_time(condition).timestamp() if is_datetime else read_number(condition)
                )
    return " AND ".join(clauses), values


def _metric_number(view: AccountView, metric_id: str) -> int:
    """Source: klaviyo-api-python#41, the answer to an id that the account does not have."""
    found = metric(view, metric_id)
    if found is None:
        raise invalid_parameter("filter", f"Metric IDs ['{metric_id[:20]}'] do not exist.")
    return found.number


def _encode_cursor(row: EventRow) -> str:
    return base64.urlsafe_b64encode(f"next::{row.time_s}::{row.number}".encode()).decode()


def _decode_cursor(cursor: str) -> tuple[int, int]:
    """The official SDK (klaviyo-api 25.0.0) cuts ``=…`` out of a link and sends it like that."""
    try:
        decoded = base64.urlsafe_b64decode(cursor.removeprefix("=")).decode()
        _, time_s, number = decoded.split("::")
        return int(time_s), int(number)
    except (binascii.Error, ValueError):
        raise invalid_parameter("page[cursor]", "Invalid page cursor.") from None
