"""The role of each column, with its evidence for the schema's comments."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.draft.facts import MOST, Column
from backfill.draft.formats import has_clock
from backfill.draft.lines_of_order import (
    Cancellation,
    RowKinds,
    cancellation_of,
    line_columns,
    row_kinds_of,
)
from backfill.draft.money import amount_of
from backfill.draft.nested import Nested
from backfill.draft.order_key import KeyChoice, choose_key
from backfill.draft.order_value import Value, value_of
from backfill.draft.people import Person, person_of
from backfill.draft.sample import Key, OrderSample
from backfill.draft.times import Time, settled_by_others, time_of, unread_time
from backfill.draft.vocabulary import (
    AMOUNT_ROLES,
    LINE_ROLES,
    ORDER_ROLES,
    Role,
    address_of,
    is_excluded,
    may_be_row_id,
    mentions,
    rank,
    status_of,
)

_MOST_WORDS: Final = 0.6
"""The share of a column's words that must be known statuses, where its name does not say it."""

_LATER_EVENTS: Final[dict[str, Role]] = {
    "Fulfilled Order": "fulfilled",
    "Cancelled Order": "cancelled",
    "Refunded Order": "refunded",
}


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day in another column than its day."""

    column: Column
    form: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What is made of the columns of an export."""

    columns: tuple[Column, ...]
    """All that hold something, in the export's order."""
    choice: KeyChoice
    lines: tuple[Column, ...]
    times: Mapping[str, Time]
    """Of each column that holds times."""
    ordered: Time | None
    """When an order was placed."""
    time_doubt: str
    """Why a person has to say when an order was placed; empty where ``ordered`` is sure."""
    clock: Clock | None
    """Its time of day, if another column holds that."""
    zone: Column | None
    """The column that names the zone of each time."""
    person: Person
    of_line: Mapping[Role, Column]
    of_order: Mapping[Role, Column]
    later: Mapping[str, Time]
    """When an order was fulfilled, cancelled or refunded, by the name of the event."""
    value: Value | None
    cancellation: Cancellation | None
    statuses: Mapping[str, int]
    """In how many rows of the sample each status is."""
    row_kinds: RowKinds | None
    """Which lines are products, where other rows are shipping, a discount or a refund."""
    line_id: Column | None
    """Tells the lines of an order apart."""

    @property
    def key(self) -> Key | None:
        return self.choice.key

    def is_line(self, column: Column) -> bool:
        return any(line.name == column.name for line in self.lines)


def roles_of(
    sample: OrderSample, columns: Sequence[Column], nested: Nested, files: Sequence[str]
) -> Roles:
    """The roles of an export's columns, and of the members of its cells.

    ``files`` are the export's, to name the place of a cell.
    """
    known = [column for column in (*columns, *nested.members) if column.filled]
    plain = [column for column in known if column.place not in nested.places]
    found = _times(plain, files)
    times = {time.column.name: time for time in settled_by_others(found)}
    flat = [column for column in plain if column.name not in nested.lines]
    flat_times = [times[column.name] for column in flat if column.name in times]
    ordered = _ordered(flat_times)
    choice = choose_key(sample, flat, ordered, has_lines=bool(nested.lines))
    lines = line_columns(choice.key, plain, nested, times, ordered)
    rest = [column for column in flat if column not in lines]
    of_line, of_order = _line_and_order_roles(choice, lines, rest)
    row_kinds = row_kinds_of(lines)
    line_id = sample.line_id(choice.key, of_line.get("line_id"))
    if line_id is None:
        rows = [column for column in lines if may_be_row_id(column.label)]
        line_id = sample.row_id(choice.key, rows)
        of_line = {role: column for role, column in of_line.items() if column is not line_id}
    time_doubt = _time_doubt(flat_times, ordered)
    time_doubt = time_doubt or _first_rows_doubt(flat, ordered)
    if not (nested.lines or _is_of_orders(choice, ordered, of_line, of_order)):
        time_doubt = "no column names an order, an amount or a product, so these may be no orders"
    return Roles(
        columns=tuple(plain),
        choice=choice,
        lines=tuple(lines),
        times=times,
        ordered=ordered,
        time_doubt=time_doubt,
        clock=_clock(flat, ordered),
        zone=_zone(flat),
        person=person_of(rest, of_order.get("country")),
        of_line=of_line,
        of_order=of_order,
        later=_later([times[column.name] for column in rest if column.name in times], ordered),
        value=value_of(sample, choice.key, rest, lines, of_order, of_line, row_kinds),
        cancellation=cancellation_of(sample, choice.key, of_line.get("quantity")),
        statuses=sample.counts(of_order.get("status")),
        row_kinds=row_kinds,
        line_id=line_id,
    )


def _times(columns: Sequence[Column], files: Sequence[str]) -> list[Time]:
    """The columns of times, with those whose name alone says that they hold times."""
    read = {column.name: time_of(column, files) for column in columns}
    found = [
        time for column in columns if (time := read[column.name] or unread_time(column)) is not None
    ]
    if all(time.is_unread and time.column.mostly("spreadsheet_day") for time in found):
        return []  # none of them can be answered
    return found


def _line_and_order_roles(
    choice: KeyChoice, lines: Sequence[Column], rest: Sequence[Column]
) -> tuple[dict[Role, Column], dict[Role, Column]]:
    """The roles of a line and those of an order; ``rest`` are the columns of the order."""
    of_order = _best(ORDER_ROLES, [column for column in rest if not choice.has(column)])
    if choice.key is None:  # each row is an order with what it sells
        of_line = _best(LINE_ROLES, rest)
    else:
        of_line = _best(LINE_ROLES, lines)
        if not {"total", "row_total"} & set(of_line):
            unused = [column for column in lines if column not in of_line.values()]
            of_line |= _best(("total",), unused)
    if "status" not in of_order and (status := _status_by_cells(rest, choice)) is not None:
        of_order["status"] = status
    same = _best(("row_total",), rest)
    if same and not {"total", "subtotal"} & set(of_order):  # the same on each row: not a line's own
        of_order["total"] = same["row_total"]
    return of_line, of_order


def _status_by_cells(columns: Sequence[Column], choice: KeyChoice) -> Column | None:
    """A column of another name whose words say that some orders are no purchase."""
    for column in columns:
        meanings = [status_of(value) for value in column.values]
        known = [meaning for meaning in meanings if meaning]
        if (
            len(known) >= max(2, len(meanings) * _MOST_WORDS)
            and set(known) > {"paid"}
            and not (choice.has(column) or is_excluded("status", column.label))
        ):
            return column
    return None


def _ordered(times: Sequence[Time]) -> Time | None:
    """When an order was placed: by its name, else the one that is filled most."""
    named = [
        (order, time.day_only, -time.column.filled, at)
        for at, time in enumerate(times)
        if (order := rank("ordered", time.column.label)) is not None
    ]
    if named:
        return times[min(named)[-1]]
    others = [time for time in times if not is_excluded("ordered", time.column.label)]
    return max(others or times, key=lambda time: time.column.filled, default=None)


def _first_rows_doubt(columns: Sequence[Column], ordered: Time | None) -> str:
    """Why rows without an order's number and time may be lines of the order above them."""
    for column in columns:
        missing = column.rows - column.filled
        alone = ordered is None or ordered.column.filled != column.filled
        if rank("order", column.label) != 0 or alone or missing * 20 <= column.rows:
            continue
        return (
            f'{missing:,} rows have no "{column.name}" and no time, as lines of the order above '
            "them have none: fill these cells down in the file, and draft again"
        )
    return ""


def _time_doubt(times: Sequence[Time], ordered: Time | None) -> str:
    if ordered is None or rank("ordered", ordered.column.label) is not None:
        return ""
    if is_excluded("ordered", ordered.column.label):
        return "no column is named like the time at which an order was placed"
    others = [time for time in times if not is_excluded("ordered", time.column.label)]
    return "no name says which of these columns is the time of the order" if others[1:] else ""


def _is_of_orders(
    choice: KeyChoice,
    ordered: Time | None,
    of_line: Mapping[Role, Column],
    of_order: Mapping[Role, Column],
) -> bool:
    """Whether some column shows that the rows are orders, and not customers or bookings."""
    names = [*(choice.key.columns if choice.key is not None else ())]
    names += [ordered.column] if ordered is not None else []
    named = any(mentions("order", column.label) for column in names)
    amounts = {"total", "subtotal", "price", "row_total"} & {*of_line, *of_order}
    return named or bool(amounts) or bool({"sku", "product_id", "product"} & set(of_line))


def _best(roles: Iterable[Role], columns: Sequence[Column]) -> dict[Role, Column]:
    """For each role the column whose name fits it best; a column has one role."""
    offers = sorted(
        (order, address_of(column.label) == "shipping", -column.filled, at, role)
        for at, column in enumerate(columns)
        for role in roles
        if (order := rank(role, column.label)) is not None and _holds(role, column)
    )
    found: dict[Role, Column] = {}
    taken: set[int] = set()
    for *_, at, role in offers:
        if role not in found and at not in taken:
            found[role] = columns[at]
            taken.add(at)
    return found


def _holds(role: Role, column: Column) -> bool:
    """Whether the cells fit the role that the name means."""
    match role:
        case "quantity":
            return column.mostly("number")
        case _ if role in AMOUNT_ROLES:
            flag = role not in LINE_ROLES and column.values and {*column.values} <= {"0", "1"}
            times = column.share("iso") or column.formats
            return amount_of(column) is not None and not times and not flag
        case "product":
            return not column.mostly("integer")
        case "currency":
            codes = [re.fullmatch("[A-Za-z]{3}", value) for value in column.values]
            return bool(codes) and all(codes)
        case "status":
            return bool(column.values)
        case _:
            return True


def _clock(columns: Sequence[Column], ordered: Time | None) -> Clock | None:
    if ordered is None or ordered.is_unread or not (ordered.day_only or ordered.is_open):
        return None
    if any(has_clock(form) for form in ordered.rivals):
        return None
    clocks = (
        Clock(column, form)
        for column in columns
        if rank("clock", column.label) is not None and column.name != ordered.column.name
        for form, cells in column.clocks.items()
        if cells >= column.filled * MOST
    )
    return next(clocks, None)


def _zone(columns: Sequence[Column]) -> Column | None:
    named = (column for column in columns if rank("zone", column.label) is not None)
    return next((column for column in named if column.mostly("zone")), None)


def _later(times: Sequence[Time], ordered: Time | None) -> dict[str, Time]:
    found = {}
    for event, role in _LATER_EVENTS.items():
        fitting = [
            (order, at)
            for at, time in enumerate(times)
            if (order := rank(role, time.column.label)) is not None and time is not ordered
        ]
        if fitting:
            found[event] = times[min(fitting)[1]]
    return found
