"""Acknowledged batches go into the ledger in groups: soon, but not one by one."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Final, Self

from backfill.delivery.batch import Batch
from backfill.ledger.ledger import DeliveredBatch, Ledger

RECORD_EVENTS: Final = 500
RECORD_EVERY_S: Final = 0.2
"""A kill loses at most what was acknowledged within this time, and it is posted again."""

MAX_WAITING_EVENTS: Final = 20_000
"""Where the disk is slow, posting waits here, so that a kill never loses more than this."""


class Recorder:
    """Collects acknowledged batches, and records them in a thread: a sync takes 1 to 20 ms.

    An async context manager; what is left is recorded when the block ends. After a ``failure``
    nothing more is recorded, and nothing more may be sent.
    """

    def __init__(self, ledger: Ledger, run_id: str, wall: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._wall = wall
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backfill-record")
        self._waiting: list[DeliveredBatch] = []
        self._closing = False
        self._due = asyncio.Event()
        self._written = asyncio.Event()
        self.unrecorded = 0
        """Events that are acknowledged and not in the ledger yet."""
        self.failure: Exception | None = None

    async def __aenter__(self) -> Self:
        # Its thread begins before the first request: later the system may allow none.
        await self._in_thread(int)
        self._writing = asyncio.create_task(self._write_until_closed())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._due.set()
        await self._writing
        self._thread.shutdown()

    async def add(self, batch: Batch) -> None:
        """Take an acknowledged batch; wait while too many are unrecorded."""
        self._waiting.append(batch.delivered())  # without its events, to free their memory
        self.unrecorded += len(batch)
        if self.unrecorded >= RECORD_EVENTS:
            self._due.set()
        while self.unrecorded > MAX_WAITING_EVENTS and self.failure is None:
            self._written.clear()
            await self._written.wait()

    async def _write_until_closed(self) -> None:
        while self.failure is None and (self._waiting or not self._closing):
            if self.unrecorded < RECORD_EVENTS and not self._closing:
                self._due.clear()
                await wait_for(self._due, RECORD_EVERY_S)
            if self._waiting:
                await self._write()

    async def _write(self) -> None:
        batch, self._waiting = DeliveredBatch.joined(self._waiting), []
        time_s = int(self._wall())
        try:
            record = partial(self._ledger.record, batch, run_id=self._run_id, time_s=time_s)
            await self._in_thread(record)
        except Exception as err:  # noqa: BLE001 - the run looks at it and stops
            self.failure = err
        else:
            self.unrecorded -= len(batch)
        finally:
            self._written.set()

    async def _in_thread(self, work: Callable[[], object]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)


async def wait_for(event: asyncio.Event, longest_s: float) -> None:
    """Wait until the event is set, but not longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await event.wait()
