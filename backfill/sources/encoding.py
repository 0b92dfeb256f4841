"""Bytes of any encoding as valid UTF-8."""

import codecs
import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

import numpy as np

from backfill.errors import ExportError

UNDECIDED: Final = ""
"""The encoding of a file of which only ASCII has been read so far."""

_LF: Final = ord("\n")
_CR: Final = ord("\r")

_LEAD: Final = 0xC2
_CONTINUATION: Final = 0x80  # of its two highest bits

_BYTE_ORDER_MARKS: Final = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16: it begins with the same two bytes
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    codecs.BOM_UTF8: "utf-8",
}

_DEFAULT_ORDER: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
"""For a name without a byte order, if the file has no mark: the order of nearly every machine."""

_ASCII_SUPERSETS: Final = frozenset({"ascii", "cp1252", "iso8859-1", "iso8859-15"})

NAME_ENCODING: Final = "name the encoding, for example `source: {encoding: cp1252}`"

_SURELY_UTF8: Final = re.compile(
    "[^\0-\x7f\u0240-\u0258\u025a-\u027f\u0590-\u05bf\u0700-\u073f\u07c0-\u07ff]"
)
"""A character whose UTF-8 bytes do not occur in cp1252 text. The excluded ones are phonetic signs,
Hebrew points, Syriac and N'Ko: no export holds them without other UTF-8 letters, but German text
holds ``ß“`` and French text ``É®``, which are the same bytes in cp1252."""


class Position:
    """How far a stream has been read, for messages: the line at the end of the last chunk."""

    __slots__ = ("_after_cr", "encoding", "line", "name", "remedy")

    def __init__(self, name: str, encoding: str = UNDECIDED, remedy: str = NAME_ENCODING) -> None:
        self.name = name
        self.line = 1
        self.encoding = encoding
        self.remedy = remedy
        self._after_cr = False

    def advance(self, text: bytes) -> None:
        self.line = self.line_after(text)
        self._after_cr = text.endswith(b"\r")

    def line_after(self, text: bytes) -> int:
        """The line at the end of ``text``, if it is the next chunk."""
        return self.line + line_ends(text) - (self._after_cr and text.startswith(b"\n"))

    def error(self, reason: str, *, rest: bytes = b"") -> ExportError:
        """An error in this line, or where ``rest``, the end of the last chunk, begins."""
        return ExportError(f"{self.name}:{self.line - line_ends(rest)}: {reason}")


def line_ends(text: bytes) -> int:
    """How many lines end in the text: by LF, by CRLF or by a lone CR."""
    # bytes.count would take a third of the time that reading a file takes.
    letters = np.frombuffer(text, dtype=np.uint8)
    count = int(np.count_nonzero(letters == _LF))
    if b"\r" in text:
        alone = (letters[:-1] == _CR) & (letters[1:] != _LF)
        count += int(np.count_nonzero(alone)) + text.endswith(b"\r")
    return count


def encoding_of(head: bytes, given: str | None, name: str) -> str:
    """``given``, or the encoding of the head's byte order mark, or ``UNDECIDED``."""
    signs = _BYTE_ORDER_MARKS.items()
    marked = next((codec for sign, codec in signs if head.startswith(sign)), UNDECIDED)
    if given is None:
        return marked
    try:
        found = codecs.lookup(given)
        "".encode(given)  # fails for what is not text encoding, such as base64 and rot13
    except LookupError as error:
        raise ExportError(
            f'{name}: the encoding "{given}" is not known; {NAME_ENCODING}'
        ) from error
    if found.name in _DEFAULT_ORDER:
        return marked if marked.startswith(found.name) else _DEFAULT_ORDER[found.name]
    return "utf-8" if found.name == "utf-8-sig" else found.name


def utf8(chunks: Iterator[bytes], position: Position) -> Iterator[bytes]:
    """The chunks in UTF-8 without a byte order mark; advances ``position`` by each.

    ``position.encoding`` says how to decode them. If it is ``UNDECIDED``, the first bytes that are
    not ASCII decide: valid UTF-8 is read as UTF-8, anything else as cp1252.

    Raises:
        ExportError: bytes that the encoding does not have, or NUL bytes.
    """
    at_start = True
    for text in _decoded(chunks, position):
        if at_start and text:
            at_start = False
            text = text.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
        position.advance(text)
        if (nul := text.find(b"\0")) >= 0:
            raise position.error(
                "a NUL byte: this is not text, or UTF-16 without a byte order mark "
                "(then write `source: {encoding: utf-16-le}`)",
                rest=text[nul:],
            )
        if text:
            yield text


def _decoded(chunks: Iterator[bytes], position: Position) -> Iterator[bytes]:
    if position.encoding == UNDECIDED:
        return _detected(chunks, position)
    if position.encoding == "utf-8":
        return _valid_utf8(chunks, position)
    return _transcoded(chunks, position)


def _detected(chunks: Iterator[bytes], position: Position) -> Iterator[bytes]:
    held = b""  # may be the beginning of one character
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
        position.encoding = _utf8_or_cp1252(both, good, position)
        rest: Iterator[bytes] = chain([both], chunks)
        if position.encoding == "cp1252":
            rest = _refuse_late_utf8(rest, position, position.line_after(both[:good]))
        yield from _decoded(rest, position)
        return
    if held:
        position.encoding = "cp1252"
        yield from _decoded(iter([held]), position)


def _utf8_or_cp1252(text: bytes, good: int, position: Position) -> str:
    if len(text) == good or _may_begin(text[good:]):
        return "utf-8"
    if not _SURELY_UTF8.search(text[:good].decode()):
        return "cp1252"
    position.advance(text[:good])
    raise position.error(f"bytes that are not UTF-8 among others that are; {position.remedy}")


def _refuse_late_utf8(
    chunks: Iterator[bytes], position: Position, guessed_line: int
) -> Iterator[bytes]:
    """The chunks of a file that is read as cp1252 because of a byte in ``guessed_line``.

    UTF-8 that follows shows that the guess is wrong: a UTF-8 file with one bad byte, read as
    cp1252, would garble every accent, and Klaviyo would keep it so.
    """
    held = b""  # may be the beginning of one character
    for chunk in chunks:
        both = held + chunk
        text = both.decode("utf-8", "ignore") if _has_pairs(both) else ""
        if found := _SURELY_UTF8.search(text):
            position.advance(text[: found.start()].encode())
            raise position.error(
                f"UTF-8 in a file that was cp1252 so far (line {guessed_line}); {position.remedy}"
            )
        held = next((tail for n in (3, 2, 1) if _may_begin(tail := both[-n:])), b"")
        yield chunk


def _has_pairs(text: bytes) -> bool:
    """Whether a byte that can start a UTF-8 character is followed by one that can continue it."""
    # Decoding the text would take twice the time that reading a file takes.
    letters = np.frombuffer(text, dtype=np.uint8)
    return bool(np.any((letters[:-1] >= _LEAD) & (letters[1:] & 0xC0 == _CONTINUATION)))


def _utf8_bytes(text: bytes) -> int:
    """How many bytes at the beginning are whole UTF-8 characters."""
    try:
        return codecs.utf_8_decode(text, "strict", False)[1]
    except UnicodeDecodeError as error:
        return error.start


def _may_begin(tail: bytes) -> bool:
    """Whether the tail is the beginning of a UTF-8 character that later bytes may complete."""
    try:
        return len(tail) > 0 and codecs.utf_8_decode(tail, "strict", False)[1] == 0
    except UnicodeDecodeError:
        return False


def _valid_utf8(chunks: Iterator[bytes], position: Position) -> Iterator[bytes]:
    held = b""
    for chunk in chunks:
        both = held + chunk
        good = len(both) if both.isascii() else _utf8_bytes(both)
        held = both[good:]
        yield both[:good]
        if held and not _may_begin(held):
            raise position.error(f"bytes that are not UTF-8; {position.remedy}")
    if held:
        raise position.error("the file ends within a character of UTF-8; copy it again")


def _transcoded(chunks: Iterator[bytes], position: Position) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(position.encoding)()
    keeps_ascii = position.encoding in _ASCII_SUPERSETS
    for chunk, final in chain(((chunk, False) for chunk in chunks), [(b"", True)]):
        if keeps_ascii and chunk.isascii():
            yield chunk
            continue
        try:
            yield decoder.decode(chunk, final).encode()
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                yield error.object[: error.start].decode(position.encoding, "ignore").encode()
            raise position.error(
                f"bytes that are not {position.encoding}; {position.remedy}"
            ) from error
