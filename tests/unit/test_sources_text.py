"""Typed columns, from Parquet or frames, become the text that a CSV would have."""

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.errors import ExportError
from backfill.sources import open_export
from backfill.sources.text import as_text, as_text_or_hex

NOON = dt.datetime.fromisoformat("2020-02-03T12:00:01.5")
NEW_YORK = dt.timezone(-dt.timedelta(hours=5))


def texts(values, kind=None):
    return as_text(pa.array(values, kind)).to_pylist()


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        pytest.param([1, None, -7], pa.int32(), ["1", None, "-7"], id="integers"),
        pytest.param([2**64 - 1], pa.uint64(), ["18446744073709551615"], id="large integers"),
        pytest.param([Decimal("1.50")], None, ["1.50"], id="decimals keep their places"),
        pytest.param(
            [Decimal("0.00000001"), Decimal("0E-8")],
            pa.decimal128(20, 8),
            ["0.00000001", "0.00000000"],
            id="small decimals have no exponent",
        ),
        pytest.param([Decimal("1E5")], pa.decimal128(5, -3), ["100000"], id="nor have large ones"),
        pytest.param(
            [17850.0, -1.0], None, ["17850", "-1"], id="whole doubles are written as integers"
        ),
        pytest.param([0.1, 1 / 3], None, ["0.1", "0.3333333333333333"], id="shortest"),
        pytest.param(
            [1e22, 1e-7, -2.5e-9, 5e-324],
            None,
            ["1" + "0" * 22, "0.0000001", "-0.0000000025", "0." + "0" * 323 + "5"],
            id="doubles have no exponent",
        ),
        pytest.param([0.1, 1e20], pa.float32(), ["0.1", "100000000000000000000"], id="floats"),
        pytest.param([np.float16(1.5)], pa.float16(), ["1.5"], id="half floats"),
        pytest.param(
            [float("nan"), float("inf"), float("-inf")],
            None,
            [None, "inf", "-inf"],
            id="not a number is nothing, infinity is told",
        ),
        pytest.param([True, False, None], None, ["true", "false", None], id="booleans"),
        pytest.param([dt.date(2020, 2, 3)], None, ["2020-02-03"], id="dates"),
        pytest.param([dt.date(2020, 2, 3)], pa.date64(), ["2020-02-03"], id="dates in ms"),
        pytest.param(
            pa.array([0, 1, -1, 253_402_300_800_000, None], pa.int64()).view(pa.date64()),
            None,
            ["1970-01-01", "1970-01-01", "1969-12-31", "10000-01-01", None],
            id="days in ms with a time of day",
        ),
        *(
            pytest.param(
                [NOON.replace(hour=0, second=0, microsecond=0), NOON.replace(microsecond=0)],
                pa.timestamp(unit),
                ["2020-02-03 00:00:00", "2020-02-03 12:00:01"],
                id=f"whole seconds in {unit}",
            )
            for unit in ("s", "ms", "us", "ns")
        ),
        *(
            pytest.param(
                [NOON], pa.timestamp(unit), ["2020-02-03 12:00:01.5"], id=f"halves in {unit}"
            )
            for unit in ("ms", "us", "ns")
        ),
        pytest.param(
            [NOON.replace(tzinfo=NEW_YORK)],
            pa.timestamp("us", "America/New_York"),
            ["2020-02-03 17:00:01.5Z"],
            id="zoned times are in UTC",
        ),
        pytest.param([dt.time(1, 2, 3)], None, ["01:02:03"], id="times of day"),
        pytest.param(["a", "", None], pa.large_string(), ["a", None, None], id="large strings"),
        pytest.param(["a"], pa.string_view(), ["a"], id="string views"),
        pytest.param(
            ["a", None, "a"], pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"], id="coded"
        ),
        pytest.param([1.0], pa.dictionary(pa.int8(), pa.float64()), ["1"], id="coded doubles"),
        pytest.param([None], pa.null(), [None], id="no type"),
        pytest.param(["é".encode(), b""], pa.binary(), ["é", None], id="bytes that are text"),
        pytest.param(
            [uuid.UUID(int=1).bytes], pa.uuid(), ["00000000-0000-0000-0000-000000000001"], id="uuid"
        ),
        pytest.param(
            [[1, None], [], None], pa.list_(pa.int64()), ["[1,null]", "[]", None], id="lists"
        ),
        pytest.param(
            [[{"n": 'a "b"\n', "x": Decimal("1.50"), "f": 2.0}], None],
            pa.list_(
                pa.struct({"n": pa.string(), "x": pa.decimal128(9, 2), "f": pa.float64()}.items())
            ),
            ['[{"n":"a \\"b\\"\\n","x":1.50,"f":2}]', None],
            id="lists of structs",
        ),
        pytest.param(
            [{"t": NOON, "d": None}, None],
            pa.struct([("t", pa.timestamp("ns")), ("d", pa.date32())]),
            ['{"t":"2020-02-03 12:00:01.5","d":null}', None],
            id="structs",
        ),
        pytest.param(
            [[("a", 1), ("b", None)], None],
            pa.map_(pa.string(), pa.int64()),
            ['{"a":1,"b":null}', None],
            id="maps",
        ),
        pytest.param([[float("inf"), float("nan")]], None, ['["inf",null]'], id="inf in a list"),
    ],
)
def test_a_type_has_one_text(values, kind, expected):
    assert texts(values, kind) == expected


def test_a_slice_is_read_where_it_begins():
    whole = pa.array([[1], None, [2, 3], [4]])
    assert as_text(whole.slice(1, 2)).to_pylist() == [None, "[2,3]"]
    whole = pa.array([{"a": 1}, None, {"a": 3}])
    assert as_text(whole.slice(1)).to_pylist() == [None, '{"a":3}']
    whole = pa.array([[("a", 1)], [("b", 2)]], pa.map_(pa.string(), pa.int64()))
    assert as_text(whole.slice(1)).to_pylist() == ['{"b":2}']


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_any_double_comes_back_from_its_text(values):
    found = texts(values, pa.float64())
    assert [float(text) for text in found] == values
    assert not any("e" in text.lower() for text in found)


def test_bytes_that_are_no_text_become_hexadecimal_digits():
    column = pa.array([b"\xff\x01", None, "é".encode(), b""], pa.binary())
    assert as_text_or_hex(column).to_pylist() == ["ff01", None, "é", None]


def frames(kind, table, tmp_path):
    if kind == "parquet":
        pq.write_table(table, tmp_path / "x.parquet", row_group_size=2)
        return [tmp_path / "x.parquet"]
    return table.to_pandas() if kind == "pandas" else table


TABLE = pa.table(
    {
        " id ": pa.array([1, 2, 3]),
        "at": pa.array([NOON, None, NOON], pa.timestamp("us")),
        "zip": pa.array(["02134", "", None], pa.large_string()),
        "paid": pa.array([True, None, False]),
        "day": pa.array([dt.date(2020, 2, 3), None, None]),
        "price": pa.array([1.0, None, 2.5]),
    }
)


@pytest.mark.parametrize("kind", ["parquet", "pandas", "arrow"])
def test_parquet_and_frames_read_alike(tmp_path, kind):
    export = open_export(frames(kind, TABLE, tmp_path))
    assert export.columns == ("id", "at", "zip", "paid", "day", "price")
    assert export.typed.temporal == {1, 4}
    (batch,) = export.batches([5, 2, 0, 1, 3, 4])
    assert batch.to_pydict() == {
        "c0": ["1", None, "2.5"],
        "c1": ["02134", None, None],
        "c2": ["1", "2", "3"],
        "c3": ["2020-02-03 12:00:01.5", None, "2020-02-03 12:00:01.5"],
        "c4": ["true", None, "false"],
        "c5": ["2020-02-03", None, None],
        "_file": [0, 0, 0],
        "_row": [1, 2, 3],
        "_ragged": [False, False, False],
    }
    assert list(export.rows({0: [2]})) == [(0, 2, ["2", "", "", "", "", ""])]


def test_columns_of_mixed_values_are_text_each():
    stamp = pd.Timestamp("2020-02-03 12:00:01.5", tz="America/New_York")
    values = ["x", 1, 2.0, 1e22, True, Decimal("1E+3"), None, float("nan"), pd.NaT, pd.NA, b"y"]
    values += [NOON, dt.date(2020, 2, 3), stamp, [1, {"a": Decimal("1.5")}, np.nan], np.int64(5)]
    frame = pd.DataFrame({7: pd.Series(values, dtype=object)})
    frame.index += 5
    export = open_export(frame)
    assert export.columns == ("7",)
    (batch,) = export.batches([0])
    assert batch["c0"].to_pylist() == [
        *("x", "1", "2", "1" + "0" * 22, "true", "1000", None, None, None, None, "y"),
        *("2020-02-03 12:00:01.5", "2020-02-03", "2020-02-03 17:00:01.5Z"),
        '[1,{"a":"1.5"},null]',
        "5",
    ]


@pytest.mark.parametrize(
    ("series", "expected", "temporal"),
    [
        pytest.param(pd.Series([1, None]), ["1", None], False, id="NaN makes doubles"),
        pytest.param(pd.Series([1, None], dtype="Int64"), ["1", None], False, id="nullable"),
        pytest.param(
            pd.to_datetime(pd.Series(["2020-02-03", None])),
            ["2020-02-03 00:00:00", None],
            True,
            id="NaT is nothing",
        ),
        pytest.param(pd.Series(["a", None], dtype="category"), ["a", None], False, id="categories"),
        pytest.param(pd.Series(["a", None], dtype="str"), ["a", None], False, id="strings"),
        pytest.param(
            pd.Series(pd.period_range("2020-01", periods=2, freq="M")),
            ["2020-01", "2020-02"],
            False,
            id="periods by their name",
        ),
        pytest.param(
            pd.Series([dt.date(2020, 2, 3), None], dtype=object),
            ["2020-02-03", None],
            True,
            id="dates as objects",
        ),
        pytest.param(
            pd.Series([Decimal("1.5"), Decimal("2.25")], dtype=object),
            ["1.5", "2.25"],
            False,
            id="decimals each with its own places",
        ),
    ],
)
def test_pandas_columns(series, expected, temporal):
    export = open_export(pd.DataFrame({"a": series}))
    (batch,) = export.batches([0])
    assert batch["c0"].to_pylist() == expected
    assert export.typed.temporal == ({0} if temporal else frozenset())


@pytest.mark.parametrize("kind", ["parquet", "pandas", "arrow"])
def test_bytes_that_are_no_text_are_refused_where_the_column_is_used(tmp_path, kind):
    table = pa.table({"a": ["x"], "raw": pa.array([b"\xff"])})
    export = open_export(frames(kind, table, tmp_path))
    assert [batch["c0"].to_pylist() for batch in export.batches([0])] == [["x"]]
    with pytest.raises(ExportError, match='column "raw" holds bytes that are not UTF-8'):
        list(export.batches([1]))


def test_text_in_parquet_that_is_no_utf8_is_refused(tmp_path):
    broken = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    pq.write_table(pa.table({"a": broken}), tmp_path / "x.parquet")
    export = open_export([tmp_path / "x.parquet"])
    with pytest.raises(ExportError, match='column "a" holds bytes that are not UTF-8'):
        list(export.batches([0]))


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_two_columns_of_one_name_are_two_columns(tmp_path, kind):
    table = pa.table([pa.array([1]), pa.array(["x"]), pa.array([2])], names=["a", "b", "a"])
    export = open_export(frames(kind, table, tmp_path))
    assert export.columns == ("a", "b", "a")
    (batch,) = export.batches([2, 0])
    assert batch["c0"].to_pylist() + batch["c1"].to_pylist() == ["2", "1"]


@pytest.mark.parametrize("kind", ["parquet", "pandas", "arrow"])
def test_no_rows(tmp_path, kind):
    export = open_export(frames(kind, TABLE.slice(0, 0), tmp_path))
    assert sum(batch.num_rows for batch in export.batches([0, 1])) == 0


def test_rows_are_counted_without_any_column(tmp_path):
    for kind in ("parquet", "pandas", "arrow"):
        export = open_export(frames(kind, TABLE, tmp_path))
        batches = list(export.batches([]))
        assert [row for batch in batches for row in batch["_row"].to_pylist()] == [1, 2, 3]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: whole[:-1], id="its end is lost"),
        pytest.param(lambda whole: whole[:60], id="half of it is lost"),
        pytest.param(lambda whole: whole[:4] + b"\xff" * 40 + whole[44:], id="a page is damaged"),
        pytest.param(lambda _: b"PAR1", id="only the magic is left"),
    ],
)
def test_a_damaged_parquet_file_is_refused(tmp_path, damage):
    path = tmp_path / "x.parquet"
    pq.write_table(TABLE, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ExportError, match=r"x\.parquet: is not a whole Parquet file"):
        list(open_export([path]).batches(range(6)))


def test_a_page_that_does_not_match_its_checksum_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    table = pa.table({"a": ["marker"]})
    pq.write_table(
        table,
        path,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
    )
    path.write_bytes(path.read_bytes().replace(b"marker", b"market"))
    with pytest.raises(ExportError, match=r"x\.parquet: is not a whole Parquet file"):
        list(open_export([path]).batches([0]))


def test_a_file_named_parquet_must_be_one(tmp_path):
    (tmp_path / "x.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(ExportError, match=r"x\.parquet: is not a Parquet file"):
        open_export([tmp_path / "x.parquet"])
