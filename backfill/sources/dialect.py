"""How a CSV's text is cut into cells: its delimiter, and the cells of one record."""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from backfill.errors import ExportError
from backfill.sources.spreadsheets import REJECT_COLUMNS

DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

_RECORDS: Final = 500

_TITLES: Final = 30
"""So many records may stand above the header."""

_FULL: Final = 0.6
"""The share of its cells that a header fills; the lines of a title fill fewer."""

_EXCEL_HINT: Final = re.compile(r'"?sep=(.)"?[ \t;,]*(?:\r|\n|\Z)')
"""A first line in which a program tells Excel the delimiter."""
_QUOTES: Final = re.compile(r'"+')


def find_delimiter(head: str, given: str | None, name: str) -> str:
    """``given``, or the delimiter that cuts the head's records most evenly into most cells.

    A head without any of ``DELIMITERS`` has one column; a comma reads it correctly.

    Raises:
        ExportError: ``given`` cannot be a delimiter.
    """
    if given is None:
        return max(DELIMITERS, key=lambda delimiter: _evenness(head, delimiter))
    if len(given) != 1 or not given.isascii() or given in '"\r\n\0':
        raise ExportError(f"{name}: a delimiter is one ASCII character, no quote and no line end")
    return given


def excel_hint(text: str) -> str:
    """The delimiter that a first line ``sep=;`` names; empty where it is no such line."""
    found = _EXCEL_HINT.match(text)
    return found[1] if found is not None else ""


def find_header(head: str, given: str | None) -> int:
    """How many lines stand above the header: a title, or what a report is about.

    They fill fewer cells than the rows below, which have as many as the header.

    Args:
        head: the beginning of a file.
        given: the delimiter, if it is known.
    """
    best, found = 0.0, 0
    for delimiter in DELIMITERS if given is None else [given]:
        reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
        records: list[tuple[int, list[str]]] = []
        last = 0
        with suppress(csv.Error):
            for record in islice(reader, _RECORDS):
                records.append((last, [cell.strip() for cell in record]))
                last = reader.line_num
        widths = Counter(len(cells) for _, cells in records if len(cells) > 1)
        width, rows = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        if width * rows > best:
            best, found = width * rows, _lines_above(records[:_TITLES], width)
    return found


def _lines_above(records: Sequence[tuple[int, list[str]]], width: int) -> int:
    """The lines above the first record that names nearly all columns; 0 where none does.

    Each record comes with the number of lines above it.
    """
    for line, cells in records:
        names = [cell for cell in cells if cell]
        if len(names) >= max(2, width * _FULL):
            are_names = all(any(sign.isalpha() for sign in name) for name in names)
            return line if are_names else 0
    return 0


def find_rejects_delimiter(head: str) -> str | None:
    """The delimiter of a rejects.csv, also after a spreadsheet saved it; None for other files."""
    for delimiter in DELIMITERS:
        cells, _ = first_record(head, delimiter)
        if tuple(cell.strip() for cell in cells[: len(REJECT_COLUMNS)]) == REJECT_COLUMNS:
            return delimiter
    return None


def _evenness(head: str, delimiter: str) -> float:
    """Delimiters in the header, times the share of records that have as many, outside quotes."""
    counts: list[int] = []
    records = filter(None, csv.reader(io.StringIO(head, newline=""), delimiter=delimiter))
    with suppress(csv.Error):  # a cell over csv's own limit: use the records before it
        counts.extend(len(record) - 1 for record in islice(records, _RECORDS))
    if not counts:
        return 0
    return counts[0] * sum(count == counts[0] for count in counts) / len(counts)


def first_record(text: str, delimiter: str) -> tuple[list[str], int]:
    """The cells of the record at the text's beginning, and the offset of its line end.

    The text has passed ``quoting.check_quotes``: quoted cells are closed, and a delimiter or a line
    end follows each.
    """
    cell_end = re.compile(rf"[{re.escape(delimiter)}\r\n]")
    cells = []
    at = 0
    while True:
        if text.startswith('"', at):
            end = _closing_quote(text, at + 1)
            cells.append(text[at + 1 : end].replace('""', '"'))
            at = end + 1
        else:
            found = cell_end.search(text, at)
            end = found.start() if found else len(text)
            cells.append(text[at:end])
            at = end
        if not text.startswith(delimiter, at):
            return cells, at
        at += 1


def _closing_quote(text: str, at: int) -> int:
    """The offset of the quote that closes the cell, or the text's end if there is none."""
    odd_runs = (run for run in _QUOTES.finditer(text, at) if len(run.group()) % 2)
    return next((run.end() - 1 for run in odd_runs), len(text))
