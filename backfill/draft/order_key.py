"""Which rows are one order: the column, or the columns, whose values identify orders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from backfill.draft.facts import MOST, Column
from backfill.draft.people import customer_of, email_of
from backfill.draft.sample import Key, OrderSample
from backfill.draft.times import Time
from backfill.draft.vocabulary import rank

CANDIDATES: Final = 5
_MOSTLY: Final = 0.95
_MANY_ROWS: Final = 200
"""More rows to a value than this, and the column is a status or a shop, no order."""

_RARE: Final = 0.02
"""The share of orders that may disagree: people edit cells, and clocks differ by a second."""

_VAGUE: Final = 2
"""The rank of ``id`` and ``name``, which may be an order's as well as a row's."""


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """The key of the orders, and why columns that look like one are none."""

    key: Key | None
    """None where no column identifies orders, so each row is one."""
    passed: tuple[str, ...] = ()
    """For each column that was passed over, the reason."""
    doubt: str = ""
    """Why a person has to say whether ``key`` is the key."""

    def has(self, column: Column) -> bool:
        return self.key is not None and column.name in self.key.names


def candidates(columns: Sequence[Column]) -> list[Column]:
    """Columns that may identify orders, the likeliest first."""
    fitting = [column for column in columns if _may_be_key(column)]
    return sorted(fitting, key=lambda column: (_rank(column), -column.distinct))[:CANDIDATES]


def _rank(column: Column) -> int:
    found = rank("order", column.label)
    return 9 if found is None else found


def _may_be_key(column: Column) -> bool:
    if column.is_member or rank("order", column.label) is None:
        return False
    holds_else = column.formats or column.clocks or any(map(column.share, _NO_KEY))
    return (
        not holds_else
        and column.filled >= column.rows * _MOSTLY > 0
        and column.distinct * _MANY_ROWS >= column.rows
        and not (column.share("fraction") > 0.5 and column.all("money"))  # noqa: PLR2004
    )


_NO_KEY: Final = ("email", "iso", "list", "object")


def choose_key(
    sample: OrderSample, columns: Sequence[Column], ordered: Time | None, *, has_lines: bool
) -> KeyChoice:
    """The key whose orders have one time and one person each.

    ``has_lines``: cells hold the lines of an order. ``ordered`` is when an order was placed.
    """
    named = (ordered.column if ordered else None, email_of(columns).column, customer_of(columns))
    fixed = [column for column in named if column is not None and not column.is_member]
    shops = [
        column
        for column in sample.columns
        if rank("shop", column.label) is not None and 1 < column.distinct <= column.rows // 2 + 1
    ]
    choice = _choose(sample, fixed, shops)
    if choice.key is not None or has_lines or len(fixed) < 2:  # noqa: PLR2004
        return choice
    key = sample.key_of(fixed[:2])  # one person at one time
    if key.several and key.adjacent >= key.several * MOST:
        return KeyChoice(key, choice.passed)
    return choice


def _choose(sample: OrderSample, fixed: Sequence[Column], shops: Sequence[Column]) -> KeyChoice:
    """The key whose orders have one value of each of ``fixed``.

    ``shops`` are columns that an order's number may need beside it: two shops count from 1.
    """
    passed: list[str] = []
    alone: Key | None = None
    doubted: KeyChoice | None = None
    for column in sample.candidates:
        key = sample.key_of((column,))
        if not key.several:
            alone = alone or key
            continue
        if wrong := _disagreeing(key, fixed):
            pair = _with_shop(sample, column, fixed, shops)
            if pair is not None:
                return KeyChoice(pair, tuple(passed))
            why = (
                f"{column.name} repeats with different {wrong.name} "
                f"({key.varying[wrong.name]:,} of {key.several:,} values that repeat)"
            )
            passed.append(why)
            if doubted is None and _rank(column) < _VAGUE:
                doubted = KeyChoice(key, doubt=why)
            continue
        if alone is None or _is_vague(alone) or _rank(column) == _rank(alone.columns[0]):
            return KeyChoice(key, tuple(passed))
    if doubted is not None and (alone is None or _is_vague(alone)):
        return doubted
    return KeyChoice(alone, tuple(passed))


def _is_vague(key: Key) -> bool:
    """Whether it may be an id of rows rather than of orders."""
    return _rank(key.columns[0]) >= _VAGUE


def _disagreeing(key: Key, fixed: Sequence[Column]) -> Column | None:
    """The first of ``fixed`` that has several values within too many orders."""
    differing = (column for column in fixed if key.varies(column) > _RARE)
    return next((column for column in differing if column not in key.columns), None)


def _with_shop(
    sample: OrderSample, column: Column, fixed: Sequence[Column], shops: Sequence[Column]
) -> Key | None:
    pairs = (sample.key_of((shop, column)) for shop in shops if shop is not column)
    return next((pair for pair in pairs if _disagreeing(pair, fixed) is None), None)
