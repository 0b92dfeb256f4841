"""One record of a CSV, as cells; for the header and for the rows that pyarrow turns away."""

import re
from typing import Final

_QUOTES: Final = re.compile(r'"+')


def cells_of(text: str, delimiter: str) -> tuple[list[str], int]:
    """The cells of the record at the text's beginning, and where its line end stands.

    The text has passed the guard: quoted cells are closed, and nothing follows them directly.
    """
    plain = re.compile(rf"[^{re.escape(delimiter)}\r\n]*")
    cells = []
    at = 0
    while True:
        if text.startswith('"', at):
            end = _closing(text, at + 1)
            cells.append(text[at + 1 : end].replace('""', '"'))
            at = end + 1
        else:
            end = _end(plain, text, at)
            cells.append(text[at:end])
            at = end
        if not text.startswith(delimiter, at):
            return cells, at
        at += 1


def _end(plain: re.Pattern[str], text: str, at: int) -> int:
    found = plain.match(text, at)
    return found.end() if found else at


def _closing(text: str, at: int) -> int:
    """Where the quote stands that closes the cell, or the text's end where there is none."""
    for run in _QUOTES.finditer(text, at):
        if len(run.group()) % 2:
            return run.end() - 1
    return len(text)
