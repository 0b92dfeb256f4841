"""What the cells of an export look like, column by column, batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backfill.lint.columns import Role
from backfill.lint.finding import Finding
from backfill.sources.spreadsheets import REJECT_COLUMNS, clean_cells

_NUMBER: Final = r"^[+-]?([1-9][0-9]*|0)(\.[0-9]+)?$"
_DOUBLE: Final = r"^-?[0-9]+\.0$"
_ERROR: Final = r"^#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|##+)$"
_MONTH: Final = "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_SPOILED: Final = rf"^([0-9]{{1,2}}-{_MONTH}|{_MONTH}-[0-9]{{2}})$"
"""``1-3`` and ``MAR1`` become ``1-Mar`` in a spreadsheet."""

_SPOILED_LENGTHS: Final = (5, 6)
_EXCEL_DIGITS: Final = 15
"""Source: Microsoft, "Excel specifications and limits": number precision, 15 digits."""

_LONGEST_ID: Final = 24
_ROUNDED: Final = rf"^[1-9][0-9]{{{_EXCEL_DIGITS - 1}}}0+$"
_DIGITS: Final = rf"^[0-9]{{{_EXCEL_DIGITS + 1},}}$"

_CLOCK: Final = r"[0-9]:[0-9]"
_MIDNIGHT: Final = r"(^|[ T])(00:00(:00([.,]0+)?)?|12:00(:00)? ?(AM|am|a\.m\.))($|[^0-9:])"

_FEW: Final = 50
"""Currencies of an export; a column with more holds something else."""

_MANY: Final = 20
"""Rows that show a habit of an export and no chance."""


@dataclass(slots=True)
class _Seen:
    """What is known of one column so far."""

    filled: int = 0
    numbers: bool = True
    doubles: bool = True
    midnight: bool = True
    errors: int = 0
    spoiled: int = 0
    long: int = 0
    rounded: int = 0
    values: set[str] = field(default_factory=set)


class Cells:
    """Looks at each batch of an export, all its columns; then says what it found."""

    def __init__(self, roles: Sequence[Role]) -> None:
        self._roles = roles
        self._seen = [_Seen() for _ in roles]
        self._rows = 0

    def look(self, columns: Sequence[pa.ChunkedArray]) -> None:
        """The columns of consecutive rows, in the order of the header."""
        for role, seen, column in zip(self._roles, self._seen, columns, strict=True):
            _look(role, seen, column)
        self._rows += len(columns[0]) if columns else 0

    def currencies(self) -> dict[str, frozenset[str]]:
        """The columns that hold more than one currency."""
        return {
            role.name: frozenset(seen.values)
            for role, seen in zip(self._roles, self._seen, strict=True)
            if role.currency and 1 < len(seen.values) < _FEW
        }

    def findings(self, orders: int) -> Iterator[Finding]:
        for role, seen in zip(self._roles, self._seen, strict=True):
            if role.name in REJECT_COLUMNS:
                continue  # rejects that are fed in again: these are ours
            yield from _spoiled(role, seen)
            if seen.filled:
                yield from _shapes(role, seen)
            of = orders if role.of_order else self._rows
            yield from _filled(role, seen, of, "order" if role.of_order else "row")


def _look(role: Role, seen: _Seen, column: pa.ChunkedArray) -> None:
    lengths = _lengths(column)
    filled = int(np.count_nonzero(lengths))
    seen.filled += filled
    if not filled:
        return
    few = _only(column, (lengths >= _SPOILED_LENGTHS[0]) & (lengths <= _SPOILED_LENGTHS[1]))
    if not role.time:
        seen.spoiled += _matching(few, _SPOILED)
    if _any_begins(column, "#"):
        seen.errors += _matching(column, _ERROR)
    long = _only(column, (lengths > _EXCEL_DIGITS) & (lengths <= _LONGEST_ID))
    digits = _matching(long, _DIGITS)
    if digits:
        seen.long += digits
        seen.rounded += _matching(long, _ROUNDED)
    if role.time and seen.midnight:
        seen.midnight = not _clocks(column)
    if role.text and seen.numbers:
        cells = clean_cells(column)
        there = len(cells) - cells.null_count
        seen.numbers = _matching(cells, _NUMBER) == there
        seen.doubles = seen.doubles and seen.numbers and _matching(cells, _DOUBLE) == there
    if role.currency and len(seen.values) < _FEW:
        seen.values.update(pc.unique(clean_cells(column)).drop_null().to_pylist()[:_FEW])


def _lengths(column: pa.ChunkedArray) -> "npt.NDArray[np.int64]":
    lengths = pc.fill_null(pc.binary_length(column), 0)
    found: npt.NDArray[np.int64] = lengths.to_numpy()
    return found


def _only(column: pa.ChunkedArray, here: "npt.NDArray[np.bool_]") -> pa.ChunkedArray:
    return column.filter(pa.array(here)) if here.any() else column.slice(0, 0)


def _matching(column: pa.ChunkedArray, pattern: str) -> int:
    if not len(column):
        return 0
    return pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0


def _any_begins(column: pa.ChunkedArray, sign: str) -> bool:
    return bool(pc.any(pc.starts_with(column, sign)).as_py())


def _clocks(column: pa.ChunkedArray) -> bool:
    """Does any cell show another time of day than midnight?"""
    timed = column.filter(pc.match_substring(column, ":"))
    return _matching(timed, _CLOCK) > _matching(timed, _MIDNIGHT)


def _spoiled(role: Role, seen: _Seen) -> Iterator[Finding]:
    if seen.errors:
        text = "with a spreadsheet's error, such as #N/A"
        yield Finding("spreadsheet_error", role.name, seen.errors, "cell", text)
    if seen.spoiled:
        text = "like 1-Mar: a spreadsheet makes such dates of codes"
        yield Finding("spreadsheet_date", role.name, seen.spoiled, "cell", text)
    if seen.rounded > seen.long / 2 and seen.rounded > 1:
        text = "with zeros behind the 15th digit, the last that Excel keeps"
        yield Finding("rounded_id", role.name, seen.rounded, "long number", text)


def _shapes(role: Role, seen: _Seen) -> Iterator[Finding]:
    name, filled = role.name, seen.filled
    if role.time and seen.midnight and role.used and filled >= _MANY:
        text = "and all at midnight: the export may know the day alone"
        yield Finding("midnight", name, filled, "time", text)
    if not role.text or not seen.numbers:
        return
    if seen.doubles:
        text = "written like 1.0 throughout, and sent so: say integer under columns"
        yield Finding("doubles", name, filled, "cell", text)
    elif role.amount and not seen.long:  # a number has 15 digits, an id may have more
        text = "that hold numbers throughout, sent as text: say a type under columns"
        yield Finding("numbers_as_text", name, filled, "cell", text)


def _filled(role: Role, seen: _Seen, of: int, what: str) -> Iterator[Finding]:
    if not role.used:
        if seen.filled:
            yield Finding("unused", role.name, seen.filled, "filled cell", "used by no event")
        return
    if of < _MANY or seen.filled * 2 >= of:
        return
    empty = of - seen.filled
    if seen.filled * 100 < of:
        text = f"with a value, of {of:,}: less than 1 %"
        yield Finding("nearly_empty", role.name, seen.filled, what, text)
    else:
        text = f"without a value, of {of:,}: {empty * 100 // of} %"
        yield Finding("empty", role.name, empty, what, text)
