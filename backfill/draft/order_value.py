"""Which amount is the value of an order: the arithmetic of the cells decides, else a question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from backfill.draft.facts import Column
from backfill.draft.line_value import LineAmount, discount_in, line_amounts
from backfill.draft.lines_of_order import RowKinds
from backfill.draft.money import amount_of, amount_sql
from backfill.draft.sample import Key, OrderSample
from backfill.draft.sums import SIGNED_ROLES, Sum, extras_of, find_sums, orders_sql
from backfill.draft.vocabulary import AMOUNT_ROLES, Role, mentions, rank
from backfill.draft.yaml import QUESTION, flow_text, leaf, sql_name
from backfill.schema.currencies import places
from backfill.schema.document import YamlValue

_CANDIDATES: Final = 5
"""As many columns as are compared: each pair costs a test for each set of other amounts."""

_ENOUGH: Final = 3
"""So many whole numbers may be amounts in cents."""
_LARGE: Final = 500
"""From this median on, whole numbers that are not round may be amounts in cents."""

_SOME: Final = 0.3
"""The share of the cells with digits, in a column whose name says that it holds amounts."""

_NO_RANK: Final = 99

_GROWS: Final = 1.2
"""Orders of several rows are worth so many times those of one row, if an amount is the order's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What ``$value`` is, of an order and of a line."""

    columns: tuple[Column, ...]
    """All that it may be made of; the order's total is the first."""
    used: tuple[Column, ...] = ()
    """Those that need no property of their own beside it."""
    evidence: str
    sql: str
    """The amount of an order, or of the line where an order's is the sum of its lines."""
    line_sql: str = ""
    """Empty where no column holds amounts of lines."""
    kind: Literal["column", "sql", "sum"]
    """How ``sql`` gives an order's value."""
    is_open: bool = False
    """Whether a person has to say what an order is worth; ``evidence`` says what is known."""
    is_line_open: bool = False

    @property
    def of_order(self) -> YamlValue:
        if self.is_open:
            return QUESTION
        return leaf(self.columns[0].name) if self.kind == "column" else {self.kind: self.sql}

    @property
    def negated(self) -> YamlValue:
        """The order's value with its sign turned round."""
        if self.is_open:
            return QUESTION
        return {"sum" if self.kind == "sum" else "sql": f"-({self.sql})"}

    @property
    def of_line(self) -> YamlValue:
        if self.is_line_open:
            return QUESTION
        return {"sql": self.line_sql} if self.line_sql else None

    @property
    def is_product(self) -> bool:
        """Whether a line's value is known to be a price times a quantity."""
        return " * " in self.line_sql and not self.is_line_open


def value_of(
    sample: OrderSample,
    key: Key | None,
    columns: Sequence[Column],
    lines: Sequence[Column],
    of_order: Mapping[Role, Column],
    of_line: Mapping[Role, Column],
    row_kinds: RowKinds | None,
) -> Value | None:
    """None where no column holds an order's total, nor amounts of lines.

    ``columns`` are the order's, ``lines`` those of a line. ``row_kinds`` tells products from other
    rows.
    """
    currency = of_order.get("currency")
    amounts = [_in_known_units(some, currency) for some in line_amounts(sample, of_line, lines)]
    if row_kinds is not None:
        why = f"rows are of several kinds by {row_kinds.words}: which of them count?"
        every = [replace(some, is_sure=False, evidence=why) for some in amounts]
        amounts = [*(_of_products(some, row_kinds) for some in every), *every]
    taken = {*(c.name for c in of_line.values()), *(key.names if key is not None else ())}
    taken -= {of_order[role].name for role in ("total", "subtotal") if role in of_order}
    candidates = _candidates([column for column in columns if column.name not in taken], of_order)
    unread = _unread([*columns, *lines], of_order)
    if not candidates:
        amounts = _net_of_order(amounts, columns, of_order)
        return _of_unread(unread, amounts) if unread else _sum_of_lines(key, amounts)
    free = [column for column in columns if column not in candidates and column.name not in taken]
    sums = find_sums(sample, key, candidates, amounts, extras_of(free, of_order))
    line = next((some.base.line for some in sums if some.base.line is not None), None)
    line = line or next((some for some in amounts if some.is_sure), None)
    total, evidence = _total(sample, key, candidates, sums, columns, amounts)
    chosen = total or candidates[0]
    if total is None and not any(some.base.line is not None for some in sums):
        line = None
    if unread and min(map(_first_rank, unread)) <= _first_rank(chosen):
        total, evidence = None, f"OPEN: {_why_unread(unread[0])}"
    if total is not None and (unit := _unit_question(sample, total, currency)):
        total, evidence = None, unit
    return Value(
        columns=(chosen, *(c for c in candidates if c is not chosen), *_columns(amounts)),
        used=() if total is None else (total, *_columns(amounts)),
        evidence=evidence,
        sql=sql_name(chosen.name),
        line_sql=line.sql if line else "",
        kind="column",
        is_open=total is None,
        is_line_open=bool(amounts) and line is None,
    )


def _unread(columns: Sequence[Column], of_order: Mapping[Role, Column]) -> list[Column]:
    """Columns that are named like what an order or a line is worth, with cells that are no amounts.

    ``columns`` are those of the order, then those of a line.
    """
    others = {of_order[role].name for role in (*SIGNED_ROLES, "refund") if role in of_order}
    return [
        column
        for column in columns
        if amount_of(column) is None
        and column.name not in others
        and not (column.is_member or column.formats or column.share("iso") or column.share("email"))
        and column.share("with_digits") >= _SOME
        and (_first_rank(column) < _NO_RANK or _is_of_line(column))
    ]


def _first_rank(column: Column) -> int:
    found = _total_rank(column)
    return _NO_RANK if found is None or mentions("fee", column.label) else found


def _is_of_line(column: Column) -> bool:
    return any(rank(role, column.label) == 0 for role in ("price", "row_total"))


def _why_unread(column: Column) -> str:
    dot, comma = column.count("money"), column.count("money_comma")
    spec = '{money: {decimal: ","}}' if comma > dot else "money"
    marks = f", {dot:,} are some with a decimal point, {comma:,} with a comma" if comma else ""
    return (
        f'"{column.name}" is named like a value, but {column.filled - max(dot, comma):,} of '
        f"{column.filled:,} cells are no amounts of one kind{marks}: correct these cells, or write "
        f"{{column: {column.name}, as: {spec}}} if orders with such cells may become rejects"
    )


def _of_unread(unread: Sequence[Column], amounts: Sequence[LineAmount]) -> Value:
    """The value where the only columns of amounts have cells that are none."""
    line = next((some for some in amounts if some.is_sure), None)
    return Value(
        columns=(*unread, *_columns(amounts)),
        evidence=f"OPEN: {_why_unread(unread[0])}",
        sql=sql_name(unread[0].name),
        line_sql=line.sql if line else "",
        kind="column",
        is_open=True,
        is_line_open=line is None,
    )


def _net_of_order(
    amounts: list[LineAmount], columns: Sequence[Column], of_order: Mapping[Role, Column]
) -> list[LineAmount]:
    """The amounts of a line; a person has to say how a discount of the order changes their sum."""
    discount = discount_in(columns, (of_order.get("total"),))
    if discount is None:
        return amounts
    why = f'no column shows how "{discount.name}" changes the value of an order or of a line'
    return [replace(some, is_sure=False, evidence=why) for some in amounts]


def _sum_of_lines(key: Key | None, amounts: Sequence[LineAmount]) -> Value | None:
    if not amounts:
        return None
    line = next((some for some in amounts if some.is_sure), None)
    why = "; ".join(dict.fromkeys(some.evidence for some in amounts if some.evidence))
    of_line = [some.sql if key is None else flow_text(some.summed) for some in amounts]
    question = f"OPEN: {why}: write what the order is worth, such as {' or '.join(of_line)}"
    return Value(
        columns=_columns(amounts),
        evidence=f"{line.evidence}; no column holds a total" if line else question,
        sql=(line or amounts[0]).sql,
        line_sql=(line or amounts[0]).sql,
        used=_columns(amounts) if key is None else (),
        kind="sql" if key is None else "sum",
        is_open=line is None,
        is_line_open=line is None,
    )


def _of_products(some: LineAmount, row_kinds: RowKinds) -> LineAmount:
    """The amount of a line, of products alone."""
    cells = f"(case when {row_kinds.where_in_sample} then {some.cells} end)" if some.cells else ""
    words = f'{some.words} of rows that are products by "{row_kinds.column.name}"'
    return replace(some, cells=cells, words=words, where=row_kinds.where)


def _columns(amounts: Sequence[LineAmount]) -> tuple[Column, ...]:
    return tuple({column.name: column for some in amounts for column in some.columns}.values())


def _in_known_units(some: LineAmount, currency: Column | None) -> LineAmount:
    """The amount of a line; a person has to say what one in cents is worth without a currency."""
    cents = [column for column in some.columns if mentions("cents", column.label)]
    if not cents or currency is not None:
        return some
    why = f'"{cents[0].name}" counts cents, and no column holds the currency'
    return replace(some, is_sure=False, evidence=why)


def _unit_question(sample: OrderSample, column: Column, currency: Column | None) -> str:
    """The question whether an amount counts cents; empty where that is known.

    A name such as ``total_cents`` says it, and a currency beside it says how many make one. Whole
    numbers beside a currency are what payment processors export, in cents or not; without one, so
    are large ones that are not round.
    """
    if mentions("cents", column.label):
        if currency is not None:
            return ""
        return (
            f'OPEN: "{column.name}" counts cents, and no column holds the currency, which says how '
            f"many make one: write {{column: {column.name}, as: {{money: {{minor: true, currency: "
            "USD}}} with your currency"
        )
    whole = column.all("integer") and not column.count("whole_float")
    if not whole or column.filled < _ENOUGH:
        return ""
    if currency is None:
        if not _is_like_cents(sample, column):
            return ""
        return (
            f'OPEN: the cells of "{column.name}" are large whole numbers that are not round, so '
            f"they may count cents: write {column.name}, or {{column: {column.name}, as: "
            "{money: {minor: true, currency: USD}}} with your currency"
        )
    if all(places(code.upper()) == 0 for code in currency.values):
        return ""
    return (
        f'OPEN: the cells of "{column.name}" are whole numbers beside a currency, so they may '
        f"count cents: write {column.name}, or {{column: {column.name}, as: {{money: {{minor: "
        f"true, currency: {currency.name}}}}}}}"
    )


def _is_like_cents(sample: OrderSample, column: Column) -> bool:
    if column.is_member:
        return False
    amount = amount_sql(column)
    [(median, odd)] = sample.query(
        f"select coalesce(median({amount}), 0), coalesce(avg(({amount} % 10 <> 0)::int), 0) "
        "from sample"
    )
    return bool(median >= _LARGE and odd > _SOME)


def _candidates(columns: Sequence[Column], of_order: Mapping[Role, Column]) -> list[Column]:
    """The columns that may be an order's total, by their names; the likeliest first."""
    others = {of_order[role].name for role in SIGNED_ROLES if role in of_order}
    others |= {of_order["refund"].name} if "refund" in of_order else set()
    named = [
        (first, at)
        for at, column in enumerate(columns)
        if column.name not in others
        and amount_of(column) is not None
        and not (column.formats or column.share("iso") or column.share("email"))
        and not mentions("fee", column.label)
        and (first := _total_rank(column)) is not None
    ]
    return [columns[at] for _, at in sorted(named)[:_CANDIDATES]]


def _total_rank(column: Column) -> int | None:
    """The rank of a total; a subtotal comes behind all of them."""
    first = rank("total", column.label)
    if first is None and rank("subtotal", column.label) is not None:
        return 9
    return first


def _total(
    sample: OrderSample,
    key: Key | None,
    candidates: Sequence[Column],
    sums: Sequence[Sum],
    columns: Sequence[Column],
    amounts: Sequence[LineAmount],
) -> tuple[Column | None, str]:
    """The column that is an order's total, and the evidence; None with a question."""
    parts = {some.base.column.name for some in sums if some.adds and some.base.column is not None}
    proven = {some.total.name for some in sums if some.adds or some.base.line is not None}
    left = _without_copies([c for c in candidates if c.name not in parts], sums)
    winners = [column for column in left if column.name in proven] or left
    rank_of = {column.name: at for at, column in enumerate(candidates)}
    winners += [
        column
        for column in left
        if column not in winners and rank_of[column.name] < rank_of[winners[0].name]
    ]
    if len(winners) == 1:
        [column] = winners
        words = [some.words for some in sums if some.total is column]
        if column.name in proven:
            return column, "; ".join(words[:2])
        doubt = _doubt(sample, key, column, columns, amounts)
        if not doubt:
            return column, f'"{column.name}" by name; no other column may be the total'
    else:
        doubt = "several columns may be the total, and no sum of others decides"
    speaks = [some.words for some in sums if some.total in winners]
    names = ", ".join(f'"{column.name}"' for column in winners)
    known = f"; {'; '.join(speaks[:4])}" if speaks else ""
    return None, f"OPEN: {doubt}{known}: write which one is the value of the order ({names})"


def _without_copies(columns: Sequence[Column], sums: Sequence[Sum]) -> list[Column]:
    """The columns without those that equal an earlier one in nearly all orders."""
    copies = {
        (some.total.name, some.base.column.name)
        for some in sums
        if not some.adds and some.base.column is not None
    }
    left: list[Column] = []
    for column in columns:
        if not any((column.name, kept.name) in copies for kept in left):
            left.append(column)
    return left


def _doubt(
    sample: OrderSample,
    key: Key | None,
    column: Column,
    columns: Sequence[Column],
    amounts: Sequence[LineAmount],
) -> str:
    """Why the only candidate may not be the total, which no sum proves; empty where it is."""
    if column.is_member or any(some.has_member for some in amounts):
        return ""
    if amounts and key is not None:
        return f'the lines do not add up to "{column.name}"'
    if key is not None and key.several:
        orders = orders_sql(sample, key, [column], [], [])
        [(one, several)] = sample.query(
            f"select avg(t0) filter (rows = 1), avg(t0) filter (rows > 1) from ({orders})"
        )
        if one is not None and several is not None and several < one * _GROWS:
            return (
                f'"{column.name}" is the same on each row of an order, and no higher for orders of '
                "several rows, so it may be the value of each row"
            )
    if rank("total", column.label) == 0:
        return ""
    others = [
        other.name
        for other in columns
        if other is not column
        and amount_of(other) is not None
        and (
            other.count("fraction")
            or any(rank(role, other.label) is not None for role in AMOUNT_ROLES)
        )
    ]
    return f'only its name says that "{column.name}" is the total' if others else ""
