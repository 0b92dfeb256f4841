"""How long Klaviyo may hide events that it acknowledged, and waiting until it shows them."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Final, Protocol, TypeVar

from backfill.display import counted
from backfill.errors import StoppedByUserError, UsageError

DELAY_S: Final = 600
"""For so long an event that was acknowledged may not be visible: "up to a few minutes", so ten.

Source: docs/klaviyo.md, "Events API"."""

_TELL_EVERY_S: Final = 60
_FIRST_POLLS_S: Final = (5, 10, 20)
_POLL_EVERY_S: Final = 30
"""Ours: a poll asks one page of metrics and the sums of a year; 60 sums a minute are allowed.

Source: docs/klaviyo.md, "Rate limits and errors"."""
_SHORTEST_SLEEP_S: Final = 1
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_LONGEST_S: Final = 24 * 3600


def parse_delay(text: str) -> int:
    """Read ``90s``, ``10m`` or ``1h`` as seconds; a day is the most. Raises UsageError."""
    found = re.fullmatch(r"([0-9]{1,5})([smh])", text.strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else _LONGEST_S + 1
    if seconds > _LONGEST_S:
        raise UsageError(
            f'--visibility-delay "{text[:20]}" is not a time of at most a day, such as 90s, 10m or '
            "1h"
        )
    return seconds


def spoken(seconds: float) -> str:
    """``9 min 30 s``, without what is zero."""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    parts = [f"{minutes} min"] if minutes else []
    return " ".join([*parts, f"{rest} s"] if rest or not minutes else parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """How long an event may be hidden, and whether to wait for it."""

    delay_s: float = DELAY_S
    """An event that was acknowledged later than this before now, and is not found, is not visible
    yet; an older one is missing."""
    waits: bool = False
    """Wait until all is visible, or the delay is over."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Ends the waiting at once."""
    tell: Callable[[str], None] = lambda _: None
    """Gets a line when the waiting begins, and then every minute."""
    now: Callable[[], float] = time.time
    """Unix seconds."""
    sleep: Callable[[float], object] | None = None
    """Waits so many seconds; None ends the wait early if ``stop`` is set."""

    def is_stopped_after(self, seconds: float) -> bool:
        (self.sleep or self.stop.wait)(max(seconds, _SHORTEST_SLEEP_S))
        return self.stop.is_set()


class _Compared(Protocol):
    @property
    def not_visible(self) -> int: ...


Found = TypeVar("Found", bound=_Compared)


def wait_until_visible(
    found: Found,
    visibility: Visibility,
    *,
    newest_s: float,
    compare: Callable[[], Found],
    gained: Callable[[], int],
) -> Found:
    """Wait until the account shows all, the delay is over or a signal comes; give what is there.

    Args:
        found: the comparison that was made just now.
        visibility: how long to wait, and how.
        newest_s: when the newest event was acknowledged, in Unix seconds.
        compare: compares again, event by event.
        gained: asks how many more events the account shows than at the last comparison, which is
            one cheap request: only when they are enough, ``compare`` is called.

    Raises:
        DeniedError, StoppedError: as ``Reader.get``.
    """
    # A clock that was set back since must not make the waiting longer.
    until_s = min(newest_s, visibility.now()) + visibility.delay_s
    polls_s = chain(_FIRST_POLLS_S, repeat(_POLL_EVERY_S))
    tell_s = visibility.now()
    left = found.not_visible
    try:
        while found.not_visible:
            now_s = visibility.now()
            if now_s >= until_s:
                return compare()
            if now_s >= tell_s:
                visibility.tell(_line(left, visibility.delay_s, until_s - now_s))
                tell_s = now_s + _TELL_EVERY_S
            if visibility.is_stopped_after(min(next(polls_s), until_s - now_s, tell_s - now_s)):
                break
            left = max(found.not_visible - gained(), 0)
            if not left:
                found = compare()
                left = found.not_visible
    except StoppedByUserError:  # the signal came while a request was under way
        pass
    return found


def _line(events: int, delay_s: float, left_s: float) -> str:
    return (
        f"waiting for Klaviyo to show {counted(events, 'event')} delivered less than "
        f"{spoken(delay_s)} ago: at most {spoken(left_s)} more; Ctrl-C ends the waiting"
    )
