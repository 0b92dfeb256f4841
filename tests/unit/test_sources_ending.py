"""The end of a CSV file: whether its last line has a line end, and whether it looks cut."""

import gzip

import pytest

from backfill.sources.ending import Ending
from backfill.sources.export import open_export
from backfill.sources.source import ReadOptions

HEADER = "Order,Email,Price\n"
ROWS = [f"{at},p{at}@shop.example,{at}00.19\n" for at in range(1, 5)]
WHOLE = HEADER + "".join(ROWS)


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        pytest.param(WHOLE, Ending(5, True, ""), id="the last line has its end"),
        pytest.param(WHOLE.rstrip("\n"), Ending(5, False, ""), id="it has none"),
        pytest.param(WHOLE[:-4], Ending(5, False, "shorter cell"), id="its last cell is short"),
        pytest.param(WHOLE[:-7], Ending(5, False, "shorter cell"), id="its last cell is gone"),
        pytest.param(WHOLE[:-10], Ending(5, False, "fewer cells"), id="it has fewer cells"),
        pytest.param(WHOLE[:-10] + "\n", Ending(5, True, "fewer cells"), id="and a line end"),
        pytest.param(WHOLE + "\r\n \t", Ending(6, True, ""), id="blank lines at the end"),
        pytest.param(WHOLE.replace("\n", "\r"), Ending(5, True, ""), id="lines that end in CR"),
        pytest.param(
            HEADER + ROWS[0] + ROWS[1][:-4], Ending(3, False, ""), id="one other row is no measure"
        ),
        pytest.param(
            WHOLE.replace("200.19", "") + "5,e@shop.example,1",
            Ending(6, False, ""),
            id="an empty cell is shorter",
        ),
        pytest.param(
            WHOLE.replace(",200.19", "") + "5,e@shop.example",
            Ending(6, False, ""),
            id="other rows have fewer cells too",
        ),
    ],
)
@pytest.mark.parametrize("batch_bytes", [1, 1_000_000])
def test_the_end_of_a_file(tmp_path, text, ending, batch_bytes):
    (path := tmp_path / "orders.csv").write_text(text, newline="")
    export = open_export(str(path), ReadOptions(pad_ragged=True), batch_bytes=batch_bytes)
    assert export.endings == {}
    for _ in export.batches([0]):
        pass
    [found] = export.endings.values()
    assert (found.has_line_end, found.cut) == (ending.has_line_end, ending.cut)
    if text.strip() == text.rstrip("\n"):
        assert found.row == ending.row
    assert len(list(export.cut_notes())) == bool(ending.cut)


@pytest.mark.parametrize(
    ("name", "encoding"), [("orders.csv.gz", "utf-8"), ("orders.csv", "utf-16")]
)
def test_compressed_and_wide_text_ends_as_other_text_does(tmp_path, name, encoding):
    content = WHOLE.rstrip("\n").encode(encoding)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    export = open_export(str(path))
    assert sum(batch.num_rows for batch in export.batches([0])) == 4
    assert export.endings == {0: Ending(5, False, "")}


def test_a_file_without_rows_and_a_rejects_csv_have_no_end(tmp_path):
    (empty := tmp_path / "a.csv").write_text(HEADER.strip())
    (rejects := tmp_path / "b.csv").write_text("_reason,_column,_file,_row,Order\r\nx,y,z,2,1")
    export = open_export([str(empty), str(rejects)])
    assert sum(batch.num_rows for batch in export.batches([0])) == 1
    assert export.endings == {}


def test_the_note_names_file_row_and_column(tmp_path):
    (tmp_path / "orders.csv").write_text(WHOLE[:-4])
    export = open_export(str(tmp_path / "orders.csv"))
    for _ in export.batches([0]):
        pass
    assert list(export.cut_notes()) == [
        f"{tmp_path}/orders.csv: is it cut? Its last row, 5, has no line end, and its last cell is "
        'shorter than all others of "Price" (export it again, or write source: {last_line: whole})'
    ]
