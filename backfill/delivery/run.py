"""Deliver a plan: post what is pending, record what is acknowledged, end cleanly.

Each event goes one way through these states::

    pending ──▶ encoded ──▶ in flight ──▶ acknowledged ──▶ recorded
                   ▲            │
                   └─── again ◀─┴──▶ refused

pending         In the plan and not in the ledger. Read only as far as it is needed.
encoded         In a batch in memory: of two chunks at most, and of what goes again.
in flight       Posted, and no answer yet: ``concurrency`` requests at most. An attempt without a
                whole answer may have been taken. It is posted again, under the same id.
acknowledged    The answer says that Klaviyo took it. It waits for the ledger, with 20,000 others at
                most, as a rule for less than 0.2 s (``recorder``).
recorded        On the disk in the ledger. No later run sends it.
again           Its request was refused, but the event may pass: it is encoded once more, with fewer
                others, without its phone number, or for the fallback (``partial_failure``).
refused         It has a line in refusals.jsonl, written before the event is counted. It is not in
                the ledger, so the next run tries it again.

Two places outlive the process: Klaviyo, and the ledger. What a kill leaves there:

===============  ============  ==========================  =======================================
killed while     Klaviyo has   the ledger has              the next run
===============  ============  ==========================  =======================================
pending, again   nothing       nothing                     sends the event
in flight        perhaps it    nothing                     sends it again; Klaviyo drops the repeat
acknowledged     the event     nothing                     sends it again; Klaviyo drops the repeat
being recorded   the event     all of its group, or none   as one of the rows beside this one
recorded         the event     the event                   leaves it out
===============  ============  ==========================  =======================================

So no event is lost at any point, because it is recorded after its acknowledgement and never before.
Only a bounded number of events may be sent twice. Klaviyo drops a repeat by the event's id. Where
it refuses a request for a repeat instead, ``partial_failure`` finds out by the fallback that it has
the event (docs/klaviyo.md, "Repeats").

A run ends when nothing is left, or before that: somebody asks for it, Klaviyo rejects the key or
stays silent, the ledger or refusals.jsonl cannot be written, a thousand events are refused before
one is delivered, or ``pending`` fails. Then nothing new starts, what is in flight finishes, and
what is acknowledged is recorded. ``ended`` is the first reason; a failed ledger goes before all
others.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Final

import pyarrow as pa

from backfill.delivery.batch import Batch
from backfill.delivery.delivery import DEFAULT_OPTIONS, Delivery, DeliveryOptions
from backfill.delivery.queue import Encoder, Endpoint, Job, Queue, jobs_of, split_refused
from backfill.delivery.recorder import Recorder, wait_for
from backfill.delivery.refusals import Refusal
from backfill.display import plain
from backfill.errors import BackfillError, DeniedError, StoppedByUserError, StoppedError
from backfill.ledger.ledger import Ledger
from backfill.transport.client import Client
from backfill.transport.denied import denied_error
from backfill.transport.exchange import Exchange
from backfill.transport.pace import Pace, Window
from backfill.transport.retry import (
    Delivered,
    Fatal,
    Outcome,
    Post,
    Refused,
    Unavailable,
    Wait,
    attempts,
)
from backfill.wire.interface import Reply, Wire

MAX_REFUSED_AT_FIRST: Final = 1_000
"""More refusals than that without one delivery are no fault of single events: the run ends."""

_CHECK_EVERY_S: Final = 0.05
"""How soon a waiting worker notices a stop."""
_CHECKS_A_REPORT: Final = 4


def deliver(
    pending: Iterable[pa.RecordBatch],
    *,
    wire: Wire,
    url: str,
    ledger: Ledger,
    run_id: str,
    on_refusal: Callable[[Refusal], None],
    on_progress: Callable[[Delivery], None] = lambda _: None,
    stop: threading.Event | None = None,
    options: DeliveryOptions = DEFAULT_OPTIONS,
    fallback: Wire | None = None,
) -> Delivery:
    """Post every pending event, and record each acknowledged one in the ledger.

    Works inside a running event loop too: the run has a thread and a loop of its own.

    Args:
        pending: rows of ``event.EVENTS`` with a bool column ``carries``: whether the event goes
            with its person's attributes.
        wire: how events are encoded, and to which API they go.
        url: the base, such as ``https://a.klaviyo.com``.
        ledger: of the account whose key ``wire`` has.
        run_id: the run that the ledger notes with the events.
        on_refusal: is called for each refused event, and may raise a ``BackfillError`` to end the
            run in order.
        on_progress: is called five times a second from a thread of the run.
        stop: when it is set, the run ends in order. An interrupt (Ctrl-C where nobody handles it,
            a notebook's stop) sets it.
        options: how to post.
        fallback: encodes one event by itself, where ``wire`` takes many and does not take it
            together with others.

    Raises:
        UsageError: the URL may not be posted to.
        Exception: whatever ``pending``, ``on_refusal`` or ``on_progress`` raises, after the ledger
            was written.
    """
    stopping = stop or threading.Event()
    wires = [(wire, options.windows)]
    if fallback is not None:
        wires.append((fallback, options.fallback_windows))
    run = _Run(
        endpoints=[_endpoint(url, wire, windows, options) for wire, windows in wires],
        recorder=Recorder(ledger, run_id, options.clocks.wall),
        on_refusal=on_refusal,
        on_progress=on_progress,
        stop_asked=stopping,
        options=options,
    )
    with ThreadPoolExecutor(1, thread_name_prefix="backfill-deliver") as thread:
        ending = thread.submit(lambda: asyncio.run(run.deliver(pending)))
        try:
            return ending.result()
        except KeyboardInterrupt:
            stopping.set()
            return ending.result()


def _endpoint(
    url: str, wire: Wire, windows: tuple[Window, ...], options: DeliveryOptions
) -> Endpoint:
    client = Client(url, wire, connections=options.concurrency, timeouts=options.timeouts)
    return Endpoint(wire, client, Pace(windows, options.clocks.monotonic))


@dataclass(slots=True, kw_only=True)
class _Run:
    endpoints: list[Endpoint]
    """The first one takes batches, the last one takes single events; they may be the same."""
    recorder: Recorder
    on_refusal: Callable[[Refusal], None]
    on_progress: Callable[[Delivery], None]
    stop_asked: threading.Event
    options: DeliveryOptions
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    done: Delivery = field(default_factory=Delivery)

    async def deliver(self, pending: Iterable[pa.RecordBatch]) -> Delivery:
        finished = asyncio.Event()
        first = self.endpoints[0]
        async with AsyncExitStack() as stack:
            for endpoint in self.endpoints:
                await stack.enter_async_context(endpoint.client)
            await stack.enter_async_context(self.recorder)
            encoder = await stack.enter_async_context(Encoder(pending, first.wire))
            queue = Queue(encoder, first)
            watcher = asyncio.create_task(self._watch(finished, queue))
            workers = [
                asyncio.create_task(self._work(queue, encoder))
                for _ in range(self.options.concurrency)
            ]
            await asyncio.wait(workers)
            finished.set()
            await asyncio.wait([watcher])
        _raise_first([*workers, watcher])
        self._raise_ledger_failure()
        self.on_progress(self._so_far())
        return self._so_far()

    async def _work(self, queue: Queue, encoder: Encoder) -> None:
        try:
            while not self._is_stopping() and (job := await queue.next()) is not None:
                outcome = await self._send(job)
                again = [] if outcome is None else await self._record_outcome(job, outcome, encoder)
                queue.done(again)
        except BackfillError as err:
            self._stop(err)
        except BaseException:
            self.stopping.set()
            raise
        finally:
            if self._is_stopping():
                queue.stop()

    async def _send(self, job: Job) -> Outcome | None:
        """Bring one batch to its outcome; None if the run stops before there is one."""
        endpoint, request = job.endpoint, job.batch.request
        steps = attempts(
            endpoint.wire.read,
            jitter=self.options.clocks.jitter,
            now=self.options.clocks.wall,
            policy=self.options.retry_policy,
            is_json_api=endpoint.wire.api.is_json_api,
        )
        exchange = Exchange(steps, endpoint.pace)
        for step in exchange:
            if self._is_stopping():
                return None
            match step:
                case Wait(wait_s):
                    await self._sleep(wait_s)
                case Post():
                    self.done.requests += 1
                    self.done.body_bytes += request.size
                    answer = await endpoint.client.post(request.body, request.query)
                    if isinstance(answer, Reply) and answer.rate_limit is not None:
                        endpoint.rate_limit = answer.rate_limit
                    exchange.answer = answer
        return exchange.outcome

    async def _record_outcome(self, job: Job, outcome: Outcome, encoder: Encoder) -> list[Job]:
        """Record the outcome of a batch; give the jobs that take its place."""
        batch, api = job.batch, job.endpoint.wire.api
        match outcome:
            case Delivered():
                self.done.delivered += len(batch)
                await self.recorder.add(batch)
            case Refused() if api.is_json_api:
                return await self._split(job, outcome, encoder)
            case Refused(reason, status, detail):
                for row in batch.rows:
                    self._record_refusal(batch, row, status, reason, detail)
            case Fatal(status):
                request = f"{job.endpoint.wire.method} {api.path}"
                self._stop(denied_error(status, request, scope=api.scope, if_gone=api.if_gone))
            case Unavailable(why):
                self._stop(
                    StoppedError(
                        f"{job.endpoint.client.host} takes no more events: {why}; what was "
                        "delivered is in the ledger, run the same command to go on"
                    )
                )
        return []

    async def _split(self, job: Job, refused: Refused, encoder: Encoder) -> list[Job]:
        """Record the events that were refused for good; encode the others once more."""
        fallback = self.endpoints[-1]
        found = split_refused(job, refused, fallback)
        for row, error in found.refused:
            detail = plain(error.detail) or refused.detail
            self._record_refusal(job.batch, row, refused.status, error.code, detail)
        self.done.phones_dropped += len(found.without_phone)
        self.done.by_fallback += len(found.fallback)
        return await jobs_of(found, job, fallback, encoder)

    def _record_refusal(self, batch: Batch, row: int, status: int, code: str, detail: str) -> None:
        self.on_refusal(
            Refusal(
                key=batch.events["key"][row].as_py().hex(),
                metric=batch.events["metric"][row].as_py(),
                status=status,
                code=code,
                detail=detail,
            )
        )
        self.done.refused += 1
        if not self.done.delivered and self.done.refused > MAX_REFUSED_AT_FIRST:
            self._stop(
                DeniedError(
                    f"Klaviyo refused the first {self.done.refused:,} events and took none; its "
                    "reasons are in refusals.jsonl; the events are not in the ledger, so fix what "
                    "the reasons name and run again"
                )
            )

    async def _sleep(self, wait_s: float) -> None:
        """Sleep so long, or until the run stops."""
        if wait_s <= _CHECK_EVERY_S:
            await self.options.clocks.sleep(wait_s)
            return
        tasks = (
            asyncio.ensure_future(self.options.clocks.sleep(wait_s)),
            asyncio.ensure_future(self.stopping.wait()),
        )
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()

    async def _watch(self, finished: asyncio.Event, queue: Queue) -> None:
        """Notice a stop or a failed ledger while all workers wait; report the progress."""
        checks = 0
        try:
            while not finished.is_set():
                await wait_for(finished, _CHECK_EVERY_S)
                if self._is_stopping():
                    queue.stop()
                checks += 1
                if checks % _CHECKS_A_REPORT == 0:
                    self.on_progress(self._so_far())
        except BaseException:
            self.stopping.set()
            queue.stop()
            raise

    def _is_stopping(self) -> bool:
        if self.stopping.is_set():
            return True
        if self.stop_asked.is_set():
            self._stop(StoppedByUserError("stopped as asked; run the same command to go on"))
        if self.recorder.failure is not None:
            self.stopping.set()
        return self.stopping.is_set()

    def _stop(self, why: BackfillError) -> None:
        """Let nothing new start. Of several reasons, the first one stays."""
        self.done.ended = self.done.ended or why
        self.stopping.set()

    def _raise_ledger_failure(self) -> None:
        """A failed ledger goes before any other reason, because what it lacks is sent again."""
        failure = self.recorder.failure
        if isinstance(failure, BackfillError):
            self.done.ended = failure
        elif failure is not None:
            raise failure

    def _so_far(self) -> Delivery:
        return replace(
            self.done,
            paused_s=sum(endpoint.pace.paused_s for endpoint in self.endpoints),
            rate_limit=self.endpoints[0].rate_limit,
            unrecorded=self.recorder.unrecorded,
        )


def _raise_first(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Raise what the first of them failed with; the others' failures count as seen."""
    failures = [failure for task in tasks if (failure := task.exception()) is not None]
    if failures:
        raise failures[0]
