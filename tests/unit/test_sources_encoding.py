"""Every encoding becomes UTF-8, or the file is refused with its line."""

import pytest

from backfill.errors import ExportError
from backfill.sources.encoding import Position, encoding_of, utf8


def through(content: bytes, given=None, *, chunk_bytes=1 << 18):
    position = Position("orders.csv", encoding_of(content, given, "orders.csv"))
    starts = range(0, len(content), chunk_bytes)
    text = b"".join(utf8((content[at : at + chunk_bytes] for at in starts), position))
    return text.decode(), position.encoding


SIZES = pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 1 << 18])


@SIZES
@pytest.mark.parametrize(
    ("content", "given", "text", "encoding"),
    [
        pytest.param(b"abc\n", None, "abc\n", "", id="ASCII leaves it open"),
        pytest.param("abcé€\n".encode(), None, "abcé€\n", "utf-8", id="UTF-8 is found"),
        pytest.param("é".encode("utf-8-sig"), None, "é", "utf-8", id="a mark is no text"),
        pytest.param("é".encode("utf-8-sig"), "utf-8", "é", "utf-8", id="nor where it is given"),
        pytest.param("aé\n".encode("utf-16"), None, "aé\n", "utf-16-le", id="UTF-16 by its mark"),
        pytest.param(
            b"\xfe\xff" + "aé\U0001f600".encode("utf-16-be"),
            None,
            "aé\U0001f600",
            "utf-16-be",
            id="the other byte order by its mark",
        ),
        pytest.param("aé".encode("utf-16-le"), "utf-16", "aé", "utf-16-le", id="no mark"),
        pytest.param(b"\xfe\xff\0a", "utf-16", "a", "utf-16-be", id="the mark says the order"),
        pytest.param("aé€".encode("cp1252"), None, "aé€", "cp1252", id="else it is cp1252"),
        pytest.param("é".encode("cp1252"), None, "é", "cp1252", id="cp1252 at the very end"),
        pytest.param("é\n".encode("latin-1"), "iso-8859-1", "é\n", "iso8859-1", id="Latin-1"),
        pytest.param("日本\n".encode("shift-jis"), "shift-jis", "日本\n", "shift_jis", id="given"),
    ],
)
def test_text_comes_out(content, given, text, encoding, chunk_bytes):
    assert through(content, given, chunk_bytes=chunk_bytes) == (text, encoding)


@SIZES
@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        pytest.param(
            "é\r\nb\r\n".encode() + b"\xe9\n",
            None,
            r"orders\.csv:3: bytes that are not UTF-8.*`source: {encoding: cp1252}`",
            id="UTF-8 first, other bytes later",
        ),
        pytest.param(b"a\n\xe9\n", "utf-8", r":2: bytes that are not UTF-8", id="given UTF-8"),
        pytest.param(b"a\n\xc3", "utf-8", r":2: the file ends within a character", id="cut short"),
        pytest.param(b"\xe9\n\x81\n", "cp1252", r":2: bytes that are not cp1252", id="undefined"),
        pytest.param(
            b"a\rb\r\xe9\x81", None, r":3: bytes that are not cp1252", id="found, undefined"
        ),
        pytest.param(
            b"\xff\xfea\0\n\0b", None, r":2: bytes that are not utf-16-le", id="odd bytes"
        ),
        pytest.param(
            b"\xff\xfea\0\n\0\x00\xd8b\0", None, r":2: bytes that are not", id="surrogate"
        ),
        pytest.param(b"a\n\nb\0c\nd", None, r":3: a NUL byte: this is not text", id="NUL"),
        pytest.param("ab\n".encode("utf-16-be"), None, r"encoding: utf-16-le", id="no mark"),
        pytest.param(b"a", "klingon", r'encoding "klingon" is not known', id="no such encoding"),
        pytest.param(b"a", "base64", r'encoding "base64" is not known', id="no text encoding"),
    ],
)
def test_what_is_not_in_the_encoding_is_refused(content, given, message, chunk_bytes):
    with pytest.raises(ExportError, match=message):
        through(content, given, chunk_bytes=chunk_bytes)


def test_one_bad_byte_does_not_turn_a_utf8_file_into_cp1252():
    with pytest.raises(ExportError, match=r"orders\.csv:3: UTF-8 .* cp1252 so far \(line 2\)"):
        through("\xe9\n".encode("cp1252").join([b"a\n", "é\n".encode()]))


FILL = b"a,b\n" * 1_000


@pytest.mark.parametrize(
    "late",
    [
        pytest.param("Zürich", id="an umlaut"),
        pytest.param("Łódź", id="Polish"),
        pytest.param("Москва", id="Cyrillic"),
        pytest.param("e\u0301", id="an accent of its own"),
        pytest.param("5 €", id="three bytes"),
        pytest.param("日本", id="Japanese"),
        pytest.param("🎁", id="four bytes"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 512])
def test_utf8_after_cp1252_is_refused(late, chunk_bytes):
    content = b"caf\xe9\n" + FILL + f"{late}\n".encode()
    with pytest.raises(
        ExportError,
        match=r"orders\.csv:1002: UTF-8 in a file that was cp1252 so far \(line 1\).*: cp1252}`",
    ):
        through(content, chunk_bytes=chunk_bytes)


def test_cp1252_that_the_schema_names_is_not_checked_for_utf8():
    content = b"caf\xe9\n" + FILL + "Zürich\n".encode()
    text, _ = through(content, "cp1252", chunk_bytes=512)
    assert text == content.decode("cp1252")


@SIZES
@pytest.mark.parametrize(
    "cell",
    [
        pytest.param("„Spaß“", id="sharp s before a quote"),
        pytest.param("«Spaß»", id="sharp s before a guillemet"),
        pytest.param("weiß\u2013blau", id="sharp s before a dash"),
        pytest.param("CAFÉ®", id="an accent before a mark"),
        pytest.param("MENÜ”", id="an umlaut before a quote"),
        pytest.param("É, é™, ÀÈ", id="accents"),
    ],
)
def test_cp1252_that_happens_to_be_utf8_of_no_living_script_stays_cp1252(cell, chunk_bytes):
    text = f"é\n{cell}\n"
    assert through(text.encode("cp1252"), chunk_bytes=chunk_bytes) == (text, "cp1252")


def test_utf8_is_found_wherever_its_chunk_is_cut():
    for cut in range(1, 12):
        with pytest.raises(ExportError, match=r"orders\.csv:2: "):
            through(b"\xe9 \n" + "aü€".encode(), chunk_bytes=cut)
