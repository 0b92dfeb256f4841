"""Acknowledged batches go into the ledger in groups, at once but not one by one."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from backfill.delivery.batch import Batch, landed
from backfill.ledger.ledger import DeliveredBatch, Ledger

RECORD_EVENTS: Final = 500
RECORD_EVERY_S: Final = 0.2
"""A kill loses at most what was acknowledged within this time, and it is posted again."""

MAX_WAITING_EVENTS: Final = 20_000
"""A slow disk holds up the posting here, so that a kill never loses more than this."""


class Acknowledged:
    """Collects acknowledged batches, and writes them down in a thread: a sync takes 1 to 20 ms.

    An async context manager; the rest is written when the block is left. After a ``failure``
    nothing more is written, and nothing more may be sent.
    """

    def __init__(self, ledger: Ledger, run_id: str, wall: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._wall = wall
        self._parts: list[DeliveredBatch] = []
        self._events = 0
        self._over = False
        self._due = asyncio.Event()
        self._written = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backfill-ledger")
        self.failure: Exception | None = None

    @property
    def waiting(self) -> int:
        """Events that are acknowledged and not yet written down."""
        return self._events

    async def __aenter__(self) -> Self:
        self._writing = asyncio.create_task(self._write_on())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over = True
        self._due.set()
        await self._writing
        self._thread.shutdown()

    async def add(self, batch: Batch) -> None:
        self._parts.append(batch.landed())  # and lets go of its events
        self._events += len(batch)
        if self._events >= RECORD_EVENTS:
            self._due.set()
        while self._events > MAX_WAITING_EVENTS and self.failure is None:
            self._written.clear()
            await self._written.wait()

    async def _write_on(self) -> None:
        while self.failure is None and (self._parts or not self._over):
            if self._events < RECORD_EVENTS and not self._over:
                self._due.clear()
                await wait_for(self._due, RECORD_EVERY_S)
            if self._parts:
                await self._write()

    async def _write(self) -> None:
        parts, self._parts = self._parts, []
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._record, parts)
        except Exception as err:  # noqa: BLE001 - whoever sends looks at it and stops
            self.failure = err
        else:
            self._events -= sum(map(len, parts))
        finally:
            self._written.set()

    def _record(self, parts: list[DeliveredBatch]) -> None:
        self._ledger.record(landed(parts), run_id=self._run_id, time_s=int(self._wall()))


async def wait_for(event: asyncio.Event, longest_s: float) -> None:
    """Wait until the event is set, but not longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await event.wait()
