"""A guard in the stream of a CSV's text: quotes are read exactly, or the file is refused.

pyarrow takes ``"x"y`` for ``xy`` and swallows the rest of a file into a last cell whose quote is
never closed, both in silence. A quote within a cell that did not begin with one, as in
``5" vinyl``, is no fault: there it is a character like any other.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from backfill.errors import ExportError
from backfill.sources.encoding import Place, line_ends

CELL_MAX_BYTES: Final = 1_000_000
"""Far over what Klaviyo takes for a string, far below what a lost quote swallows."""

_QUOTE: Final = ord('"')

_TWICE: Final = 'write a quote that belongs to the text twice ("")'

Offsets = npt.NDArray[np.int64]


def guarded(
    chunks: Iterator[bytes], delimiter: str, place: Place, *, whole: bool = True
) -> Iterator[tuple[bytes, int]]:
    """The text as it comes, in pieces, each with the offset at which its last record ends, or 0.

    Args:
        chunks: UTF-8 text, from the start of a record on, none longer than a cell may be.
        delimiter: one ASCII character.
        place: stands at the end of the chunk that was handed over last.
        whole: the last chunk is the file's end.

    Raises:
        ExportError: a quoted cell that is never closed or is followed by text; a cell over 1 MB.
    """
    guard = _Guard(delimiter, place)
    held = b""
    for chunk in chunks:
        both = held + chunk
        # Whether a quote closes its cell shows in the byte behind it: no piece ends in one.
        piece = both.rstrip(b'"')
        held = both[len(piece) :]
        if piece:
            yield piece, guard.check(piece)
        else:
            guard.limit(len(held))
    if whole and held:
        guard.check(held + delimiter.encode())  # no line end: it would count as one
        yield held, 0
    if whole:
        guard.finish()


class _Guard:
    """Knows whether the next byte stands in a quoted cell, and where the open cell began."""

    def __init__(self, delimiter: str, place: Place) -> None:
        self._place = place
        self._ends = tuple(end.encode() for end in (delimiter, "\n", "\r"))
        self._edges = np.zeros(256, dtype=np.bool_)
        self._edges[[ord(delimiter), ord("\n"), ord("\r"), _QUOTE]] = True
        self._inside = False
        self._last = ord("\n")
        self._passed = 0
        self._cell_start = 0
        self._cell_line = 1

    def check(self, text: bytes) -> int:
        """Take the next piece; returns where its last record ends, or 0."""
        inside = self._inside
        quotes = self._structural(text)
        opening, closing = quotes[inside::2], quotes[1 - inside :: 2]
        self.limit(self._first_cell_end(text, closing))
        self._inside = bool((len(quotes) + inside) % 2)
        self._remember_cell(text, opening)
        self._last = text[-1]
        self._passed += len(text)
        return _last_record_end(text, quotes, inside=inside)

    def limit(self, end: int) -> None:
        """Refuse an open cell that goes on to ``end``, counted from where the next piece begins.

        A cell that begins and ends within one piece cannot be too long: pieces are shorter.
        """
        if self._passed + end - self._cell_start > CELL_MAX_BYTES:
            raise self._at_cell("a cell over 1 MB begins here; perhaps its closing quote is lost")

    def finish(self) -> None:
        if self._inside:
            raise self._at_cell(f"a quoted cell begins here and is never closed; {_TWICE}")

    def _at_cell(self, reason: str) -> ExportError:
        return ExportError(f"{self._place.name}:{self._cell_line}: {reason}")

    def _structural(self, text: bytes) -> Offsets:
        """The quotes that open, close or stand doubled, in turn; literal ones are left out."""
        if b'"' not in text:
            return np.empty(0, dtype=np.int64)
        letters = np.frombuffer(text, dtype=np.uint8)
        quotes = np.flatnonzero(letters == _QUOTE)
        opening, closing = quotes[self._inside :: 2], quotes[1 - self._inside :: 2]
        # Taken in turn, an opening quote must follow an edge of a cell or a closing one, which
        # then are a doubled pair; a closing one must stand before either. Where that holds of
        # all, there is no other reading, since each is decided by those before it.
        edges = self._edges
        if edges[self._before(letters, opening)].all() and edges[letters[closing + 1]].all():
            return quotes
        return self._one_by_one(text, quotes)

    def _one_by_one(self, text: bytes, quotes: Offsets) -> Offsets:
        kept: list[int] = []
        inside, second = self._inside, -1
        for at in quotes.tolist():
            if not inside:
                before = text[at - 1] if at else self._last
                if before == _QUOTE or not self._edges[before]:
                    continue
                inside = True
            elif at != second:
                if not self._edges[text[at + 1]]:
                    raise self._place.fault(
                        f"text follows directly on a closing quote; {_TWICE}", before=text[at:]
                    )
                inside = text[at + 1] == _QUOTE
                second = at + 1
            kept.append(at)
        return np.array(kept, dtype=np.int64)

    def _before(self, letters: npt.NDArray[np.uint8], at: Offsets) -> npt.NDArray[np.uint8]:
        before = letters[at - 1]
        if len(at) and at[0] == 0:
            before[0] = self._last
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
            first = opening[self._before(letters, opening) != _QUOTE]
            start = int(first[-1]) if len(first) else -1
        else:
            last_edge = max(text.rfind(end) for end in self._ends)
            start = last_edge + 1 if last_edge >= 0 else -1
        if start >= 0:
            self._cell_start = self._passed + start
            self._cell_line = self._place.line - line_ends(text[start:])


def _last_record_end(text: bytes, quotes: Offsets, *, inside: bool) -> int:
    """The offset behind the last line end that stands in no quotes, or 0.

    A CR counts where there is no such LF and it is not the last byte: an LF may follow.
    """
    for mark, stop in ((b"\n", len(text)), (b"\r", len(text) - 1)):
        at = text.rfind(mark, 0, stop)
        while at >= 0:
            behind = int(np.searchsorted(quotes, at))
            if (behind + inside) % 2 == 0:
                return at + 1
            at = text.rfind(mark, 0, int(quotes[behind - 1])) if behind else -1
    return 0
