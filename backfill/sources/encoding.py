"""Bytes of any encoding, as checked UTF-8."""

import codecs
import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

import numpy as np

from backfill.errors import ExportError

FOUND_LATER: Final = ""
"""The encoding of a file that is ASCII as far as it was looked at."""

_LF: Final = ord("\n")
_CR: Final = ord("\r")

_LEAD: Final = 0xC2
_CONTINUATION: Final = 0x80  # of its two highest bits

_UTF8_MARK: Final = codecs.BOM_UTF8

_MARKS: Final = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16: it begins with the same two bytes
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}

_UNORDERED: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
"""What names no byte order takes it from the mark, else it is that of nearly every machine."""

_ASCII_BELOW: Final = frozenset({"ascii", "cp1252", "iso8859-1", "iso8859-15"})

WAY_OUT: Final = "say which encoding it is, for example `source: {encoding: cp1252}`"

_UTF8_FOR_SURE: Final = re.compile(
    "[^\0-\x7f\u0240-\u0258\u025a-\u027f\u0590-\u05bf\u0700-\u073f\u07c0-\u07ff]"
)
"""A character that two bytes of cp1252 do not make by chance. What is left out are phonetic
signs, Hebrew points, Syriac and N'Ko: no export holds them without other UTF-8 letters, while a
German one holds ``ß“`` and a French one ``É®``, which are the same bytes."""


class Place:
    """Where a stream stands, for messages: the line at the end of the last chunk."""

    __slots__ = ("_after_cr", "encoding", "line", "name", "way_out")

    def __init__(self, name: str, encoding: str = FOUND_LATER, way_out: str = WAY_OUT) -> None:
        self.name = name
        self.line = 1
        self.encoding = encoding
        self.way_out = way_out
        self._after_cr = False

    def passed(self, text: bytes) -> None:
        self.line = self.line_behind(text)
        self._after_cr = text.endswith(b"\r")

    def line_behind(self, text: bytes) -> int:
        """The line at the end of the chunk that comes next."""
        return self.line + line_ends(text) - (self._after_cr and text.startswith(b"\n"))

    def fault(self, reason: str, *, before: bytes = b"") -> ExportError:
        """An error at this place, or where ``before``, the last chunk's end, begins."""
        return ExportError(f"{self.name}:{self.line - line_ends(before)}: {reason}")


def line_ends(text: bytes) -> int:
    """LF, CRLF, CR alone: each ends one line."""
    letters = np.frombuffer(text, dtype=np.uint8)  # bytes.count takes a third of the whole reading
    count = int(np.count_nonzero(letters == _LF))
    if b"\r" in text:
        alone = (letters[:-1] == _CR) & (letters[1:] != _LF)
        count += int(np.count_nonzero(alone)) + text.endswith(b"\r")
    return count


def encoding_of(head: bytes, given: str | None, name: str) -> str:
    """The encoding that is given or that a byte order mark tells, else ``FOUND_LATER``."""
    marked = next((codec for mark, codec in _MARKS.items() if head.startswith(mark)), FOUND_LATER)
    if given is None:
        return marked
    try:
        found = codecs.lookup(given)
        "".encode(given)  # what is no text encoding (base64, rot13) fails here
    except LookupError as error:
        raise ExportError(f'{name}: the encoding "{given}" is not known; {WAY_OUT}') from error
    if found.name in _UNORDERED:
        return marked if marked.startswith(found.name) else _UNORDERED[found.name]
    return "utf-8" if found.name == "utf-8-sig" else found.name


def utf8(chunks: Iterator[bytes], place: Place) -> Iterator[bytes]:
    """The chunks in UTF-8 without a byte order mark; ``place`` moves along.

    ``place.encoding`` says how to read them; ``FOUND_LATER`` is settled by the first bytes that
    are not ASCII, and written there: valid UTF-8 is taken for that, else they are cp1252.

    Raises:
        ExportError: bytes that the encoding does not have, or NUL bytes.
    """
    at_start = True
    for text in _decoded(chunks, place):
        if at_start and text:
            at_start = False
            text = text.removeprefix(_UTF8_MARK)  # noqa: PLW2901
        place.passed(text)
        if (nul := text.find(b"\0")) >= 0:
            raise place.fault(
                "a NUL byte: this is no text, or UTF-16 without its mark "
                "(then say `source: {encoding: utf-16-le}`)",
                before=text[nul:],
            )
        if text:
            yield text


def _decoded(chunks: Iterator[bytes], place: Place) -> Iterator[bytes]:
    if place.encoding == FOUND_LATER:
        return _found(chunks, place)
    if place.encoding == "utf-8":
        return _valid_utf8(chunks, place)
    return _translated(chunks, place)


def _found(chunks: Iterator[bytes], place: Place) -> Iterator[bytes]:
    held = b""  # what may be the beginning of one character
    for chunk in chunks:
        both = held + chunk
        if both.isascii():
            held = b""
            yield both
            continue
        good = _utf8_bytes(both)
        held = both[good:]
        if both[:good].isascii() and _may_begin(held):
            yield both[:good]
            continue
        place.encoding = _utf8_or_cp1252(both, good, place)
        settled: Iterator[bytes] = chain([both], chunks)
        if place.encoding == "cp1252":
            settled = _doubted(settled, place, place.line_behind(both[:good]))
        yield from _decoded(settled, place)
        return
    if held:
        place.encoding = "cp1252"
        yield from _decoded(iter([held]), place)


def _utf8_or_cp1252(text: bytes, good: int, place: Place) -> str:
    if len(text) == good or _may_begin(text[good:]):
        return "utf-8"
    if not _UTF8_FOR_SURE.search(text[:good].decode()):
        return "cp1252"
    place.passed(text[:good])
    raise place.fault(f"bytes that are no UTF-8 among others that are; {place.way_out}")


def _doubted(chunks: Iterator[bytes], place: Place, guessed_line: int) -> Iterator[bytes]:
    """What was guessed to be cp1252 for a byte in ``guessed_line``, unless UTF-8 follows.

    Read as cp1252, every accent of a UTF-8 file with one bad byte would be garbled, and stay so
    in Klaviyo.
    """
    held = b""  # what may be the beginning of one character
    for chunk in chunks:
        both = held + chunk
        text = both.decode("utf-8", "ignore") if _has_pairs(both) else ""
        if found := _UTF8_FOR_SURE.search(text):
            place.passed(text[: found.start()].encode())
            raise place.fault(
                f"UTF-8 in a file that was cp1252 so far (line {guessed_line}); {place.way_out}"
            )
        held = next((tail for n in (3, 2, 1) if _may_begin(tail := both[-n:])), b"")
        yield chunk


def _has_pairs(text: bytes) -> bool:
    """Whether a byte that may begin a character of UTF-8 stands before one that may go on."""
    letters = np.frombuffer(text, dtype=np.uint8)  # decoding all would take twice the whole reading
    return bool(np.any((letters[:-1] >= _LEAD) & (letters[1:] & 0xC0 == _CONTINUATION)))


def _utf8_bytes(text: bytes) -> int:
    """How many bytes at the beginning are whole characters of UTF-8."""
    try:
        return codecs.utf_8_decode(text, "strict", False)[1]
    except UnicodeDecodeError as error:
        return error.start


def _may_begin(tail: bytes) -> bool:
    """Whether the tail is the beginning of one character whose rest is yet to come."""
    try:
        return len(tail) > 0 and codecs.utf_8_decode(tail, "strict", False)[1] == 0
    except UnicodeDecodeError:
        return False


def _valid_utf8(chunks: Iterator[bytes], place: Place) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        both = held + chunk
        good = len(both) if both.isascii() else _utf8_bytes(both)
        held = both[good:]
        yield both[:good]
        if held and not _may_begin(held):
            raise place.fault(f"bytes that are no UTF-8; {place.way_out}")
    if held:
        raise place.fault("the file ends within a character of UTF-8; copy it again")


def _translated(chunks: Iterator[bytes], place: Place) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(place.encoding)()
    ascii_below = place.encoding in _ASCII_BELOW
    for chunk, final in chain(((chunk, False) for chunk in chunks), [(b"", True)]):
        if ascii_below and chunk.isascii():
            yield chunk
            continue
        try:
            yield decoder.decode(chunk, final).encode()
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                yield error.object[: error.start].decode(place.encoding, "ignore").encode()
            raise place.fault(f"bytes that are no {place.encoding}; {place.way_out}") from error
