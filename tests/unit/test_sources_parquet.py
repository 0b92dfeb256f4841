"""Parquet files that pyarrow does not read: each gets its own sentence."""

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backfill.errors import ExportError
from backfill.sources.export import open_export


def nested(depth, *, struct=False):
    kind, value = pa.int64(), 1
    for _ in range(depth):
        kind = pa.struct([("in", kind)]) if struct else pa.list_(kind)
        value = {"in": value} if struct else [value]
    return pa.table({"id": ["1"], "deep": pa.array([value], kind)})


@pytest.mark.skipif(
    int(pa.__version__.partition(".")[0]) < 26,
    reason="older pyarrow does not tell a deep column from a damaged file, or reads it",
)
@pytest.mark.parametrize(
    "table",
    [
        pytest.param(nested(60), id="lists"),
        pytest.param(nested(300), id="very deep lists"),
        pytest.param(nested(150, struct=True), id="structs"),
    ],
)
def test_a_column_that_nests_too_deep_is_not_called_damaged(table, tmp_path):
    path = tmp_path / "orders.parquet"
    pq.write_table(table, path)
    with pytest.raises(ExportError, match=r"a column nests lists or structs deeper than pyarrow"):
        open_export([path])


def test_a_column_that_nests_a_little_is_read(tmp_path):
    path = tmp_path / "orders.parquet"
    pq.write_table(nested(5), path)
    [batch] = open_export([path]).batches([1])
    assert batch["c0"].to_pylist() == ["[[[[[1]]]]]"]


def test_int96_times_of_all_years_are_read(tmp_path):
    path = tmp_path / "orders.parquet"
    texts = ["0001-01-01 00:00:00", "2020-02-03 01:02:03.000004", "9999-12-31 23:59:59"]
    times = [dt.datetime.fromisoformat(text) for text in texts]
    table = pa.table({"at": pa.array(times, pa.timestamp("us"))})
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    [batch] = open_export([path]).batches([0])
    assert batch["c0"].to_pylist() == texts


def test_a_file_that_is_cut_is_damaged(tmp_path):
    path = tmp_path / "orders.parquet"
    pq.write_table(nested(5), path)
    path.write_bytes(path.read_bytes()[:-40] + b"PAR1")
    with pytest.raises(ExportError, match="damaged or cut short"):
        open_export([path])
