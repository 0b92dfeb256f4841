"""One request on its way to its outcome: its attempts, at the pace of its endpoint."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from backfill.transport.pace import Pace
from backfill.transport.retry import (
    NoAnswer,
    Outcome,
    Pause,
    Post,
    Steps,
    Unavailable,
    Wait,
)

if TYPE_CHECKING:
    from backfill.wire.interface import Reply


@dataclass(frozen=True, slots=True)
class Clocks:
    """Every clock of a run, so that a test hands in its own."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random


REAL_CLOCKS: Final = Clocks()

LONG_WAIT_S: Final = 5.0
"""The shortest wait for the server that is told to a person, at once."""
TELL_EVERY_S: Final = 60.0
"""How often a wait is told again."""


class Exchange:
    """Gives the steps of one request; whoever drives it takes each, and sets ``answer``.

    It neither waits nor posts, so that an event loop and a blocking thread drive it alike::

        for step in exchange:
            match step:
                case Wait(wait_s):
                    sleep(wait_s)
                case Post():
                    exchange.answer = client.post(request)
        exchange.outcome

    A driver may stop at any step; that frees the request's slot of the pace.
    """

    def __init__(self, steps: Steps, pace: Pace) -> None:
        self._steps = steps
        self._pace = pace
        self._outcome: Outcome | None = None
        self.answer: Reply | NoAnswer | None = None
        self.broken: list[Unavailable] = []
        """What each 503 would have come to: a server's pause, or one event's failure."""

    @property
    def outcome(self) -> Outcome:
        if self._outcome is None:
            raise RuntimeError("the exchange has not ended")
        return self._outcome

    def __iter__(self) -> Iterator[Wait | Post]:
        while True:
            answer, self.answer = self.answer, None
            try:
                step = self._steps.send(answer)
            except StopIteration as ended:
                self._outcome = ended.value
                return
            match step:
                case Pause(wait_s, otherwise):
                    self._pace.pause(wait_s, otherwise.why)
                    if otherwise.code == str(HTTPStatus.SERVICE_UNAVAILABLE.value):
                        self.broken.append(otherwise)
                case Wait():
                    yield step
                case Post():
                    while wait_s := self._pace.take():
                        yield Wait(wait_s)
                    try:
                        yield step
                    finally:
                        self._pace.done()
