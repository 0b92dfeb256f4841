"""Deliver: post what is pending, keep to the pace, write down what was taken, end cleanly."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import pyarrow as pa

from backfill import limits
from backfill.delivery.acknowledged import Acknowledged, wait_for
from backfill.delivery.batch import Batch
from backfill.delivery.client import DEFAULT_TIMEOUTS, Client, Timeouts
from backfill.delivery.feed import Feed
from backfill.delivery.ledger import Ledger
from backfill.delivery.pace import Pace, Window
from backfill.delivery.refusals import Refusal
from backfill.delivery.retry import (
    DEFAULT_PATIENCE,
    Delivered,
    Denied,
    Outcome,
    Patience,
    Post,
    Refused,
    Silence,
    Silent,
    Wait,
    attempts,
)
from backfill.errors import AskedError, BackfillError, DeniedError, StoppedError
from backfill.wire.interface import Reply, Wire

TRACK_WINDOWS: Final = (Window(limits.TRACK_RATE_PER_S, 1.0),)
_LOOK_EVERY_S: Final = 0.05
"""How soon a stop is seen by who waits."""
_LOOKS_A_REPORT: Final = 4
_REDIRECT: Final = 3


@dataclass(frozen=True, slots=True)
class Time:
    """Every clock of a run, so that a test hands in its own."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


REAL_TIME: Final = Time()


@dataclass(frozen=True, slots=True)
class How:
    """How a run posts; the defaults are right for Track."""

    concurrency: int = 16
    windows: tuple[Window, ...] = TRACK_WINDOWS
    patience: Patience = DEFAULT_PATIENCE
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    time: Time = REAL_TIME


BY_DEFAULT: Final = How()


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
    """How long a 429 or 503 held up the whole run."""
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
    how: How = BY_DEFAULT,
) -> Delivery:
    """Post every pending event, and write each acknowledged one into the ledger.

    ``pending`` gives rows of ``event.EVENTS`` with a bool column ``carries``. When ``stop`` is
    set, nothing new starts, what is in flight finishes, the ledger is written. An interrupt
    (Ctrl-C where nobody handles it, a notebook's stop) is taken for ``stop``. ``on_progress`` is
    called five times a second from a thread of the run.

    Works inside a running event loop too: the run has a thread and a loop of its own.

    Raises:
        UsageError: the URL may not be posted to.
        Exception: whatever ``pending``, ``refuse`` or ``on_progress`` raises, after the ledger
            was written. ``refuse`` may raise a ``BackfillError`` to end the run in order.
    """
    stopping = stop or threading.Event()
    client = Client(url, wire, connections=how.concurrency, timeouts=how.timeouts)

    async def run() -> Delivery:
        return await _Run(
            client=client,
            wire=wire,
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
        client: Client,
        wire: Wire,
        acknowledged: Acknowledged,
        refuse: Callable[[Refusal], None],
        on_progress: Callable[[Delivery], None],
        stop: threading.Event,
        how: How,
    ) -> None:
        self._client = client
        self._wire = wire
        self._acknowledged = acknowledged
        self._refuse = refuse
        self._on_progress = on_progress
        self._stop = stop
        self._how = how
        self._pace = Pace(how.windows, how.time.clock)
        self._began_s = how.time.clock()
        self._halt = asyncio.Event()
        self._ended: BackfillError | None = None
        self._delivered = self._refused = self._requests = self._body_bytes = 0

    async def run(self, pending: Iterable[pa.RecordBatch]) -> Delivery:
        over = asyncio.Event()
        async with self._client, self._acknowledged, Feed(pending, self._wire) as feed:
            watching = asyncio.create_task(self._watch(over))
            workers = [asyncio.create_task(self._work(feed)) for _ in range(self._how.concurrency)]
            await asyncio.wait(workers)
            over.set()
            await asyncio.wait([watching])
        _raise_first([*workers, watching])
        self._heed_ledger()
        self._on_progress(self._so_far())
        return self._so_far()

    async def _work(self, feed: Feed) -> None:
        try:
            while not self._halted() and (batch := await feed.next()) is not None:
                outcome = await self._bring(batch)
                if outcome is not None:
                    await self._book(batch, outcome)
        except BackfillError as err:
            self._end(err)
        except BaseException:
            self._halt.set()
            raise

    async def _bring(self, batch: Batch) -> Outcome | None:
        """Bring one batch to its outcome; None if the run halts before there is one."""
        steps = attempts(
            self._wire.read,
            jitter=self._how.time.jitter,
            now=self._how.time.wall,
            patience=self._how.patience,
        )
        came: Reply | Silence | None = None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                outcome: Outcome = done.value
                return outcome
            came = None
            match step:
                case Wait(wait_s, whole_run=True):
                    self._pace.pause(wait_s)
                case Wait(wait_s):
                    await self._rest(wait_s)
                case Post():
                    if not await self._may_start():
                        return None
                    self._requests += 1
                    self._body_bytes += batch.size
                    came = await self._client.post(batch.body, batch.query)

    async def _book(self, batch: Batch, outcome: Outcome) -> None:
        match outcome:
            case Delivered():
                self._delivered += len(batch)
                await self._acknowledged.add(batch)
            case Refused(reason, status, detail):
                for key, metric in zip(batch.each_key(), batch.metrics, strict=True):
                    self._refuse(Refusal(key.hex(), metric, status, reason, detail))
                    self._refused += 1
            case Denied(status):
                self._end(_denied(status, self._wire))
            case Silent(why):
                self._end(
                    StoppedError(
                        f"{self._client.host} takes no more events: {why}; what was delivered is "
                        "in the ledger, run the same command to go on"
                    )
                )

    async def _may_start(self) -> bool:
        """Wait for the pace; False if the run halts meanwhile."""
        while not self._halted():
            wait_s = self._pace.take()
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

    async def _watch(self, over: asyncio.Event) -> None:
        """See a stop or a failed ledger while all workers wait; tell of the progress."""
        looks = 0
        try:
            while not over.is_set():
                await wait_for(over, _LOOK_EVERY_S)
                self._halted()
                looks += 1
                if looks % _LOOKS_A_REPORT == 0:
                    self._on_progress(self._so_far())
        except BaseException:
            self._halt.set()
            raise

    def _halted(self) -> bool:
        if self._halt.is_set():
            return True
        if self._stop.is_set():
            self._end(AskedError("stopped as asked; run the same command to go on"))
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
            paused_s=self._pace.paused_s,
            unrecorded=self._acknowledged.waiting,
            ended=self._ended,
        )


def _raise_first(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Raise what the first of them failed with; the others' failures count as seen."""
    failures = [failure for task in tasks if (failure := task.exception()) is not None]
    if failures:
        raise failures[0]


def _denied(status: int, wire: Wire) -> DeniedError:
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return DeniedError(f"the answer is {status} for {wire.path}: {wire.gone}")
    if status // 100 == _REDIRECT:
        return DeniedError(
            f"the answer is {status}, a redirect, and redirects are not followed; "
            "check --url, nothing is posted elsewhere"
        )
    return DeniedError(f"the answer is {status}: Klaviyo does not accept this key")
