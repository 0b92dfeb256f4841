"""When the next request may start: rate windows, and a pause for all."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from backfill.errors import UsageError


@dataclass(frozen=True, slots=True)
class Window:
    """No span of ``length_s`` seconds holds more than ``requests``, wherever it begins.

    So no fixed window of the server holds more either, whenever it opens.
    """

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
            f'--rate {text!r} is no rate; write requests a second, a minute, or both: "10/s", '
            '"150/min", "10/s,150/min", or "none" for no limit of ours'
        )
    return tuple(Window(int(part[1]), _LENGTHS_S[part[2]]) for part in parts if part)


class Pace:
    def __init__(self, windows: tuple[Window, ...], clock: Callable[[], float]) -> None:
        """``clock`` gives seconds that never go back."""
        self._clock = clock
        self._windows = tuple(
            (window.length_s, deque[float](maxlen=window.requests)) for window in windows
        )
        self._paused_until_s = clock()
        self._paused_s = 0.0

    @property
    def paused_s(self) -> float:
        """How long the pauses were so far, overlaps counted once."""
        return self._paused_s

    def take(self) -> float:
        """Start a request: 0.0 if it may start now, and is counted; else seconds to ask again."""
        now_s = self._clock()
        wait_s = self._paused_until_s - now_s
        for length_s, starts in self._windows:
            if len(starts) == starts.maxlen:
                wait_s = max(wait_s, starts[0] + length_s - now_s)
        if wait_s > 0.0:
            return wait_s
        for _, starts in self._windows:
            starts.append(now_s)
        return 0.0

    def pause(self, wait_s: float) -> None:
        """Let no request start for so long; a pause that ends earlier changes nothing."""
        now_s = self._clock()
        begin_s = max(self._paused_until_s, now_s)
        until_s = max(begin_s, now_s + wait_s)
        self._paused_s += until_s - begin_s
        self._paused_until_s = until_s
