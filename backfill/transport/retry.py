"""What follows from an answer, or from none: an outcome, a retry after a wait, a pause.

Nothing here waits or posts. ``attempts`` yields what to do, is sent the answer, and returns the
outcome of one request. A request counts as delivered only where the answer plainly says so.
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
    is_final: bool = False
    """Whether another attempt cannot help."""


NO_ANSWER: Final = "no_answer"
"""The code of an outcome without an answer; others are the status of the last answer."""


@dataclass(frozen=True, slots=True)
class Post:
    """Post the request and send what came: a ``Reply`` or a ``NoAnswer``."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Let this request wait; then send None."""

    wait_s: float
    otherwise: "Refused | Unavailable | None" = field(default=None, compare=False)
    """The outcome if it is not tried again; None where it waits for its turn."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Let every request to the endpoint wait; then send None."""

    wait_s: float
    otherwise: "Unavailable" = field(compare=False)
    """The outcome if it is not tried again."""


@dataclass(frozen=True, slots=True)
class Delivered:
    pass


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """One error of a JSON:API answer, in Klaviyo's own words, which may quote what was sent."""

    code: str
    pointer: str = ""
    """The part of the request that it is about; empty where the answer does not say."""
    detail: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """Klaviyo turned this request down and would again. Only ``errors`` may name a person."""

    reason: str
    status: int
    detail: str
    errors: tuple[ErrorObject, ...] = field(default=(), repr=False)

    @property
    def why(self) -> str:
        return f"it answered {self.status}"

    @property
    def is_own_no(self) -> bool:
        """Whether Track answered no, in the one way in which it does."""
        return self.reason == _ANSWERED_NO


_ANSWERED_NO: Final = "answered-no"


@dataclass(frozen=True, slots=True)
class Fatal:
    """Klaviyo rejects the key or the endpoint, so it rejects every request."""

    status: int


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The server stays silent or broken; whether it took the request is not known."""

    why: str
    code: str = NO_ANSWER
    """The status of the last answer, or ``NO_ANSWER``."""


Outcome: TypeAlias = Delivered | Refused | Fatal | Unavailable
Steps: TypeAlias = Generator[Post | Wait | Pause, Reply | NoAnswer | None, Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how long one request is tried.

    The waits before the 2nd to the 8th attempt add up to at most 123 s, on average half of that:
    longer than a restart or a deployment takes, so that only an outage ends the run.
    """

    attempts: int = 8
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    pause_s: float = 5.0
    """Where a 429 or 503 names no time."""
    shortest_pause_s: float = 0.1
    """Where a Retry-After is 0 or past. Each further one to the same request doubles the pause, up
    to ``longest_wait_s``: the server asks for a busy loop, and is wrong."""
    longest_pauses_s: float = 3600.0
    """How long one request waits for 429 and 503 in all: a run must come to an end."""


DEFAULT_RETRY_POLICY: Final = RetryPolicy()


@dataclass(frozen=True, slots=True)
class _Throttled:
    reply: Reply


@dataclass(frozen=True, slots=True)
class _Retry:
    otherwise: Refused | Unavailable
    """The outcome if this was the last attempt."""


def attempts(
    read: ReadAnswer,
    *,
    jitter: Callable[[], float],
    now: Callable[[], float],
    policy: RetryPolicy = DEFAULT_RETRY_POLICY,
    is_json_api: bool = False,
) -> Steps:
    """Yield the steps of one request; return its outcome.

    Args:
        read: reads a 2xx answer, as ``Wire.read``.
        jitter: gives the share, from 0 to 1, of the longest wait.
        now: gives Unix seconds, for a Retry-After that is a date from a server without a clock.
        policy: how often and how long to try.
        is_json_api: whether a refusal lists its errors. It is then Klaviyo's last word, and one
            without a list is not Klaviyo's. Track has no list, so there a 4xx may pass.
    """
    failures, busy, paused_s = 0, 0, 0.0
    while True:
        answer = yield Post()
        match _judge(answer, read, is_json_api=is_json_api):
            case _Throttled(reply):
                pause_s = _pause_s(reply, now, policy.pause_s)
                if pause_s <= 0:
                    pause_s = min(policy.shortest_pause_s * 2.0**busy, policy.longest_wait_s)
                    busy += 1
                paused_s += pause_s
                if paused_s > policy.longest_pauses_s:
                    why = f"it answered {reply.status} and asks to wait {pause_s:.0f} s more"
                    return Unavailable(why, str(reply.status))
                yield Pause(pause_s, _unavailable(reply))
            case _Retry(otherwise):
                failures += 1
                if failures == policy.attempts:
                    return otherwise
                longest_s = min(policy.first_wait_s * 2.0 ** (failures - 1), policy.longest_wait_s)
                yield Wait(jitter() * longest_s, otherwise)
            case outcome:
                return outcome


def _judge(
    answer: Reply | NoAnswer | None, read: ReadAnswer, *, is_json_api: bool
) -> Outcome | _Throttled | _Retry:
    match answer:
        case None:
            raise TypeError("a Post was answered with nothing; send a Reply or a NoAnswer")
        case NoAnswer(why, is_final):
            return Unavailable(why) if is_final else _Retry(Unavailable(why))
    if answer.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        return _Throttled(answer)
    match answer.status // 100:
        case 2:
            return _judge_success(answer, read)
        case 3:
            return Fatal(answer.status)
        case 4:
            return _judge_client_error(answer, is_json_api=is_json_api)
        case _:
            return _Retry(_unavailable(answer))


def _judge_success(reply: Reply, read: ReadAnswer) -> Outcome | _Retry:
    match read(reply):
        case "delivered":
            return Delivered()
        case "refused":
            return Refused(_ANSWERED_NO, reply.status, "the answer was 0: not taken")
        case "unreadable":
            return _Retry(_unavailable(reply, " with a body that is no yes or no"))


_FATAL: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


def _judge_client_error(reply: Reply, *, is_json_api: bool) -> Outcome | _Retry:
    if reply.status in _FATAL:
        return Fatal(reply.status)
    if reply.status == HTTPStatus.FORBIDDEN:
        # An HTML 403 comes from the gateway before Klaviyo, now and then, and passes.
        # Source: docs/klaviyo.md, "Rate limits and errors".
        if json_object(reply.body) is None:
            return _Retry(Unavailable("a gateway before it answered 403", "403"))
        return Fatal(reply.status)
    refused = _refused(reply, is_json_api=is_json_api)
    if reply.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or refused.errors:
        return refused
    if not is_json_api:
        return _Retry(refused)
    if reply.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _Retry(_unavailable(reply, ": a proxy on the way asks for a login of its own"))
    return _Retry(_unavailable(reply, " with a body that lists no errors"))


def _unavailable(reply: Reply, what: str = "") -> Unavailable:
    return Unavailable(f"it answered {reply.status}{what}", str(reply.status))


def _pause_s(reply: Reply, now: Callable[[], float], otherwise_s: float) -> float:
    """Read Retry-After: whole seconds, or a date by the server's own clock.

    Source: RFC 9110, 10.2.3. Klaviyo sends whole seconds: docs/klaviyo.md, "Rate limits and
    errors".
    """
    text = (reply.retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    until_s = _unix_s(text)
    if until_s is None:
        return otherwise_s
    server_s = _unix_s(reply.date or "")
    return until_s - (now() if server_s is None else server_s)


def _unix_s(http_date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(http_date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):  # a year or an offset that no calendar has
        return None


def _refused(reply: Reply, *, is_json_api: bool) -> Refused:
    """Take code and pointer from the first error, never title or detail, which may name a person.

    Klaviyo's texts repeat what was sent ("Invalid email address ...").
    """
    errors = _errors(reply)
    first = errors[0] if errors else ErrorObject(f"http-{reply.status}")
    where = f" at {first.pointer}" if _POINTER.fullmatch(first.pointer) else ""
    detail = f"the answer was {reply.status}{where}"
    return Refused(first.code, reply.status, detail, errors if is_json_api else ())


_CODE: Final = re.compile(r"[a-z][a-z_-]{0,63}")
_POINTER: Final = re.compile(r"(/([a-z_-]{1,40}|[0-9]{1,4})){1,24}/?")
_MAX_DETAIL_CHARS: Final = 500


def _errors(reply: Reply) -> tuple[ErrorObject, ...]:
    """Read ``{"errors": [{"code", "title", "detail", "source": {"pointer"}}]}``.

    Source: docs/klaviyo.md, "Pointers".
    """
    errors = (json_object(reply.body) or {}).get("errors")
    if not isinstance(errors, list):
        return ()
    return tuple(_error(error, reply.status) for error in errors if isinstance(error, dict))


def _error(error: dict[str, object], status: int) -> ErrorObject:
    source = error.get("source")
    code, detail = error.get("code"), error.get("detail") or error.get("title")
    pointer = source.get("pointer") if isinstance(source, dict) else None
    return ErrorObject(
        code if isinstance(code, str) and _CODE.fullmatch(code) else f"http-{status}",
        pointer if isinstance(pointer, str) else "",
        detail[:_MAX_DETAIL_CHARS] if isinstance(detail, str) else "",
    )


def json_object(body: bytes) -> dict[str, object] | None:
    """Parse a JSON object; None where ``body`` is anything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
