"""What a CSV may look like: read exactly, or refused with a sentence, never in between.

A row is (number, cells); a cell that is empty is None, and a row with other than the header's
number of cells is marked ``ragged``: its order becomes a reject. Cells are trimmed later, by the
mapping.
"""

import csv
import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.errors import ExportError
from backfill.sources import Export, ReadOptions, open_export

AS_FOUND = ReadOptions()
MB = 1_000_000
BOM16_LE, BOM16_BE, BOM32_LE = b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0"


def ragged(number: int, *cells: str | None) -> tuple[object, ...]:
    return number, list(cells), "ragged"


def row(number: int, *cells: str | None) -> tuple[object, ...]:
    return number, list(cells)


ONE = [row(2, "1", "2")]


def export_of(
    tmp_path: Path, content: bytes, options: ReadOptions = AS_FOUND, **sizes: int
) -> Export:
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    return open_export([path], options, **sizes)


def rows_of(export: Export) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for batch in export.batches(range(len(export.columns))):
        *texts, _, numbers, is_ragged = (column.to_pylist() for column in batch.columns)
        for number, bad, *cells in zip(numbers, is_ragged, *texts, strict=True):
            found.append((ragged if bad else row)(number, *cells))
    return found


READ = [
    pytest.param(b"sep=;\r\na;b\r\n1;2,5\r\n", [row(3, "1", "2,5")], id="Excel's hint"),
    pytest.param(b"\xef\xbb\xbfsep=,\na,b\n1,2;3;4\n", [row(3, "1", "2;3;4")], id="with a mark"),
    pytest.param(b'"sep=\t"\na\tb\n1\t2\n', [row(3, "1", "2")], id="a hint in quotes"),
    pytest.param(b"sep=kg;b\n1;2\n", [row(2, "1", "2")], id="a name that is no hint"),
    # what stands between cells
    pytest.param(b"a,b\n1,2\n", ONE, id="commas are found"),
    pytest.param(b"a;b\n1;2\n", ONE, id="semicolons are found"),
    pytest.param(b"a\tb\n1\t2\n", ONE, id="tabs are found"),
    pytest.param(b"a|b\n1|2\n", ONE, id="bars are found"),
    pytest.param(b'a;b\n"1,5;x";2,5\n', [row(2, "1,5;x", "2,5")], id="it may stand in quotes"),
    pytest.param(
        b"a;b\n1,10;2,20\n3,30;4,40\n",
        [row(2, "1,10", "2,20"), row(3, "3,30", "4,40")],
        id="decimal commas do not make a comma the delimiter",
    ),
    pytest.param(b"a\n1\n", [row(2, "1")], id="one column has none"),
    pytest.param(b'a\n"1,2"\n', [row(2, "1,2")], id="one column with a comma in quotes"),
    # quotes
    pytest.param(b'"a","b"\n"1","2"\n', ONE, id="all cells in quotes"),
    pytest.param(b'"a,x",b\n1,2\n', ONE, id="a quoted header may hold the delimiter"),
    pytest.param(b'"a\nx",b\n1,2\n', ONE, id="a quoted header may hold a line end"),
    pytest.param(b'a,b\n"1""","""2"\n', [row(2, '1"', '"2')], id="a doubled quote is one"),
    pytest.param(b'a,b\n"""",""""""\n', [row(2, '"', '""')], id="cells of nothing but quotes"),
    pytest.param(b'a,b\n"",""\n', [row(2, None, None)], id="empty quotes are nothing"),
    pytest.param(b'a,b\n5" vinyl,2"\n', [row(2, '5" vinyl', '2"')], id="an inch mark is a sign"),
    pytest.param(b'a,b\n1""2,x"y"z\n', [row(2, '1""2', 'x"y"z')], id="quotes within bare cells"),
    pytest.param(b'a,b\n "1",2\n', [row(2, ' "1"', "2")], id="a quote behind a blank is a sign"),
    pytest.param(b"a,b\n'1,2'\n", [row(2, "'1", "2'")], id="apostrophes are no quotes"),
    pytest.param(b'a,b\n1\\,"2\\\\"\n', [row(2, "1\\", "2\\\\")], id="a backslash is a sign"),
    pytest.param(b'a,b\n1,\\"2\n', [row(2, "1", '\\"2')], id="and escapes no quote in a bare cell"),
    pytest.param(b"a,b\n\\N,NULL\n", [row(2, "\\N", "NULL")], id="words for nothing are text"),
    # line ends
    pytest.param(b"a,b\r\n1,2\r\n", ONE, id="CRLF"),
    pytest.param(b"a,b\r1,2\r", ONE, id="CR alone"),
    pytest.param(
        b"a,b\n1,2\r\n3,4\r5,6\n",
        [row(2, "1", "2"), row(3, "3", "4"), row(4, "5", "6")],
        id="all three in one file",
    ),
    pytest.param(b"a,b\n1,2", ONE, id="none at the end"),
    pytest.param(b'a,b\n1,"2"', ONE, id="none at the end behind a quote"),
    pytest.param(
        b'a,b\n"1\n","2\r\nx\ry"\n3,4\n',
        [row(2, "1\n", "2\r\nx\ry"), row(3, "3", "4")],
        id="within quotes they are text, and the row is one",
    ),
    pytest.param(
        "a,b\n1\u2028x\u20292\x85,\x0b3\x0c\x1c\n".encode(),
        [row(2, "1\u2028x\u20292\x85", "\x0b3\x0c\x1c")],
        id="no other sign ends a line",
    ),
    # blank lines, short rows and long ones
    pytest.param(
        b"a,b\n\n1,2\n\n\n",
        [row(2, None, None), row(3, "1", "2"), row(4, None, None), row(5, None, None)],
        id="blank lines count as rows of nothing",
    ),
    pytest.param(
        b"a,b\n  \t\n1,2\n   ",
        [row(2, None, None), row(3, "1", "2"), row(4, None, None)],
        id="so do lines of blanks",
    ),
    pytest.param(b"a,b\n,\n", [row(2, None, None)], id="a row of commas holds nothing"),
    pytest.param(b"a,b,\n1,2,\n", [row(2, "1", "2", None)], id="a comma at the end of all lines"),
    pytest.param(b"a,b\n1,2,\n", [ragged(2, "1", "2")], id="a comma at the end of rows alone"),
    pytest.param(b"a,b,\n1,2\n", [ragged(2, "1", "2", None)], id="at the end of the header alone"),
    pytest.param(
        b"a,b\n1\n1,2,3\n1,2\n",
        [ragged(2, "1", None), ragged(3, "1", "2"), row(4, "1", "2")],
        id="short and long rows are ragged, and spoil no other",
    ),
    pytest.param(b"a,b\n1,2\n\x1a", [*ONE, ragged(3, "\x1a", None)], id="Ctrl-Z at the end"),
    pytest.param(b"a,b\n# 1,2\n", [row(2, "# 1", "2")], id="there are no comments"),
    # headers
    pytest.param(b"a,a\n1,2\n", ONE, id="a name may stand twice"),
    pytest.param(b"a,\n1,2\n", ONE, id="a name may be blank"),
    pytest.param(b" a ,\tb\n1,2\n", ONE, id="names are trimmed"),
    pytest.param(b"a,b\n", [], id="a header alone"),
    pytest.param(b"a,b", [], id="a header without a line end"),
    # encodings
    pytest.param(b"\xef\xbb\xbfa,b\n1,2\n", ONE, id="UTF-8 with its mark"),
    pytest.param(b'\xef\xbb\xbf"a","b"\n1,2\n', ONE, id="UTF-8 with its mark before a quote"),
    pytest.param(BOM16_LE + "a,b\n1,é\n".encode("utf-16-le"), [row(2, "1", "é")], id="UTF-16 LE"),
    pytest.param(BOM16_BE + "a,b\n1,é\n".encode("utf-16-be"), [row(2, "1", "é")], id="UTF-16 BE"),
    pytest.param(BOM32_LE + "a,b\n1,é\n".encode("utf-32-le"), [row(2, "1", "é")], id="UTF-32"),
    pytest.param(
        BOM16_LE + 'a\tb\r\n1\t"2\r\nx"\r\n'.encode("utf-16-le"),
        [row(2, "1", "2\r\nx")],
        id="Excel's Unicode text",
    ),
    pytest.param("a,b\n1,日本 🎁\n".encode(), [row(2, "1", "日本 🎁")], id="UTF-8 without a mark"),
    pytest.param(b"a,b\n1,K\xf6ln \x80\n", [row(2, "1", "Köln €")], id="else cp1252"),
    pytest.param("a,b\n1,e\u0301\n".encode(), [row(2, "1", "e\u0301")], id="no form is changed"),
    pytest.param(b"a,b\n\x01\x07,\x7f\n", [row(2, "\x01\x07", "\x7f")], id="control characters"),
    # size
    pytest.param(
        b"a,b\n1," + b"x" * (MB - 100) + b"\n", [row(2, "1", "x" * (MB - 100))], id="1 MB"
    ),
    pytest.param(
        b'a,b\n1,"' + b'x""' * 300_000 + b'"\n', [row(2, "1", 'x"' * 300_000)], id="many quotes"
    ),
]


@pytest.mark.parametrize(("content", "rows"), READ)
def test_it_is_read(tmp_path: Path, content: bytes, rows: list[tuple[object, ...]]):
    assert rows_of(export_of(tmp_path, content)) == rows


@pytest.mark.parametrize(
    ("content", "options", "rows"),
    [
        pytest.param(
            b"a,b\n1,2\n", ReadOptions(delimiter=";"), [row(2, "1,2")], id="given is given"
        ),
        pytest.param(b"a\x01b\n1\x012\n", ReadOptions(delimiter="\x01"), ONE, id="Hive's Ctrl-A"),
        pytest.param(b"a b\n1 2\n", ReadOptions(delimiter=" "), ONE, id="a blank"),
        pytest.param(
            b"Shop Nord\r\n\r\na,b\r\n1,2\r\n",
            ReadOptions(skip_lines=2),
            [row(4, "1", "2")],
            id="a preamble",
        ),
        pytest.param(
            b'"lost\ra,b\r1,2\r',
            ReadOptions(skip_lines=1),
            [row(3, "1", "2")],
            id="quotes in it are none",
        ),
        pytest.param(
            b"sep=;\r\na;b\r\n1;2\r\n",
            ReadOptions(skip_lines=1),
            [row(3, "1", "2")],
            id="Excel's hint",
        ),
        pytest.param(b"a,b\n1\n", ReadOptions(pad_ragged=True), [row(2, "1", None)], id="padded"),
        pytest.param(
            b"a,b\n1,2,3\n", ReadOptions(pad_ragged=True), [ragged(2, "1", "2")], id="never cut"
        ),
        pytest.param(
            "a,b\n1,é\n".encode("utf-16-le"),
            ReadOptions(encoding="utf-16-le"),
            [row(2, "1", "é")],
            id="UTF-16 without its mark",
        ),
        pytest.param(
            b"a,b\n1,\xa4\x80\n",
            ReadOptions(encoding="latin-1"),
            [row(2, "1", "¤\x80")],
            id="Latin-1",
        ),
        pytest.param(
            b"a,b\n1,\xe4\xf6\n", ReadOptions(encoding="cp1251"), [row(2, "1", "дц")], id="cp1251"
        ),
    ],
)
def test_it_is_read_as_the_schema_says(
    tmp_path: Path, content: bytes, options: ReadOptions, rows: list[tuple[object, ...]]
):
    assert rows_of(export_of(tmp_path, content, options)) == rows


UNCLOSED = "a quoted cell begins here and is never closed"
FOLLOWS = "text follows directly on a closing quote"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "orders.csv: is empty (0 bytes)", id="an empty file"),
        pytest.param(b"\xef\xbb\xbf", "orders.csv: has no header", id="a mark and nothing else"),
        pytest.param(b"\n\na,b\n1,2\n", "orders.csv:1: is not a header", id="blank lines first"),
        pytest.param(b" , ,\t\n1,2,3\n", "orders.csv:1: is not a header", id="a header of blanks"),
        pytest.param(b",,\n1,2,3\n", "orders.csv:1: is not a header", id="a header of commas"),
        pytest.param(b'a,b\n1,"2\n3,4\n', f"orders.csv:2: {UNCLOSED}", id="an open quote"),
        pytest.param(b'a,"b\n1,2\n', f"orders.csv:1: {UNCLOSED}", id="an open quote in the header"),
        pytest.param(b'a,b\n1,2\n3,"', f"orders.csv:3: {UNCLOSED}", id="an open quote at the end"),
        pytest.param(b'a,b\n1,"""\n', f"orders.csv:2: {UNCLOSED}", id="three quotes"),
        pytest.param(b'a,b\n1,"2"x\n', f"orders.csv:2: {FOLLOWS}", id="text behind a quote"),
        pytest.param(b'a,b\n1,"2" \n', f"orders.csv:2: {FOLLOWS}", id="a blank behind a quote"),
        pytest.param(b'a,b\n1,"2\\"x"\n', f"orders.csv:2: {FOLLOWS}", id="quotes with backslashes"),
        pytest.param(b'a,b\n1,"5" vinyl"\n', f"orders.csv:2: {FOLLOWS}", id="a single inch mark"),
        pytest.param(b'"a"x,b\n1,2\n', f"orders.csv:1: {FOLLOWS}", id="text behind it in a header"),
        pytest.param(b"a,b\n1,2\0\n", "orders.csv:2: a NUL byte", id="a NUL byte"),
        pytest.param(
            "a,b\n1,2\n".encode("utf-16-le"), "encoding: utf-16-le", id="UTF-16 without its mark"
        ),
        pytest.param(
            BOM16_LE + "a,b\n1,2\n".encode("utf-16-le")[:-1], "not utf-16-le", id="half a letter"
        ),
        pytest.param(b"a,b\n1,\x81\n", "orders.csv:2: bytes that are not cp1252", id="0x81"),
        pytest.param(
            "a,b\n1,é\n2,日\n".encode() + b"3,\xe9\n",
            "orders.csv:4: bytes that are not UTF-8",
            id="one bad byte in UTF-8",
        ),
        pytest.param(b"a,b\n1," + b"x" * (MB + 100_000), "orders.csv:2: a cell over", id="1.1 MB"),
        pytest.param(b"a" * 300_000, "header does not end within 65,536 bytes", id="one long line"),
        pytest.param(b"a," * 200_000 + b"a\n", "header does not end within", id="a long header"),
        pytest.param(b"PK\x03\x04", "Excel workbook", id="a workbook"),
    ],
)
def test_it_is_refused(tmp_path: Path, content: bytes, message: str):
    with pytest.raises(ExportError) as caught:
        rows_of(export_of(tmp_path, content))
    assert message in str(caught.value)


def test_a_record_over_64_mb_is_refused(tmp_path: Path):
    header, cell = ",".join(f"c{at}" for at in range(90)), "x" * 900_000
    content = f"{header}\n{','.join([cell] * 90)}\n".encode()
    with pytest.raises(ExportError, match="a record is over 64 MB"):
        rows_of(export_of(tmp_path, content))


# The csv module is the judge. -------------------------------------------------------------------

CELLS = st.text(
    st.one_of(
        st.sampled_from("\",;\t|\n\r '\\\u2028\x85\x0b\x0c\x1a#=-"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=6,
)


@settings(
    max_examples=150,
)
@given(
    table=st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=6)
    ),
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    batch_bytes=st.sampled_from([1, 30, 8_000_000]),
)
def test_what_a_writer_writes_is_read_as_it_was(
    tmp_path: Path,
    table: list[list[str]],
    delimiter: str,
    line_end: str,
    encoding: str,
    batch_bytes: int,
):
    width = len(table[0]) if table else 1
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    writer.writerows([[f"h{at}" for at in range(width)], *table])
    content = text.getvalue().encode(encoding)
    export = export_of(tmp_path, content, ReadOptions(delimiter=delimiter), batch_bytes=batch_bytes)
    assert rows_of(export) == [
        row(number, *(cell or None for cell in cells)) for number, cells in enumerate(table, 2)
    ]


SIGNS = b"\",;\t|\r\n\0 ax\xe9\xff\xef\x1a\\'"
BITS = ["", "1", "x y", '5" v', "a,b", "a;b", "p\nq", "é", "“q”", '"', "\u2028", "=1", " s ", "\t"]


def mutated(rng: random.Random) -> bytes:
    """A CSV in some dialect and encoding with up to three bytes changed, or a piece doubled."""
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=rng.choice(",;\t|"),
        quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        lineterminator=rng.choice(["\n", "\r\n", "\r"]),
    )
    width = rng.randrange(1, 5)
    writer.writerow([f"h{at}" for at in range(width)])
    writer.writerows([rng.choice(BITS) for _ in range(width)] for _ in range(rng.randrange(6)))
    encoding = rng.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"])
    content = bytearray(text.getvalue().encode(encoding, "replace"))
    for _ in range(rng.randrange(4)):
        at, to = sorted(rng.randrange(len(content)) for _ in range(2))
        match rng.randrange(4):
            case 0:
                content[at] = rng.choice(SIGNS)
            case 1:
                content.insert(at, rng.choice(SIGNS))
            case 2 if len(content) > 1:
                del content[at]
            case _:
                content[at:at] = content[at:to]
    return bytes(content)


def judged(export: Export, content: bytes) -> tuple[list[str], list[list[str]]]:
    """Header and rows as csv reads them in the encoding and with the delimiter that were found."""
    mark, _, encoding = export.notes[0].rpartition(": ")[2].partition(" between cells, ")
    delimiter = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}[mark]
    known = "ascii" if encoding == "ASCII so far" else encoding
    text = content.decode("utf-8" if known == "ascii" else known).removeprefix("\ufeff")
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    width = len(header)
    return [name.strip() for name in header], [
        without_blanks(cells + [""] * (width - len(cells))) for cells in rows
    ]


def without_blanks(cells: list[str]) -> list[str]:
    """A line of blanks is a blank line to us and a cell to csv."""
    return cells if "".join(cells).strip(" \t") else []


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_is_read_as_csv_reads_it_or_refused(tmp_path: Path, seed: int):
    rng = random.Random(seed)
    read = 0
    for _ in range(250):
        content = mutated(rng)
        sizes = {"chunk_bytes": rng.choice([1, 7, 1 << 18]), "batch_bytes": rng.choice([1, 20, MB])}
        try:
            export = export_of(tmp_path, content, **sizes)
            numbers = [found[0] for found in rows_of(export)]
            found = [without_blanks(cells) for *_, cells in export.rows({0: numbers})]
        except ExportError:
            continue
        names, rows = judged(export, content)
        read += 1
        assert (list(export.columns), found) == (names, rows), content
    assert 100 < read < 240
