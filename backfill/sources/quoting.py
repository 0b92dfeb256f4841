"""A check of the quotes in a CSV's text: they are read exactly, or the file is refused.

pyarrow silently reads ``"x"y`` as ``xy``, and it silently reads the rest of a file into a last cell
whose quote is never closed. A quote inside a cell that does not begin with one, as in ``5" vinyl``,
is not a fault: there it is a character like any other.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from backfill.errors import ExportError
from backfill.sources.encoding import Position, line_ends

CELL_MAX_BYTES: Final = 1_000_000
"""Far over what Klaviyo accepts as a string, far below what a lost quote swallows."""

_QUOTE: Final = ord('"')

_DOUBLE_IT: Final = 'write a quote that belongs to the text twice ("")'

Offsets = npt.NDArray[np.int64]


def check_quotes(
    chunks: Iterator[bytes], delimiter: str, position: Position, *, whole: bool = True
) -> Iterator[tuple[bytes, int]]:
    """The text in pieces, each with the offset at which its last record ends, or 0.

    Args:
        chunks: UTF-8 text from the start of a record on, each shorter than the longest cell.
        delimiter: one ASCII character.
        position: is always at the end of the last chunk that ``chunks`` gave.
        whole: the last chunk is the file's end.

    Raises:
        ExportError: a quoted cell that is never closed or is followed by text; a cell over 1 MB.
    """
    check = _QuoteCheck(delimiter, position)
    held = b""
    for chunk in chunks:
        both = held + chunk
        # The byte after a quote shows whether it closes its cell, so no piece ends in a quote.
        piece = both.rstrip(b'"')
        held = both[len(piece) :]
        if piece:
            yield piece, check.add(piece)
        else:
            check.refuse_long_cell(len(held))
    if whole and held:
        check.add(held + delimiter.encode())  # no line end: it would count as one
        yield held, 0
    if whole:
        check.finish()


class _QuoteCheck:
    """Knows whether the next byte is inside a quoted cell, and where the open cell began."""

    def __init__(self, delimiter: str, position: Position) -> None:
        self._position = position
        self._ends = tuple(end.encode() for end in (delimiter, "\n", "\r"))
        self._edges = np.zeros(256, dtype=np.bool_)
        self._edges[[ord(delimiter), ord("\n"), ord("\r"), _QUOTE]] = True
        self._inside = False
        self._last_byte = ord("\n")
        self._bytes_before = 0
        self._cell_start = 0
        self._cell_line = 1

    def add(self, text: bytes) -> int:
        """Check the next piece; returns the offset at which its last record ends, or 0."""
        inside = self._inside
        quotes = self._structural_quotes(text)
        opening, closing = quotes[inside::2], quotes[1 - inside :: 2]
        self.refuse_long_cell(self._first_cell_end(text, closing))
        self._inside = bool((len(quotes) + inside) % 2)
        self._remember_cell(text, opening)
        self._last_byte = text[-1]
        self._bytes_before += len(text)
        return _last_record_end(text, quotes, inside=inside)

    def refuse_long_cell(self, end: int) -> None:
        """Refuse an open cell that goes on to ``end``, an offset into the next piece.

        A cell that begins and ends within one piece is short enough, because pieces are shorter.
        """
        if self._bytes_before + end - self._cell_start > CELL_MAX_BYTES:
            raise self._cell_error(
                "a cell over 1 MB begins here; perhaps its closing quote is missing"
            )

    def finish(self) -> None:
        if self._inside:
            raise self._cell_error(f"a quoted cell begins here and is never closed; {_DOUBLE_IT}")

    def _cell_error(self, reason: str) -> ExportError:
        return ExportError(f"{self._position.name}:{self._cell_line}: {reason}")

    def _structural_quotes(self, text: bytes) -> Offsets:
        """The quotes that open or close a cell or are doubled, in order, without literal ones."""
        if b'"' not in text:
            return np.empty(0, dtype=np.int64)
        letters = np.frombuffer(text, dtype=np.uint8)
        quotes = np.flatnonzero(letters == _QUOTE)
        opening, closing = quotes[self._inside :: 2], quotes[1 - self._inside :: 2]
        # If quotes open and close in turn, an opening one follows an edge of a cell or a closing
        # one (the two are a doubled pair), and a closing one precedes either. If that is true of
        # all of them, no other reading exists, because each is decided by those before it.
        edges = self._edges
        if edges[self._preceding(letters, opening)].all() and edges[letters[closing + 1]].all():
            return quotes
        return self._one_by_one(text, quotes)

    def _one_by_one(self, text: bytes, quotes: Offsets) -> Offsets:
        kept: list[int] = []
        inside, second = self._inside, -1
        for at in quotes.tolist():
            if not inside:
                before = text[at - 1] if at else self._last_byte
                if before == _QUOTE or not self._edges[before]:
                    continue
                inside = True
            elif at != second:
                if not self._edges[text[at + 1]]:
                    raise self._position.error(
                        f"text follows directly on a closing quote; {_DOUBLE_IT}", rest=text[at:]
                    )
                inside = text[at + 1] == _QUOTE
                second = at + 1
            kept.append(at)
        return np.array(kept, dtype=np.int64)

    def _preceding(self, letters: npt.NDArray[np.uint8], at: Offsets) -> npt.NDArray[np.uint8]:
        """The byte before each offset; the first one may be in the previous piece."""
        before = letters[at - 1]
        if len(at) and at[0] == 0:
            before[0] = self._last_byte
        return before

    def _first_cell_end(self, text: bytes, closing: Offsets) -> int:
        """Where the cell ends that was open when the piece began, or the piece's length."""
        if not self._inside:
            found = [at for end in self._ends if (at := text.find(end)) >= 0]
            return min(found, default=len(text))
        letters = np.frombuffer(text, dtype=np.uint8)
        last = closing[letters[closing + 1] != _QUOTE]
        return int(last[0]) if len(last) else len(text)

    def _remember_cell(self, text: bytes, opening: Offsets) -> None:
        """Note where the cell that is open at the piece's end began, if in this piece."""
        if self._inside:
            letters = np.frombuffer(text, dtype=np.uint8)
            first = opening[self._preceding(letters, opening) != _QUOTE]
            start = int(first[-1]) if len(first) else -1
        else:
            last_edge = max(text.rfind(end) for end in self._ends)
            start = last_edge + 1 if last_edge >= 0 else -1
        if start >= 0:
            self._cell_start = self._bytes_before + start
            self._cell_line = self._position.line - line_ends(text[start:])


def _last_record_end(text: bytes, quotes: Offsets, *, inside: bool) -> int:
    """The offset after the last line end outside quotes, or 0.

    A CR counts if there is no such LF and it is not the last byte: an LF may follow.
    """
    for mark, stop in ((b"\n", len(text)), (b"\r", len(text) - 1)):
        at = text.rfind(mark, 0, stop)
        while at >= 0:
            quotes_before = int(np.searchsorted(quotes, at))
            if (quotes_before + inside) % 2 == 0:
                return at + 1
            at = text.rfind(mark, 0, int(quotes[quotes_before - 1])) if quotes_before else -1
    return 0
