"""Tables of the events that no request may hold; where all events fit, one mask is all it costs."""

import pyarrow as pa
import pyarrow.compute as pc

from backfill.wire.interface import OVERSIZED


def largest_sizes(events: pa.Table, *, carries: bool) -> pa.ChunkedArray:
    """Give the bytes of each event in the larger of the ways in which it may be sent."""
    if not carries:
        return events["size"]
    return pc.max_element_wise(events["size"], pc.add(events["size"], events["attributes_size"]))


def longer_than(max_bytes: int, sizes: pa.ChunkedArray, events: pa.Table, reason: str) -> pa.Table:
    """List the events of more than ``max_bytes``; ``column`` names the metric and the bytes."""
    at = places_of(pc.greater(sizes, max_bytes))
    metrics, bytes_ = events["metric"].take(at).to_pylist(), sizes.take(at).to_pylist()
    columns = [f"{metric}: {size:,} bytes" for metric, size in zip(metrics, bytes_, strict=True)]
    return pa.table([at, [reason] * len(at), columns], schema=OVERSIZED)


def where(mask: pa.ChunkedArray, reason: str, column: str) -> pa.Table:
    """List the events for which ``mask`` is true, all with one reason and column."""
    at = places_of(mask)
    return pa.table([at, [reason] * len(at), [column] * len(at)], schema=OVERSIZED)


def first_of_each(*oversized: pa.Table) -> pa.Table:
    """Keep one row an event: where several reasons hold, the one that is given first."""
    found = pa.concat_tables(oversized)
    if not found.num_rows:
        return found
    firsts = found.append_column("nth", pa.array(range(found.num_rows))).group_by("at")
    return found.take(firsts.aggregate([("nth", "min")])["nth_min"].sort())


def places_of(mask: pa.ChunkedArray) -> pa.Array:
    """Give the places at which a mask is true.

    As one array: before 26.0.1, Arrow dies of ``indices_nonzero`` over no chunks at all.
    """
    return pc.indices_nonzero(mask.combine_chunks()).cast(pa.int64())
