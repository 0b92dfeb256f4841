"""What looks wrong in the cells of an export, column by column."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backfill.lint.columns import Role
from backfill.lint.finding import Finding
from backfill.mapping.people import NULL_WORDS
from backfill.sources.spreadsheets import (
    DATE_OF_CODE,
    ERROR_VALUE,
    NUMBER_DIGITS,
    REJECT_COLUMNS,
    clean_cells,
)

RUINED_BY_EXCEL: Final = {
    "spreadsheet_error": f"^({ERROR_VALUE})$",
    "spreadsheet_date": f"^({DATE_OF_CODE})$",
    "rounded_id": rf"^[1-9][0-9]{{{NUMBER_DIGITS - 1}}}0+$",
}
"""What a cell looks like when a spreadsheet has ruined it, by the kind of finding."""

_UNREADABLE: Final = {
    "replaced": "\ufffd",
    # UTF-8 read as Windows-1252: a letter of two bytes begins with Ã or Â, a dash or quote with â€.
    "mojibake": (
        "[\u00c2\u00c3][\u0080-\u00bf\u0152-\u0192\u2013-\u2122]|\u00e2\u20ac|\u00ef\u00bf\u00bd"
    ),
}
"""Letters that were lost or read in another encoding, by the kind of finding."""

_ENTITY: Final = r"&([A-Za-z]{2,8}|#[0-9]{2,5}|#[xX][0-9A-Fa-f]{2,4});"
_NULL_WORDS: Final = pa.array(
    [cased for word in NULL_WORDS for cased in {word, word.upper(), word.capitalize(), "NaN"}]
)

_DATE_LENGTHS: Final = (5, 6)
_LONGEST_ID: Final = 24
_LONG_NUMBER: Final = rf"^[0-9]{{{NUMBER_DIGITS + 1},}}$"

_NUMBER: Final = r"^[+-]?([1-9][0-9]*|0)(\.[0-9]+)?$"
_DOUBLE: Final = r"^-?[0-9]+\.0$"
_CLOCK: Final = r"[0-9]:[0-9]"
_MIDNIGHT: Final = r"(^|[ T])(00:00(:00([.,]0+)?)?|12:00(:00)? ?(AM|am|a\.m\.))($|[^0-9:])"

_CURRENCIES_MAX: Final = 50
"""An export has fewer currencies; a column with more distinct values holds something else."""

_ROWS_MIN: Final = 20
"""Fewer rows than this may look alike by chance."""


class CellScan:
    """Gets each batch of an export with all its columns, then gives what it found."""

    def __init__(self, roles: Sequence[Role]) -> None:
        self._columns = [_ColumnScan(role) for role in roles]
        self._rows = 0

    def add(self, columns: Sequence[pa.ChunkedArray]) -> None:
        """The columns of consecutive rows, in the order of the header."""
        for scan, cells in zip(self._columns, columns, strict=True):
            scan.add(cells)
        self._rows += len(columns[0]) if columns else 0

    def currencies(self) -> dict[str, frozenset[str]]:
        """The columns that hold more than one currency."""
        return {
            scan.role.name: frozenset(scan.values)
            for scan in self._columns
            if scan.role.currency and 1 < len(scan.values) < _CURRENCIES_MAX
        }

    def findings(self, orders: int) -> Iterator[Finding]:
        for scan in self._columns:
            if scan.role.name not in REJECT_COLUMNS:  # those are ours
                yield from scan.findings(self._rows, orders)


class _ColumnScan:
    """What the cells of one column have in common so far."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.values: set[str] = set()
        """The distinct values, if it is a column of currencies."""
        self._filled = 0
        self._long_numbers = 0
        self._ruined = dict.fromkeys(RUINED_BY_EXCEL, 0)
        self._unreadable = dict.fromkeys((*_UNREADABLE, "entity", "null_word"), 0)
        self._all_numbers = True
        self._all_doubles = True
        self._all_midnight = True

    def add(self, cells: pa.ChunkedArray) -> None:
        role = self.role
        lengths: npt.NDArray[np.int64] = pc.fill_null(pc.binary_length(cells), 0).to_numpy()
        filled = int(np.count_nonzero(lengths))
        self._filled += filled
        if not filled:
            return
        # Few cells have the length of a date or of a long number: only they meet the expressions.
        if not role.time:
            shortest, longest = _DATE_LENGTHS
            dates = _where(cells, (lengths >= shortest) & (lengths <= longest))
            self._count_ruined("spreadsheet_date", dates)
        if pc.any(pc.starts_with(cells, "#")).as_py():
            self._count_ruined("spreadsheet_error", cells)
        long = _where(cells, (lengths > NUMBER_DIGITS) & (lengths <= _LONGEST_ID))
        self._long_numbers += _matches(long, _LONG_NUMBER)
        self._count_ruined("rounded_id", long)
        if role.used:
            self._count_unreadable(cells, lengths)
        if role.time and self._all_midnight:
            timed = cells.filter(pc.match_substring(cells, ":"))
            self._all_midnight = _matches(timed, _CLOCK) <= _matches(timed, _MIDNIGHT)
        if role.text and self._all_numbers:
            cleaned = clean_cells(cells).drop_null()
            self._all_numbers = _matches(cleaned, _NUMBER) == len(cleaned)
            all_doubles = self._all_doubles and self._all_numbers
            self._all_doubles = all_doubles and _matches(cleaned, _DOUBLE) == len(cleaned)
        if role.currency and len(self.values) < _CURRENCIES_MAX:
            found = pc.unique(clean_cells(cells)).drop_null()
            self.values.update(found.to_pylist()[:_CURRENCIES_MAX])

    def _count_ruined(self, kind: str, cells: pa.ChunkedArray) -> None:
        self._ruined[kind] += _matches(cells, RUINED_BY_EXCEL[kind])

    def _count_unreadable(self, cells: pa.ChunkedArray, lengths: "npt.NDArray[np.int64]") -> None:
        letters: npt.NDArray[np.int64] = pc.fill_null(pc.utf8_length(cells), 0).to_numpy()
        foreign = _where(cells, lengths > letters)
        for kind, pattern in _UNREADABLE.items():
            self._unreadable[kind] += _matches(foreign, pattern)
        self._unreadable["entity"] += _matches(
            cells.filter(pc.fill_null(pc.match_substring(cells, "&"), False)), _ENTITY
        )
        words = pc.is_in(cells, value_set=_NULL_WORDS)
        self._unreadable["null_word"] += pc.sum(words).as_py() or 0

    def findings(self, rows: int, orders: int) -> Iterator[Finding]:
        role, name, filled = self.role, self.role.name, self._filled
        for kind, count in self._ruined.items():
            # One long id in ten ends in a zero by itself.
            by_chance = kind == "rounded_id" and (count == 1 or count * 2 <= self._long_numbers)
            if count and not by_chance:
                yield Finding(kind, name, count)
        found = self._unreadable.items()
        yield from (Finding(kind, name, count) for kind, count in found if count)
        if role.time and self._all_midnight and role.used and filled >= _ROWS_MIN:
            yield Finding("midnight", name, filled)
        if role.text and self._all_numbers and filled:
            if self._all_doubles:
                yield Finding("doubles", name, filled)
            elif role.amount and not self._long_numbers:  # a number has 15 digits, an id may more
                yield Finding("numbers_as_text", name, filled)
        if role.used:
            yield from self._empty(orders if role.of_order else rows)
        elif filled:
            yield Finding("unused", name, filled)

    def _empty(self, total: int) -> Iterator[Finding]:
        if total < _ROWS_MIN or self._filled * 2 >= total:
            return
        empty = total - self._filled
        facts = {
            "unit": "order" if self.role.of_order else "row",
            "total": total,
            "percent": empty * 100 // total,
        }
        if self._filled * 100 < total:
            yield Finding("nearly_empty", self.role.name, self._filled, facts)
        else:
            yield Finding("empty", self.role.name, empty, facts)


def _where(cells: pa.ChunkedArray, wanted: "npt.NDArray[np.bool_]") -> pa.ChunkedArray:
    return cells.filter(pa.array(wanted)) if wanted.any() else cells.slice(0, 0)


def _matches(cells: pa.ChunkedArray, pattern: str) -> int:
    if not len(cells):
        return 0
    return pc.sum(pc.match_substring_regex(cells, pattern)).as_py() or 0
