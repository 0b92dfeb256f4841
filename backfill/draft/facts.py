"""One column of an export, in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from backfill.draft.formats import Fit

FEW: Final = 40
"""A column of so few different values is a list of words, a status say."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    """As a schema names it."""
    place: int
    """In the export; -1 for what stands within a cell."""
    rows: int
    filled: int
    """Cells that hold something, words for nothing not counted."""
    distinct: int
    """About how many different ones."""
    nothing: Mapping[str, int] = field(default_factory=dict)
    fits: Mapping[str, int] = field(default_factory=dict)
    """Cells by kind."""
    formats: tuple[Fit, ...] = ()
    clocks: Mapping[str, int] = field(default_factory=dict)
    """Cells by format of a time of day."""
    values: tuple[str, ...] = ()
    """The most frequent ones, at most ``FEW``."""
    temporal: bool = False
    """The export itself says that these are dates or times."""
    looked: int = 0
    """Cells that were looked at, where not all were."""
    label: str = ""
    """What roles go by, where the schema's name says it with signs."""

    @property
    def called(self) -> str:
        return self.label or self.name

    def share(self, kind: str) -> float:
        return self.fits.get(kind, 0) / self.filled if self.filled else 0.0

    def all(self, kind: str) -> bool:
        return self.filled > 0 and self.fits.get(kind, 0) == self.filled
