"""A CSV comes back cell by cell, or is refused with its line."""

import csv
import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.errors import ExportError
from backfill.sources import Export, ReadOptions, open_export
from backfill.sources.delimited import _whole_records
from backfill.sources.encoding import Position
from backfill.sources.quoting import check_quotes
from backfill.sources.spreadsheets import REJECT_COLUMNS

AS_FOUND = ReadOptions()


def read(path, options=AS_FOUND, *, chunk_bytes=1 << 18, batch_bytes=8_000_000):
    export = open_export([path], options, chunk_bytes=chunk_bytes, batch_bytes=batch_bytes)
    return export, rows_of(export)


def rows_of(export: Export):
    """(row, ragged, cells) of all rows, NULL as ``None``."""
    found = []
    for batch in export.batches(range(len(export.columns))):
        *texts, _, numbers, ragged = (column.to_pylist() for column in batch.columns)
        cells = zip(*texts, strict=True) if texts else [()] * len(numbers)
        found += list(zip(numbers, ragged, map(list, cells), strict=True))
    return found


def written(tmp_path: Path, content: bytes | str) -> Path:
    path = tmp_path / "orders.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        pytest.param("a,b\n1,2\n", [(2, False, ["1", "2"])], id="the first record is row 2"),
        pytest.param("a,b\n1,2", [(2, False, ["1", "2"])], id="the last line may lack its end"),
        pytest.param('a,b\n1,"x\ny"', [(2, False, ["1", "x\ny"])], id="also within quotes"),
        pytest.param("a,b\r\n1,2\r\n", [(2, False, ["1", "2"])], id="CRLF ends a line"),
        pytest.param("a,b\r1,2\r", [(2, False, ["1", "2"])], id="a CR alone ends a line"),
        pytest.param("a,b\n", [], id="a header alone is an export without rows"),
        pytest.param("a,b", [], id="a header without a line end too"),
        pytest.param(
            "a,b\n\n1,2\n",
            [(2, False, [None, None]), (3, False, ["1", "2"])],
            id="a blank line counts and is not ragged",
        ),
        pytest.param("a\n\n1\n", [(2, False, [None]), (3, False, ["1"])], id="in one column too"),
        pytest.param(
            "a,b\n \t \n\t\r\n1,2\n  ",
            [
                (2, False, [None, None]),
                (3, False, [None, None]),
                (4, False, ["1", "2"]),
                (5, False, [None, None]),
            ],
            id="a line of blanks is a blank line",
        ),
        pytest.param(
            "a\tb\n\t\t\t\n1\t2\n",
            [(2, False, [None, None]), (3, False, ["1", "2"])],
            id="also where the blanks are the delimiter",
        ),
        pytest.param(
            "\ufeffa\n\ufeffx\n", [(2, False, ["\ufeffx"])], id="a mark within the text is text"
        ),
        pytest.param('a,b\n" "\n', [(2, True, [" ", None])], id="a blank in quotes is a cell"),
        pytest.param('a,b\n"",2\n', [(2, False, [None, "2"])], id="empty quotes are nothing"),
        pytest.param('a,b\n" x ",\u00a0\n', [(2, False, [" x ", "\u00a0"])], id="none is trimmed"),
        pytest.param(
            'a,b\n5" vinyl,7"\n', [(2, False, ['5" vinyl', '7"'])], id="an inch mark is literal"
        ),
        pytest.param(
            'a,b\nx""y,"p""q"\n', [(2, False, ['x""y', 'p"q'])], id="doubled in quotes alone"
        ),
        pytest.param(
            'a,b\n "x",2\n', [(2, False, [' "x"', "2"])], id="a quote behind a blank is literal"
        ),
        pytest.param(
            "a,b\n02134,12345678901234567890\n",
            [(2, False, ["02134", "12345678901234567890"])],
            id="numbers stay as they are written",
        ),
        pytest.param(
            'a,b\n1,"x\ny"\n2,z\n',
            [(2, False, ["1", "x\ny"]), (3, False, ["2", "z"])],
            id="a record of two lines is one row",
        ),
        pytest.param(
            'a,b\n1,2\n3\n4,"5\n6",7\n8,9\n',
            [
                (2, False, ["1", "2"]),
                (3, True, ["3", None]),
                (4, True, ["4", "5\n6"]),
                (5, False, ["8", "9"]),
            ],
            id="ragged rows stand at their place, cut or padded",
        ),
        pytest.param("a,b\n1\n", [(2, True, ["1", None])], id="all rows may be ragged"),
    ],
)
def test_a_file_is_read(tmp_path, content, rows):
    assert read(written(tmp_path, content))[1] == rows


def test_short_rows_are_padded_on_request(tmp_path):
    path = written(tmp_path, "a,b\n1\n2,3,4\n")
    assert read(path, ReadOptions(pad_ragged=True))[1] == [
        (2, False, ["1", None]),
        (3, True, ["2", "3"]),
    ]


def test_the_second_read_gives_whole_rows_with_their_surplus(tmp_path):
    export, _ = read(written(tmp_path, 'a,b\n1,2\n3,4,"x,y",z\n5\n'))
    assert list(export.rows({0: [4, 3]})) == [(0, 3, ["3", "4", "x,y", "z"]), (0, 4, ["5", ""])]


def test_skipped_lines_count_as_rows(tmp_path):
    export, rows = read(written(tmp_path, 'Shop "Nord\n\na,b\n1,2\n'), ReadOptions(skip_lines=2))
    assert export.columns == ("a", "b")
    assert rows == [(4, False, ["1", "2"])]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        pytest.param("", ReadOptions(), r"orders\.csv: is empty \(0 bytes\)", id="nothing in it"),
        pytest.param(
            'a,b\n1,2\n3,"x\n4,5\n',
            ReadOptions(),
            r"orders\.csv:3: a quoted cell begins here and is never closed",
            id="a quote in the last column that is never closed",
        ),
        pytest.param(
            'a,b\n1,"x\n2,"y"\n',
            ReadOptions(),
            r"orders\.csv:3: text follows directly on a closing quote",
            id="a lost quote that a later one closes",
        ),
        pytest.param(
            'a,b\n1,"5"" vinyl" x\n',
            ReadOptions(),
            r"orders\.csv:2: text follows directly on a closing quote",
            id="text behind a closing quote",
        ),
        pytest.param(
            'a,"b\n1,2\n',
            ReadOptions(),
            r"orders\.csv:1: a quoted cell begins here",
            id="the header's own quote",
        ),
        pytest.param(
            '"x\n\na,"b\n1,2\n',
            ReadOptions(skip_lines=2),
            r"orders\.csv:3: a quoted cell begins here",
            id="lines that are skipped count",
        ),
        pytest.param(
            "\na,b\n", ReadOptions(), r"orders\.csv:1: .*skip_lines: 1}", id="a blank header"
        ),
        pytest.param(
            "a\n", ReadOptions(skip_lines=3), r"no header.*skip_lines: 3}`", id="all is skipped"
        ),
        pytest.param(
            "a" * 400_000,
            ReadOptions(),
            "header does not end within 65,536 bytes",
            id="no line ends",
        ),
        pytest.param(
            "a,b\n", ReadOptions(delimiter="::"), "one ASCII character", id="two characters"
        ),
        pytest.param("a,b\n", ReadOptions(delimiter='"'), "one ASCII character", id="a quote"),
    ],
)
def test_what_cannot_be_read_exactly_is_refused(tmp_path, content, options, message):
    with pytest.raises(ExportError, match=message):
        read(written(tmp_path, content), options)


MARKED = ["_reason", "_column", "_file", "_row", "Total", "Ort"]
REJECT = ["bad_cell", "Total", "old.csv", "3", "1,5", "Köln"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_rejects_that_are_run_again_have_their_own_dialect(tmp_path, encoding, delimiter, quoting):
    text = as_csv(MARKED, [REJECT, REJECT[:4]], delimiter, quoting, "\r\n")
    path = written(tmp_path, text.encode(encoding))
    original = ReadOptions(delimiter="|", encoding="utf-16-be", skip_lines=3, pad_ragged=True)
    export, rows = read(path, original)
    assert export.columns == (*REJECT_COLUMNS, "Total", "Ort")
    assert rows == [(2, False, REJECT), (3, False, [*REJECT[:4], None, None])]


def test_rejects_beside_their_export_are_read_each_in_its_dialect(tmp_path):
    first = written(tmp_path, "Shop\nTotal;Ort\n1;Köln\n".encode("cp1252"))
    (again := tmp_path / "rejects.csv").write_text("_reason,_column,_file,_row,Total\nx,y,z,3,2\n")
    export = open_export(
        [first, again], ReadOptions(delimiter=";", encoding="cp1252", skip_lines=1)
    )
    assert export.columns == ("Total", "Ort", *REJECT_COLUMNS)
    assert [note.partition(": ")[2] for note in export.notes if "has no column" in note] == [
        'has no column "Ort", which another file has'
    ]
    assert [row[2] for row in rows_of(export)] == [
        ["1", "Köln", None, None, None, None],
        ["2", None, "x", "y", "z", "3"],
    ]


def test_an_error_in_rejects_names_a_remedy_that_works_for_them(tmp_path):
    text = "_reason,_column,_file,_row\né\n".encode() + b"\xe9\n"
    with pytest.raises(ExportError, match=r"orders\.csv:3: .* UTF-8.*; save it as UTF-8$"):
        read(written(tmp_path, text))


@pytest.mark.parametrize("chunk_bytes", [5_000, 1 << 18])
@pytest.mark.parametrize(
    ("cell", "fits"),
    [
        pytest.param("x" * 999_999, True, id="just under the limit"),
        pytest.param("x" * 1_000_400, False, id="over the limit"),
        pytest.param('"' + "x\n" * 500_200 + '"', False, id="over the limit in quotes"),
        pytest.param(
            '"' + ("x" * 999 + '""') * 1_010 + '"', False, id="over it with quotes inside"
        ),
        pytest.param(
            '"' + "x" * 999_992 + '""' + "x" * 30 + '"', False, id="over it behind a quote inside"
        ),
        pytest.param('"' + '""' * 499_000 + '"', True, id="quotes up to the limit"),
        pytest.param('"' + '""' * 600_000 + '"', False, id="quotes over the limit"),
    ],
)
def test_a_cell_has_a_limit(tmp_path, cell, fits, chunk_bytes):
    path = written(tmp_path, f"a,b\n1,2\n3,{cell}\n4,5\n" + "6,7\n" * 70_000)
    if fits:
        assert len(read(path, chunk_bytes=chunk_bytes)[1]) == 70_003
    else:
        with pytest.raises(ExportError, match=r"orders\.csv:3: a cell over 1 MB begins here"):
            read(path, chunk_bytes=chunk_bytes)


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        pytest.param("a,b\n1,2\n", ",", id="commas"),
        pytest.param("a;b;c\n1,5;2,5;3\n", ";", id="semicolons with decimal commas"),
        pytest.param("a\tb\n1,2\t3\n", "\t", id="tabs"),
        pytest.param("a|b|c\n1|2|3\n", "|", id="bars"),
        pytest.param('"a, the first";b\n"1, or 2";3\n', ";", id="commas in quotes do not count"),
        pytest.param("a;b, or c, or d;e\n1;2;3\n", ";", id="as many commas, but in one line"),
        pytest.param("a,b|c,d\n1,2,3\n4,5,6\n", ",", id="a bar in one name"),
        pytest.param("a\n1\n", ",", id="one column"),
    ],
)
def test_the_delimiter_is_detected_and_named(tmp_path, content, delimiter):
    export, _ = read(written(tmp_path, content))
    given, _ = read(written(tmp_path, content), ReadOptions(delimiter=delimiter))
    assert export.columns == given.columns
    word = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}[delimiter]
    assert word in export.notes[0]


def test_a_file_that_changed_after_it_was_opened_is_refused(tmp_path):
    export, _ = read(path := written(tmp_path, "a,b\n1,2\n"))
    path.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(
        ExportError, match=r"orders\.csv: was changed while it was read; start again"
    ):
        list(export.batches([0]))


def test_a_file_that_grows_while_it_is_read_is_refused_at_its_end(tmp_path):
    path = written(tmp_path, "a,b\n" + "1,2\n" * 40_000 + "3,129")
    export = open_export([path], AS_FOUND, batch_bytes=50_000)
    batches = export.batches([0, 1])
    next(batches)
    with path.open("a") as file:
        file.write("99.00\n")
    with pytest.raises(
        ExportError, match=r"orders\.csv: was changed while it was read; start again"
    ):
        list(batches)


def test_a_file_that_is_cut_while_it_is_read_counts_as_changed(tmp_path):
    path = written(tmp_path, "a,b\n" + '1,"2"\n' * 400_000)
    batches = open_export([path], AS_FOUND, batch_bytes=50_000).batches([0, 1])
    next(batches)
    os.truncate(path, 1_000_003)  # within a quoted cell
    with pytest.raises(
        ExportError, match=r"orders\.csv: was changed while it was read; start again"
    ):
        list(batches)


def test_endless_quotes_are_not_gathered_in_memory():
    chunks = iter([b'a,"', *[b'"' * 100_000] * 30])
    with pytest.raises(ExportError, match="a cell over 1 MB begins here"):
        list(check_quotes(chunks, ",", Position("orders.csv")))
    assert len(list(chunks)) == 20


def test_a_record_has_a_limit():
    piece = b"1," * 500_000
    with pytest.raises(ExportError, match=r"orders\.csv: a record is over 64 MB"):
        list(_whole_records(iter([(piece, 0)] * 65), 8_000_000, "orders.csv"))


# Properties: the csv module is the judge.

NAMES = [["h0"], ["h0", "h1"], ["h0", "h1", "h0"]]
LATIN = st.text(st.sampled_from('ab ",;\t|\n\ré€“\u00a0'), max_size=8)
ANY = st.text(
    st.one_of(
        st.sampled_from('",;\t|\n\r\u2028\u0085'),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=8,
)
SMALL = st.integers(1, 40)


@st.composite
def tables(draw, cells):
    names = draw(st.sampled_from(NAMES))
    return names, draw(st.lists(st.lists(cells, min_size=len(names), max_size=len(names))))


def as_csv(names, rows, delimiter, quoting, line_end):
    text = io.StringIO(newline="")
    # The writer quotes only what its own line end needs; a CR alone is a line end to readers.
    quoting = csv.QUOTE_ALL if any("\r" in c or "\n" in c for r in rows for c in r) else quoting
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end)
    writer.writerows([names, *rows])
    return text.getvalue()


DIALECTS = {
    "delimiter": st.sampled_from(",;\t|"),
    "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    "line_end": st.sampled_from(["\n", "\r\n", "\r"]),
    "chunk_bytes": SMALL,
    "batch_bytes": SMALL,
}


@settings(max_examples=150)
@given(
    data=st.data(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"]),
    **DIALECTS,
)
def test_any_table_comes_back(
    tmp_path, data, encoding, delimiter, quoting, line_end, chunk_bytes, batch_bytes
):
    names, rows = data.draw(tables(LATIN if encoding == "cp1252" else ANY))
    text = as_csv(names, rows, delimiter, quoting, line_end)
    path = written(tmp_path, text.encode(encoding))
    told = encoding if encoding in {"cp1252", "utf-16-be"} else None
    export, found = read(
        path,
        ReadOptions(delimiter=delimiter, encoding=told),
        chunk_bytes=chunk_bytes,
        batch_bytes=batch_bytes,
    )
    assert export.columns == tuple(names)
    assert found == [
        (number, False, [cell or None for cell in row]) for number, row in enumerate(rows, 2)
    ]


@settings(max_examples=150)
@given(data=st.data(), **DIALECTS)
def test_one_quote_more_or_less_is_read_as_csv_reads_it_or_refused(
    tmp_path, data, delimiter, quoting, line_end, chunk_bytes, batch_bytes
):
    names, rows = data.draw(tables(LATIN))
    text = as_csv(names, rows, delimiter, quoting, line_end)
    at = data.draw(st.integers(0, len(text)))
    changed = text[:at] + '"' + text[at:]
    if '"' in text and data.draw(st.booleans()):
        quotes = [place for place, letter in enumerate(text) if letter == '"']
        at = data.draw(st.sampled_from(quotes))
        changed = text[:at] + text[at + 1 :]
    path = written(tmp_path, changed)
    options = ReadOptions(delimiter=delimiter, encoding="utf-8")
    try:
        header, *expected = csv.reader(
            io.StringIO(changed, newline=""), delimiter=delimiter, strict=True
        )
    except csv.Error:
        with pytest.raises(ExportError):
            read(path, options, chunk_bytes=chunk_bytes, batch_bytes=batch_bytes)
        return
    export, _ = read(path, options, chunk_bytes=chunk_bytes, batch_bytes=batch_bytes)
    assert export.columns == tuple(name.strip() for name in header)
    found = [cells for _, _, cells in export.rows({0: range(2, len(expected) + 2)})]
    padded = [row + [""] * (len(header) - len(row)) for row in expected]
    assert list(map(unless_blank, found)) == list(map(unless_blank, padded))


def unless_blank(row):
    """A line of blanks is a blank line to us and a row to csv."""
    return [] if not "".join(row).strip(" \t") else row


@pytest.mark.parametrize(
    ("text", "columns", "first"),
    [
        pytest.param("a;b;c\n1;2;3\n", ["a", "b", "c"], 2, id="none"),
        pytest.param("Orders 2024\n\na;b;c\n1;2;3\n", ["a", "b", "c"], 4, id="a title"),
        pytest.param(
            "Orders;;;\nFrom;1.1.;;\na;b;c;d\n1;2;3;4\n", ["a", "b", "c", "d"], 4, id="filled up"
        ),
        pytest.param("Orders, 2024\na;b;c\n1;2;3\n4;5;6\n", ["a", "b", "c"], 3, id="a comma"),
        pytest.param('"Shop\nNord"\na,b\n1,2\n', ["a", "b"], 4, id="a title of two lines"),
        pytest.param("sep=;\nOrders\na;b\n1;2\n", ["a", "b"], 4, id="behind Excel's hint"),
        pytest.param("a,,,\n1,2,3,4\n", ["a", "", "", ""], 2, id="columns without names"),
        pytest.param("a\n1\n2\n", ["a"], 2, id="one column"),
    ],
)
def test_lines_above_the_header_are_found(tmp_path, text, columns, first):
    export, rows = read(written(tmp_path, text), ReadOptions(find_header=True))
    assert list(export.columns) == columns
    assert rows[0][0] == first
    titled = first > 2
    assert export.skipped_lines == {first - 2 if titled else 0}
    if titled:
        assert read(tmp_path / "orders.csv", ReadOptions(skip_lines=first - 2))[1] == rows
