"""Klaviyo's rate limits: so many requests in each window of fixed length."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

Rates = Sequence[tuple[int, float]]
"""Requests in so many seconds, the burst limit first and the steady one last."""


class FixedWindows:
    """One client's windows at one endpoint; each of them must have room for a request.

    Windows begin at multiples of their length on ``clock``, so a client may send two windows'
    worth of requests around a border, as with Klaviyo's.

    Args:
        rates: the limits; without any, there is always room.
        clock: Unix seconds.

    Source: developers.klaviyo.com/en/docs/rate_limits_and_error_handling, read 2026-11-23.
    """

    def __init__(self, rates: Rates, clock: Callable[[], float]) -> None:
        self._rates = rates
        self._clock = clock
        self._taken: Counter[tuple[float, float]] = Counter()
        """Requests taken in each window: its length, and its number since 1970."""

    def take(self) -> int:
        """Take one request: 0, or else the whole seconds until there is room again.

        A request that is turned away uses up nothing.
        """
        now = self._clock()
        windows = [(seconds, now // seconds) for _, seconds in self._rates]
        waits_s = [
            (number + 1) * seconds - now
            for (requests, seconds), (_, number) in zip(self._rates, windows, strict=True)
            if self._taken[seconds, number] >= requests
        ]
        if waits_s:
            return math.ceil(max(waits_s))
        self._taken = Counter({window: self._taken[window] + 1 for window in windows})
        return 0

    def headers(self) -> dict[str, str]:
        """The state of the steady window; Klaviyo sends these with every answer but a 429."""
        if not self._rates:
            return {}
        requests, seconds = self._rates[-1]
        now = self._clock()
        number = now // seconds
        return {
            "RateLimit-Limit": str(requests),
            "RateLimit-Remaining": str(requests - self._taken[seconds, number]),
            "RateLimit-Reset": str(math.ceil((number + 1) * seconds - now)),
        }
