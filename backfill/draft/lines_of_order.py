"""What belongs to an order, and what to each of its lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.money import number_sql
from backfill.draft.nested import Nested
from backfill.draft.orders import Choice, Kept, Key, choose
from backfill.draft.people import customer_of, email_of
from backfill.draft.times import Time
from backfill.draft.vocabulary import Role, rank

_OFTEN: Final = 0.02
"""A column that differs within this share of the orders belongs to a line."""
_MOST: Final = 0.9


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Orders that the key itself tells to be cancellations."""

    prefix: str
    evidence: str


def choice_of(kept: Kept, flat: Sequence[Column], ordered: Time | None, nested: Nested) -> Choice:
    people = (email_of(flat), customer_of(flat))
    fixed = [
        column for column in (ordered and ordered.column, *people) if column and column.place >= 0
    ]
    shops = [
        column
        for column in kept.columns
        if rank("shop", column.called) is not None and 1 < column.distinct <= column.rows // 2 + 1
    ]
    choice = choose(kept, fixed, shops)
    if choice.key is not None or nested.lines or len(fixed) < 2:  # noqa: PLR2004
        return choice
    pair = kept.key(fixed[:2])
    if pair.several and pair.together >= pair.several * _MOST:
        return replace(choice, key=pair)
    return choice


def is_key(choice: Choice, column: Column) -> bool:
    return choice.key is not None and any(c.name == column.name for c in choice.key.columns)


def lines_of(
    key: Key | None,
    columns: Sequence[Column],
    nested: Nested,
    times: Mapping[str, Time],
    ordered: Time | None,
) -> list[Column]:
    if nested.lines:
        return [column for column in columns if column.name in nested.lines] if key else []
    if key is None:
        return []
    mine = {column.name for column in key.columns}
    if ordered is not None:
        mine.add(ordered.column.name)
    mine |= {c.name for c in (email_of(columns), customer_of(columns)) if c is not None}
    found = [
        column
        for column in columns
        if column.place >= 0
        and column.name not in mine
        and (
            key.varies(column) > _OFTEN
            or (_sells(column, times) and not _only_of_order(column, key))
        )
    ]
    sells = any(_sells(column, times) for column in found)
    return found if sells or key.several else []


def _sells(column: Column, times: Mapping[str, Time]) -> bool:
    """Is it called what belongs to a line, whatever the orders at hand show?"""
    roles: tuple[Role, ...] = (
        "line_id",
        "sku",
        "product_id",
        "product",
        "quantity",
        "price",
        "row_total",
    )
    return (
        column.name not in times
        and not column.share("email")
        and any(
            (rank(role, column.called) or 0) <= 1 and rank(role, column.called) is not None
            for role in roles
        )
    )


def _only_of_order(column: Column, key: Key) -> bool:
    """Orders of several rows show that it is the same on all of them: a number of items say."""
    roles: tuple[Role, ...] = ("line_id", "sku", "product_id", "product", "quantity", "price")
    vague = not any(rank(role, column.called) in (0, 1) for role in roles)
    return vague and key.several > 0 and key.varies(column) == 0


def line_id_of(kept: Kept, key: Key | None, column: Column | None) -> Column | None:
    if key is None or column is None or not kept.tells_lines(key, column):
        return None
    return column


def cancelled_of(kept: Kept, key: Key | None, quantity: Column | None) -> Cancelled | None:
    """Do orders of negative quantities, and they alone, begin with a letter of their own?"""
    if key is None or quantity is None or quantity.place < 0 or not quantity.fits.get("negative"):
        return None
    number = Kept.cell(key.columns[-1])
    rows = kept.ask(
        f"select left({number}, 1) as letter, count(*) as orders, count(*) filter (most < 0) from "
        f"(select {number}, max({number_sql(quantity)}) as most from {kept.rows_of(key.columns)} "
        f"group by {number}) group by letter order by orders desc"
    )
    total = sum(int(str(negative)) for _, _, negative in rows)
    for letter, orders, negative in rows:
        name, count, found = str(letter), int(str(orders)), int(str(negative))
        if name.isalpha() and found >= count * _MOST and found * 2 >= total and count > 1:
            return Cancelled(
                name,
                f"{found:,} of {count:,} orders that begin with {name} have only negative "
                f"{quantity.name}",
            )
    return None
