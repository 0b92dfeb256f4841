"""A CSV file, read as a stream of text columns with a number on every row."""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from backfill.errors import ExportError
from backfill.sources.dialect import DELIMITERS, delimiter_of, delimiter_of_rejects
from backfill.sources.encoding import FOUND_LATER, WAY_OUT, Place, encoding_of, utf8
from backfill.sources.packing import (
    CHUNK_BYTES,
    Packing,
    refuse_other_formats,
    text_estimate,
    unpacked,
)
from backfill.sources.part import BATCH_BYTES, Reading, Rows, positional
from backfill.sources.quotes import guarded
from backfill.sources.record import cells_of
from backfill.sources.spreadsheets import ESCAPED, unescape_formulas
from backfill.sources.version import Version

HEAD_BYTES: Final = 1 << 16
"""What is looked at to find the dialect, and where the header must end."""

RECORD_MAX_BYTES: Final = 64_000_000
"""One record is held in memory as a whole; a real one has some kilobytes."""

_MARKS_BYTES: Final = 1_000
"""Where the marks of a rejects file must end, whatever its encoding."""

_BLANKS: Final = " \t\r\n"

_LINE_END: Final = re.compile(rb"\r\n|\n|\r(?=[^\n])")  # a CR at the end may be half of a CRLF

_EXCEL_HINT: Final = re.compile(r"sep=.\s*$", re.MULTILINE)
"""A first line in which a program tells Excel the delimiter."""


class DelimitedFile:
    """A ``Part`` that is a CSV file, plain or packed."""

    temporal: frozenset[int] = frozenset()

    def __init__(
        self,
        path: Path,
        name: str,
        packing: Packing,
        reading: Reading,
        *,
        chunk_bytes: int = CHUNK_BYTES,
        block_bytes: int = BATCH_BYTES,
    ) -> None:
        self.name = name
        self._path = path
        self._packing = packing
        self._chunk_bytes = chunk_bytes
        self._block_bytes = block_bytes
        self._version = Version(path, name)
        self.assert_unchanged = self._version.assert_unchanged
        self.text_bytes = text_estimate(path, name, packing)
        head = self._head()
        self._reading, self._way_out = _reading_of(head, reading, name)
        self._told_encoding = encoding_of(head, self._reading.encoding, name)
        self._encoding = self._told_encoding
        if self._encoding.startswith("utf-16"):
            self.text_bytes //= 2
        self.columns, self._header_bytes, self._delimiter = self._header()

    @property
    def dialect(self) -> str:
        mark = DELIMITERS.get(self._delimiter, repr(self._delimiter))
        encoding = self._encoding or "ASCII so far"
        packed = "" if self._packing == "plain" else f", packed with {self._packing}"
        return f"{mark} between cells, {encoding}{packed}"

    def rows(self, columns: Sequence[int], *, lenient: bool = False) -> Iterator[Rows]:
        del lenient  # a CSV's bytes are text, or it is refused as a whole
        first = self._reading.skip + 2
        with self._version.held():
            for block in self._blocks():
                rows = self._parsed(block, columns, first)
                first += len(rows.numbers)
                yield rows

    def _head(self) -> bytes:
        chunks = unpacked(self._path, self.name, self._packing, self._chunk_bytes)
        head = _at_least(chunks, HEAD_BYTES)
        if not head:
            raise ExportError(f"{self.name}: is empty (0 bytes); export it again")
        refuse_other_formats(head, self.name, self._packing)
        return head

    def _header(self) -> tuple[tuple[str, ...], int, str]:
        """The names, the bytes up to the first record, the delimiter."""
        place = self._start()
        chunks = self._text(place)
        head = _at_least(chunks, HEAD_BYTES)
        at_head = Place(self.name)
        at_head.line = place.line
        whole = not next(chunks, b"")
        self._encoding = place.encoding or ("ascii" if whole else FOUND_LATER)
        if not head:
            raise ExportError(
                f"{self.name}: has no header behind the lines to skip; "
                f"it is shorter than `source: {{skip_lines: {self._reading.skip}}}` says"
            )
        text = head.decode("utf-8", "ignore")
        delimiter = delimiter_of(text, self._reading.delimiter, self.name)
        for _ in guarded(iter([head]), delimiter, at_head, whole=whole):
            pass
        cells, end = cells_of(text, delimiter)
        if end >= len(text) - 1 and not whole:
            raise ExportError(
                f"{self.name}: its header does not end within {HEAD_BYTES:,} bytes; "
                "is it a CSV with one header line?"
            )
        self._is_rejects = {"_file", "_row"} <= {cell.strip() for cell in cells}
        names = tuple(self._own(cell).strip() for cell in cells)
        if not any(names) or _EXCEL_HINT.match(text):
            line = self._reading.skip + 1
            raise ExportError(
                f"{self.name}:{line}: is no header; "
                f"if it stands in the next line, say `source: {{skip_lines: {line}}}`"
            )
        end += 2 if text.startswith("\r\n", end) else 1
        return names, len(text[:end].encode()), delimiter

    def _own(self, cell: str) -> str:
        """A cell as it stood in the original export."""
        return unescape_formulas(cell) if self._is_rejects else cell

    def _start(self) -> Place:
        # A guess is made anew in every pass, and doubted in every pass.
        return Place(self.name, self._told_encoding, self._way_out)

    def _text(self, place: Place) -> Iterator[bytes]:
        chunks = unpacked(self._path, self.name, self._packing, self._chunk_bytes)
        return _behind_lines(utf8(chunks, place), self._reading.skip)

    def _blocks(self) -> Iterator[bytes]:
        """Whole records without the header, about ``block_bytes`` at a time."""
        place = self._start()
        pieces = guarded(self._text(place), self._delimiter, place)
        ahead = self._header_bytes
        for block in _whole_records(pieces, max(self._block_bytes, ahead), self.name):
            if len(block) > ahead:
                yield block[ahead:]
            ahead = 0
        self._encoding = place.encoding or "ascii"

    def _parsed(self, block: bytes, columns: Sequence[int], first: int) -> Rows:
        names = [f"c{place}" for place in range(len(self.columns))]
        refused: list[tuple[int, list[str]]] = []

        def turn_away(row: csv.InvalidRow) -> str:
            blank = not row.text.strip(_BLANKS)
            cells = [] if blank else [*map(self._own, cells_of(row.text, self._delimiter)[0])]
            refused.append((first + row.number - 1, cells))
            return "skip"

        if block.startswith(BOM_UTF8):
            block = BOM_UTF8 + block  # pyarrow drops one where it begins, though here it is text
        quoted = b'"' in block
        try:
            table = csv.read_csv(
                pa.BufferReader(block),
                read_options=csv.ReadOptions(
                    use_threads=False, block_size=len(block) + 1, column_names=names
                ),
                parse_options=csv.ParseOptions(
                    delimiter=self._delimiter,
                    quote_char='"' if quoted else False,
                    newlines_in_values=quoted,
                    ignore_empty_lines=False,
                    invalid_row_handler=turn_away,
                ),
                convert_options=csv.ConvertOptions(
                    check_utf8=False,  # done on the way here
                    include_columns=[names[place] for place in dict.fromkeys(columns)] or names[:1],
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )
        except pa.ArrowInvalid:  # it quotes the row
            raise ExportError(f"{self.name}: cannot be read from row {first} on") from None
        texts = [table[names[place]] for place in columns]
        if self._is_rejects:
            texts = [pc.replace_substring_regex(text, ESCAPED, r"\1\2") for text in texts]
        cells = positional(texts, table.num_rows)
        return self._with_refused(cells, columns, first, refused)

    def _with_refused(
        self,
        cells: pa.Table,
        columns: Sequence[int],
        first: int,
        refused: list[tuple[int, list[str]]],
    ) -> Rows:
        """The rows with those that pyarrow turned away put back where they stand.

        One without cells is a line of blanks: as good as an empty one, and not ragged.
        """
        numbers = np.arange(first, first + cells.num_rows + len(refused), dtype=np.int64)
        ragged = np.zeros(len(numbers), dtype=np.bool_)
        surplus = {}
        if refused:
            width = len(self.columns)
            back = np.array([number - first for number, _ in refused])
            for at, (number, row) in zip(back, refused, strict=True):
                short = 0 < len(row) < width and not self._reading.pad_ragged
                ragged[at] = len(row) > width or short
                if len(row) > width:
                    surplus[number] = row[width:]
            cells = _merged(cells, _as_columns([row for _, row in refused], columns), back)
        return Rows(cells, pa.array(numbers), pa.array(ragged), surplus)


def _reading_of(head: bytes, reading: Reading, name: str) -> tuple[Reading, str]:
    """How to read this file, and the way out of a wrong encoding.

    What is told of the original export does not hold for the rejects that came of it.
    """
    start = head[:_MARKS_BYTES].decode(encoding_of(head, None, name) or "latin-1", "ignore")
    delimiter = delimiter_of_rejects(start.removeprefix("\ufeff"))
    if delimiter is None:
        return reading, WAY_OUT
    return Reading(delimiter=delimiter, pad_ragged=reading.pad_ragged), "save it as UTF-8"


def _as_columns(rows: list[list[str]], columns: Sequence[int]) -> pa.Table:
    """Cut or padded to the asked columns."""
    texts = [
        pa.array([row[place] or None if place < len(row) else None for row in rows], pa.string())
        for place in columns
    ]
    return positional(texts, len(rows))


def _merged(whole: pa.Table, refused: pa.Table, back: "np.typing.NDArray[np.int64]") -> pa.Table:
    """Both tables' rows, those of ``refused`` at the places ``back``."""
    places = np.arange(whole.num_rows + len(back))
    order = np.empty(len(places), dtype=np.int64)
    order[back] = whole.num_rows + np.arange(len(back))
    order[np.setdiff1d(places, back, assume_unique=True)] = np.arange(whole.num_rows)
    return pa.concat_tables([whole, refused]).take(pa.array(order))


def _whole_records(
    pieces: Iterator[tuple[bytes, int]], block_bytes: int, name: str
) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for piece, end in pieces:
        if end and size + end >= block_bytes:
            yield b"".join([*held, piece[:end]])
            held, size = [piece[end:]], len(piece) - end
        else:
            held.append(piece)
            size += len(piece)
        if size > RECORD_MAX_BYTES:
            raise ExportError(f"{name}: a record is over {RECORD_MAX_BYTES // 1_000_000} MB")
    yield b"".join(held)


def _behind_lines(chunks: Iterator[bytes], lines: int) -> Iterator[bytes]:
    ahead = b""
    while lines:
        chunk = next(chunks, b"")
        ahead += chunk
        ends = list(islice(_LINE_END.finditer(ahead), lines))
        if len(ends) == lines:
            ahead = ahead[ends[-1].end() :]
            break
        if not chunk:
            return
    yield from chain([ahead] if ahead else [], chunks)


def _at_least(chunks: Iterator[bytes], size: int) -> bytes:
    head = b""
    while len(head) < size and (chunk := next(chunks, b"")):
        head += chunk
    return head
