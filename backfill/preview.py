"""The first orders of an export, whole, as their events would go over the wire."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill.event import SEPARATOR
from backfill.judge import Profiles
from backfill.mapping.compile import Bounds, Program, compile_schema
from backfill.mapping.slices import Mapped, Mapper
from backfill.schema.bind import BoundSchema
from backfill.sources.export import Export
from backfill.wire import track


@dataclass(frozen=True, slots=True)
class PreviewedOrder:
    """One order: where it begins, its payloads as JSON texts, or why it is a reject."""

    at: tuple[int, int]
    """The place of its file in the export, and its first row."""
    file: str
    row: int
    payloads: tuple[str, ...]
    reason: str | None = None
    column: str = ""


def preview_orders(
    bound: BoundSchema, export: Export, *, profiles: Profiles, bounds: Bounds, limit: int
) -> list[PreviewedOrder]:
    """The first ``limit`` orders that stand in the export, with all their rows, wherever they are.

    Reads the whole export where the schema names an order: its rows may be scattered. Whether an
    event carries the person's attributes is decided among the previewed events alone.
    """
    program = compile_schema(bound, export.temporal, bounds, attributes=profiles != "none")
    rows = _first_orders(export, program, limit)
    if rows is None:
        return []
    mapper = Mapper(program, bound.schema.source.across_files)
    try:
        mapped = mapper.map(rows)
    finally:
        mapper.close()
    return sorted(_orders(mapped, export, profiles), key=lambda order: order.at)[:limit]


def _first_orders(export: Export, program: Program, limit: int) -> pa.Table | None:
    """All rows of the first orders."""
    batches = export.batches(program.columns)
    if not program.order:
        return _first_rows(batches, limit)
    wanted: dict[str, None] = {}
    found: list[pa.Table] = []
    for batch in batches:
        keys = _keys(batch, program.order)
        if len(wanted) < limit:
            for key in pc.unique(keys).to_pylist():
                if len(wanted) < limit:
                    wanted[key] = None
        found.append(batch.filter(pc.is_in(keys, pa.array(list(wanted), pa.string()))))
    return pa.concat_tables(found) if found else None


def _first_rows(batches: Iterator[pa.Table], limit: int) -> pa.Table | None:
    found: list[pa.Table] = []
    for batch in batches:
        found.append(batch.slice(0, limit - sum(table.num_rows for table in found)))
        if sum(table.num_rows for table in found) >= limit:
            break
    return pa.concat_tables(found) if found else None


def _keys(batch: pa.Table, order: tuple[str, ...]) -> pa.ChunkedArray:
    cells = [pc.utf8_trim_whitespace(pc.fill_null(batch[name], "")) for name in order]
    return pc.binary_join_element_wise(*cells, "", SEPARATOR)


def _orders(mapped: Mapped, export: Export, profiles: Profiles) -> Iterator[PreviewedOrder]:
    events = mapped.events
    carries = pa.array(_carrying(events, profiles), pa.bool_())
    payloads = track.payload(events.append_column("carries", carries))
    by_order: dict[tuple[int, int], list[str]] = {}
    places = zip(events["file"].to_pylist(), events["row"].to_pylist(), payloads, strict=True)
    for file, row, payload in places:
        by_order.setdefault((file, row), []).append(payload)
    for (file, row), texts in by_order.items():
        yield PreviewedOrder((file, row), export.files[file], row, tuple(texts))
    for reject in mapped.rejects.to_pylist():
        at = (reject["file"], reject["row"])
        if at == (reject["order_file"], reject["order_row"]):
            yield PreviewedOrder(
                at, export.files[at[0]], at[1], (), reject["reason"], reject["column"]
            )


def _carrying(events: pa.Table, profiles: Profiles) -> "np.typing.NDArray[np.bool_]":
    if profiles != "newest":
        return np.full(events.num_rows, profiles == "every")
    rows = zip(
        events["person"].to_pylist(),
        events["time"].to_pylist(),
        events["key"].to_pylist(),
        range(events.num_rows),
        strict=True,
    )
    top: dict[bytes, tuple[int, bytes, int]] = {}
    for person, time, key, at in rows:
        top[person] = max(top.get(person, (time, key, at)), (time, key, at))
    carries = np.zeros(events.num_rows, dtype=bool)
    carries[[at for _, _, at in top.values()]] = True
    return carries
