"""What follows from an answer, or from none: an outcome, another try, a wait.

Nothing here waits or posts. ``attempts`` yields what to do, is sent what came of it, and returns
the outcome of one request. A yes means the request was taken; only a plain yes counts as one.
"""

import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, TypeAlias

from backfill.wire.interface import ReadAnswer, Reply


@dataclass(frozen=True, slots=True)
class Silence:
    """No whole answer came; whether the request was taken is not known."""

    why: str


@dataclass(frozen=True, slots=True)
class Post:
    """Post the request and send what came: a ``Reply`` or a ``Silence``."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait, all requests of the run or this one alone; then send None."""

    wait_s: float
    whole_run: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True)
class Refused:
    """Klaviyo turned this request down and would again. Holds nothing of a person."""

    reason: str
    status: int
    detail: str


@dataclass(frozen=True, slots=True)
class Denied:
    """Klaviyo turns down the key or the endpoint, so every request."""

    status: int


@dataclass(frozen=True, slots=True)
class Silent:
    """The other side stays silent or broken; the request may have been taken or not."""

    why: str


Outcome: TypeAlias = Delivered | Refused | Denied | Silent
Steps: TypeAlias = Generator[Post | Wait, Reply | Silence | None, Outcome]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one request is tried.

    The waits before the 2nd to the 8th try add up to at most 123 s, on average half of that: a
    restart or a deployment passes, an outage ends the run.
    """

    attempts: int = 8
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    pause_s: float = 5.0
    """Where a 429 or 503 names no time."""
    shortest_pause_s: float = 0.1
    """A Retry-After of 0 or in the past must not become a busy loop."""
    longest_pauses_s: float = 3600.0
    """What one request waits at most for 429 and 503 in all: a run must come to an end."""


DEFAULT_PATIENCE: Final = Patience()


@dataclass(frozen=True, slots=True)
class _Pause:
    retry_after: str | None
    date: str | None
    status: int


@dataclass(frozen=True, slots=True)
class _Again:
    at_last: Refused | Silent


def attempts(
    read: ReadAnswer,
    *,
    jitter: Callable[[], float],
    now: Callable[[], float],
    patience: Patience = DEFAULT_PATIENCE,
) -> Steps:
    """Bring one request to its outcome.

    ``jitter`` gives numbers from 0 to 1, ``now`` Unix seconds (for a Retry-After that is a date,
    from a server that tells no time of its own).
    """
    failed, paused_s = 0, 0.0
    while True:
        came = yield Post()
        judged = _judge(came, read)
        if isinstance(judged, _Pause):
            pause_s = max(_pause_s(judged, now, patience.pause_s), patience.shortest_pause_s)
            paused_s += pause_s
            if paused_s > patience.longest_pauses_s:
                return Silent(f"it answered {judged.status} and asks to wait {pause_s:.0f} s more")
            yield Wait(pause_s, whole_run=True)
        elif isinstance(judged, _Again):
            failed += 1
            if failed == patience.attempts:
                return judged.at_last
            yield Wait(jitter() * _backoff_s(failed, patience), whole_run=False)
        else:
            return judged


def _judge(came: Reply | Silence | None, read: ReadAnswer) -> Outcome | _Pause | _Again:
    if came is None:
        raise TypeError("a Post was answered with nothing; send a Reply or a Silence")
    if isinstance(came, Silence):
        return _Again(Silent(came.why))
    match came.status // 100:
        case 2:
            return _judge_success(came, read)
        case 3:
            return Denied(came.status)
        case 4:
            return _judge_client_error(came)
        case _ if came.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return _Pause(came.retry_after, came.date, came.status)
        case _:
            return _Again(Silent(f"it answered {came.status}"))


def _judge_success(reply: Reply, read: ReadAnswer) -> Outcome | _Again:
    match read(reply):
        case "delivered":
            return Delivered()
        case "refused":
            return Refused("answered-no", reply.status, "the answer was 0: not taken")
        case "unreadable":
            return _Again(Silent(f"it answered {reply.status} with a body that is no yes or no"))


_DENIED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


def _judge_client_error(reply: Reply) -> Outcome | _Pause | _Again:
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _Pause(reply.retry_after, reply.date, reply.status)
    if reply.status in _DENIED:
        return Denied(reply.status)
    if reply.status == HTTPStatus.FORBIDDEN:
        # An HTML 403 comes from the gateway before Klaviyo, now and then, and passes.
        # Source: klaviyo/facts.md 2.10, klaviyo-api-python#84.
        if _json_object(reply.body) is None:
            return _Again(Silent("a gateway before it answered 403"))
        return Denied(reply.status)
    refused = _refused(reply)
    if reply.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return refused
    return _Again(refused)


def _backoff_s(failed: int, patience: Patience) -> float:
    """Return the longest wait after so many failures; jitter takes from 0 to all of it."""
    return min(patience.first_wait_s * 2.0 ** (failed - 1), patience.longest_wait_s)


def _pause_s(pause: _Pause, now: Callable[[], float], otherwise_s: float) -> float:
    """Read Retry-After: whole seconds, or a date as the server's own clock counts.

    Source: RFC 9110, 10.2.3; Klaviyo sends whole seconds (klaviyo/facts.md 2.9).
    """
    text = (pause.retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    until_s = _unix_s(text)
    if until_s is None:
        return otherwise_s
    told_s = _unix_s(pause.date or "")
    return until_s - (now() if told_s is None else told_s)


def _unix_s(http_date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # a year or an offset that no calendar has
        return None


def _refused(reply: Reply) -> Refused:
    """Take from an error what names no person: code and pointer, never title or detail.

    Klaviyo's texts repeat what was sent ("Invalid email address ...").
    """
    first = _first_error(reply.body)
    code = first.get("code")
    source = first.get("source")
    pointer = source.get("pointer") if isinstance(source, dict) else None
    reason = code if isinstance(code, str) and _CODE.fullmatch(code) else f"http-{reply.status}"
    where = f" at {pointer}" if isinstance(pointer, str) and _POINTER.fullmatch(pointer) else ""
    return Refused(reason, reply.status, f"the answer was {reply.status}{where}")


_CODE: Final = re.compile(r"[a-z][a-z_-]{0,63}")
_POINTER: Final = re.compile(r"(/([a-z_-]{1,40}|[0-9]{1,4})){1,12}/?")


def _first_error(body: bytes) -> dict[str, object]:
    errors = (_json_object(body) or {}).get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return errors[0]
    return {}


def _json_object(body: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
