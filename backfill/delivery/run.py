"""Deliver: post what is pending, keep to the pace, write down what was taken, end cleanly."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from backfill import limits
from backfill.delivery.anew import decided, encoded_anew
from backfill.delivery.batch import Batch
from backfill.delivery.denied import speaks_json_api, to_send
from backfill.delivery.feed import Feed
from backfill.delivery.queue import Job, Lane, Work
from backfill.delivery.recorder import Acknowledged, wait_for
from backfill.delivery.refusals import Refusal
from backfill.display import plain
from backfill.errors import BackfillError, DeniedError, StoppedByUserError, StoppedError
from backfill.ledger.ledger import Ledger
from backfill.transport.client import DEFAULT_TIMEOUTS, Client, Timeouts
from backfill.transport.pace import Pace, Window, windows_of
from backfill.transport.retry import (
    DEFAULT_RETRY_POLICY,
    Delivered,
    Fatal,
    NoAnswer,
    Outcome,
    Post,
    Refused,
    RetryPolicy,
    Unavailable,
    Wait,
    attempts,
)
from backfill.wire.interface import RateLimitStatus, Reply, Wire

TRACK_WINDOWS: Final = (Window(limits.TRACK_RATE_PER_S, 1.0),)
MAX_REFUSED_AT_FIRST: Final = 1_000
"""More refusals than that without one yes are no fault of single events: the run ends."""

_LOOK_EVERY_S: Final = 0.05
"""How soon a stop is seen by who waits."""
_LOOKS_A_REPORT: Final = 4


@dataclass(frozen=True, slots=True)
class Time:
    """Every clock of a run, so that a test hands in its own."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


REAL_TIME: Final = Time()


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How a run posts; the defaults are right for Track."""

    concurrency: int = 16
    windows: tuple[Window, ...] = TRACK_WINDOWS
    aside_windows: tuple[Window, ...] = windows_of(limits.EVENTS_RATES)
    """Of the endpoint that takes what the first one will not take together."""
    patience: RetryPolicy = DEFAULT_RETRY_POLICY
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    time: Time = REAL_TIME


BY_DEFAULT: Final = DeliveryOptions()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a run has done, so far or in the end. Events, but where a name says otherwise."""

    delivered: int = 0
    refused: int = 0
    requests: int = 0
    body_bytes: int = 0
    """Of all requests, those that were tried again included."""
    took_s: float = 0.0
    paused_s: float = 0.0
    """How long a 429 or 503 held up all requests to an endpoint."""
    phones_dropped: int = 0
    """Sent again without the phone number that Klaviyo did not take."""
    aside: int = 0
    """Sent one by one, by Create Event, because the bulk endpoint did not take them."""
    rate_limit: RateLimitStatus | None = None
    """What Klaviyo's last answer says is left of the steady window."""
    unrecorded: int = 0
    """Delivered, but not in the ledger; after the end not 0 only if the ledger failed."""
    ended: BackfillError | None = None
    """Why the run ended before the last event, for the caller to raise."""


def deliver(
    pending: Iterable[pa.RecordBatch],
    *,
    wire: Wire,
    url: str,
    ledger: Ledger,
    run_id: str,
    refuse: Callable[[Refusal], None],
    on_progress: Callable[[Delivery], None] = lambda _: None,
    stop: threading.Event | None = None,
    how: DeliveryOptions = BY_DEFAULT,
    aside: Wire | None = None,
) -> Delivery:
    """Post every pending event, and write each acknowledged one into the ledger.

    ``pending`` gives rows of ``event.EVENTS`` with a bool column ``carries``. ``aside``: how one
    event goes by itself, where ``wire`` takes many and does not take it together with others.

    When ``stop`` is set, nothing new starts, what is in flight finishes, the ledger is written. An
    interrupt (Ctrl-C where nobody handles it, a notebook's stop) is taken for ``stop``.
    ``on_progress`` is called five times a second from a thread of the run.

    Works inside a running event loop too: the run has a thread and a loop of its own.

    Raises:
        UsageError: the URL may not be posted to.
        Exception: whatever ``pending``, ``refuse`` or ``on_progress`` raises, after the ledger
            was written. ``refuse`` may raise a ``BackfillError`` to end the run in order.
    """
    stopping = stop or threading.Event()

    def lane(wire: Wire, windows: tuple[Window, ...]) -> Lane:
        client = Client(url, wire, connections=how.concurrency, timeouts=how.timeouts)
        return Lane(wire, client, Pace(windows, how.time.clock))

    lanes = [lane(wire, how.windows)]
    if aside is not None:
        lanes.append(lane(aside, how.aside_windows))

    async def run() -> Delivery:
        return await _Run(
            lanes=lanes,
            acknowledged=Acknowledged(ledger, run_id, how.time.wall),
            refuse=refuse,
            on_progress=on_progress,
            stop=stopping,
            how=how,
        ).run(pending)

    with ThreadPoolExecutor(1, thread_name_prefix="backfill-deliver") as thread:
        ending = thread.submit(asyncio.run, run())
        try:
            return ending.result()
        except KeyboardInterrupt:
            stopping.set()
            return ending.result()


class _Run:
    def __init__(
        self,
        *,
        lanes: list[Lane],
        acknowledged: Acknowledged,
        refuse: Callable[[Refusal], None],
        on_progress: Callable[[Delivery], None],
        stop: threading.Event,
        how: DeliveryOptions,
    ) -> None:
        self._lanes = lanes
        self._acknowledged = acknowledged
        self._refuse = refuse
        self._on_progress = on_progress
        self._stop = stop
        self._how = how
        self._began_s = how.time.clock()
        self._halt = asyncio.Event()
        self._ended: BackfillError | None = None
        self._delivered = self._refused = self._requests = self._body_bytes = 0
        self._phones_dropped = self._aside = 0

    async def run(self, pending: Iterable[pa.RecordBatch]) -> Delivery:
        over = asyncio.Event()
        async with AsyncExitStack() as stack:
            for lane in self._lanes:
                await stack.enter_async_context(lane.client)
            await stack.enter_async_context(self._acknowledged)
            feed = await stack.enter_async_context(Feed(pending, self._lanes[0].wire))
            work = Work(feed, self._lanes[0])
            watching = asyncio.create_task(self._watch(over, work))
            workers = [
                asyncio.create_task(self._work(work, feed)) for _ in range(self._how.concurrency)
            ]
            await asyncio.wait(workers)
            over.set()
            await asyncio.wait([watching])
        _raise_first([*workers, watching])
        self._heed_ledger()
        self._on_progress(self._so_far())
        return self._so_far()

    async def _work(self, work: Work, feed: Feed) -> None:
        try:
            while not self._halted() and (job := await work.next()) is not None:
                outcome = await self._bring(job)
                work.done([] if outcome is None else await self._book(job, outcome, feed))
        except BackfillError as err:
            self._end(err)
        except BaseException:
            self._halt.set()
            raise
        finally:
            if self._halted():
                work.halt()

    async def _bring(self, job: Job) -> Outcome | None:
        """Bring one batch to its outcome; None if the run halts before there is one."""
        lane, request = job.lane, job.batch.request
        steps = attempts(
            lane.wire.read,
            jitter=self._how.time.jitter,
            now=self._how.time.wall,
            patience=self._how.patience,
            json_api=speaks_json_api(lane.wire),
        )
        came: Reply | NoAnswer | None = None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                outcome: Outcome = done.value
                return outcome
            came = None
            match step:
                case Wait(wait_s, whole_run=True):
                    lane.pace.pause(wait_s)
                case Wait(wait_s):
                    await self._rest(wait_s)
                case Post():
                    if not await self._may_start(lane.pace):
                        return None
                    self._requests += 1
                    self._body_bytes += request.size
                    try:
                        came = await lane.client.post(request.body, request.query)
                    finally:
                        lane.pace.done()
                    if isinstance(came, Reply) and came.rate_limit is not None:
                        lane.rate_limit = came.rate_limit

    async def _book(self, job: Job, outcome: Outcome, feed: Feed) -> list[Job]:
        """Write down what came of a batch; what is to be sent in its place."""
        batch, wire = job.batch, job.lane.wire
        match outcome:
            case Delivered():
                self._delivered += len(batch)
                await self._acknowledged.add(batch)
            case Refused() if speaks_json_api(wire):
                return await self._mend(job, outcome, feed)
            case Refused(reason, status, detail):
                for row in batch.rows:
                    self._note(batch, row, Refusal("", "", status, reason, detail))
            case Fatal(status):
                self._end(to_send(status, wire))
            case Unavailable(why):
                self._end(
                    StoppedError(
                        f"{job.lane.client.host} takes no more events: {why}; what was delivered "
                        "is in the ledger, run the same command to go on"
                    )
                )
        return []

    async def _mend(self, job: Job, refused: Refused, feed: Feed) -> list[Job]:
        """Write down the events that were turned down for good; encode the others anew."""
        aside = self._lanes[-1]
        mended = decided(job, refused, aside)
        for row, said in mended.refused:
            detail = plain(said.detail) or refused.detail
            self._note(job.batch, row, Refusal("", "", refused.status, said.code, detail))
        self._phones_dropped += len(mended.without_phone)
        self._aside += len(mended.aside)
        return await encoded_anew(job, mended, aside, feed)

    def _note(self, batch: Batch, row: int, said: Refusal) -> None:
        key, metric = batch.key_of(row).hex(), batch.metric_of(row)
        self._refuse(replace(said, key=key, metric=metric))
        self._refused += 1
        if not self._delivered and self._refused > MAX_REFUSED_AT_FIRST:
            self._end(
                DeniedError(
                    f"Klaviyo refused the first {self._refused:,} events and took none; its words "
                    "stand in refusals.jsonl; they are not in the ledger, so mend what they say "
                    "and run again"
                )
            )

    async def _may_start(self, pace: Pace) -> bool:
        """Wait for the pace; False if the run halts meanwhile."""
        while not self._halted():
            wait_s = pace.take()
            if not wait_s:
                return True
            await self._rest(wait_s)
        return False

    async def _rest(self, wait_s: float) -> None:
        """Sleep so long, or until the run halts."""
        if wait_s <= _LOOK_EVERY_S:
            await self._how.time.sleep(wait_s)
            return
        tasks = (
            asyncio.ensure_future(self._how.time.sleep(wait_s)),
            asyncio.ensure_future(self._halt.wait()),
        )
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def _watch(self, over: asyncio.Event, work: Work) -> None:
        """See a stop or a failed ledger while all workers wait; tell of the progress."""
        looks = 0
        try:
            while not over.is_set():
                await wait_for(over, _LOOK_EVERY_S)
                if self._halted():
                    work.halt()
                looks += 1
                if looks % _LOOKS_A_REPORT == 0:
                    self._on_progress(self._so_far())
        except BaseException:
            self._halt.set()
            work.halt()
            raise

    def _halted(self) -> bool:
        if self._halt.is_set():
            return True
        if self._stop.is_set():
            self._end(StoppedByUserError("stopped as asked; run the same command to go on"))
        if self._acknowledged.failure is not None:
            self._halt.set()
        return self._halt.is_set()

    def _heed_ledger(self) -> None:
        """Tell of a ledger that failed before any other reason: what it lacks is sent again."""
        failure = self._acknowledged.failure
        if isinstance(failure, BackfillError):
            self._ended = failure
        elif failure is not None:
            raise failure

    def _end(self, why: BackfillError | None) -> None:
        """Let nothing new start. The first reason is the one that is told."""
        if why is not None:
            self._ended = self._ended or why
            self._halt.set()

    def _so_far(self) -> Delivery:
        return Delivery(
            delivered=self._delivered,
            refused=self._refused,
            requests=self._requests,
            body_bytes=self._body_bytes,
            took_s=self._how.time.clock() - self._began_s,
            paused_s=sum(lane.pace.paused_s for lane in self._lanes),
            phones_dropped=self._phones_dropped,
            aside=self._aside,
            rate_limit=self._lanes[0].rate_limit,
            unrecorded=self._acknowledged.waiting,
            ended=self._ended,
        )


def _raise_first(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Raise what the first of them failed with; the others' failures count as seen."""
    failures = [failure for task in tasks if (failure := task.exception()) is not None]
    if failures:
        raise failures[0]
