"""The facts about a column: the number of its cells, and how many are of each kind."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backfill.mapping.cells import read_inline
from backfill.schema.types import Type
from backfill.sources.spreadsheets import DAY_NUMBER, RUINED_NUMBER

MOST: Final = 0.9
"""The share of the cells, or of the orders, for which a guess has to hold: some are always odd."""

MAX_VALUES: Final = 40
"""A column with at most this many different values holds words of a list, such as a status."""

_LISTS: Final = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
CERTAIN_NULL_WORDS: Final[list[str]] = _LISTS["null_words"]["certain"]
NULL_WORDS: Final = CERTAIN_NULL_WORDS + _LISTS["null_words"]["among_values"]

_SHAPE: Final = 40
"""So many letters of a cell show how it is written."""

CellPlace = tuple[int, int]
"""The file, counted from 0, and the row of a cell."""

CELL: Final = "<cell>"
"""The placeholder for the cell in the conditions of ``kind_conditions``."""


WHOLE_FLOATS: Final = "each ends in .0, which integer removes"
"""Evidence for a column of whole numbers that a program wrote as 17.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatCount:
    """How many cells of a column a time format reads.

    Its rival is the same format with day and month swapped.
    """

    form: str
    cells: int
    proving: int
    """Cells that its rival does not read."""
    proof: str
    """The first of these cells."""
    proof_at: CellPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the export, or a member of what its cells hold.

    Cells that are empty, or hold a word for nothing, are in no count but ``rows`` and
    ``null_words``.
    """

    name: str
    """As a schema names it."""
    label: str
    """What its role is guessed from: the header, or the name of a member alone."""
    place: int = -1
    """In the export; -1 for a member."""
    rows: int
    filled: int
    distinct: int
    """About how many different cells."""
    null_words: Mapping[str, int]
    kinds: Mapping[str, int]
    """Cells of each kind that some cell is of."""
    formats: tuple[FormatCount, ...]
    clocks: Mapping[str, int]
    """Cells that each format of a time of day reads."""
    values: tuple[str, ...]
    """The most frequent ones, where they are few."""
    example: str = ""
    """The most frequent cell."""
    is_typed_time: bool = False
    """Whether the file itself says that these are dates or times."""

    @property
    def is_member(self) -> bool:
        return self.place < 0

    def count(self, kind: str) -> int:
        return self.kinds.get(kind, 0)

    def share(self, kind: str) -> float:
        return self.count(kind) / self.filled if self.filled else 0.0

    def mostly(self, kind: str) -> bool:
        return self.share(kind) >= MOST

    def all(self, kind: str) -> bool:
        return self.filled > 0 and self.count(kind) == self.filled

    def cells_of(self, kind: str) -> str:
        """``41 of 42 cells``, to be evidence."""
        return f"{self.count(kind):,} of {self.filled:,} cells"

    @property
    def shape(self) -> str:
        """What its most frequent cell looks like, without what it says: ``99. aaa 9999``."""
        digits = re.sub(r"\d", "9", self.example[:_SHAPE])
        return re.sub(r"[^\W\d_]", "a", digits)

    @property
    def ruined(self) -> str:
        """Digits that a spreadsheet shortened, as evidence behind a semicolon; empty for none."""
        ruined = self.count("ruined_number")
        evidence = f"; a spreadsheet ruined {ruined:,} (5.27763E+12), which become rejects"
        return evidence if ruined else ""

    @property
    def rows_filled(self) -> str:
        return f"{self.filled:,} of {self.rows:,} rows have it"


def kind_conditions(latest: str) -> dict[str, str]:
    """For each kind of cell, SQL that is true for ``CELL`` of that kind.

    ``latest`` is the last day that a time may be of, as ISO 8601 writes it.
    """
    cell, last = CELL, f"epoch(timestamp '{latest}')"
    types = {kind: Type(kind) for kind in ("integer", "number", "money", "boolean", "email")}
    types["money_comma"] = Type("money", decimal=",")
    read = {kind: read_inline(cell, spec) for kind, spec in types.items()}
    whole = f"({read['integer']})"
    iso = "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    offset = "( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))"
    digits = f"length(regexp_replace({cell}, '[^0-9]', '', 'g'))"
    phone, day = "[+(]?[0-9][0-9 ()./-]{5,22}", f"try_cast({cell}[1:10] as date)"
    patterns = {
        **_LISTS["kinds"],
        "offset": f"{iso}{offset}",
        "ruined_number": RUINED_NUMBER,
        "spreadsheet_day": DAY_NUMBER,
    }
    return {
        **{kind: f"({value}) is not null" for kind, value in read.items()},
        **{kind: f"regexp_full_match({cell}, '{pattern}')" for kind, pattern in patterns.items()},
        "iso": f"regexp_full_match({cell}, '{iso}{offset}?') and {day} is not null",
        "epoch_s": f"{whole} between 473385600 and {last}",
        "epoch_ms": f"{whole} // 1000 between 473385600 and {last}",
        "phone": f"regexp_full_match({cell}, '{phone}') and {digits} between 7 and 15",
        "list": f"starts_with({cell}, '[') and json_valid({cell})",
        "object": f"starts_with({cell}, '{{') and json_valid({cell})",
    }
