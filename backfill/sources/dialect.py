"""Which character stands between the cells of a CSV, found by its first records."""

import csv
import io
from typing import Final

from backfill.errors import ExportError
from backfill.sources.record import cells_of
from backfill.sources.spreadsheets import REJECT_COLUMNS

DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

_RECORDS: Final = 500


def delimiter_of(head: str, given: str | None, name: str) -> str:
    """The delimiter that is given, or that cuts the head's records most evenly into most cells.

    A head without any of ``DELIMITERS`` has one column, and a comma does no harm.

    Raises:
        ExportError: what is given cannot stand between cells.
    """
    if given is None:
        return max(DELIMITERS, key=lambda delimiter: _evenness(head, delimiter))
    if len(given) != 1 or not given.isascii() or given in '"\r\n\0':
        raise ExportError(f"{name}: a delimiter is one ASCII character, no quote and no line end")
    return given


def delimiter_of_rejects(head: str) -> str | None:
    """The delimiter of a rejects.csv, also after a spreadsheet saved it; None for other files."""
    for delimiter in DELIMITERS:
        cells, _ = cells_of(head, delimiter)
        if tuple(cell.strip() for cell in cells[: len(REJECT_COLUMNS)]) == REJECT_COLUMNS:
            return delimiter
    return None


def _evenness(head: str, delimiter: str) -> float:
    """Delimiters in the header, times the share of records that have as many, outside quotes."""
    counts = []
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    try:
        for record in reader:
            if record:
                counts.append(len(record) - 1)
            if len(counts) == _RECORDS:
                break
    except csv.Error:  # a CR within a line, a cell over csv's own limit: judge by what came before
        pass
    if not counts:
        return 0
    return counts[0] * sum(count == counts[0] for count in counts) / len(counts)
