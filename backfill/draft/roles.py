"""Which column is what, each with the evidence that stands beside it in the schema."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.lines_of_order import (
    Cancelled,
    cancelled_of,
    choice_of,
    is_key,
    line_id_of,
    lines_of,
)
from backfill.draft.money import Value, amount_of, value_of
from backfill.draft.nested import Nested
from backfill.draft.orders import Choice, Kept, Key
from backfill.draft.people import Person, person_of
from backfill.draft.times import Time, helped, time_of
from backfill.draft.vocabulary import LINE_ROLES, ORDER_ROLES, Role, address_of, is_excluded, rank

_MOST: Final = 0.9


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day that stands beside its day in a column of its own."""

    column: Column
    form: str


@dataclass(frozen=True, slots=True)
class Roles:
    columns: tuple[Column, ...]
    """All that hold something, in the export's order."""
    choice: Choice
    lines: tuple[Column, ...]
    times: Mapping[str, Time]
    """Of each column that holds times."""
    ordered: Time | None
    clock: Clock | None
    zone: Column | None
    person: Person
    at_line: Mapping[Role, Column]
    at_order: Mapping[Role, Column]
    later: Mapping[str, Time]
    """Cancelled, Fulfilled and Refunded Order, where the export knows when."""
    value: Value | None
    cancelled: Cancelled | None
    line_id: Column | None
    """Tells the lines of an order apart."""

    @property
    def key(self) -> Key | None:
        return self.choice.key

    def is_line(self, column: Column) -> bool:
        return any(line.name == column.name for line in self.lines)


def roles_of(
    kept: Kept, columns: Sequence[Column], nested: Nested, place: Mapping[tuple[int, int], str]
) -> Roles:
    """What is made of the columns of an export, and of what stands within its cells."""
    known = [column for column in (*columns, *nested.columns) if column.filled]
    plain = [column for column in known if column.place not in nested.used]
    alone = [time for column in plain if (time := time_of(column, place))]
    times = {time.column.name: time for time in helped(alone)}
    flat = [column for column in plain if column.name not in nested.lines]
    ordered = _ordered([times[column.name] for column in flat if column.name in times])
    choice = choice_of(kept, flat, ordered, nested)
    lines = lines_of(choice.key, plain, nested, times, ordered)
    at_line = _best(LINE_ROLES, lines)
    rest = [column for column in flat if column not in lines]
    at_order = _best(ORDER_ROLES, [column for column in rest if not is_key(choice, column)])
    if choice.key is None:  # each row is an order: what it sells stands in the row
        at_line = _best(LINE_ROLES, rest)
    elif not any(role in at_line for role in ("total", "row_total")):
        at_line |= _best(("total",), [c for c in lines if c not in at_line.values()])
    if not {"total", "subtotal"} & set(at_order):  # the same on each row: not a line's own
        same = _best(("row_total",), rest).get("row_total")
        at_order |= {"total": same} if same is not None else {}
    person = person_of(rest, at_order.get("country"))
    clock = _clock(flat, ordered)
    return Roles(
        columns=tuple(plain),
        choice=choice,
        lines=tuple(lines),
        times=times,
        ordered=ordered,
        clock=clock,
        zone=next(
            (c for c in flat if rank("zone", c.called) is not None and c.share("zone") > _MOST),
            None,
        ),
        person=person,
        at_line=at_line,
        at_order=at_order,
        later=_later([times[c.name] for c in rest if c.name in times], ordered),
        value=value_of(kept, choice.key, at_order, at_line),
        cancelled=cancelled_of(kept, choice.key, at_line.get("quantity")),
        line_id=line_id_of(kept, choice.key, at_line.get("line_id")),
    )


def _ordered(times: Sequence[Time]) -> Time | None:
    """When an order was placed: by its name, else the one that is filled most."""
    named = [
        (order, time.day_only, -time.column.filled, at)
        for at, time in enumerate(times)
        if (order := rank("ordered", time.column.called)) is not None
    ]
    if named:
        return times[min(named)[-1]]
    others = [time for time in times if not is_excluded("ordered", time.column.called)]
    return max(others or times, key=lambda time: time.column.filled, default=None)


def _best(roles: Iterable[Role], columns: Sequence[Column]) -> dict[Role, Column]:
    """For each role the column whose name says it best; a column has one role."""
    offers = sorted(
        (order, address_of(column.called) == "shipping", -column.filled, at, role)
        for at, column in enumerate(columns)
        for role in roles
        if (order := rank(role, column.called)) is not None and _holds(role, column)
    )
    found: dict[Role, Column] = {}
    taken: set[int] = set()
    for *_, at, role in offers:
        if role not in found and at not in taken:
            found[role] = columns[at]
            taken.add(at)
    return found


def _holds(role: Role, column: Column) -> bool:
    """Do the cells fit what the name says?"""
    match role:
        case "quantity":
            return column.share("number") >= _MOST
        case (
            "price"
            | "row_total"
            | "total"
            | "subtotal"
            | "shipping"
            | "tax"
            | "discount"
            | "refund"
        ):
            return amount_of(column) is not None and not column.share("iso") and not column.formats
        case "product":
            return not column.share("integer") >= _MOST
        case "currency":
            return all(re.fullmatch("[A-Za-z]{3}", value) for value in column.values) and bool(
                column.values
            )
        case "status":
            return bool(column.values)
        case _:
            return True


def _clock(columns: Sequence[Column], ordered: Time | None) -> Clock | None:
    if ordered is None or (not ordered.day_only and not ordered.is_open):
        return None
    if ordered.is_open and any("%H" in form or "%I" in form for form in ordered.rivals):
        return None
    for column in columns:
        if rank("clock", column.called) is None or column.name == ordered.column.name:
            continue
        for form, cells in column.clocks.items():
            if cells >= column.filled * _MOST:
                return Clock(column, form)
    return None


def _later(times: Sequence[Time], ordered: Time | None) -> dict[str, Time]:
    roles: tuple[tuple[str, Role], ...] = (
        ("Fulfilled Order", "fulfilled"),
        ("Cancelled Order", "cancelled"),
        ("Refunded Order", "refunded"),
    )
    found = {}
    for event, role in roles:
        fitting = [
            (order, at)
            for at, time in enumerate(times)
            if (order := rank(role, time.column.called)) is not None and time is not ordered
        ]
        if fitting:
            found[event] = times[min(fitting)[1]]
    return found
