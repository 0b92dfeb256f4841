"""Events of a refused request, put into requests anew."""

import pyarrow as pa
import pyarrow.compute as pc

from backfill.delivery.feed import Feed
from backfill.delivery.partial_failure import Batched, Mended, mend
from backfill.delivery.queue import Job, Lane
from backfill.event import IDENTIFIERS
from backfill.transport.retry import Refused

_PHONE = "phone_number"


def decided(job: Job, refused: Refused, aside: Lane) -> Mended:
    """What becomes of each event of the job's batch; what ``aside`` refuses is refused."""
    batch, wire = job.batch, job.lane.wire
    return mend(
        refused,
        Batched(
            rows=batch.rows,
            rows_at=lambda pointer: wire.rows_at(pointer, batch.request),
            goes_without_phone=lambda row: _goes_without_phone(batch.source.events, row),
            can_go_aside=job.lane is not aside,
            repeated=job.repeated,
        ),
    )


async def encoded_anew(job: Job, mended: Mended, aside: Lane, feed: Feed) -> list[Job]:
    """What is to be sent in the place of a job."""
    events = job.batch.source.events
    jobs: list[Job] = []
    if mended.aside:
        taken = events.take(pa.array(mended.aside))
        jobs += [Job(batch, aside) for batch in await feed.encode(taken, aside.wire)]
    for rows in mended.again:
        taken = _without_phone(events.take(pa.array(rows)), rows, mended.without_phone)
        jobs += [
            Job(batch, job.lane, mended.repeats)
            for batch in await feed.encode(taken, job.lane.wire)
        ]
    return jobs


def _goes_without_phone(events: pa.RecordBatch, row: int) -> bool:
    has = {name: events[name][row].is_valid for name in IDENTIFIERS}
    return has.pop(_PHONE) and any(has.values())


def _without_phone(
    events: pa.RecordBatch, rows: tuple[int, ...], without: frozenset[int]
) -> pa.RecordBatch:
    if not without:
        return events
    place = events.schema.get_field_index(_PHONE)
    kept = pc.if_else(pa.array([row in without for row in rows]), None, events[_PHONE])
    return events.set_column(place, events.schema.field(place), kept)
