"""Amounts such as 1.234, which are a thousand or one: the other cells of the column decide."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from backfill.mapping.cell_sql import Named
from backfill.mapping.query import Sql, sql
from backfill.schema.currencies import places
from backfill.schema.types import Type

UNCLEAR_AMOUNT: Final = "unclear_amount"
"""The reason of a reject."""

Places = npt.NDArray[np.int64]
"""Two rows: the files of orders, and the numbers of their first rows."""

_ONE_GROUP: Final = "[^0-9]*[1-9][0-9]{0,2}[$marks][0-9]{3}[^0-9]*"
_NO_MARK_NEAR_THE_END: Final = (
    "right($cell, 1) between '0' and '9' and substr($cell, -4, 1) not in ('.', ',')"
)
_COMMA_IS_DECIMAL: Final = (
    "[0-9],[0-9]{1,2}([^0-9]|$)|[0-9],[0-9]{4,}|(^|[^0-9])0,[0-9]|[.][0-9]{3}[.,]"
)


@dataclass(frozen=True, slots=True)
class MarkSql:
    """Conditions on a cell of amounts whose type does not name the decimal mark."""

    unclear: Sql
    """Three digits stand behind its only mark."""
    proves: Sql
    """It shows that the column's decimal mark is the point."""
    denies: Sql
    """It shows that the column's decimal mark is the comma."""

    def each(self, of_order: Callable[[Sql], Sql]) -> "MarkSql":
        """The same conditions, each made by ``of_order``."""
        return MarkSql(of_order(self.unclear), of_order(self.proves), of_order(self.denies))


def mark_sql(
    cell: Sql, value: Sql, cell_type: Type, row_places: Sql | None, named: Named, *, is_part: bool
) -> MarkSql | None:
    """The conditions; None where the type, or its currency, decides.

    Args:
        cell: the text.
        value: the amount that was read from it, with a decimal point.
        cell_type: money.
        row_places: the places of the row's currency, where a column holds it.
        named: makes the expressions that are used more than once.
        is_part: is the cell a part of another one, which a program wrote? There, a point is the
            decimal mark.
    """
    digits = places(cell_type.currency)
    if cell_type.decimal is not None or cell_type.minor or digits == 0:
        return None
    whole_pattern, comma_pattern = (
        _ONE_GROUP.replace("$marks", marks).replace("'", "''") for marks in (".,", ",")
    )
    pattern = comma_pattern if is_part or digits > 2 else whole_pattern  # noqa: PLR2004
    found = (
        f"(not ({_NO_MARK_NEAR_THE_END}) and $value is not null "
        f"and regexp_full_match($cell, '{pattern}'))"
    )
    unclear = named(found, cell=cell, value=value)
    if row_places is not None:
        unclear = named(
            "($unclear and case coalesce($places, 2) when 0 then false when 2 then true "
            f"else regexp_full_match($cell, '{comma_pattern}') end)",
            unclear=unclear,
            places=row_places,
            cell=cell,
        )
    return MarkSql(
        unclear,
        sql(
            "($value is not null and not $unclear and (contains($cell, '.') or "
            "contains($cell, ',')) and (substr($cell, -3, 1) = '.' or "
            "regexp_matches($cell, '[0-9][.,][0-9]')))",
            cell=cell,
            value=value,
            unclear=unclear,
        ),
        sql(
            "($cell is not null and $value is null and "
            f"regexp_matches($cell, '{_COMMA_IS_DECIMAL}'))",
            cell=cell,
            value=value,
        ),
    )


@dataclass(slots=True)
class AmountMarks:
    """What the cells of each column show about its decimal mark; that of several slices adds up."""

    proven: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)
    orders: dict[str, list[Places]] = field(default_factory=lambda: defaultdict(list))
    """The accepted orders with an unclear amount, by the column."""

    def __add__(self, other: "AmountMarks") -> "AmountMarks":
        orders = defaultdict(list, {name: list(found) for name, found in self.orders.items()})
        for name, found in other.orders.items():
            orders[name] += found
        return AmountMarks(self.proven | other.proven, self.denied | other.denied, orders)

    def unclear(self) -> Mapping[str, Places]:
        """The orders with an amount that nothing in its column makes clear."""
        decided = self.proven - self.denied
        return {
            name: np.concatenate(found, axis=1)
            for name, found in self.orders.items()
            if name not in decided
        }
