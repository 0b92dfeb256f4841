"""What is sent next: first what has to go again, then what the feed gives."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from backfill.delivery.batch import Batch
from backfill.delivery.feed import Feed
from backfill.transport.client import Client
from backfill.transport.pace import Pace
from backfill.wire.interface import RateLimitStatus, Wire


@dataclass(slots=True)
class Lane:
    """One endpoint, with its connections and its pace: Klaviyo counts each by itself."""

    wire: Wire
    client: Client
    pace: Pace
    rate_limit: RateLimitStatus | None = None
    """As the last answer told."""


@dataclass(frozen=True, slots=True)
class Job:
    """A batch, and where it goes."""

    batch: Batch
    lane: Lane
    repeated: bool = False
    """An event of the request it was part of is a repeat, as Klaviyo said."""


class Work:
    """Hands out jobs to many workers, and ends when nothing is left that could make more."""

    def __init__(self, feed: Feed, lane: Lane) -> None:
        self._feed = feed
        self._lane = lane
        self._again: list[Job] = []
        self._under_way = 0
        self._news = asyncio.Event()
        self._fed = False
        self._halted = False

    async def next(self) -> Job | None:
        """Give a job, for which ``done`` is called once; None after the last, or when halted."""
        while not self._halted:
            if self._again:
                self._under_way += 1
                return self._again.pop()
            if not self._fed:
                batch = await self._feed.next()
                if batch is not None:
                    self._under_way += 1
                    return Job(batch, self._lane)
                self._fed = True
            elif not self._under_way:
                break
            else:
                self._news.clear()
                await self._news.wait()
        self._news.set()
        return None

    def done(self, again: Iterable[Job] = ()) -> None:
        """End a job, with what is to be sent in its place."""
        self._again.extend(again)
        self._under_way -= 1
        self._news.set()

    def halt(self) -> None:
        self._halted = True
        self._news.set()
