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
from typing import Final, TypeAlias

import pyarrow as pa

from backfill.delivery.batch import Batch
from backfill.delivery.delivery import DEFAULT_OPTIONS, Delivery, DeliveryOptions
from backfill.delivery.endpoint import Endpoint, failure_of
from backfill.delivery.queue import (
    Encoder,
    Job,
    Queue,
    jobs_of,
    split_refused,
    split_unanswered,
)
from backfill.delivery.recorder import Recorder, wait_for
from backfill.delivery.refusals import Refusal
from backfill.display import plain
from backfill.errors import BackfillError, DeniedError, StoppedByUserError, StoppedError
from backfill.ledger.ledger import Ledger
from backfill.transport.client import Client
from backfill.transport.denied import denied_error
from backfill.transport.pace import Pace, Window
from backfill.transport.retry import Delivered, Fatal, Refused, Unavailable
from backfill.wire.interface import Wire

MAX_REFUSED_AT_FIRST: Final = 1_000
"""More refusals than that without one delivery are no fault of single events: the run ends."""

OnWait: TypeAlias = Callable[[str, float, Delivery], None]

_CHECK_EVERY_S: Final = 0.05
"""How soon a waiting worker notices a stop."""
_CHECKS_A_REPORT: Final = 4
_LAST_ANSWERS_S: Final = 8.0
"""How long a run that stops waits for the answers of what is in flight."""


def deliver(
    pending: Iterable[pa.RecordBatch],
    *,
    wire: Wire,
    url: str,
    ledger: Ledger,
    run_id: str,
    on_refusal: Callable[[Refusal], None],
    on_progress: Callable[[Delivery], None] = lambda _: None,
    on_wait: OnWait = lambda *_: None,
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
        on_wait: is called as soon as events wait for Klaviyo for several seconds, and then every
            minute: why, the seconds that are left, and what is done.
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
        recorder=Recorder(ledger, run_id, options.clocks.wall),
        on_refusal=on_refusal,
        on_progress=on_progress,
        on_wait=on_wait,
        stop_asked=stopping,
        options=options,
    )
    for one, windows in wires:
        run.add_endpoint(url, one, windows)
    with ThreadPoolExecutor(1, thread_name_prefix="backfill-deliver") as thread:
        ending = thread.submit(lambda: asyncio.run(run.deliver(pending)))
        try:
            return ending.result()
        except KeyboardInterrupt:
            stopping.set()
            return ending.result()


@dataclass(slots=True, kw_only=True)
class _Run:
    recorder: Recorder
    on_refusal: Callable[[Refusal], None]
    on_progress: Callable[[Delivery], None]
    stop_asked: threading.Event
    options: DeliveryOptions
    on_wait: OnWait
    endpoints: list[Endpoint] = field(default_factory=list)
    """The first one takes batches, the last one takes single events; they may be the same."""
    queue: Queue = field(init=False)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    done: Delivery = field(default_factory=Delivery)

    def add_endpoint(self, url: str, wire: Wire, windows: tuple[Window, ...]) -> None:
        self.endpoints.append(
            Endpoint(
                wire=wire,
                client=Client(url, wire.headers, timeouts=self.options.timeouts),
                pace=Pace(windows, self.options.clocks.monotonic),
                options=self.options,
                done=self.done,
                is_stopping=self._is_stopping,
                sleep=self._sleep,
            )
        )

    async def deliver(self, pending: Iterable[pa.RecordBatch]) -> Delivery:
        finished = asyncio.Event()
        first = self.endpoints[0]
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.recorder)
            encoder = await stack.enter_async_context(Encoder(pending, first.wire))
            queue = self.queue = Queue(encoder, first)
            workers = [
                asyncio.create_task(self._work(queue, encoder))
                for _ in range(self.options.concurrency)
            ]
            watcher = asyncio.create_task(self._watch(finished, queue, workers))
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
                queue.done(await self._deliver(job, encoder))
        except BackfillError as err:
            self._stop(err)
        except asyncio.CancelledError:
            return  # the run stops, and the server has not answered in time: that is silence
        except BaseException:
            self.stopping.set()
            raise
        finally:
            if self._is_stopping():
                queue.stop()

    async def _deliver(self, job: Job, encoder: Encoder) -> list[Job]:
        """Post a batch and record its outcome; give the jobs that take its place."""
        batch, endpoint = job.batch, job.endpoint
        before = endpoint.went_through if job.suspect_since is None else job.suspect_since
        outcome = await endpoint.outcome_of(batch.request, is_last_try=job.is_last_try)
        others_pass = endpoint.went_through > before and not endpoint.is_doubtful
        match outcome:
            case Delivered():
                self.done.delivered += len(batch)
                await self.recorder.add(batch)
            case Refused() if endpoint.wire.api.is_json_api:
                return await self._split(job, outcome, encoder)
            case Refused(reason, status, detail) if outcome.is_own_no:
                for row in batch.rows:
                    self._record_refusal(batch, row, status, reason, detail)
            case Fatal(status) if not others_pass and not await endpoint.is_up():
                self._stop_denied(job, status)
            case Refused() | Fatal() | Unavailable():
                failure = failure_of(outcome)
                if await self._is_up(job, failure, others_pass=others_pass):
                    return await self._set_aside(job, failure, before, encoder)
        return []

    def _stop_denied(self, job: Job, status: int) -> None:
        wire, api = job.endpoint.wire, job.endpoint.wire.api
        request = f"{wire.method} {api.path}"
        self._stop(denied_error(status, request, scope=api.scope, if_gone=api.if_gone))

    async def _is_up(self, job: Job, failure: Unavailable, *, others_pass: bool) -> bool:
        """Whether a failure is about the events of this batch; if not, the run stops."""
        endpoint = job.endpoint
        tries_others = not job.is_last_try and (self.queue.has_fresh or len(job.batch) > 1)
        if tries_others and (others_pass or not endpoint.is_doubtful):
            return True
        if await endpoint.is_up(failure if others_pass else None):
            return True
        self._stop(
            StoppedError(
                f"{endpoint.client.host} takes no more events: {failure.why}; what was "
                "delivered is in the ledger, run the same command to go on"
            )
        )
        return False

    async def _set_aside(
        self, job: Job, failure: Unavailable, before: int, encoder: Encoder
    ) -> list[Job]:
        """Find the event that a gateway does not let through, after all other batches.

        It is refused for this run once it fails alone, with all attempts of the retry policy.
        """
        batch = job.batch
        if job.is_last_try:
            status = int(failure.code) if failure.code.isdecimal() else None
            code = f"gateway_{failure.code}"
            detail = f"a gateway keeps it out: {failure.why}; the next run tries it again"
            self._record_refusal(batch, batch.rows[0], status, code, detail)
            self.done.by_gateway += 1
            return []
        fallback = self.endpoints[-1]
        found = split_unanswered(job, fallback)
        self.done.by_fallback += len(found.fallback)
        return await jobs_of(found, job, fallback, encoder, before)

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

    def _record_refusal(
        self, batch: Batch, row: int, status: int | None, code: str, detail: str
    ) -> None:
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

    async def _watch(
        self, finished: asyncio.Event, queue: Queue, workers: Iterable[asyncio.Task[None]]
    ) -> None:
        """Notice a stop or a failed ledger while all workers wait; report waits and progress."""
        checks, clock = 0, asyncio.get_running_loop().time
        last_s: float | None = None
        try:
            while not finished.is_set():
                await wait_for(finished, _CHECK_EVERY_S)
                if self._is_stopping():
                    queue.stop()
                    last_s = last_s or clock() + _LAST_ANSWERS_S
                    if clock() > last_s:
                        for worker in workers:
                            worker.cancel()
                self._report_wait()
                checks += 1
                if checks % _CHECKS_A_REPORT == 0:
                    self.on_progress(self._so_far())
        except BaseException:
            self.stopping.set()
            queue.stop()
            raise

    def _report_wait(self) -> None:
        for endpoint in self.endpoints:
            found = None if self.stopping.is_set() else endpoint.wait()
            if found is not None:
                self.on_wait(*found, self._so_far())

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
