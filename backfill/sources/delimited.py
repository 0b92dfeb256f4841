"""A CSV file, read as a stream of text columns with a number on every row."""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from backfill.errors import ExportError
from backfill.sources.compression import (
    CHUNK_BYTES,
    Compression,
    decompressed,
    estimated_text_bytes,
    refuse_other_formats,
)
from backfill.sources.dialect import (
    DELIMITERS,
    excel_hint,
    find_delimiter,
    find_header,
    find_rejects_delimiter,
    first_record,
)
from backfill.sources.encoding import NAME_ENCODING, UNDECIDED, Position, encoding_of, utf8
from backfill.sources.ending import Ending, EndingFinder
from backfill.sources.files import FileVersion
from backfill.sources.quoting import check_quotes
from backfill.sources.source import BATCH_BYTES, ReadOptions, Rows, TypedColumns, text_table
from backfill.sources.spreadsheets import ESCAPED, unescape_formulas

HEAD_BYTES: Final = 1 << 16
"""The bytes that are read to find the dialect. The header must end within them."""

RECORD_MAX_BYTES: Final = 64_000_000
"""The longest record, because memory holds it as a whole. A real one has a few kilobytes."""

_REJECT_COLUMNS_BYTES: Final = 1_000
"""The reject columns of a rejects.csv end within so many bytes, in any encoding."""

_BLANKS: Final = " \t\r\n"

_LINE_END: Final = re.compile(rb"\r\n|\n|\r(?=[^\n])")  # a CR at the end may be half of a CRLF


class DelimitedFile:
    """A ``Source`` in a CSV file, compressed or not. Its header is row 1."""

    skipped_lines = 0
    typed = TypedColumns()

    def __init__(
        self,
        path: Path,
        name: str,
        compression: Compression,
        options: ReadOptions,
        *,
        chunk_bytes: int = CHUNK_BYTES,
        batch_bytes: int = BATCH_BYTES,
    ) -> None:
        self.name = name
        self._compression = compression
        self._bytes = partial(decompressed, path, name, compression, chunk_bytes)
        self._batch_bytes = batch_bytes
        self._version = FileVersion(path, name)
        self.assert_unchanged = self._version.assert_unchanged
        self.text_bytes = estimated_text_bytes(path, name, compression)
        head = self._head()
        self._options, self._remedy = _options_for(head, options, name)
        self._known_encoding = encoding_of(head, self._options.encoding, name)
        self._encoding = self._known_encoding
        if self._encoding.startswith("utf-16"):
            self.text_bytes //= 2
        self.columns, self._header_bytes, self._delimiter = self._header()
        self.ending: Ending | None = None

    @property
    def dialect(self) -> str:
        delimiter = DELIMITERS.get(self._delimiter, repr(self._delimiter))
        encoding = self._encoding or "ASCII so far"
        how = "" if self._compression == "none" else f", compressed with {self._compression}"
        return f"{delimiter} between cells, {encoding}{how}"

    def rows(self, columns: Sequence[int], inspected: Sequence[int] = ()) -> Iterator[Rows]:
        first = self._options.skip_lines + 2
        # A person mends a rejects.csv, and may take its last line end away.
        finder = None if self._is_rejects else EndingFinder()
        with self._version.checked():
            for block in self._blocks():
                rows = self._parsed(block, [*columns, *inspected], first, finder)
                first += len(rows.numbers)
                yield rows
        self.ending = None if finder is None else finder.ending()

    def _head(self) -> bytes:
        head = _at_least(self._bytes(), HEAD_BYTES)
        if not head:
            raise ExportError(f"{self.name}: is empty (0 bytes); export it again")
        refuse_other_formats(head, self.name, self._compression)
        return head

    def _header(self) -> tuple[tuple[str, ...], int, str]:
        """The names, the number of bytes before the first record, the delimiter."""
        position = self._start()
        chunks = self._text(position)
        head = _at_least(chunks, HEAD_BYTES)
        at_head = Position(self.name)
        at_head.line = position.line
        whole = not next(chunks, b"")
        self._encoding = position.encoding or ("ascii" if whole else UNDECIDED)
        if not head:
            raise ExportError(
                f"{self.name}: has no header after the lines to skip; "
                f"`source: {{skip_lines: {self._options.skip_lines}}}` skips all of its lines"
            )
        text = head.decode("utf-8", "ignore")
        if self._skips_lines_above(text):
            return self._header()
        delimiter = find_delimiter(text, self._options.delimiter, self.name)
        for _ in check_quotes(iter([head]), delimiter, at_head, whole=whole):
            pass
        cells, end = first_record(text, delimiter)
        if end >= len(text) - 1 and not whole:
            raise ExportError(
                f"{self.name}: its header does not end within {HEAD_BYTES:,} bytes; "
                "is it a CSV with one header line?"
            )
        self._is_rejects = {"_file", "_row"} <= {cell.strip() for cell in cells}
        names = tuple(self._original(cell).strip() for cell in cells)
        if not any(names):
            line = self._options.skip_lines + 1
            raise ExportError(
                f"{self.name}:{line}: is not a header; "
                f"if the header is in the next line, write `source: {{skip_lines: {line}}}`"
            )
        end += 2 if text.startswith("\r\n", end) else 1
        return names, len(text[:end].encode()), delimiter

    def _skips_lines_above(self, text: str) -> bool:
        """Whether a line that is no header begins the text, which then is to be skipped."""
        options = self._options
        if hint := excel_hint(text):
            delimiter = options.delimiter or hint
            skipped = options.skip_lines + 1
            self._options = replace(options, delimiter=delimiter, skip_lines=skipped)
            return True
        lines = find_header(text, options.delimiter) if options.find_header else 0
        if lines:
            self.skipped_lines = options.skip_lines + lines
            self._options = replace(options, skip_lines=self.skipped_lines, find_header=False)
        return lines > 0

    def _original(self, cell: str) -> str:
        """A cell as the original export had it."""
        return unescape_formulas(cell) if self._is_rejects else cell

    def _start(self) -> Position:
        # Every pass detects an unknown encoding again, and checks it again.
        return Position(self.name, self._known_encoding, self._remedy)

    def _text(self, position: Position) -> Iterator[bytes]:
        return _skip_lines(utf8(self._bytes(), position), self._options.skip_lines)

    def _blocks(self) -> Iterator[bytes]:
        """Whole records without the header, about ``batch_bytes`` at a time."""
        position = self._start()
        pieces = check_quotes(self._text(position), self._delimiter, position)
        header = self._header_bytes
        for block in _whole_records(pieces, max(self._batch_bytes, header), self.name):
            if len(block) > header:
                yield block[header:]
            header = 0
        self._encoding = position.encoding or "ascii"

    def _parsed(
        self, block: bytes, columns: Sequence[int], first: int, finder: EndingFinder | None
    ) -> Rows:
        columns = [*columns, len(self.columns) - 1]  # the last column is for the finder
        names = [f"c{at}" for at in range(len(self.columns))]
        ragged: list[tuple[int, list[str]]] = []

        def collect(row: csv.InvalidRow) -> str:
            blank = not row.text.strip(_BLANKS)
            cells = [] if blank else first_record(row.text, self._delimiter)[0]
            ragged.append((first + row.number - 1, [*map(self._original, cells)]))
            return "skip"

        if block.startswith(BOM_UTF8):
            block = BOM_UTF8 + block  # pyarrow drops one at the start, but here it is text
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
                    invalid_row_handler=collect,
                ),
                convert_options=csv.ConvertOptions(
                    check_utf8=False,  # ``utf8`` has checked it
                    include_columns=[names[at] for at in dict.fromkeys(columns)],
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            )
        except pa.ArrowInvalid:  # its message quotes the row
            raise ExportError(f"{self.name}: cannot be read from row {first} on") from None
        texts = [table[names[at]] for at in columns]
        if self._is_rejects:
            texts = [pc.replace_substring_regex(text, ESCAPED, r"\1\2") for text in texts]
        cells = text_table(texts, table.num_rows)
        rows = self._with_ragged(cells, columns, first, ragged)
        if finder is not None:
            short = frozenset(n for n, row in ragged if 0 < len(row) < len(self.columns))
            finder.add(block, first, rows.cells.columns[-1], short)
        return replace(rows, cells=rows.cells.remove_column(rows.cells.num_columns - 1))

    def _with_ragged(
        self,
        cells: pa.Table,
        columns: Sequence[int],
        first: int,
        ragged: list[tuple[int, list[str]]],
    ) -> Rows:
        """The rows that pyarrow parsed, with those that it skipped at their places.

        A skipped row without cells is a line of blanks. It counts as an empty line, not as ragged.
        """
        numbers = np.arange(first, first + cells.num_rows + len(ragged), dtype=np.int64)
        is_ragged = np.zeros(len(numbers), dtype=np.bool_)
        surplus = {}
        if ragged:
            width = len(self.columns)
            places = np.array([number - first for number, _ in ragged])
            for at, (number, row) in zip(places, ragged, strict=True):
                short = 0 < len(row) < width and not self._options.pad_ragged
                is_ragged[at] = len(row) > width or short
                if len(row) > width:
                    surplus[number] = row[width:]
            cells = _merged(cells, _as_columns([row for _, row in ragged], columns), places)
        return Rows(cells, pa.array(numbers), pa.array(is_ragged), surplus)


def _options_for(head: bytes, options: ReadOptions, name: str) -> tuple[ReadOptions, str]:
    """How to read this file, and what to do about a wrong encoding.

    The options describe the original export, not the rejects that came of it.
    """
    encoding = encoding_of(head, None, name) or "latin-1"
    start = head[:_REJECT_COLUMNS_BYTES].decode(encoding, "ignore")
    delimiter = find_rejects_delimiter(start.removeprefix("\ufeff"))
    if delimiter is None:
        return options, NAME_ENCODING
    return ReadOptions(delimiter=delimiter, pad_ragged=options.pad_ragged), "save it as UTF-8"


def _as_columns(rows: list[list[str]], columns: Sequence[int]) -> pa.Table:
    """The requested columns of rows that may be too short."""
    texts = [
        pa.array([row[at] or None if at < len(row) else None for row in rows], pa.string())
        for at in columns
    ]
    return text_table(texts, len(rows))


def _merged(parsed: pa.Table, skipped: pa.Table, places: "np.typing.NDArray[np.int64]") -> pa.Table:
    """Both tables' rows, those of ``skipped`` at ``places``."""
    numbers = np.arange(len(places))  # numpy counts the places as they are before the insertion
    order = np.insert(np.arange(parsed.num_rows), places - numbers, parsed.num_rows + numbers)
    return pa.concat_tables([parsed, skipped]).take(pa.array(order))


def _whole_records(
    pieces: Iterator[tuple[bytes, int]], batch_bytes: int, name: str
) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for piece, end in pieces:
        if end and size + end >= batch_bytes:
            yield b"".join([*held, piece[:end]])
            held, size = [piece[end:]], len(piece) - end
        else:
            held.append(piece)
            size += len(piece)
        if size > RECORD_MAX_BYTES:
            raise ExportError(f"{name}: a record is over {RECORD_MAX_BYTES // 1_000_000} MB")
    yield b"".join(held)


def _skip_lines(chunks: Iterator[bytes], lines: int) -> Iterator[bytes]:
    text = b""
    while lines:
        chunk = next(chunks, b"")
        text += chunk
        ends = list(islice(_LINE_END.finditer(text), lines))
        if len(ends) == lines:
            text = text[ends[-1].end() :]
            break
        if not chunk:
            return
    yield from chain([text] if text else [], chunks)


def _at_least(chunks: Iterator[bytes], size: int) -> bytes:
    head = b""
    while len(head) < size and (chunk := next(chunks, b"")):
        head += chunk
    return head
