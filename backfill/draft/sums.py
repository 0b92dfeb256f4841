"""Which amounts of an order are sums of its others, in nearly all orders of an export."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from backfill.draft.facts import MOST, Column
from backfill.draft.line_value import LineAmount
from backfill.draft.money import amount_of, amount_sql
from backfill.draft.sample import Key, OrderSample
from backfill.draft.vocabulary import Role, mentions

SIGNED_ROLES: Final[tuple[Role, ...]] = ("shipping", "tax", "discount")

_OTHERS: Final = 3
"""Amounts of no known role that may be part of a total."""

_CENT: Final = 0.021
"""Sums of rounded amounts differ by less than this."""


@dataclass(frozen=True, slots=True)
class Base:
    """What a candidate may be the sum of: another candidate, or the lines."""

    name: str
    sql: str
    """Of the table of orders."""
    column: Column | None = None
    line: LineAmount | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """A candidate that is a base with extras in nearly all orders."""

    total: Column
    base: Base
    words: str
    adds: bool
    """Whether an extra is part of it."""


def extras_of(
    columns: Sequence[Column], of_order: Mapping[Role, Column]
) -> list[tuple[Column, int]]:
    """The amounts beside a total, each with the sign that it has in a sum.

    The price of an order holds its shipping and taxes, not its discount. What a shop is paid is
    the price without the fee, so the price is the sum with the fee.
    """
    found = [(of_order[role], role == "discount") for role in SIGNED_ROLES if role in of_order]
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


def find_sums(
    sample: OrderSample,
    key: Key | None,
    candidates: Sequence[Column],
    amounts: Sequence[LineAmount],
    extras: Sequence[tuple[Column, int]],
) -> list[Sum]:
    """Which candidates are a sum of other columns in nearly all orders."""
    plain = [column for column in candidates if not column.is_member]
    lines = [some for some in amounts if some.cells]
    if not plain:
        return []
    bases = [Base(f'"{c.name}"', f"t{at}", column=c) for at, c in enumerate(plain)]
    bases += [Base(f"sum of {some.words}", f"s{at}", line=some) for at, some in enumerate(lines)]
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
        f"select {', '.join(measured)} from ({orders_sql(sample, key, plain, lines, extras)})"
    )
    results = iter(zip(row[::3], row[1::3], row[2::3], strict=True))
    return list(_valid(tests, results))


def _term(column: Column, sign: int, sample: OrderSample) -> str:
    return f" {'+' if sign > 0 else '-'} e_{sample.cell(column)}"


def orders_sql(
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
    tests: Sequence[tuple[Base, Base, tuple[tuple[Column, int], ...]]],
    results: Iterator[tuple[int, int, int]],
) -> Iterator[Sum]:
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
        yield Sum(total.column, base, words, bool(added))
