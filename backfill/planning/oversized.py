"""Orders of which no request may hold an event become rejects, before the plan is written."""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa

from backfill.event import EVENTS
from backfill.mapping.mapper import REJECTS, Counts, Mapped
from backfill.wire.interface import Limits


def within_limits(mapped: Mapped, limits: Limits, *, carries: bool) -> Mapped:
    """The same with the events' sizes, whole ``event.EVENTS``, and with all that fits."""
    sizes = limits.measure(mapped.events)
    events = mapped.events
    for at, name in enumerate(EVENTS.names):
        if name not in events.column_names:
            events = events.add_column(at, EVENTS.field(name), sizes[name])
    measured = replace(mapped, events=events)
    oversized = limits.oversized(events, carries=carries)
    return _without(measured, oversized) if oversized.num_rows else measured


def rejecting(counts: Counts, orders: int, rows: int) -> Counts:
    """So many accepted orders, with so many rows, are rejects after all."""
    return replace(
        counts,
        rows_accepted=counts.rows_accepted - rows,
        rows_rejected=counts.rows_rejected + rows,
        orders_accepted=counts.orders_accepted - orders,
        orders_rejected=counts.orders_rejected + orders,
    )


def _without(mapped: Mapped, oversized: pa.Table) -> Mapped:
    """An order is rejected whole, for the first of its events that does not fit."""
    orders = _pairs(mapped.events.take(oversized["at"]), "file", "row")
    told = zip(oversized["reason"].to_pylist(), oversized["column"].to_pylist(), strict=True)
    why: dict[tuple[int, int], tuple[str, str]] = {}
    for order, reason in zip(orders, told, strict=True):
        why.setdefault(order, reason)
    beside = [order in why for order in _pairs(mapped.members, "order_file", "order_row")]
    rejects = [(*order, *order, *reason) for order, reason in why.items()]
    rejects += [
        (*member.values(), *why[member["order_file"], member["order_row"]])
        for member in mapped.members.filter(pa.array(beside, pa.bool_())).to_pylist()
    ]
    table = pa.table(list(map(list, zip(*rejects, strict=True))), schema=REJECTS)
    keep = [order not in why for order in _pairs(mapped.events, "file", "row")]
    return Mapped(
        mapped.events.filter(pa.array(keep, pa.bool_())),
        pa.concat_tables([mapped.rejects, table]),
        mapped.members.filter(pa.array([not rejected for rejected in beside], pa.bool_())),
        rejecting(mapped.counts, len(why), len(rejects)),
    )


def _pairs(table: pa.Table, one: str, other: str) -> Iterator[tuple[int, int]]:
    return zip(table[one].to_pylist(), table[other].to_pylist(), strict=True)
