"""One thing that looks wrong: the column, how many cells or orders, and what of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "mixed_currencies",
    "strangers",
    "shared_person",
    "rounded_id",
    "spreadsheet_error",
    "spreadsheet_date",
    "before_1995",
    "future",
    "midnight",
    "doubles",
    "nearly_empty",
    "empty",
    "numbers_as_text",
    "unused",
]

_RANKS: Final = {kind: rank for rank, kind in enumerate(Kind.__args__)}  # type: ignore[attr-defined]
"""The most harmful first."""

MOST: Final = 20
"""Lines that a person reads; the rest is counted."""


_FEW: Final = 3
"""Columns that no event uses with a line each; of more there is one line for all."""

_NAMED: Final = 12


@dataclass(frozen=True, slots=True)
class Finding:
    kind: Kind
    column: str
    count: int
    of: str
    """What is counted, if it were one."""
    text: str

    def __str__(self) -> str:
        counted = f"{self.count:,} {self.of}{'' if self.count == 1 else 's'}"
        return f'"{self.column}": {counted} {self.text}'


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """The worst first, no more than ``MOST``."""
    ranked = sorted(findings, key=lambda found: (_RANKS[found.kind], -found.count, found.column))
    unused = [found for found in ranked if found.kind == "unused"]
    if len(unused) > _FEW:
        told = [*map(str, ranked[: -len(unused)]), _together(unused)]
    else:
        told = [*map(str, ranked)]
    yield from told[:MOST]
    if len(told) > MOST:
        yield f"and {len(told) - MOST} more that weigh less"


def _together(unused: Sequence[Finding]) -> str:
    named = ", ".join(f'"{one.column}" {one.count:,}' for one in unused[:_NAMED])
    more = f" and {len(unused) - _NAMED} more" if len(unused) > _NAMED else ""
    return f"{len(unused)} columns used by no event, with their filled cells: {named}{more}"
