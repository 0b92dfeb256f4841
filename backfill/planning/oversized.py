"""Orders with an event that no request may hold become rejects, before the plan is written."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pyarrow as pa

from backfill.event import EVENTS
from backfill.mapping.mapper import REJECTS, Counts, Mapped
from backfill.wire.interface import Limits


def reject_oversized(mapped: Mapped, limits: Limits, *, attributes: bool) -> Mapped:
    """A slice's events with their sizes, without those that are oversized.

    Args:
        mapped: the slice.
        limits: what a request of the API may hold.
        attributes: can an event carry its person's attributes?

    Returns:
        The slice; its events have all columns of ``event.EVENTS``.
    """
    sizes = limits.measure(mapped.events)
    events = mapped.events
    for at, name in enumerate(EVENTS.names):
        if name not in events.column_names:
            events = events.add_column(at, EVENTS.field(name), sizes[name])
    measured = replace(mapped, events=events)
    oversized = limits.oversized(events, carries=attributes)
    return _without(measured, oversized) if oversized.num_rows else measured


def reject_accepted(counts: Counts, orders: int, rows: int) -> Counts:
    """The counts after some accepted orders, with some rows, become rejects."""
    return replace(
        counts,
        rows_accepted=counts.rows_accepted - rows,
        rows_rejected=counts.rows_rejected + rows,
        orders_accepted=counts.orders_accepted - orders,
        orders_rejected=counts.orders_rejected + orders,
    )


def _without(mapped: Mapped, oversized: pa.Table) -> Mapped:
    """Reject whole orders, each for the first of its events that is oversized."""
    orders = _pairs(mapped.events.take(oversized["at"]), "file", "row")
    faults = zip(oversized["reason"].to_pylist(), oversized["column"].to_pylist(), strict=True)
    rejected: dict[tuple[int, int], tuple[str, str]] = {}
    for order, fault in zip(orders, faults, strict=True):
        rejected.setdefault(order, fault)
    return reject_orders(mapped, rejected)


def reject_orders(mapped: Mapped, rejected: Mapping[tuple[int, int], tuple[str, str]]) -> Mapped:
    """A slice with some accepted orders rejected.

    Args:
        mapped: the slice.
        rejected: the file and the row of each order, with the reason and the column.
    """
    is_member = [order in rejected for order in _pairs(mapped.members, "order_file", "order_row")]
    rejects = [(*order, *order, *fault) for order, fault in rejected.items()]
    rejects += [
        (*member.values(), *rejected[member["order_file"], member["order_row"]])
        for member in mapped.members.filter(pa.array(is_member, pa.bool_())).to_pylist()
    ]
    table = pa.table(list(map(list, zip(*rejects, strict=True))), schema=REJECTS)
    keep = [order not in rejected for order in _pairs(mapped.events, "file", "row")]
    return replace(
        mapped,
        events=mapped.events.filter(pa.array(keep, pa.bool_())),
        rejects=pa.concat_tables([mapped.rejects, table]),
        members=mapped.members.filter(pa.array([not one for one in is_member], pa.bool_())),
        counts=reject_accepted(mapped.counts, len(rejected), len(rejects)),
    )


def _pairs(table: pa.Table, one: str, other: str) -> Iterator[tuple[int, int]]:
    return zip(table[one].to_pylist(), table[other].to_pylist(), strict=True)
