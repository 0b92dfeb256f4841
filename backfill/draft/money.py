"""Amounts: how a column's are written, and which of them is the value of an order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, Literal

from backfill.draft.facts import MOST, Column
from backfill.draft.sample import Key, OrderSample
from backfill.draft.vocabulary import Role, mentions
from backfill.draft.yaml import QUESTION, leaf, sql_name
from backfill.mapping.cells import read_inline
from backfill.schema.document import YamlValue
from backfill.schema.types import Type


@dataclass(frozen=True, slots=True)
class Amount:
    """How the amounts of a column are written."""

    decimal: Literal[".", ",", "?"]
    """The mark before the fraction; ``QUESTION`` where the cells do not prove which one it is."""
    evidence: str

    @property
    def spec(self) -> YamlValue:
        """The type in YAML."""
        return "money" if self.decimal == "." else {"money": {"decimal": self.decimal}}


def amount_of(column: Column) -> Amount | None:
    """None where the column holds no amounts."""
    dot, comma = column.count("money"), column.count("money_comma")
    best = max(dot, comma)
    if best < column.filled * MOST or not column.filled:
        return None
    unclear = column.count("money_unclear")
    if dot == comma and unclear and unclear + column.count("integer") >= best:
        return Amount(
            QUESTION,
            f"OPEN: in {unclear:,} cells three digits follow the only separator, so it separates "
            'thousands or decimals: write the decimal separator, "." or ","',
        )
    evidence = f"{best:,} of {column.filled:,} cells are amounts"
    if comma > dot:
        evidence += " with a decimal comma"
    if best < column.filled:
        evidence += "; orders with other cells become rejects"
    return Amount("," if comma > dot else ".", evidence)


def amount_sql(column: Column) -> str:
    """SQL for a cell of the order sample as a number."""
    amount = amount_of(column)
    comma = amount is not None and amount.decimal == ","
    kind = Type("money", decimal="," if comma else ".")
    return f"({read_inline(OrderSample.cell(column), kind)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What ``$value`` is, of an order and of a line."""

    columns: tuple[Column, ...]
    evidence: str
    sql: str
    """The amount of an order, or of the line where an order's is the sum of its lines."""
    line_sql: str = ""
    """Empty where no column holds amounts of lines."""
    kind: Literal["column", "sql", "sum"]
    """How ``sql`` gives an order's value."""

    @property
    def of_order(self) -> YamlValue:
        return leaf(self.columns[0].name) if self.kind == "column" else {self.kind: self.sql}

    @property
    def negated(self) -> YamlValue:
        """The order's value with its sign turned round."""
        return {"sum" if self.kind == "sum" else "sql": f"-{self.sql}"}

    @property
    def of_line(self) -> YamlValue:
        return {"sql": self.line_sql} if self.line_sql else None

    @property
    def is_product(self) -> bool:
        """Whether a line's value is a price times a quantity."""
        return " * " in self.line_sql


def value_of(
    sample: OrderSample,
    key: Key | None,
    of_order: Mapping[Role, Column],
    of_line: Mapping[Role, Column],
) -> Value | None:
    """None where no column holds an order's total, nor amounts of lines."""
    total = _amount(of_order, "total") or _amount(of_order, "subtotal")
    quantity, price = of_line.get("quantity"), _amount(of_line, "price")
    row_total = _amount(of_line, "row_total") or _amount(of_line, "total")
    factors, evidence = _line_value(sample, quantity, price, row_total)
    line_sql = " * ".join(sql_name(column.name) for column in factors)
    if len(factors) == 1:
        line_sql += _cents(factors[0])
    columns = tuple(column for column in (total, quantity, price, row_total) if column is not None)
    if total is not None:
        evidence = f'"{total.name}" by name'
        if factors and key is not None:
            evidence = _sum_evidence(sample, key, total, factors, of_order) or evidence
        cents = _cents(total)
        return Value(
            columns=columns,
            evidence=evidence,
            sql=sql_name(total.name) + cents,
            line_sql=line_sql,
            kind="sql" if cents else "column",
        )
    if not factors:
        return None
    evidence += "; no column holds a total"
    kind: Literal["sql", "sum"] = "sql" if key is None else "sum"
    return Value(columns=columns, evidence=evidence, sql=line_sql, line_sql=line_sql, kind=kind)


def _cents(column: Column) -> str:
    return " / 100" if mentions("cents", column.label) else ""


def _amount(roles: Mapping[Role, Column], role: Role) -> Column | None:
    column = roles.get(role)
    return column if column is not None and amount_of(column) is not None else None


def _line_value(
    sample: OrderSample, quantity: Column | None, price: Column | None, row_total: Column | None
) -> tuple[tuple[Column, ...], str]:
    """The columns whose product is a line's value, and the evidence."""
    if quantity is not None and price is not None:
        product_ = f'"{quantity.name}" * "{price.name}"'
        if row_total is None or any(c.is_member for c in (quantity, price, row_total)):
            return (quantity, price), f"{product_} by name"
        q, p, t = map(amount_sql, (quantity, price, row_total))
        [(lines, equal)] = sample.query(
            f"select count(*), count(*) filter (abs({q} * {p} - {t}) < 0.011) from sample "
            f"where {q} is not null and {p} is not null and {t} is not null"
        )
        return (quantity, price), f'"{row_total.name}" = {product_} in {equal:,} of {lines:,} lines'
    if row_total is not None:
        return (row_total,), f'"{row_total.name}" by name'
    if price is not None:
        return (price,), f'"{price.name}" by name, and no column holds a quantity'
    return (), ""


_SIGNS: Final[dict[Role, tuple[int, ...]]] = {
    "shipping": (0, 1),
    "tax": (0, 1),
    "discount": (0, -1, 1),
}
"""Whether a total may hold an amount beside its lines: left out, added or taken off."""


def _sum_evidence(
    sample: OrderSample,
    key: Key,
    total: Column,
    factors: Sequence[Column],
    of_order: Mapping[Role, Column],
) -> str | None:
    """Which sum of lines, shipping, taxes and discount the total is; None where cells hold them."""
    if any(column.is_member for column in (total, *factors)):
        return None
    extras = {
        role: column
        for role in _SIGNS
        if (column := _amount(of_order, role)) is not None and not column.is_member
    }
    lines = " * ".join(map(amount_sql, factors))
    members = "".join(
        f", coalesce(max({amount_sql(column)}), 0) as {role}" for role, column in extras.items()
    )
    signs = list(product(*(_SIGNS[role] for role in extras)))
    sums = ["s" + _terms(some, extras) for some in signs]
    counted = ", ".join(f"count(*) filter (abs({some} - t) < 0.021)" for some in sums)
    group = ", ".join(map(sample.cell, key.columns))
    [(orders, *hits)] = sample.query(
        f"select count(*), {counted} from (select sum({lines}) as s, max({amount_sql(total)}) as t"
        f"{members} from {sample.whole_orders(key.columns)} group by {group}) "
        "where s is not null and t is not null"
    )
    best = max(range(len(sums)), key=lambda at: (hits[at], -len(sums[at])))
    known = f"{hits[best]:,} of {orders:,} orders"
    if not orders or hits[best] < orders * MOST:
        return f'"{total.name}" by name; the sum of the lines equals it in {known}'
    words = " * ".join(f'"{column.name}"' for column in factors)
    words += _terms(signs[best], (f'"{column.name}"' for column in extras.values()))
    return f'"{total.name}" = sum of {words} in {known}'


def _terms(signs: Iterable[int], names: Iterable[str]) -> str:
    return "".join(
        f" {'+' if sign > 0 else '-'} {name}"
        for sign, name in zip(signs, names, strict=True)
        if sign
    )
