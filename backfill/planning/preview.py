"""The first orders of an export, whole, as their events would go over the wire."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill.mapping.compile import compile_schema
from backfill.mapping.file_names import with_file_names
from backfill.mapping.mapper import Mapped, Mapper
from backfill.mapping.program import Bounds, Program
from backfill.planning.judgement import Profiles
from backfill.planning.map_export import map_slice
from backfill.planning.oversized import within_limits
from backfill.schema.bind import BoundSchema
from backfill.sources.export import Export
from backfill.wire.interface import Wire
from backfill.wire.track import Track

BY_POST: Final = Track()


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
    rows: tuple[tuple[int, int], ...] = ()
    """All its rows: the place of the file in the export, and the row's number."""


def preview_orders(
    bound: BoundSchema,
    export: Export,
    *,
    profiles: Profiles,
    bounds: Bounds,
    limit: int,
    wire: Wire = BY_POST,
    shown: Wire | None = None,
) -> list[PreviewedOrder]:
    """The first ``limit`` orders that stand in the export, with all their rows, wherever they are.

    Reads the whole export where the schema names an order: its rows may be scattered. Whether an
    event carries the person's attributes is decided among the previewed events alone.
    """
    shown = shown or wire
    program = compile_schema(bound, export.temporal, bounds, attributes=profiles != "none")
    rows = _first_orders(export, program, limit)
    if rows is None:
        return []
    mapper = Mapper(program, bound.schema.source.across_files)
    try:
        mapped = within_limits(map_slice(mapper, rows), wire, carries=profiles != "none")
    finally:
        mapper.close()
    return sorted(_orders(mapped, export, profiles, shown), key=lambda order: order.at)[:limit]


def _first_orders(export: Export, program: Program, limit: int) -> pa.Table | None:
    """All rows of the first orders; a row without an order counts as one."""
    batches = (
        with_file_names(batch, program, export.files) for batch in export.batches(program.columns)
    )
    if not program.order:
        return _first_rows(batches, limit)
    wanted: dict[str, None] = {}
    found: list[pa.Table] = []
    for batch in batches:
        keys = program.order_keys(batch)
        for key in pc.unique(keys).to_pylist() if len(wanted) < limit else ():
            if key is not None and len(wanted) < limit:
                wanted[key] = None
        orderless = batch.filter(pc.is_null(keys)).slice(0, limit)
        of_orders = pc.is_in(keys, pa.array(list(wanted), pa.string()))
        found += [batch.filter(of_orders), orderless]
    return pa.concat_tables(found) if found else None


def _first_rows(batches: Iterator[pa.Table], limit: int) -> pa.Table | None:
    found: list[pa.Table] = []
    for batch in batches:
        found.append(batch.slice(0, limit - sum(table.num_rows for table in found)))
        if sum(table.num_rows for table in found) >= limit:
            break
    return pa.concat_tables(found) if found else None


def _orders(
    mapped: Mapped, export: Export, profiles: Profiles, wire: Wire
) -> Iterator[PreviewedOrder]:
    events = mapped.events
    carries = pa.array(_carrying(events, profiles), pa.bool_())
    payloads = wire.payloads(events.append_column("carries", carries))
    by_order: dict[tuple[int, int], list[str]] = {}
    places = zip(events["file"].to_pylist(), events["row"].to_pylist(), payloads, strict=True)
    for file, row, payload in places:
        by_order.setdefault((file, row), []).append(payload)
    rows = _rows_by_order(mapped)
    for at, texts in by_order.items():
        file, row = at
        yield PreviewedOrder(
            at, export.files[file], row, tuple(texts), rows=tuple(sorted([at, *rows.get(at, ())]))
        )
    for reject in mapped.rejects.to_pylist():
        at = (reject["file"], reject["row"])
        if at == (reject["order_file"], reject["order_row"]):
            why = (reject["reason"], reject["column"])
            yield PreviewedOrder(at, export.files[at[0]], at[1], (), *why, tuple(sorted(rows[at])))


def _rows_by_order(mapped: Mapped) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """The rejects' rows, and those beside its first row of each accepted order."""
    rows: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for table in (mapped.members, mapped.rejects):
        places = (table[name].to_pylist() for name in ("order_file", "order_row", "file", "row"))
        for order_file, order_row, file, row in zip(*places, strict=True):
            rows.setdefault((order_file, order_row), []).append((file, row))
    return rows


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
