"""Batches one by one, the next ones encoded in a thread while these are posted."""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import pyarrow as pa

from backfill.delivery.batch import Batch, chunk_of, chunks, encode
from backfill.wire.interface import Wire


class Feed:
    """Holds two chunks at most: the one that is posted, the one that is being encoded.

    ``pending`` is read in one thread of the feed's own, and only as far as it is needed.
    """

    def __init__(self, pending: Iterable[pa.RecordBatch], wire: Wire) -> None:
        self._chunks: Iterator[pa.RecordBatch] = chunks(pending, chunk_of(wire.api))
        self._wire = wire
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="backfill-encode")
        self._ready: deque[Batch] = deque()
        self._turn = asyncio.Lock()
        self._coming: asyncio.Future[list[Batch] | None] | None = None

    async def __aenter__(self) -> Self:
        self._coming = self._start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._coming is not None:
            await asyncio.wait([self._coming])
            if not self._coming.cancelled():
                self._coming.exception()  # told to whoever asked for the batch, if anybody did
        self._thread.shutdown()

    async def next(self) -> Batch | None:
        """Give the next batch, None after the last one. What fails in ``pending`` fails here."""
        if not self._ready:
            async with self._turn:
                while not self._ready:
                    if not await self._refill():
                        return None
        return self._ready.popleft()

    async def encode(self, events: pa.RecordBatch, wire: Wire) -> list[Batch]:
        """Encode events anew, in the same thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, encode, events, wire)

    async def _refill(self) -> bool:
        if self._coming is None:
            return False
        batches = await self._coming
        self._coming = None if batches is None else self._start()
        self._ready.extend(batches or ())
        return batches is not None

    def _start(self) -> asyncio.Future[list[Batch] | None]:
        return asyncio.get_running_loop().run_in_executor(self._thread, self._encode_next)

    def _encode_next(self) -> list[Batch] | None:
        events = next(self._chunks, None)
        return None if events is None else encode(events, self._wire)
