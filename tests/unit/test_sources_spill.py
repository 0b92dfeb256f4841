"""What is spilled comes back: every row once, orders whole, in their order."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.errors import UsageError
from backfill.sources.spill import BUCKET_BYTES, BUCKETS_MAX, buckets_for, spill

KEYS = st.sampled_from(["1", " 1", "1\u00a0", "2", "3", "x" * 50, "", " ", None])


def batches_of(rows, size):
    for start in range(0, len(rows), size):
        cut = rows[start : start + size]
        yield pa.table(
            {
                "c0": pa.array([row[0] for row in cut], pa.string()),
                "c1": pa.array([row[1] for row in cut], pa.string()),
                "_row": pa.array(range(start, start + len(cut)), pa.int64()),
            }
        )


def trimmed(cell):
    return (cell or "").strip()


@given(
    rows=st.lists(st.tuples(KEYS, KEYS)),
    size=st.integers(1, 9),
    buckets=st.integers(1, 9),
    key=st.sampled_from([["c0"], ["c0", "c1"]]),
    held_bytes=st.sampled_from([1, 300, 1 << 20]),
)
def test_every_row_comes_once_and_equal_keys_come_together(
    tmp_path, rows, size, buckets, key, held_bytes
):
    folder = tmp_path / "spill"
    tables = list(spill(batches_of(rows, size), key, folder, buckets, held_bytes=held_bytes))
    assert not folder.exists()
    assert len(tables) <= buckets
    seen = {}
    for place, table in enumerate(tables):
        numbers = table["_row"].to_pylist()
        assert numbers == sorted(numbers)
        assert [rows[n] for n in numbers] == list(
            zip(table["c0"].to_pylist(), table["c1"].to_pylist(), strict=True)
        )
        for number in numbers:
            identity = tuple(trimmed(rows[number][name == "c1"]) for name in key)
            assert not any(identity) or seen.setdefault(identity, place) == place
    assert sorted(n for table in tables for n in table["_row"].to_pylist()) == list(
        range(len(rows))
    )


def test_many_rows_keep_their_order_within_a_table(tmp_path):
    rows = [(str(number % 7), "") for number in range(50_000)]
    for table in spill(batches_of(rows, 50_000), ["c0"], tmp_path / "spill", 3):
        numbers = table["_row"].to_pylist()
        assert numbers == sorted(numbers)


def test_only_the_owner_can_read_the_folder_and_closing_removes_it(tmp_path):
    folder = tmp_path / "spill"
    tables = spill(batches_of([("1", "a"), ("2", "b"), ("3", "c")], 1), ["c0"], folder, 8)
    next(tables)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]
    tables.close()
    assert not folder.exists()


def test_the_folder_is_removed_if_the_export_fails(tmp_path):
    def failing():
        yield from batches_of([("1", "a")], 1)
        message = "cut short"
        raise ValueError(message)

    with pytest.raises(ValueError, match="cut short"):
        list(spill(failing(), ["c0"], tmp_path / "spill", 4))
    assert not (tmp_path / "spill").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "spill").mkdir()
    with pytest.raises(UsageError, match=r"spill: rows cannot be written there \(File exists\)"):
        list(spill(iter([]), ["c0"], tmp_path / "spill", 4))


def test_rows_without_a_key_are_spread_over_the_buckets(tmp_path):
    rows = [("", None)] * 1_000
    tables = list(spill(batches_of(rows, 1_000), ["c0", "c1"], tmp_path / "spill", 10))
    assert [table.num_rows for table in tables] == [100] * 10


@pytest.mark.parametrize(
    ("text_bytes", "buckets"),
    [
        pytest.param(0, 1, id="nothing is one"),
        pytest.param(BUCKET_BYTES, 1, id="a bucket's bytes are one"),
        pytest.param(BUCKET_BYTES + 1, 2, id="a byte more is two"),
        pytest.param(BUCKETS_MAX * BUCKET_BYTES * 9, BUCKETS_MAX, id="there is a most"),
    ],
)
def test_the_number_of_buckets_has_a_maximum(text_bytes, buckets):
    assert buckets_for(text_bytes) == buckets
