"""Klaviyo's rate limits: so many requests in each window of fixed length."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    requests: int
    seconds: float


class FixedWindows:
    """One endpoint's windows; all of them (burst, steady) must have room for a request.

    Windows begin at multiples of their length on ``clock``, so a client may have two windows'
    worth of requests taken around a border, as with Klaviyo's.

    Source: developers.klaviyo.com/en/docs/rate_limits_and_error_handling, read 2026-11-23.
    """

    def __init__(self, *rates: Rate, clock: Callable[[], float]) -> None:
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
        for rate, (window, used) in zip(self._rates, self._taken, strict=True):
            current = int(now // rate.seconds)
            used_now = used if window == current else 0
            taken.append((current, used_now + 1))
            if used_now >= rate.requests:
                wait_s = max(wait_s, (current + 1) * rate.seconds - now)
        if wait_s:
            return math.ceil(wait_s)
        self._taken = taken
        return 0

    def headers(self) -> dict[str, str]:
        """Where the steady window stands; Klaviyo sends these with every answer but a 429."""
        rate, (window, used) = self._rates[-1], self._taken[-1]
        now = self._clock()
        current = int(now // rate.seconds)
        left = rate.requests - (used if window == current else 0)
        return {
            "RateLimit-Limit": str(rate.requests),
            "RateLimit-Remaining": str(left),
            "RateLimit-Reset": str(math.ceil((current + 1) * rate.seconds - now)),
        }


class Shares:
    """Windows for everybody who asks, each with all of the rates to itself."""

    def __init__(self, *rates: Rate, clock: Callable[[], float]) -> None:
        self._rates = rates
        self._clock = clock
        self._of: dict[str, FixedWindows] = {}

    def of(self, who: str) -> FixedWindows:
        if who not in self._of:
            self._of[who] = FixedWindows(*self._rates, clock=self._clock)
        return self._of[who]
