"""One endpoint: posts a request until it has an outcome, and knows whether others go through."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from backfill.delivery.delivery import Delivery, DeliveryOptions
from backfill.transport.client import Client
from backfill.transport.exchange import LONG_WAIT_S, TELL_EVERY_S, Exchange
from backfill.transport.pace import Pace
from backfill.transport.retry import (
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
from backfill.wire.interface import RateLimitStatus, Reply, Request, Wire

_FEW_ATTEMPTS: Final = 3
"""After so many, a request that fails while others go through is not repeated as it is."""
_MAX_FAILURES_IN_A_ROW: Final = 12
"""More failures than that without a request that goes through are an outage. To halve a full
request of Bulk Create Events down to the fallback takes five."""

_ASK_ONCE: Final = RetryPolicy(attempts=1)
_NO_EVENTS: Final = Request(body=b"{}", rows=range(0))
"""Klaviyo refuses it: its answer shows that Klaviyo judges requests, and nothing is recorded."""


@dataclass(slots=True, kw_only=True)
class Endpoint:
    """An endpoint with its pace: Klaviyo counts each endpoint by itself."""

    wire: Wire
    client: Client
    pace: Pace
    options: DeliveryOptions
    done: Delivery
    """The run's; requests are counted there."""
    is_stopping: Callable[[], bool]
    sleep: Callable[[float], Awaitable[None]]
    """So many seconds, or until the run stops."""
    rate_limit: RateLimitStatus | None = None
    """As the last answer described it."""
    went_through: int = 0
    """The requests that Klaviyo plainly took or refused."""
    failures_in_a_row: int = 0
    """The requests that failed since the last one that went through."""
    failing: Refused | Unavailable | None = None
    """The outcome of the last attempt, if it failed; None once a request goes through."""
    tries_again_s: float = 0.0
    """When it is tried again, by the monotonic clock."""
    told_s: float = -inf
    """When a wait was told last."""

    async def outcome_of(self, request: Request, *, is_last_try: bool) -> Outcome | None:
        """Bring one request to its outcome; None if the run stops before there is one.

        Args:
            request: what to post.
            is_last_try: whether it gets all attempts of the retry policy. If not, it is given up
                after a few where others go through, or where others had failed before it began.
        """
        before, others_failed = self.went_through, self.failures_in_a_row > 0

        def is_enough(failures: int) -> bool:
            doubt = others_failed or self.went_through > before
            return failures >= _FEW_ATTEMPTS and doubt and not is_last_try

        outcome = await self._send(request, self.options.retry_policy, is_enough)
        if outcome is None:
            return None
        if self._is_plain(outcome):
            self.went_through += 1
            self.failures_in_a_row = 0
            self.failing = None
        else:
            self.failures_in_a_row += 1
        return outcome

    def wait(self) -> tuple[str, float] | None:
        """Why events wait and how many seconds more, if a person should know it now."""
        now_s, left_s = self.options.clocks.monotonic(), self.pace.pause_left_s
        why = self.pace.why_paused
        if not left_s and self.failing is not None:
            why, left_s = self.failing.why, max(self.tries_again_s - now_s, 0.0)
        if left_s < LONG_WAIT_S or now_s < self.told_s + TELL_EVERY_S:
            return None
        self.told_s = now_s
        return why, left_s

    @property
    def is_doubtful(self) -> bool:
        """Whether so much failed since a request went through that it looks like an outage."""
        return self.failures_in_a_row > _MAX_FAILURES_IN_A_ROW

    async def is_up(self, unlike: Unavailable | None = None) -> bool:
        """Ask with a request without events whether Klaviyo judges requests at all.

        Args:
            unlike: a failure while others went through; an answer that differs from it shows as
                well that not everything fails. None takes Klaviyo's own yes or no alone.
        """
        outcome = await self._send(_NO_EVENTS, _ASK_ONCE, lambda _: False)
        if outcome is None:
            return False
        if isinstance(outcome, Delivered) or self._is_plain(outcome):
            return True
        return unlike is not None and failure_of(outcome).code != unlike.code

    def _is_plain(self, outcome: Outcome) -> bool:
        """Whether it is Klaviyo's own yes or no."""
        if isinstance(outcome, Refused):
            return bool(outcome.errors) if self.wire.api.is_json_api else outcome.is_own_no
        return isinstance(outcome, Delivered)

    async def _send(
        self, request: Request, policy: RetryPolicy, is_enough: Callable[[int], bool]
    ) -> Outcome | None:
        steps = attempts(
            self.wire.read,
            jitter=self.options.clocks.jitter,
            now=self.options.clocks.wall,
            policy=policy,
            is_json_api=self.wire.api.is_json_api,
        )
        failures = 0
        most_busy = self.options.retry_policy.attempts if policy is not _ASK_ONCE else inf
        exchange = Exchange(steps, self.pace)
        for step in exchange:
            if self.is_stopping():
                return None
            busy = len(exchange.broken)
            if busy and (busy >= most_busy or is_enough(failures + busy)):
                return exchange.broken[-1]
            match step:
                case Wait(wait_s, otherwise):
                    if otherwise is not None:
                        failures += 1
                        self.failing = otherwise
                        self.tries_again_s = self.options.clocks.monotonic() + wait_s
                        if isinstance(otherwise, Unavailable) and is_enough(failures):
                            return otherwise
                    await self.sleep(wait_s)
                case Post():
                    exchange.answer = await self._post(request)
        return exchange.outcome

    async def _post(self, request: Request) -> Reply | NoAnswer:
        self.done.requests += 1
        self.done.body_bytes += request.size
        wire = self.wire
        answer = await self.client.send(wire.method, wire.api.path, request.body, request.query)
        if isinstance(answer, Reply) and answer.rate_limit is not None:
            self.rate_limit = answer.rate_limit
        return answer


def failure_of(outcome: Refused | Fatal | Unavailable) -> Unavailable:
    """What an answer that is no yes and no no of Klaviyo's comes to."""
    match outcome:
        case Unavailable():
            return outcome
        case Refused(status=status):
            return Unavailable(f"it answers {status}, which is no yes and no no", str(status))
        case Fatal(status):
            return Unavailable(f"it answered {status}", str(status))
