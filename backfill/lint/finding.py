"""One thing that looks wrong: the column, how many cells or orders, and what of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "mixed_currencies",
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
    yield from map(str, ranked[:MOST])
    if len(ranked) > MOST:
        yield f"and {len(ranked) - MOST} more that weigh less"
