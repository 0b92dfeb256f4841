"""When the next request may start: rate windows, and a pause for all."""

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Self

from backfill.errors import UsageError


@dataclass(frozen=True, slots=True)
class Window:
    """At most ``requests`` in ``length_s`` seconds; when Klaviyo's windows begin is unknown."""

    requests: int
    length_s: float


_LENGTHS_S: Final = {"s": 1.0, "min": 60.0}
_PART: Final = re.compile(r"\s*([1-9][0-9]{0,8})\s*/\s*(s|min)\s*")


def parse_rate(text: str) -> tuple[Window, ...]:
    """Read ``10/s``, ``10/s,150/min`` or ``none``.

    Raises:
        UsageError: it is anything else, or names a unit twice.
    """
    if text.strip() == "none":
        return ()
    parts = [_PART.fullmatch(part) for part in text.split(",")]
    units = [part[2] for part in parts if part]
    if None in parts or len(set(units)) < len(parts):
        raise UsageError(
            f'--rate {text!r} is not a rate; write requests a second, a minute, or both: "10/s", '
            '"150/min", "10/s,150/min", or "none" for no limit of ours'
        )
    return tuple(Window(int(part[1]), _LENGTHS_S[part[2]]) for part in parts if part)


def windows_of(rates: Iterable[tuple[int, float]]) -> tuple[Window, ...]:
    """Make windows from pairs of requests and seconds, as in ``limits``."""
    return tuple(Window(requests, length_s) for requests, length_s in rates)


@dataclass(frozen=True, slots=True)
class Quota:
    """The share of the allowed requests that a run uses; live integrations have the rest."""

    percent: int = 100

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``60%``.

        Raises:
            UsageError: it is anything else, or not from 1 % to 100 %.
        """
        found = re.fullmatch(r"\s*([1-9][0-9]?|100)\s*%\s*", text)
        if found is None:
            raise UsageError(f'--quota {text!r} is not a share; write it from "1%" to "100%"')
        return cls(int(found[1]))

    def of(self, windows: Iterable[Window]) -> tuple[Window, ...]:
        return tuple(
            Window(max(1, window.requests * self.percent // 100), window.length_s)
            for window in windows
        )


class Pace:
    """Gives a slot to each request, and frees it one window after the *answer* came.

    The server counts a request somewhere between its start and its answer, in windows whose
    start we do not know. If a slot were free again a window after the start, one window of the
    server could hold the late requests of a slow second and the quick ones of the next.
    """

    def __init__(self, windows: tuple[Window, ...], clock: Callable[[], float]) -> None:
        """``windows``: empty for no limit. ``clock`` gives seconds that never go back."""
        self._clock = clock
        self._in_flight = 0
        self._answered = [(window, deque[float]()) for window in windows]
        """For each window, when the slots of the answered requests are free again, in order."""
        self._paused_until_s = clock()
        self._paused_s = 0.0
        self.why_paused = ""
        """Of the last pause."""

    @property
    def paused_s(self) -> float:
        """The length of the pauses so far, overlaps counted once."""
        return self._paused_s

    def take(self) -> float:
        """Ask for a slot: 0.0 if the request has one and may start; else the seconds to wait.

        Whoever got a slot calls ``done`` when the answer came, or when none will come. Whoever
        waited asks again.
        """
        now_s = self._clock()
        waits_s = (self._wait_s(window, free_at_s, now_s) for window, free_at_s in self._answered)
        wait_s = max(self._paused_until_s - now_s, *waits_s, 0.0)
        if wait_s > 0.0:
            return wait_s
        self._in_flight += 1
        return 0.0

    def _wait_s(self, window: Window, free_at_s: deque[float], now_s: float) -> float:
        while free_at_s and free_at_s[0] <= now_s:
            free_at_s.popleft()
        if self._in_flight + len(free_at_s) < window.requests:
            return 0.0
        # With all in flight, no slot is free before one is answered and a window has passed.
        return free_at_s[0] - now_s if free_at_s else window.length_s

    def done(self) -> None:
        now_s = self._clock()
        self._in_flight -= 1
        for window, free_at_s in self._answered:
            free_at_s.append(now_s + window.length_s)

    @property
    def pause_left_s(self) -> float:
        """How long no request may start from now on; 0.0 if there is no pause."""
        return max(self._paused_until_s - self._clock(), 0.0)

    def pause(self, wait_s: float, why: str = "") -> None:
        """Let no request start for so long; a pause that ends earlier changes nothing."""
        self.why_paused = why
        now_s = self._clock()
        begin_s = max(self._paused_until_s, now_s)
        until_s = max(begin_s, now_s + wait_s)
        self._paused_s += until_s - begin_s
        self._paused_until_s = until_s
