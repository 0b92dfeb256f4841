"""Rows of an export that are no rows of orders, and rows that lack what the row above says."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backfill.display import counted, listed
from backfill.draft.facts import NULL_WORDS
from backfill.draft.vocabulary import normal, rank
from backfill.draft.yaml import sql_name
from backfill.mapping.query import quote
from backfill.schema.expression import parse_expression
from backfill.schema.row_rules import DropRows, FillDown, RowRules
from backfill.sources.export import Export
from backfill.sources.spreadsheets import clean_cells

_FOOTER: Final = "|".join(
    tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))["footer"]
)

_SEEN: Final = 200
"""So many rows at the beginning show what a column holds, below a row that describes it."""

_EDGE: Final = 8
"""As many rows at the end may be a footer."""

_DESCRIPTIONS: Final = 3

_OTHERS: Final = 20
"""So many columns are named in a condition that a row has no other cell."""

_LETTERS: Final = 5
"""A number, an amount or a time has at most as many letters: 12.50 EUR, 2024-01-05T10:00:00Z."""

_ALL_BUT: Final = 0.95
"""A column that this share of the rows has is one that each row of an order has."""

_CONTINUED: Final = 0.05
"""If fewer rows than this share lack an order's number, they are faults, and no lines."""

_Cells = tuple[str | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRules:
    """The rules of a draft, and what shows each of them."""

    rules: RowRules
    drop: str = ""
    """The condition; empty where no row is dropped."""
    drop_evidence: str = ""
    fill: tuple[str, ...] = ()
    """The names of the columns that are filled."""
    fill_evidence: str = ""

    def without_fill(self) -> "FoundRules":
        """The same, and no column is filled."""
        return replace(self, rules=replace(self.rules, fill=None), fill=(), fill_evidence="")


@dataclass(slots=True)
class _Rows:
    """What one pass over an export saw; a cell without text is NULL."""

    header: _Cells
    first: dict[int, list[_Cells]] = field(default_factory=dict)
    """The first rows of each file that have a cell."""
    last: dict[int, list[_Cells]] = field(default_factory=dict)
    """The last ones."""
    rows: int = 0
    """Rows with a cell."""
    filled: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """How many cells each column has."""
    headers: int = 0
    """Rows that repeat the header."""

    def has_most(self, without: Sequence[_Cells]) -> list[bool]:
        """For each column whether nearly all rows have it, ``without`` some of them."""
        rest = self.rows - len(without)
        counts = [
            filled - sum(cells[at] is not None for cells in without)
            for at, filled in enumerate(self.filled.tolist())
        ]
        return [rest > 0 and count >= rest * _ALL_BUT for count in counts]


def find_rules(export: Export, names: Mapping[int, str]) -> FoundRules:
    """What a draft does with an export's rows.

    Args:
        export: its rows as they stand.
        names: how a schema names the columns, by their positions.

    Raises:
        ExportError: it cannot be read to its end.
    """
    rows = _seen(export, [*names])
    schema_names = [*names.values()]
    conditions = [*_footers(rows, schema_names), *_descriptions(rows, schema_names)]
    if rows.headers:
        conditions += [f"{sql_name(schema_names[0])} = {quote(rows.header[0] or '').text}"]
    found, ruled = FoundRules(rules=RowRules()), export
    if conditions:
        found = _dropping(list(dict.fromkeys(conditions)), names, len(conditions))
        ruled = export.with_rules(found.rules)
    return _with_fill(ruled, names, rows, found)


def _dropping(conditions: Sequence[str], names: Mapping[int, str], rows: int) -> FoundRules:
    """The rule that drops rows for which one of the conditions holds."""
    text = conditions[0]
    if len(conditions) > 1:
        text = " or ".join(f"({condition})" for condition in conditions)
    expression = parse_expression(text)
    places = {name: place for place, name in names.items()}
    columns = {name: places[name] for name in expression.columns}
    return FoundRules(
        rules=RowRules(drop=DropRows(expression, columns, "the draft")),
        drop=text,
        drop_evidence=f"{counted(rows, 'row')} at the beginning or the end, by their words: they "
        "describe the columns, or add them up",
    )


def _seen(export: Export, places: Sequence[int]) -> _Rows:
    header = tuple(export.columns[place] for place in places)
    seen = _Rows(header, filled=np.zeros(len(places), dtype=np.int64))
    for batch in export.batches(places):
        columns = [clean_cells(batch.column(at)) for at in range(len(places))]
        valid = [pc.is_valid(column).to_numpy() for column in columns]
        some = np.flatnonzero(np.logical_or.reduce(valid)) if columns else np.zeros(0, np.int64)
        if not len(some):
            continue
        file = batch["_file"][0].as_py()
        seen.rows += len(some)
        seen.filled += np.array([np.count_nonzero(one) for one in valid])
        seen.headers += _equal_to(columns, header)
        first = seen.first.setdefault(file, [])
        first += _rows_at(columns, some[: _SEEN - len(first)])
        last = [*seen.last.get(file, []), *_rows_at(columns, some[-_EDGE:])]
        seen.last[file] = last[-_EDGE:]
    return seen


def _rows_at(columns: Sequence[pa.ChunkedArray], at: npt.NDArray[np.int64]) -> list[_Cells]:
    cells = [column.take(pa.array(at)).to_pylist() for column in columns]
    return list(zip(*cells, strict=True))


def _equal_to(columns: Sequence[pa.ChunkedArray], header: _Cells) -> int:
    """How many rows are the header once more, by its first cells."""
    if len(columns) < 2:  # noqa: PLR2004
        return 0
    same = np.ones(len(columns[0]), dtype=np.bool_)
    for column, name in zip(columns[:_DESCRIPTIONS], header, strict=False):
        same &= pc.fill_null(pc.equal(column, name), fill_value=False).to_numpy()
    return int(np.count_nonzero(same))


# footers ---------------------------------------------------------------------------------------


def _footers(rows: _Rows, names: Sequence[str]) -> Iterator[str]:
    """Conditions for the last rows that add others up, or that say where the export ends."""
    tails = [cells for last in rows.last.values() for cells in _tail(last, rows)]
    has_most = rows.has_most(tails)
    for cells in tails:
        lacks = [at for at, most in enumerate(has_most) if most and cells[at] is None]
        at = _footer_at(cells)
        if at is not None and lacks:
            yield f"{_is_word(names[at], cells[at] or '')} and {sql_name(names[lacks[0]])} is null"
        elif at is None and len(lacks) > 1:
            [at] = [at for at, cell in enumerate(cells) if cell is not None]
            others = [sql_name(name) for name in names if name != names[at]][:_OTHERS]
            yield f"{sql_name(names[at])} is not null and coalesce({', '.join(others)}) is null"


def _tail(last: Sequence[_Cells], rows: _Rows) -> list[_Cells]:
    """The rows at the end that may be a footer."""
    found: list[_Cells] = []
    for cells in reversed(last):
        if _footer_at(cells) is None and not _is_alone(cells, rows):
            break
        found.append(cells)
    return found


def _footer_at(cells: _Cells) -> int | None:
    """The first cell that is a word for a sum, or for the end, alone or before a number."""
    for at, cell in enumerate(cells):
        if cell is not None and re.fullmatch(f"(?:{_FOOTER})(?: [0-9 ]+)?", normal(cell)):
            return at
    return None


def _is_word(name: str, cell: str) -> str:
    word = re.split("[0-9]", cell)[0].strip()
    if word == cell:
        return f"{sql_name(name)} = {quote(cell).text}"
    return f"starts_with({sql_name(name)}, {quote(word).text})"


def _is_alone(cells: _Cells, rows: _Rows) -> bool:
    """Whether a row has one cell alone, a sentence in a column that holds none elsewhere."""
    filled = [at for at, cell in enumerate(cells) if cell is not None]
    if len(filled) != 1 or not re.search(r"[^\W\d_]{3,}", text := cells[filled[0]] or ""):
        return False
    others = [other[filled[0]] for first in rows.first.values() for other in first]
    sentences = sum(other is not None and " " in other for other in others)
    return " " in text and sentences <= len(others) * (1 - _ALL_BUT) + 1


# descriptions below the header -----------------------------------------------------------------


def _descriptions(rows: _Rows, names: Sequence[str]) -> Iterator[str]:
    """Conditions for rows below the header that say in words what columns of numbers hold."""
    for first in rows.first.values():
        below = _DESCRIPTIONS if len(first) > _DESCRIPTIONS * 2 else 1
        for cells in first[:below]:
            body = first[below:]
            plain = [column for column in range(len(names)) if _is_plain(body, column)]
            here = [column for column in plain if cells[column] not in (None, *NULL_WORDS)]
            words = [column for column in here if not _is_plain_cell(cells[column] or "")]
            if len(words) < 2 or len(words) < len(here):  # noqa: PLR2004
                break
            column = min(words, key=lambda column: len(cells[column] or ""))
            yield f"{sql_name(names[column])} = {quote(cells[column] or '').text}"


def _is_plain(body: Sequence[_Cells], column: int) -> bool:
    """Whether a column holds numbers, times or addresses, and no words."""
    cells = [cells[column] or "" for cells in body if cells[column] not in (None, *NULL_WORDS)]
    plain = sum(map(_is_plain_cell, cells))
    return len(cells) > 2 and plain >= len(cells) * _ALL_BUT  # noqa: PLR2004


def _is_plain_cell(cell: str) -> bool:
    letters = sum(sign.isalpha() for sign in cell)
    has_digit = any(sign.isdigit() for sign in cell)
    return (has_digit and letters <= _LETTERS) or re.fullmatch(r"[^@\s]+@[^@\s]+", cell) is not None


# lines of the order above ----------------------------------------------------------------------


def _with_fill(
    export: Export, names: Mapping[int, str], rows: _Rows, found: FoundRules
) -> FoundRules:
    """The rules with one for order columns that stand on an order's first row alone."""
    places = [*names]
    pivots = [
        (order, at)
        for at, place in enumerate(places)
        if (order := rank("order", export.columns[place])) in (0, 1)
        and rows.rows * _CONTINUED <= rows.rows - rows.filled[at] < rows.rows
    ]
    if not pivots:
        return found
    _, pivot = min(pivots)
    with_key, without_key = np.zeros((2, len(places)), dtype=np.int64)
    keyed = keyless = 0
    for batch in export.batches(places):
        valid = [pc.is_valid(clean_cells(batch.column(at))).to_numpy() for at in range(len(places))]
        some = np.logical_or.reduce(valid)
        keyed += int(np.count_nonzero(valid[pivot]))
        keyless += int(np.count_nonzero(some & ~valid[pivot]))
        with_key += np.array([np.count_nonzero(one & valid[pivot]) for one in valid])
        without_key += np.array([np.count_nonzero(one & ~valid[pivot]) for one in valid])
    filled = (without_key == 0) & (with_key >= keyed * _ALL_BUT)
    of_lines = without_key >= keyless * _ALL_BUT
    if np.count_nonzero(filled) < 2 or not keyless or not of_lines.any():  # noqa: PLR2004
        return found
    columns = tuple(place for at, place in enumerate(places) if filled[at])
    own = tuple(place for at, place in enumerate(places) if not filled[at])
    fill = FillDown(columns=columns, key=(places[pivot],), own=own)
    named = tuple(names[place] for place in columns)
    return replace(
        found,
        rules=replace(found.rules, fill=fill),
        fill=named,
        fill_evidence=f"{keyless:,} of {keyed + keyless:,} rows have none of these, and "
        f"{listed([names[at] for at, line in zip(places, of_lines, strict=True) if line], 3)}: "
        "they are lines of the order above",
    )
