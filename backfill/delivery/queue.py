"""What is sent next: first what goes again, then what is encoded from the plan."""

import asyncio
from collections import deque
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from backfill.delivery.batch import Batch, chunk_limits, cut_chunks, encode
from backfill.delivery.endpoint import Endpoint
from backfill.delivery.partial_failure import RefusedBatch, Split, split, split_failed
from backfill.event import IDENTIFIERS
from backfill.transport.retry import Refused
from backfill.wire.interface import Wire


@dataclass(frozen=True, slots=True)
class Job:
    """A batch, and where it goes."""

    batch: Batch
    endpoint: Endpoint
    after_repeat: bool = False
    """As in ``RefusedBatch``."""
    suspect_since: int | None = None
    """How many requests had gone through its endpoint before its events failed in another request.
    It is sent after all others, and what fails alone is refused. None if they have not failed."""

    @property
    def is_last_try(self) -> bool:
        return self.suspect_since is not None and len(self.batch) == 1


class Encoder:
    """Encodes pending events into batches in a thread, one chunk ahead of the posting.

    Holds two chunks at most: the one that is posted, the one that is being encoded. ``pending`` is
    read in that thread alone, and only as far as it is needed.
    """

    def __init__(self, pending: Iterable[pa.RecordBatch], wire: Wire) -> None:
        self._chunks = cut_chunks(pending, chunk_limits(wire.api))
        self._wire = wire
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backfill-encode")
        self._ready: deque[Batch] = deque()
        self._turn = asyncio.Lock()
        self._next_chunk: asyncio.Future[list[Batch] | None] | None = None

    async def __aenter__(self) -> Self:
        self._next_chunk = self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._next_chunk is not None:
            await asyncio.wait([self._next_chunk])
            if not self._next_chunk.cancelled():
                self._next_chunk.exception()  # ``next`` raises it, if it is called again
        self._thread.shutdown()

    async def next(self) -> Batch | None:
        """Give the next batch, None after the last one. Raises what ``pending`` raises."""
        async with self._turn:
            while not self._ready and self._next_chunk is not None:
                batches = await self._next_chunk
                self._next_chunk = None if batches is None else self._start()
                self._ready.extend(batches or ())
            return self._ready.popleft() if self._ready else None

    async def encode(self, events: pa.RecordBatch, wire: Wire) -> list[Batch]:
        """Encode events once more, in the same thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, encode, events, wire)

    def _start(self) -> asyncio.Future[list[Batch] | None]:
        return asyncio.get_running_loop().run_in_executor(self._thread, self._encode_next)

    def _encode_next(self) -> list[Batch] | None:
        events = next(self._chunks, None)
        return None if events is None else encode(events, self._wire)


_MAX_SUSPECTS: Final = 200
"""More of them do not wait for the others, so that they never fill the memory."""


class Queue:
    """Hands out jobs to many workers; ends when nothing is left that could make another job."""

    def __init__(self, encoder: Encoder, endpoint: Endpoint) -> None:
        self._encoder = encoder
        self._endpoint = endpoint
        self._again: list[Job] = []
        self._suspects: deque[Job] = deque()
        self._in_work = 0
        self._changed = asyncio.Event()
        self._exhausted = False
        self._stopped = False

    async def next(self) -> Job | None:
        """Give a job, for which ``done`` is called once; None after the last, or when stopped."""
        while not self._stopped:
            if self._again:
                self._in_work += 1
                return self._again.pop()
            waits = len(self._suspects) < _MAX_SUSPECTS
            if self._suspects and (self._exhausted or not waits):
                self._in_work += 1
                return self._suspects.popleft()
            if not self._exhausted:
                batch = await self._encoder.next()
                if batch is not None:
                    self._in_work += 1
                    return Job(batch, self._endpoint)
                self._exhausted = True
            elif not self._in_work:
                break
            else:
                self._changed.clear()
                await self._changed.wait()
        self._changed.set()
        return None

    def done(self, again: Iterable[Job] = ()) -> None:
        """End a job, with the jobs that take its place."""
        for job in again:
            (self._again if job.suspect_since is None else self._suspects).append(job)
        self._in_work -= 1
        self._changed.set()

    @property
    def has_fresh(self) -> bool:
        """Whether events may be left that were not sent yet."""
        return not self._exhausted

    def stop(self) -> None:
        self._stopped = True
        self._changed.set()


def split_unanswered(job: Job, fallback: Endpoint) -> Split:
    """Divide a job that failed at a gateway; the parts go after all others."""
    return split_failed(job.batch.rows, has_fallback=job.endpoint is not fallback)


def split_refused(job: Job, refused: Refused, fallback: Endpoint) -> Split:
    """Decide about each event of a refused job; what ``fallback`` itself refuses is refused."""
    batch, wire = job.batch, job.endpoint.wire
    return split(
        refused,
        RefusedBatch(
            rows=batch.rows,
            rows_at=lambda pointer: wire.rows_at(pointer, batch.request),
            goes_without_phone=lambda row: _goes_without_phone(batch.events, row),
            has_fallback=job.endpoint is not fallback,
            after_repeat=job.after_repeat,
        ),
    )


async def jobs_of(
    found: Split, job: Job, fallback: Endpoint, encoder: Encoder, suspect_since: int | None = None
) -> list[Job]:
    """Encode what is to be sent in the place of a refused or failed job."""
    events, own = job.batch.events, job.endpoint
    jobs: list[Job] = []
    if found.fallback:
        rows = events.take(pa.array(found.fallback))
        batches = await encoder.encode(rows, fallback.wire)
        since = None if suspect_since is None else fallback.went_through
        jobs += [Job(batch, fallback, suspect_since=since) for batch in batches]
    for group in found.again:
        rows = _without_phones(events.take(pa.array(group)), group, found.without_phone)
        batches = await encoder.encode(rows, own.wire)
        jobs += [Job(batch, own, found.has_repeats, suspect_since) for batch in batches]
    return jobs


_PHONE = "phone_number"


def _goes_without_phone(events: pa.RecordBatch, row: int) -> bool:
    has = {name: events[name][row].is_valid for name in IDENTIFIERS}
    return has.pop(_PHONE) and any(has.values())


def _without_phones(
    events: pa.RecordBatch, rows: tuple[int, ...], without: frozenset[int]
) -> pa.RecordBatch:
    if not without:
        return events
    place = events.schema.get_field_index(_PHONE)
    kept = pc.if_else(pa.array([row in without for row in rows]), None, events[_PHONE])
    return events.set_column(place, events.schema.field(place), kept)
