"""Which events no request may hold, as rows of ``interface.UNFIT``; costs a mask where all fit."""

import pyarrow as pa
import pyarrow.compute as pc

from backfill.wire.interface import UNFIT


def longest(events: pa.Table, *, carries: bool) -> pa.ChunkedArray:
    """The bytes of each event in the larger of the ways in which it may be sent."""
    if not carries:
        return events["size"]
    return pc.max_element_wise(events["size"], pc.add(events["size"], events["attributes_size"]))


def longer_than(most: int, sizes: pa.ChunkedArray, events: pa.Table, reason: str) -> pa.Table:
    """Those of more than ``most`` bytes; ``column`` names the metric and the bytes."""
    at = places_of(pc.greater(sizes, most))
    metrics, bytes_ = events["metric"].take(at).to_pylist(), sizes.take(at).to_pylist()
    told = [f"{metric}: {size:,} bytes" for metric, size in zip(metrics, bytes_, strict=True)]
    return _unfit(at, reason, pa.array(told, pa.string()))


def where(mask: pa.ChunkedArray, reason: str, column: str) -> pa.Table:
    at = places_of(mask)
    return _unfit(at, reason, pa.repeat(pa.scalar(column), len(at)))


def named(at: list[int], reasons: list[str], columns: list[str]) -> pa.Table:
    """One row for each, given apart."""
    return pa.table([at, reasons, columns], schema=UNFIT)


def first_of_each(*unfit: pa.Table) -> pa.Table:
    """One row an event: where several reasons hold, the one that is given first."""
    found = pa.concat_tables(unfit)
    if not found.num_rows:
        return found
    firsts = found.append_column("nth", pa.array(range(found.num_rows))).group_by("at")
    return found.take(firsts.aggregate([("nth", "min")])["nth_min"].sort())


def places_of(mask: pa.ChunkedArray) -> pa.Array:
    """Where a mask is true.

    As one array: before 26.0.1, Arrow dies of ``indices_nonzero`` over no chunks at all.
    """
    return pc.indices_nonzero(mask.combine_chunks()).cast(pa.int64())


def _unfit(at: pa.Array, reason: str, column: pa.Array) -> pa.Table:
    return pa.table([at, pa.repeat(pa.scalar(reason), len(at)), column], schema=UNFIT)
