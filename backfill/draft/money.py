"""Amounts and numbers: how a column's are written, and which of them is an order's value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.orders import Kept, Key
from backfill.draft.vocabulary import Role, normal
from backfill.draft.yaml import leaf, sql_name, text
from backfill.mapping.cells import read_inline
from backfill.schema.types import Type

_MOST: Final = 0.9
_GOOD: Final = 0.9
"""The share of orders that an equation has to hold for."""


@dataclass(frozen=True, slots=True)
class Amount:
    spec: str
    evidence: str
    decimal: str = "."


def amount_of(column: Column) -> Amount | None:
    """How a column's amounts are written; None where it holds none."""
    dot, comma = column.fits.get("money", 0), column.fits.get("money_comma", 0)
    unclear, whole = column.fits.get("money_unclear", 0), column.fits.get("integer", 0)
    best = max(dot, comma)
    if best < column.filled * _MOST or not column.filled:
        return None
    told = f"{best:,} of {column.filled:,} cells are amounts"
    if best < column.filled:
        told += "; orders with another one become rejects"
    if dot == comma and unclear and unclear + whole >= best:
        return Amount(
            '{money: {decimal: "?"}}',
            f"OPEN: in {unclear:,} cells three digits stand behind the only mark, a thousand or a "
            'fraction; say which mark is the decimal one, "." or ","',
        )
    if comma > dot:
        return Amount('{money: {decimal: ","}}', f"{told} with a decimal comma", ",")
    return Amount("money", told)


def number_sql(column: Column) -> str:
    amount = amount_of(column)
    decimal = "," if amount is not None and amount.decimal == "," else "."
    kind = Type("money", decimal=decimal)  # type: ignore[arg-type]
    return f"({read_inline(Kept.cell(column), kind)})"


@dataclass(frozen=True, slots=True)
class Value:
    """What ``$value`` is, as YAML, of an order and of a line."""

    columns: tuple[Column, ...]
    order: str
    line: str | None
    evidence: str
    sql: str
    """The sum or the amount of an order as SQL, to turn its sign round."""


def value_of(
    kept: Kept, key: Key | None, at_order: Mapping[Role, Column], at_line: Mapping[Role, Column]
) -> Value | None:
    total = _amount(at_order, "total") or _amount(at_order, "subtotal")
    quantity, price = _number(at_line, "quantity"), _amount(at_line, "price")
    row_total = _amount(at_line, "row_total") or _amount(at_line, "total")
    line, told = _line(kept, quantity, price, row_total)
    columns = tuple(column for column in (total, quantity, price, row_total) if column is not None)
    sql = " * ".join(sql_name(column.name) for column in line)
    if len(line) == 1:
        sql += _cents(line[0])
    row = f"{{sql: {text(sql)}}}" if line else None
    if total is not None:
        told = f'"{total.name}" by its name'
        if line and key is not None:
            told = _sums(kept, key, total, line, at_order) or told
        cents, name = _cents(total), sql_name(total.name)
        order = f"{{sql: {text(name + cents)}}}" if cents else leaf(total.name)
        return Value(columns, order, row, told, name + cents)
    if row is None:
        return None
    if key is None:
        return Value(columns, row, None, f"{told}; no column holds a total", sql)
    return Value(columns, f"{{sum: {text(sql)}}}", row, f"{told}; no column holds a total", sql)


def _cents(column: Column) -> str:
    return " / 100" if re.search(r"\bcents\b", normal(column.called)) else ""


def _amount(roles: Mapping[Role, Column], role: Role) -> Column | None:
    column = roles.get(role)
    return column if column is not None and amount_of(column) is not None else None


def _number(roles: Mapping[Role, Column], role: Role) -> Column | None:
    column = roles.get(role)
    return column if column is not None and column.share("number") >= _MOST else None


def _line(
    kept: Kept, quantity: Column | None, price: Column | None, row_total: Column | None
) -> tuple[tuple[Column, ...], str]:
    """The columns whose product is a line's value, and what was found about it."""
    if quantity is not None and price is not None:
        told = f'"{quantity.name}" * "{price.name}" by their names'
        if row_total is not None and _here(quantity, price, row_total):
            q, p, t = (number_sql(column) for column in (quantity, price, row_total))
            [(lines, equal)] = kept.ask(
                f"select count(*), count(*) filter (abs({q} * {p} - {t}) < 0.011) from kept "
                f"where {q} is not null and {p} is not null and {t} is not null"
            )
            told = (
                f'"{row_total.name}" = "{quantity.name}" * "{price.name}" in '
                f"{_share(equal, lines)} lines"
            )
        return (quantity, price), told
    if row_total is not None:
        return (row_total,), f'"{row_total.name}" by its name'
    if price is not None:
        return (price,), f'"{price.name}" by its name, and no column holds a quantity'
    return (), ""


def _here(*columns: Column) -> bool:
    return all(column.place >= 0 for column in columns)


_SIGNS: Final[tuple[tuple[Role, tuple[int, ...]], ...]] = (
    ("shipping", (0, 1)),
    ("tax", (0, 1)),
    ("discount", (0, -1, 1)),
)


def _sums(
    kept: Kept,
    key: Key,
    total: Column,
    line: tuple[Column, ...],
    at_order: Mapping[Role, Column],
) -> str | None:
    """Which sum of lines, shipping, taxes and discount the total is, if it is one."""
    extras = [
        (role, signs)
        for role, signs in _SIGNS
        if (column := _amount(at_order, role)) is not None and _here(column)
    ]
    if not _here(total, *line):
        return None
    amounts = {role: number_sql(at_order[role]) for role, _ in extras}
    lines = " * ".join(number_sql(column) for column in line)
    group = ", ".join(Kept.cell(column) for column in key.columns)
    members = "".join(f", coalesce(max({sql}), 0) as {role}" for role, sql in amounts.items())
    ways = list(product(*(signs for _, signs in extras)))
    sums = [
        "s"
        + "".join(
            f" {'+' if sign > 0 else '-'} {role}"
            for sign, (role, _) in zip(way, extras, strict=True)
            if sign
        )
        for way in ways
    ]
    counted = ", ".join(f"count(*) filter (abs({way} - t) < 0.021)" for way in sums)
    [(orders, *hits)] = kept.ask(
        f"select count(*), {counted} from (select sum({lines}) as s, max({number_sql(total)}) as t"
        f"{members} from {kept.rows_of(key.columns)} group by {group}) where s is not null and t "
        f"is not null"
    )
    counts = [int(str(hit)) for hit in hits]
    best = max(range(len(sums)), key=lambda at: (counts[at], -len(sums[at])))
    if not orders or counts[best] < int(str(orders)) * _GOOD:
        known = f"{_share(counts[best], orders)} orders"
        return f'"{total.name}" by its name; the sum of the lines explains it in {known}'
    words = " * ".join(f'"{column.name}"' for column in line)
    more = "".join(
        f' {"+" if sign > 0 else "-"} "{at_order[role].name}"'
        for sign, (role, _) in zip(ways[best], extras, strict=True)
        if sign
    )
    return f'"{total.name}" = sum of {words}{more} in {_share(counts[best], orders)} orders'


def _share(some: object, of: object) -> str:
    return f"{int(str(some)):,} of {int(str(of)):,}"
