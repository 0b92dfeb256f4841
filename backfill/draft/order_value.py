"""Which amount is the value of an order: the arithmetic of the cells decides, else a question."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, Literal

from backfill.draft.facts import MOST, Column
from backfill.draft.line_value import LineAmount, line_amounts
from backfill.draft.money import amount_of, amount_sql
from backfill.draft.sample import Key, OrderSample
from backfill.draft.vocabulary import AMOUNT_ROLES, Role, mentions, rank
from backfill.draft.yaml import QUESTION, leaf, sql_name
from backfill.schema.currencies import places
from backfill.schema.document import YamlValue

_CANDIDATES: Final = 5
_ENOUGH: Final = 3
"""So many whole numbers may be amounts in cents."""

_OTHERS: Final = 3
"""Amounts of no known role that may be part of a total."""

_CENT: Final = 0.021
"""Sums of rounded amounts differ by less than this."""

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


@dataclass(frozen=True, slots=True)
class _Base:
    """What a candidate may be the sum of: another candidate, or the lines."""

    name: str
    sql: str
    """Of the table of orders."""
    column: Column | None = None
    line: LineAmount | None = None


@dataclass(frozen=True, slots=True)
class _Sum:
    """A candidate that is a base with extras in nearly all orders."""

    total: Column
    base: _Base
    words: str
    adds: bool
    """Whether an extra is part of it."""


def value_of(
    sample: OrderSample,
    key: Key | None,
    columns: Sequence[Column],
    lines: Sequence[Column],
    of_order: Mapping[Role, Column],
    of_line: Mapping[Role, Column],
) -> Value | None:
    """None where no column holds an order's total, nor amounts of lines.

    ``columns`` are the order's, ``lines`` those of a line.
    """
    currency = of_order.get("currency")
    amounts = [_in_known_units(some, currency) for some in line_amounts(sample, of_line, lines)]
    taken = {*(c.name for c in of_line.values()), *(key.names if key is not None else ())}
    taken -= {of_order[role].name for role in ("total", "subtotal") if role in of_order}
    candidates = _candidates([column for column in columns if column.name not in taken], of_order)
    if not candidates:
        return _sum_of_lines(key, amounts)
    free = [column for column in columns if column not in candidates and column.name not in taken]
    sums = _sums(sample, key, candidates, amounts, _extras(free, of_order))
    line = next((some.base.line for some in sums if some.base.line is not None), None)
    line = line or next((some for some in amounts if some.is_sure), None)
    total, evidence = _total(sample, key, candidates, sums, columns, amounts)
    chosen = total or candidates[0]
    if total is not None and (unit := _unit_question(total, currency)):
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


def _sum_of_lines(key: Key | None, amounts: Sequence[LineAmount]) -> Value | None:
    if not amounts:
        return None
    line = next((some for some in amounts if some.is_sure), None)
    why = "; ".join(dict.fromkeys(some.evidence for some in amounts if some.evidence))
    of_line = [some.sql if key is None else "{sum: '" + some.sql + "'}" for some in amounts]
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


def _columns(amounts: Sequence[LineAmount]) -> tuple[Column, ...]:
    return tuple({column.name: column for some in amounts for column in some.columns}.values())


def _in_known_units(some: LineAmount, currency: Column | None) -> LineAmount:
    """The amount of a line; a person has to say what one in cents is worth without a currency."""
    cents = [column for column in some.columns if mentions("cents", column.label)]
    if not cents or currency is not None:
        return some
    why = f'"{cents[0].name}" counts cents, and no column holds the currency'
    return replace(some, is_sure=False, evidence=why)


def _unit_question(column: Column, currency: Column | None) -> str:
    """The question whether an amount counts cents; empty where that is known.

    A name such as ``total_cents`` says it, and a currency beside it says how many make one. Whole
    numbers beside a currency are what payment processors export, in cents or not.
    """
    if mentions("cents", column.label):
        if currency is not None:
            return ""
        return (
            f'OPEN: "{column.name}" counts cents, and no column holds the currency, which says how '
            f"many make one: write {{column: {column.name}, as: {{money: {{minor: true, currency: "
            "USD}}} with your currency"
        )
    if currency is None or not column.all("integer") or column.filled < _ENOUGH:
        return ""
    if all(places(code.upper()) == 0 for code in currency.values):
        return ""
    return (
        f'OPEN: the cells of "{column.name}" are whole numbers beside a currency, so they may '
        f"count cents: write {column.name}, or {{column: {column.name}, as: {{money: {{minor: "
        f"true, currency: {currency.name}}}}}}}"
    )


def _candidates(columns: Sequence[Column], of_order: Mapping[Role, Column]) -> list[Column]:
    """The columns that may be an order's total, by their names; the likeliest first."""
    others = {of_order[role].name for role in _SIGNED if role in of_order}
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


_SIGNED: Final[tuple[Role, ...]] = ("shipping", "tax", "discount")


def _extras(columns: Sequence[Column], of_order: Mapping[Role, Column]) -> list[tuple[Column, int]]:
    """The amounts beside a total, each with the sign that it has in a sum.

    The price of an order holds its shipping and taxes, not its discount. What a shop is paid is
    the price without the fee, so the price is the sum with the fee.
    """
    found = [(of_order[role], role == "discount") for role in _SIGNED if role in of_order]
    fee = next((column for column in columns if mentions("fee", column.label)), None)
    refund = of_order.get("refund")
    named = [column for column, _ in found]
    others = [
        column
        for column in columns
        if column not in named and column is not refund and column.count("fraction")
    ]
    if fee is not None and fee not in named:
        others = [fee, *(column for column in others if column is not fee)]
    found += [(column, False) for column in others[:_OTHERS]]
    return [
        (column, _sign(column, off=off, is_fee=column is fee))
        for column, off in found
        if amount_of(column) is not None and not column.is_member
    ]


def _sign(column: Column, *, off: bool, is_fee: bool) -> int:
    negative = column.count("negative") * 2 > column.filled
    return -1 if off != negative and (off or is_fee) else 1


def _sums(
    sample: OrderSample,
    key: Key | None,
    candidates: Sequence[Column],
    amounts: Sequence[LineAmount],
    extras: Sequence[tuple[Column, int]],
) -> list[_Sum]:
    """Which candidates are a sum of other columns in nearly all orders."""
    plain = [column for column in candidates if not column.is_member]
    lines = [some for some in amounts if some.cells]
    if not plain:
        return []
    bases = [_Base(f'"{c.name}"', f"t{at}", column=c) for at, c in enumerate(plain)]
    bases += [_Base(f"sum of {some.words}", f"s{at}", line=some) for at, some in enumerate(lines)]
    tests = [
        (total, base, added)
        for total in bases[: len(plain)]
        for base in bases
        if base is not total
        for size in range(len(extras) + 1)
        for added in combinations(extras, size)
    ]
    sums = {
        place: f"({base.sql}{''.join(_term(e, s, sample) for e, s in added)})"
        for place, (_, base, added) in enumerate(tests)
    }
    measured = [
        f"count(*) filter (abs({total.sql} - {sums[place]}) < {_CENT}), "
        f"count(*) filter ({total.sql} is not null and {base.sql} is not null), "
        f"count(*) filter (abs({total.sql} - {base.sql}) >= {_CENT})"
        for place, (total, base, _) in enumerate(tests)
    ]
    if not measured:
        return []
    [row] = sample.query(
        f"select {', '.join(measured)} from ({_orders(sample, key, plain, lines, extras)})"
    )
    results = iter(zip(row[::3], row[1::3], row[2::3], strict=True))
    return list(_valid(tests, results))


def _term(column: Column, sign: int, sample: OrderSample) -> str:
    return f" {'+' if sign > 0 else '-'} e_{sample.cell(column)}"


def _orders(
    sample: OrderSample,
    key: Key | None,
    totals: Sequence[Column],
    lines: Sequence[LineAmount],
    extras: Sequence[tuple[Column, int]],
) -> str:
    """SQL for a row of each order with its amounts."""
    cells = [f"max({amount_sql(column)}) as t{at}" for at, column in enumerate(totals)]
    cells += [f"sum({some.cells}) as s{at}" for at, some in enumerate(lines)]
    cells += [
        f"coalesce(max({amount_sql(column)}), 0) as e_{sample.cell(column)}" for column, _ in extras
    ]
    group = ", ".join(map(sample.cell, key.columns)) if key is not None else "_file, _row"
    rows = sample.whole_orders(key.columns) if key is not None else "sample"
    return f"select count(*) as rows, {', '.join(cells)} from {rows} group by {group}"


def _valid(
    tests: Sequence[tuple[_Base, _Base, tuple[tuple[Column, int], ...]]],
    results: Iterator[tuple[int, int, int]],
) -> Iterator[_Sum]:
    """The sums that hold in nearly all orders; of each total and base, the shortest."""
    found: set[tuple[str, str]] = set()
    for (total, base, added), (hits, orders, differing) in zip(tests, results, strict=True):
        pair = (total.sql, base.sql)
        if not orders or hits < orders * MOST or pair in found or total.column is None:
            continue
        if added and not differing:
            continue
        found.add(pair)
        extras = "".join(f' {"+" if sign > 0 else "-"} "{c.name}"' for c, sign in added)
        words = f'"{total.column.name}" = {base.name}{extras} in {hits:,} of {orders:,} orders'
        yield _Sum(total.column, base, words, bool(added))


def _total(
    sample: OrderSample,
    key: Key | None,
    candidates: Sequence[Column],
    sums: Sequence[_Sum],
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


def _without_copies(columns: Sequence[Column], sums: Sequence[_Sum]) -> list[Column]:
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
        orders = _orders(sample, key, [column], [], [])
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
