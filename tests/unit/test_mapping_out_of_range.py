"""Dates and times that no calendar has: their orders are rejects wherever the column is read."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backfill.sources import open_export
from backfill.sources.text import OUT_OF_RANGE
from tests.mapped import landed, mapped, properties, rejects, schema_of

DAY_MS = 86_400_000
FAR = 2**62
TYPES = {
    "seconds": (pa.timestamp("s"), 2**60),
    "milliseconds": (pa.timestamp("ms"), FAR),
    "microseconds": (pa.timestamp("us"), FAR),
    "before all calendars": (pa.timestamp("us"), -FAR),
    "zoned": (pa.timestamp("us", "UTC"), FAR),
    "zoned elsewhere": (pa.timestamp("ms", "Europe/Berlin"), -FAR),
    "days": (pa.date32(), 2**31 - 1),
    "days before all calendars": (pa.date32(), -(2**31)),
    "days in ms": (pa.date64(), DAY_MS * 10**10),
    "days in ms that fit no date32": (pa.date64(), FAR),
    "seconds of a day": (pa.time32("s"), 86_400),
    "milliseconds of a day": (pa.time32("ms"), -1),
    "microseconds of a day": (pa.time64("us"), 86_400_000_000),
    "nanoseconds of a day": (pa.time64("ns"), FAR),
}
REJECT = {2: "value_out_of_range Made"}


def cells(kind, far):
    """Midnight of 1970, and a value beyond the type's range."""
    width = pa.int32() if kind.bit_width == 32 else pa.int64()
    return pa.array([0, far], width).view(kind)


def rows(at=None, **more):
    at = cells(*TYPES["microseconds"]) if at is None else at
    return {"Order": ["1", "2"], "Made": at, **more}


@pytest.mark.parametrize("kind", TYPES)
def test_a_copied_cell_beyond_its_types_range_is_a_reject(kind):
    found = mapped(schema_of({"Made": "Made"}), rows(cells(*TYPES[kind])))
    assert rejects(found) == REJECT
    assert list(landed(found)) == ["1"]
    assert OUT_OF_RANGE not in str(found.events.to_pylist())


@pytest.mark.parametrize("kind", [kind for kind in TYPES if not kind.endswith("of a day")])
def test_a_time_beyond_its_types_range_is_a_reject(kind):
    schema = schema_of({}, time={"column": "Made"}, source={"timezone": "UTC"})
    early = mapped(schema, rows(cells(*TYPES[kind])))
    assert rejects(early) == {1: "time_out_of_range Made", **REJECT}


@pytest.mark.parametrize(
    "kind", ["milliseconds", "microseconds", "zoned", "days", "seconds of a day"]
)
def test_parquet_maps_as_a_frame(kind, tmp_path):
    pq.write_table(pa.table(rows(cells(*TYPES[kind]))), tmp_path / "a.parquet")
    found = mapped(schema_of({"Made": "Made"}), open_export(tmp_path / "a.parquet"))
    assert rejects(found) == REJECT


def test_a_pandas_frame_maps_as_a_table():
    at = pd.Series(cells(*TYPES["milliseconds"]).to_numpy())
    found = mapped(schema_of({"Made": "Made"}), open_export(pd.DataFrame(rows(at))))
    assert rejects(found) == REJECT


def test_a_time_of_numpy_beyond_all_ranges_is_a_reject():
    at = pd.Series([pd.Timestamp(0).to_numpy(), pa.scalar(FAR).as_py()], dtype=object)
    at[1] = pd.Series([0]).to_numpy().astype("datetime64[D]")[0] + 2**60
    found = mapped(schema_of({"Made": "Made"}), open_export(pd.DataFrame(rows(at))))
    assert rejects(found) == REJECT


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param("on {Made}", id="a template"),
        pytest.param({"sql": "length(Made)"}, id="SQL"),
        pytest.param({"sql": "coalesce(Made, '')", "as": "text"}, id="SQL as a type"),
        pytest.param({"column": "Made", "default": "never"}, id="a default"),
        pytest.param({"column": "Made", "map": {"x": "y"}, "otherwise": "other"}, id="a map"),
        pytest.param({"object": {"at": "Made"}}, id="a member"),
        pytest.param({"column": "Made", "as": {"date": "%Y-%m-%d"}}, id="a day"),
        pytest.param({"column": "Made", "as": {"list": ":"}}, id="a list"),
    ],
)
def test_no_leaf_lets_such_a_cell_through(leaf):
    found = mapped(schema_of({"X": leaf}), rows(cells(*TYPES["days"])))
    assert rejects(found) == REJECT


def test_a_condition_over_such_a_cell_rejects_the_order():
    schema = schema_of({})
    schema["events"][0]["where"] = "Made is not null"
    assert rejects(mapped(schema, rows())) == REJECT


def test_a_line_with_such_a_cell_rejects_its_order():
    source = {"order": "Order", "line": ["Made"]}
    found = mapped(schema_of({"Sent": {"each": "Made"}}, source=source), rows())
    assert rejects(found) == REJECT
    several = {"Order": ["1", "1"], "Made": rows()["Made"]}
    found = mapped(schema_of({"Sent": {"each": "Made"}}, source=source), several)
    assert rejects(found) == dict.fromkeys((1, 2), "value_out_of_range Made")


def test_an_id_made_of_such_a_cell_is_a_reject():
    schema = schema_of({"$event_id": "{Order}-{Made}"})
    assert rejects(mapped(schema, rows())) == REJECT


def test_a_cell_that_may_be_left_out_is_left_out():
    leaf = {"column": "Made", "as": {"date": "%Y-%m-%d"}, "unfit": "leave_out"}
    found = mapped(schema_of({"Made": leaf}), rows(cells(*TYPES["days"])))
    assert properties(found) == {"1": {"Made": "1970-01-01"}, "2": {}}


def test_such_a_cell_of_a_coded_column_is_a_reject():
    coded = cells(*TYPES["microseconds"]).dictionary_encode()
    assert rejects(mapped(schema_of({"Made": "Made"}), rows(coded))) == REJECT


NESTED = {
    "a list": lambda at: pa.ListArray.from_arrays([0, 1, 2], at),
    "a struct": lambda at: pa.StructArray.from_arrays([at], ["at"]),
    "a map": lambda at: pa.MapArray.from_arrays([0, 1, 2], pa.array(["a", "b"]), at),
    "a view of a list": lambda at: pa.array([[0], [FAR]], pa.list_view(pa.int64())).view(
        pa.list_view(at.type)
    ),
    "a union": lambda at: pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [at]),
}


@pytest.mark.parametrize("form", NESTED)
@pytest.mark.parametrize("kind", ["text", "json"])
def test_such_a_cell_inside_another_is_a_reject(form, kind):
    at = NESTED[form](cells(*TYPES["microseconds"]))
    found = mapped(schema_of({"Made": {"column": "Made", "as": kind}}), rows(at))
    assert rejects(found) == REJECT


def test_such_a_part_of_a_cell_is_a_reject_and_other_parts_are_read():
    at = pa.StructArray.from_arrays(
        [cells(*TYPES["microseconds"]), pa.array(["a", "b"])], ["at", "name"]
    )
    columns = {"Made": "json"}
    assert rejects(mapped(schema_of({"X": "Made.at"}, columns=columns), rows(at))) == {
        2: "value_out_of_range Made.at"
    }
    found = mapped(schema_of({"X": "Made.name"}, columns=columns), rows(at))
    assert properties(found) == {"1": {"X": "a"}, "2": {"X": "b"}}


def test_text_that_arrow_made_is_none_in_a_csv_either(tmp_path):
    at = cells(*TYPES["days"]).cast(pa.string())
    (tmp_path / "a.csv").write_text(f"Order,Made\n1,{at[0]}\n2,{at[1]}\n")
    found = mapped(schema_of({"Made": "Made"}), open_export(tmp_path / "a.csv"))
    assert rejects(found) == {3: "value_out_of_range Made"}


def test_a_column_that_nothing_reads_rejects_nothing():
    found = mapped(schema_of({}), rows())
    assert list(landed(found)) == ["1", "2"]
    assert json.loads(landed(found)["2"]["properties"] or "{}") == {}
