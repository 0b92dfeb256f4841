import hashlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.engine.hash_filter import HASH, HashFilter


def hashes_of(name, count):
    return [hashlib.sha256(f"{name}{n}".encode()).digest()[:16] for n in range(count)]


HASHES = st.lists(st.binary(min_size=16, max_size=16), max_size=50)


def filtered(asked, there, count=None):
    some = HashFilter(len(asked) if count is None else count)
    some.add(pa.array(asked, HASH))
    batch = pa.record_batch({"key": pa.array(there, HASH), "n": pa.array(range(len(there)))})
    return [row for kept in some.passing([batch], "key") for row in kept.to_pylist()]


@given(HASHES, HASHES, st.sampled_from([0, 1, 2_000_000, 100_000_000]))
def test_what_was_asked_for_always_passes(asked, others, count):
    there = [*others, *asked, *others]

    kept = {row["n"] for row in filtered(asked, there, count)}

    assert kept >= {n for n, one in enumerate(there) if one in asked}


def test_nearly_all_else_is_left_out():
    assert len(filtered(hashes_of("a", 1_000), hashes_of("b", 100_000))) < 50


def test_of_an_empty_filter_nothing_passes():
    assert filtered([], hashes_of("a", 10)) == []


@pytest.mark.parametrize("kind", [HASH, pa.binary()], ids=["of 16 bytes", "as DuckDB gives them"])
def test_a_slice_of_an_array_is_read_from_where_it_begins(kind):
    first, rest = hashes_of("a", 20)[:5], hashes_of("a", 20)[5:]
    some = HashFilter(20)
    some.add(pa.array([*first, *rest], kind)[5:])

    assert list(some.passes(pa.array([*first, *rest], kind))) == [False] * 5 + [True] * 15
    assert list(some.passes(pa.array([*first, *rest], kind)[3:7])) == [False] * 2 + [True] * 2
