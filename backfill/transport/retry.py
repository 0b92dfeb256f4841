"""What follows from an answer, or from none: an outcome, another try, a wait.

Nothing here waits or posts. ``attempts`` yields what to do, is sent what came of it, and returns
the outcome of one request. A yes means the request was taken; only a plain yes counts as one.
"""

import json
import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, TypeAlias

from backfill.wire.interface import ReadAnswer, Reply


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No whole answer came; whether the request was taken is not known."""

    why: str


@dataclass(frozen=True, slots=True)
class Post:
    """Post the request and send what came: a ``Reply`` or a ``NoAnswer``."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait, all requests of the run or this one alone; then send None."""

    wait_s: float
    whole_run: bool


@dataclass(frozen=True, slots=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """One error of a JSON:API answer, in Klaviyo's own words, which may quote what was sent."""

    code: str
    pointer: str = ""
    """What of the request it is about; empty where that is not said."""
    detail: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Klaviyo turned this request down and would again. Only ``complaints`` may name a person."""

    reason: str
    status: int
    detail: str
    complaints: tuple[ErrorObject, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Fatal:
    """Klaviyo turns down the key or the endpoint, so every request."""

    status: int


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The other side stays silent or broken; the request may have been taken or not."""

    why: str


Outcome: TypeAlias = Delivered | Refused | Fatal | Unavailable
Steps: TypeAlias = Generator[Post | Wait, Reply | NoAnswer | None, Outcome]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
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


DEFAULT_RETRY_POLICY: Final = RetryPolicy()


@dataclass(frozen=True, slots=True)
class _Pause:
    retry_after: str | None
    date: str | None
    status: int


@dataclass(frozen=True, slots=True)
class _Again:
    at_last: Refused | Unavailable


def attempts(
    read: ReadAnswer,
    *,
    jitter: Callable[[], float],
    now: Callable[[], float],
    patience: RetryPolicy = DEFAULT_RETRY_POLICY,
    json_api: bool = False,
) -> Steps:
    """Bring one request to its outcome.

    ``json_api``: a refusal with a list of errors is Klaviyo's last word, and one without is not
    Klaviyo's. Track has no such list, so there a 4xx may pass. ``jitter`` gives numbers from 0 to
    1, ``now`` Unix seconds (for a Retry-After that is a date, from a server that tells no time of
    its own).
    """
    failed, paused_s = 0, 0.0
    while True:
        came = yield Post()
        judged = _judge(came, read, json_api=json_api)
        if isinstance(judged, _Pause):
            pause_s = max(_pause_s(judged, now, patience.pause_s), patience.shortest_pause_s)
            paused_s += pause_s
            if paused_s > patience.longest_pauses_s:
                return Unavailable(
                    f"it answered {judged.status} and asks to wait {pause_s:.0f} s more"
                )
            yield Wait(pause_s, whole_run=True)
        elif isinstance(judged, _Again):
            failed += 1
            if failed == patience.attempts:
                return judged.at_last
            yield Wait(jitter() * _backoff_s(failed, patience), whole_run=False)
        else:
            return judged


def _judge(
    came: Reply | NoAnswer | None, read: ReadAnswer, *, json_api: bool
) -> Outcome | _Pause | _Again:
    if came is None:
        raise TypeError("a Post was answered with nothing; send a Reply or a Silence")
    if isinstance(came, NoAnswer):
        return _Again(Unavailable(came.why))
    match came.status // 100:
        case 2:
            return _judge_success(came, read)
        case 3:
            return Fatal(came.status)
        case 4:
            return _judge_client_error(came, json_api=json_api)
        case _ if came.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return _Pause(came.retry_after, came.date, came.status)
        case _:
            return _Again(Unavailable(f"it answered {came.status}"))


def _judge_success(reply: Reply, read: ReadAnswer) -> Outcome | _Again:
    match read(reply):
        case "delivered":
            return Delivered()
        case "refused":
            return Refused("answered-no", reply.status, "the answer was 0: not taken")
        case "unreadable":
            return _Again(
                Unavailable(f"it answered {reply.status} with a body that is no yes or no")
            )


_DENIED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


def _judge_client_error(reply: Reply, *, json_api: bool) -> Outcome | _Pause | _Again:
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _Pause(reply.retry_after, reply.date, reply.status)
    if reply.status in _DENIED:
        return Fatal(reply.status)
    if reply.status == HTTPStatus.FORBIDDEN:
        # An HTML 403 comes from the gateway before Klaviyo, now and then, and passes.
        # Source: klaviyo/facts.md 2.10, klaviyo-api-python#84.
        if _json_object(reply.body) is None:
            return _Again(Unavailable("a gateway before it answered 403"))
        return Fatal(reply.status)
    refused = _refused(reply, json_api=json_api)
    if reply.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return refused
    if not json_api:
        return _Again(refused)
    if refused.complaints:
        return refused
    return _Again(Unavailable(f"it answered {reply.status} with a body that lists no errors"))


def _backoff_s(failed: int, patience: RetryPolicy) -> float:
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


def _refused(reply: Reply, *, json_api: bool) -> Refused:
    """Take from an error what names no person: code and pointer, never title or detail.

    Klaviyo's texts repeat what was sent ("Invalid email address ...").
    """
    complaints = _complaints(reply)
    first = complaints[0] if complaints else ErrorObject(f"http-{reply.status}")
    where = f" at {first.pointer}" if _POINTER.fullmatch(first.pointer) else ""
    detail = f"the answer was {reply.status}{where}"
    return Refused(first.code, reply.status, detail, complaints if json_api else ())


_CODE: Final = re.compile(r"[a-z][a-z_-]{0,63}")
_POINTER: Final = re.compile(r"(/([a-z_-]{1,40}|[0-9]{1,4})){1,24}/?")
_MAX_DETAIL_CHARS: Final = 500


def _complaints(reply: Reply) -> tuple[ErrorObject, ...]:
    """Read ``{"errors": [{"code", "title", "detail", "source": {"pointer"}}]}``.

    Source: klaviyo/facts.md 2.10.
    """
    errors = (_json_object(reply.body) or {}).get("errors")
    if not isinstance(errors, list):
        return ()
    return tuple(_complaint(error, reply.status) for error in errors if isinstance(error, dict))


def _complaint(error: dict[str, object], status: int) -> ErrorObject:
    source = error.get("source")
    code, detail = error.get("code"), error.get("detail") or error.get("title")
    pointer = source.get("pointer") if isinstance(source, dict) else None
    return ErrorObject(
        code if isinstance(code, str) and _CODE.fullmatch(code) else f"http-{status}",
        pointer if isinstance(pointer, str) else "",
        detail[:_MAX_DETAIL_CHARS] if isinstance(detail, str) else "",
    )


def _json_object(body: bytes) -> dict[str, object] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
