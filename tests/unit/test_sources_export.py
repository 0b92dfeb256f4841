"""Several files are one export."""

import gzip
import os
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backfill.errors import ExportError
from backfill.sources import ReadOptions, open_export


def columns_of(export, places):
    tables = [batch.to_pydict() for batch in export.batches(places)]
    return {name: [cell for t in tables for cell in t[name]] for name in tables[0]}


def test_columns_are_matched_by_name_and_differences_are_noted(tmp_path):
    (tmp_path / "1.csv").write_text(" id ,name,city\n1,a,b\n")
    (tmp_path / "2.csv").write_bytes(gzip.compress("name;zip;id\nć;0;2\n".encode()))
    pq.write_table(pa.table({"id": [3], "city": ["c"]}), tmp_path / "3.parquet")
    export = open_export([tmp_path / f for f in ("1.csv", "2.csv", "3.parquet")])
    assert export.columns == ("id", "name", "city", "zip")
    assert columns_of(export, [3, 0, 1, 2]) == {
        "c0": [None, "0", None],
        "c1": ["1", "2", "3"],
        "c2": ["a", "ć", None],
        "c3": ["b", None, "c"],
        "_file": [0, 1, 2],
        "_row": [2, 2, 1],
        "_ragged": [False] * 3,
    }
    notes = [note.replace(f"{tmp_path}/", "") for note in export.notes]
    assert notes == [
        "1.csv: comma between cells, ascii",
        "2.csv: semicolon between cells, utf-8, compressed with gzip",
        "3.parquet: Parquet",
        '1.csv: has no column "zip", which another file has',
        '2.csv: has no column "city", which another file has',
        '3.parquet: has no column "name", "zip", which another file has',
    ]


def test_the_second_read_aligns_cells_to_the_union(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("b,c\n3,4\n5,6,7\n")
    export = open_export([tmp_path / "1.csv", tmp_path / "2.csv"])
    assert list(export.rows({1: {3, 2}, 0: [2]})) == [
        (0, 2, ["1", "2", ""]),
        (1, 2, ["", "3", "4"]),
        (1, 3, ["", "5", "6", "7"]),
    ]
    assert list(export.rows({0: []})) == []


def test_what_one_file_lacks_and_which_columns_are_times_is_known_by_place(tmp_path):
    (tmp_path / "1.csv").write_text("at,id,name\n1,2,3\n")
    pq.write_table(
        pa.table({"id": [3], "at": pa.array([0], pa.timestamp("s"))}), tmp_path / "2.parquet"
    )
    export = open_export([tmp_path / "1.csv", tmp_path / "2.parquet"])
    assert export.lacking == {2: (str(tmp_path / "2.parquet"),)}
    assert export.typed.temporal == {0}


def test_columns_of_one_name_are_matched_by_their_order(tmp_path):
    (tmp_path / "1.csv").write_text("city,city\n1,2\n")
    (tmp_path / "2.csv").write_text("city\n3\n")
    export = open_export([tmp_path / "1.csv", tmp_path / "2.csv"])
    assert export.columns == ("city", "city")
    found = columns_of(export, [0, 1])
    assert (found["c0"], found["c1"]) == (["1", "3"], ["2", None])


def test_a_pattern_is_its_files_by_name(tmp_path):
    names = [f"{letter}.csv" for letter in "qwertzuiopasdfghjklyxvbnm"]
    for name in (*names, "c.txt"):
        (tmp_path / name).write_text("a\n1\n")
    (tmp_path / "folder.csv").mkdir()
    export = open_export([f"{tmp_path}/*.csv", tmp_path / "c.txt"])
    assert [Path(name).name for name in export.files] == [*sorted(names), "c.txt"]
    assert export.notes == (f"{tmp_path}/a.csv and 25 more: comma between cells, ascii",)


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    (tmp_path / "orders[1].csv").write_text("a\n1\n")
    (tmp_path / "orders1.csv").write_text("a\n1\n")
    assert open_export([tmp_path / "orders[1].csv"]).files == (f"{tmp_path}/orders[1].csv",)


def test_an_encoding_that_is_detected_late_is_noted_after_the_file_is_read(tmp_path):
    path = tmp_path / "1.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 200_000 + "é,3\n".encode("cp1252"))
    export = open_export([path])
    assert "ASCII so far" in export.notes[0]
    assert columns_of(export, [0])["c0"][-1] == "é"
    assert "cp1252" in export.notes[0]
    assert list(export.rows({0: [200_002]})) == [(0, 200_002, ["é", "3"])]


def test_utf8_late_in_a_file_that_began_in_cp1252_is_refused_in_every_pass(tmp_path):
    path = tmp_path / "1.csv"
    path.write_bytes(b"a,b\ncaf\xe9,1\n" + b"1,2\n" * 300_000 + "Zürich,3\n".encode())
    export = open_export([path])
    for _ in range(2):
        with pytest.raises(ExportError, match=r"1\.csv:300003: UTF-8 in a file that was cp1252"):
            list(export.batches([0]))
    given = open_export([path], ReadOptions(encoding="cp1252"))
    assert columns_of(given, [0])["c0"][-1] == "ZÃ¼rich"


@pytest.mark.parametrize("touch", [Path.unlink, lambda path: path.write_bytes(b"a\n1\n2\n")])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_export_knows_whether_its_files_have_changed(tmp_path, kind, touch):
    (tmp_path / "a.csv").write_text("a\n1\n")
    path = tmp_path / f"b.{kind}"
    if kind == "csv":
        path.write_text("a\n1\n")
    else:
        pq.write_table(pa.table({"a": [1]}), path)
    export = open_export([tmp_path / "a.csv", path])
    list(export.batches([0]))
    export.assert_unchanged()
    touch(path)
    with pytest.raises(ExportError, match=rf"b\.{kind}: (was changed|there is no such file)"):
        export.assert_unchanged()


def test_a_parquet_file_that_is_replaced_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": range(20)}), path, row_group_size=5)
    batches = open_export([path], ReadOptions(), batch_bytes=10).batches([0])
    next(batches)
    pq.write_table(pa.table({"a": range(30)}), tmp_path / "new")
    (tmp_path / "new").rename(path)
    with pytest.raises(
        ExportError, match=r"a\.parquet: was changed while it was read; start again"
    ):
        list(batches)


def test_a_frame_does_not_change():
    open_export(pd.DataFrame({"a": [1]})).assert_unchanged()


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_file_under_two_names_is_one_file(tmp_path, link):
    (tmp_path / "a.csv").write_text("a\n1\n")
    link(tmp_path / "a.csv", tmp_path / "b.csv")
    with pytest.raises(ExportError, match=r"b\.csv: is the same file as .*a\.csv; its rows would"):
        open_export([f"{tmp_path}/*.csv"])


def test_a_name_that_is_no_utf8_is_shown_as_text(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")
    shown = f"{tmp_path}/caf\\xe9.csv"
    with pytest.raises(ExportError, match=re.escape(f"{shown}: there is no such file")):
        open_export([name])
    Path(name).write_text("a\n1\n")
    for named in ([name], [Path(name)], [f"{tmp_path}/*.csv"]):
        export = open_export(named)
        assert export.files == (shown,)
        assert export.notes == (f"{shown}: comma between cells, ascii",)
        assert columns_of(export, [0])["c0"] == ["1"]
    with pytest.raises(ExportError, match=re.escape(f"{shown}: is named twice")):
        open_export([name, name])
    Path(name).write_text('a\n"1\n')
    with pytest.raises(ExportError, match=re.escape(f"{shown}:2: a quoted cell")):
        open_export([name])
    Path(name).unlink()
    Path(name).mkdir()
    with pytest.raises(ExportError, match=re.escape(f"{shown}: is a folder; name its files")) as e:
        open_export([name])
    str(e.value).encode()


@pytest.mark.parametrize(
    ("exports", "message"),
    [
        pytest.param([], "no export is named", id="no name"),
        pytest.param(["{}/none.csv"], "none.csv: there is no such file", id="no such file"),
        pytest.param(["{}/*.none"], r"\*.none: no file matches this pattern", id="no match"),
        pytest.param(["{}"], r": is a folder; name its files, for example .*\*\.csv", id="folder"),
        pytest.param(["{}/a.csv", "{}/*.csv"], "a.csv: is named twice", id="twice"),
        pytest.param(["{}/a.csv/b.csv"], r"b.csv: cannot be read \(Not a dir", id="within a file"),
        pytest.param(["{}/pipe"], "pipe: is not a regular file", id="a pipe"),
    ],
)
def test_what_names_no_file_is_refused(tmp_path, exports, message):
    (tmp_path / "a.csv").write_text("a\n1\n")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ExportError, match=message):
        open_export([name.format(tmp_path) for name in exports])


def test_a_file_that_is_gone_when_it_is_read_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a\n1\n")
    export = open_export([path])
    path.unlink()
    with pytest.raises(ExportError, match=r"a\.csv: there is no such file"):
        list(export.batches([0]))


def test_no_message_holds_a_cell(tmp_path):
    path = tmp_path / "a.csv"
    for content in ('mail\n"jo@shop.test" x\n', 'mail\n"jo@shop.test\n', "mail\njo@shop.test\0\n"):
        path.write_text(content)
        with pytest.raises(ExportError) as caught:
            open_export([path])
        assert not re.search("shop.test", str(caught.value))
        path.write_text("mail\n" + "1\n" * 300_000 + content)
        with pytest.raises(ExportError) as caught:
            list(open_export([path]).batches([0]))
        assert not re.search("shop.test", str(caught.value))


def test_batches_are_small_whatever_the_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + f"{'x' * 98},{'y' * 100}\n" * 100_000)
    sizes = [batch.nbytes for batch in open_export([path]).batches([0, 1])]
    assert len(sizes) >= 2
    assert max(sizes) < 12_000_000
    frame = pd.read_csv(path)
    for export in (open_export(frame), open_export(pa.Table.from_pandas(frame))):
        assert next(export.batches([0])).num_rows < 60_000
        assert export.text_bytes == pytest.approx(20_000_000, rel=0.2)


def test_an_export_can_be_read_again(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    export = open_export([tmp_path / "a.csv"], ReadOptions())
    assert columns_of(export, [1, 1]) == columns_of(export, [1, 1])
    assert columns_of(export, [1, 1])["c1"] == ["2"]
    assert columns_of(export, [])["_row"] == [2]
