"""What belongs to each line of an order, and not to the order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.draft.facts import MOST, Column
from backfill.draft.money import amount_sql
from backfill.draft.nested import Nested
from backfill.draft.people import customer_of, email_of
from backfill.draft.sample import Key, OrderSample
from backfill.draft.times import Time
from backfill.draft.vocabulary import SOLD_ROLES, rank, row_type_of
from backfill.draft.yaml import sql_name
from backfill.mapping.query import quote

_OFTEN: Final = 0.02
"""A column that differs within this share of the orders belongs to a line."""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """How the key shows that an order is a cancellation."""

    prefix: str
    evidence: str


@dataclass(frozen=True, slots=True)
class RowKinds:
    """A column that says whether a row is a product, or its shipping, a discount or a refund."""

    column: Column

    @property
    def words(self) -> str:
        return f'"{self.column.name}" ({", ".join(sorted(self.column.values))})'

    @property
    def where(self) -> str:
        """The condition of a schema that holds for products."""
        return f"{sql_name(self.column.name)} in ({self._products})"

    @property
    def where_in_sample(self) -> str:
        return f"{OrderSample.cell(self.column)} in ({self._products})"

    @property
    def _products(self) -> str:
        words = [value for value in self.column.values if row_type_of(value) == "product"]
        return ", ".join(quote(word).text for word in sorted(words))


def row_kinds_of(lines: Sequence[Column]) -> RowKinds | None:
    """Some of its cells say that their row is a product, and others that it is none."""
    for column in lines:
        if not column.is_member and {"product", "other"} <= set(map(row_type_of, column.values)):
            return RowKinds(column)
    return None


def line_columns(
    key: Key | None,
    columns: Sequence[Column],
    nested: Nested,
    times: Mapping[str, Time],
    ordered: Time | None,
) -> list[Column]:
    """The columns that belong to a line; none where each row is an order without lines."""
    if key is None:
        return []
    if nested.lines:
        return [column for column in columns if column.name in nested.lines]
    when = ordered.column if ordered else None
    of_order = (*key.columns, when, email_of(columns).column, customer_of(columns))
    names = {column.name for column in of_order if column is not None}
    found = [
        column
        for column in columns
        if not column.is_member
        and column.name not in names
        and (
            key.varies(column) > _OFTEN
            or (_is_sold(column, times) and not _is_of_order(column, key))
        )
    ]
    return found if key.several or any(_is_sold(column, times) for column in found) else []


def _is_sold(column: Column, times: Mapping[str, Time]) -> bool:
    """Whether its name is that of a line's column."""
    if column.name in times or column.share("email"):
        return False
    return any(rank(role, column.label) in (0, 1) for role in SOLD_ROLES)


def _is_of_order(column: Column, key: Key) -> bool:
    """Whether orders of several rows show that it is the same on all of them.

    A name that certainly means a line, or its amount, is of the line whatever the rows show.
    """
    sure = any(rank(role, column.label) in (0, 1) for role in SOLD_ROLES if role != "row_total")
    return not sure and key.several > 0 and key.varies(column) == 0


def cancellation_of(
    sample: OrderSample, key: Key | None, quantity: Column | None
) -> Cancellation | None:
    """The letter that the numbers of orders with negative quantities, and no others, begin with."""
    if key is None or quantity is None or quantity.is_member or not quantity.count("negative"):
        return None
    number = sample.cell(key.columns[-1])
    rows = sample.query(
        f"select left({number}, 1) as letter, count(*) as orders, count(*) filter (most < 0) from "
        f"(select {number}, max({amount_sql(quantity)}) as most "
        f"from {sample.whole_orders(key.columns)} group by {number}) "
        "group by letter order by orders desc"
    )
    total = sum(negative for _, _, negative in rows)
    for letter, orders, negative in rows:
        if letter.isalpha() and negative >= orders * MOST and negative * 2 >= total and orders > 1:
            return Cancellation(
                letter,
                f"{negative:,} of {orders:,} orders whose number begins with {letter} have only "
                f"negative {quantity.name}",
            )
    return None
