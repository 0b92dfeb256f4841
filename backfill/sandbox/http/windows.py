"""Klaviyo's rate limits: so many requests in each window of fixed length."""

import math
from collections.abc import Callable, Sequence

Rates = Sequence[tuple[int, float]]
"""Requests in so many seconds, the burst limit first and the steady one last."""


class FixedWindows:
    """One client's windows at one endpoint; each of them must have room for a request.

    Windows begin at multiples of their length on ``clock``, so a client may have two windows'
    worth of requests taken around a border, as with Klaviyo's.

    Args:
        rates: the limits; without any, there is always room.
        clock: Unix seconds.

    Source: developers.klaviyo.com/en/docs/rate_limits_and_error_handling, read 2026-11-23.
    """

    def __init__(self, rates: Rates, clock: Callable[[], float]) -> None:
        self._rates = rates
        self._clock = clock
        self._taken = [(0, 0)] * len(rates)  # (number of the window, requests taken in it)

    def take(self) -> int:
        """Take one request: 0, or else the whole seconds until there is room again.

        A request that is turned away uses up nothing.
        """
        now = self._clock()
        taken = []
        wait_s = 0.0
        for (requests, seconds), (window, used) in zip(self._rates, self._taken, strict=True):
            current = int(now // seconds)
            used_now = used if window == current else 0
            taken.append((current, used_now + 1))
            if used_now >= requests:
                wait_s = max(wait_s, (current + 1) * seconds - now)
        if wait_s:
            return math.ceil(wait_s)
        self._taken = taken
        return 0

    def headers(self) -> dict[str, str]:
        """The state of the steady window; Klaviyo sends these with every answer but a 429."""
        if not self._rates:
            return {}
        (requests, seconds), (window, used) = self._rates[-1], self._taken[-1]
        now = self._clock()
        current = int(now // seconds)
        left = requests - (used if window == current else 0)
        return {
            "RateLimit-Limit": str(requests),
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(math.ceil((current + 1) * seconds - now)),
        }
