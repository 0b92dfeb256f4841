"""Judges a whole plan, for all that no single slice shows.

The plan alone decides about orders of shared identities, duplicate ids, each person's newest event,
sums and the digest. The ledger decides which events were delivered, and whose newer attributes
Klaviyo has. All this is computed from the plan's Parquet files; no SQL of a schema runs here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa

from backfill.engine.duck import streamed
from backfill.event import IDENTIFIERS, PROFILE_FIELDS
from backfill.mapping.amount_marks import UNCLEAR_AMOUNT
from backfill.planning.duplicate_ids import HASH, reject_duplicate_ids
from backfill.planning.judgement import (
    ORDER_CODE,
    Judgement,
    Known,
    MetricCount,
    MonthCount,
    Orders,
    Profiles,
    Rejected,
    Verdict,
)
from backfill.planning.newest import mark_carriers
from backfill.planning.shared_identity import reject_shared_identities
from backfill.planning.tables import PlanTables
from backfill.planning.unfinished_line import reject_unfinished

_NO_ORDERS: Final = np.zeros(0, np.int64)
_DELIVERED: Final = pa.schema([("key", pa.binary(16)), ("content", pa.binary(8))])


def judge(
    files: Sequence[Path],
    counts: Sequence[int],
    spill: Path,
    profiles: Profiles,
    known: Known,
    *,
    shared_limit: int | None = None,
    unclear: Mapping[str, Orders] = MappingProxyType({}),
    unfinished: Orders = _NO_ORDERS,
    hash64: str = HASH,
) -> Judgement:
    """Give each event of a plan a verdict, and add the plan up.

    Args:
        files: Parquet files of ``event.EVENTS``.
        counts: the number of events in each file.
        spill: a folder for data that does not fit into memory.
        profiles: which events carry their person's attributes: each person's newest one, none, or
            every one.
        known: what the ledger knows.
        shared_limit: the number of people who may share an identity; the orders of an identity with
            more people are rejected. None sets no limit.
        unclear: the orders with an amount that nothing makes clear, by its column; they are
            rejected.
        unfinished: the codes of orders on last lines that may be cut; they are rejected.
        hash64: SQL for a hash of ``key``. Collisions cost time and change nothing.
    """
    with PlanTables.of(files, counts, spill) as tables:
        waiting = reject_unfinished(tables, unfinished)
        rejected = reject_unclear_amounts(tables, unclear)
        rejected += reject_shared_identities(tables, shared_limit)
        rejected += reject_several_sums(tables)
        clashes, repeats = reject_duplicate_ids(tables, hash64)
        changed_orders = _mark_delivered(tables, known.delivered)
        mark_carriers(tables, profiles, known.carried)
        metrics = tuple(_metrics(tables))
        return Judgement(
            verdicts=tables.verdicts,
            rejected=tuple(one for one in (waiting, *rejected, *clashes) if len(one.orders)),
            events=sum(metric.events for metric in metrics),
            already=sum(int((part == Verdict.KNOWN).sum()) for part in tables.verdicts),
            repeats=repeats,
            changed_orders=changed_orders,
            people=tables.count(f"(select distinct person::uuid from {tables.counted})"),
            metrics=metrics,
            months=tuple(_months(tables)),
            size=_size(tables),
            digest=_digest(tables, profiles),
        )


def reject_unclear_amounts(tables: PlanTables, unclear: Mapping[str, Orders]) -> list[Rejected]:
    """Reject these orders, each for the first of its columns.

    Afterwards the view ``e`` of all events is without them.
    """
    return [
        Rejected(UNCLEAR_AMOUNT, column, tables.reject_orders(orders))
        for column, orders in sorted(unclear.items())
    ]


def reject_several_sums(tables: PlanTables) -> list[Rejected]:
    """Reject the orders whose refunds have several running sums in this plan.

    Each would be taken for new. Afterwards the view ``e`` of all events is without them.
    """
    found = tables.connection.sql(
        f"select distinct {ORDER_CODE} as order_code from e semi join (select sum_key from e "
        "where sum_key is not null group by sum_key having count(distinct key) > 1) using (sum_key)"
    ).to_arrow_table()["order_code"]
    orders = tables.reject_orders(found.to_numpy())
    return [Rejected("several_refund_sums", "$event_id", orders)]


def _mark_delivered(tables: PlanTables, delivered: Iterable[pa.RecordBatch]) -> int:
    """Mark the events that the ledger knows.

    Returns:
        The number of orders that changed since they were delivered.
    """
    rows = tables.asked_for(delivered, "key", f"select key from {tables.counted}")
    with streamed(tables.connection, "ledger", _DELIVERED, rows):
        tables.run("create temp table delivered as select key::uuid as key, content from ledger")
    if not tables.count("delivered"):
        return 0
    known = (
        "(select part, n, file, row, content, key::uuid as wanted from "
        f"{tables.counted}) e semi join delivered on wanted = delivered.key"
    )
    for batch in tables.batches(f"select part, n from {known}"):
        tables.mark(batch, Verdict.KNOWN)
    # An event that was delivered twice may have had another content each time.
    [(changed,)] = tables.rows(
        f"select count(distinct {ORDER_CODE}) from {known} anti join delivered d on wanted = d.key "
        "and e.content = d.content"
    )
    return int(changed)


def _metrics(tables: PlanTables) -> Iterator[MetricCount]:
    query = (
        "select metric, count(*), min(time), max(time), "
        "coalesce(sum(value), 0)::decimal(38,6)::varchar "
        f"from {tables.counted} group by metric order by metric"
    )
    for metric, events, first_s, last_s, value in tables.rows(query):
        yield MetricCount(
            metric=metric, events=events, first_s=first_s, last_s=last_s, value=_short(value)
        )


def _months(tables: PlanTables) -> Iterator[MonthCount]:
    query = (
        "select metric, strftime(make_timestamp(month * 1000000), '%Y-%m'), events from "
        "(select metric, epoch(date_trunc('month', make_timestamp(time * 1000000)))::bigint "
        f"as month, count(*) as events from {tables.counted} group by all) order by all"
    )
    for metric, month, events in tables.rows(query):
        yield MonthCount(metric, month, events)


def _size(tables: PlanTables) -> int:
    """The bytes of the bodies that are to be sent."""
    size = 0
    for batch in tables.batches("select part, n, size, attributes_size from e"):
        found = tables.verdicts_at(batch)
        size += int(batch["size"].to_numpy()[found <= Verdict.CARRY].sum())
        size += int(batch["attributes_size"].to_numpy()[found == Verdict.CARRY].sum())
    return size


def _digest(tables: PlanTables, profiles: Profiles) -> str:
    """The hashes of all events, combined by exclusive or, so that their order does not matter."""
    attributes = "''"
    if profiles != "none":
        fields = ", chr(31), ".join((*IDENTIFIERS, *PROFILE_FIELDS, "profile"))
        attributes = f"concat({fields})"
    [(combined,)] = tables.rows(
        f"select coalesce(bit_xor(md5_number(concat(hex(key), hex(content), {attributes}))), 0)"
        f"::varchar from {tables.counted}"
    )
    [(digest,)] = tables.rows(f"select sha256('{profiles} {combined}')")
    return str(digest)[:16]


def _short(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number
