"""The first orders of an export, with their events as they would be sent."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backfill.mapping.amount_marks import UNCLEAR_AMOUNT
from backfill.mapping.compile import compile_schema
from backfill.mapping.file_names import with_file_names
from backfill.mapping.mapper import Mapped, Mapper
from backfill.mapping.program import Bounds, Program
from backfill.planning.judgement import Profiles
from backfill.planning.map_export import map_slice
from backfill.planning.oversized import reject_orders, reject_oversized
from backfill.schema.bind import BoundSchema
from backfill.sources.export import Export
from backfill.wire.interface import Wire
from backfill.wire.track import Track

BY_POST: Final = Track()

Place = tuple[int, int]
"""The number of a file in the export, and a row's number in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedOrder:
    """One order: its payloads, or why it is a reject."""

    at: Place
    """Where it begins."""
    file: str
    """The file's name."""
    payloads: tuple[str, ...] = ()
    """The payloads of its events as JSON texts."""
    reason: str | None = None
    """The reason why it is a reject; None for an accepted order."""
    column: str = ""
    rows: tuple[Place, ...] = ()
    """All its rows."""

    @property
    def row(self) -> int:
        """The number of its first row."""
        return self.at[1]


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
    """Map the first orders of an export, each with all its rows.

    The whole export is read if the schema names an order: its rows may be scattered. Which event of
    a person is the newest is decided among the previewed events alone.

    Args:
        bound: the schema, bound to the export's columns.
        export: the export.
        profiles: which events carry their person's attributes: each person's newest one, none, or
            every one.
        bounds: the times that events may have.
        limit: the number of orders.
        wire: the API, whose limits make rejects.
        shown: the API whose payloads are shown; None is ``wire``.

    Returns:
        The orders, in the order of the export.

    Raises:
        ExportError: the export cannot be read.
        SchemaError: a constant of the schema does not fit its type, or the schema's SQL takes too
            much memory or time.
    """
    attributes = profiles != "none"
    program = compile_schema(bound, export.typed, bounds, attributes=attributes)
    rows = _first_orders(export, program, limit)
    if rows is None:
        return []
    mapper = Mapper(program, bound.schema.source.across_files)
    try:
        mapped = _without_unclear(map_slice(mapper, rows))
        mapped = reject_oversized(mapped, wire, attributes=attributes)
    finally:
        mapper.close()
    orders = _orders(mapped, export, profiles, shown or wire)
    return sorted(orders, key=lambda order: order.at)[:limit]


def _without_unclear(mapped: Mapped) -> Mapped:
    """Reject the orders with an amount that nothing in the previewed rows makes clear."""
    rejected = {
        (int(file), int(row)): (UNCLEAR_AMOUNT, column)
        for column, places in mapped.counts.marks.unclear().items()
        for file, row in places.T
    }
    return reject_orders(mapped, rejected) if rejected else mapped


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
    rows: defaultdict[Place, list[Place]] = defaultdict(list)
    for table in (mapped.members, mapped.rejects):
        for member in table.to_pylist():
            order = (member["order_file"], member["order_row"])
            rows[order].append((member["file"], member["row"]))
    payloads: defaultdict[Place, list[str]] = defaultdict(list)
    carries = pa.array(_carrying(mapped.events, profiles), pa.bool_())
    texts = wire.payloads(mapped.events.append_column("carries", carries))
    files, first_rows = (mapped.events[name].to_pylist() for name in ("file", "row"))
    for file, row, text in zip(files, first_rows, texts, strict=True):
        payloads[file, row].append(text)
    for at, own in payloads.items():
        every = tuple(sorted([at, *rows[at]]))
        file = export.files[at[0]]
        yield PreviewedOrder(at=at, file=file, payloads=tuple(own), rows=every)
    for reject in mapped.rejects.to_pylist():
        at = (reject["file"], reject["row"])
        if at == (reject["order_file"], reject["order_row"]):
            yield PreviewedOrder(
                at=at,
                file=export.files[at[0]],
                reason=reject["reason"],
                column=reject["column"],
                rows=tuple(sorted(rows[at])),
            )


def _carrying(events: pa.Table, profiles: Profiles) -> npt.NDArray[np.bool_]:
    """Which of the events carry their person's attributes."""
    if profiles != "newest":
        return np.full(events.num_rows, profiles == "every")
    people, *rest = (events[name].to_pylist() for name in ("person", "time", "key"))
    newest: dict[bytes, tuple[int, bytes, int]] = {}
    for person, *ranked in zip(people, *rest, range(events.num_rows), strict=True):
        rank = tuple(ranked)
        newest[person] = max(newest.get(person, rank), rank)
    carries = np.zeros(events.num_rows, dtype=bool)
    carries[[at for _, _, at in newest.values()]] = True
    return carries
