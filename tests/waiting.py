"""Wait until something is so, without a guess of how long it takes."""

import time
from collections.abc import Callable

DEADLINE_S = 90.0
_LOOK_EVERY_S = 0.004

HOLD_FAULT = {"answer": 503, "retry_after": 3_600}
"""A run that gets this answer waits: a test has all the time to stop it. The same command that
starts again does not wait."""


class HungError(AssertionError):
    """What a test waited for did not happen."""


def wait_until(so: Callable[[], bool], what: str, longest_s: float = DEADLINE_S) -> None:
    last = time.monotonic() + longest_s
    while not so():
        if time.monotonic() > last:
            raise HungError(f"waited {longest_s:.0f} s for {what}")
        time.sleep(_LOOK_EVERY_S)
