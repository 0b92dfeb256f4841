"""Error objects of JSON:API, each with the place in the request that it is about."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final, Literal

from aiohttp import web

from backfill import limits
from backfill.sandbox.store.event import RefusedError

MAX_ERRORS: Final = 20
"""Errors in one answer. Ours: Klaviyo does not say how many it names at once."""

Pointers = Literal["all", "first", "none"]
"""How much an answer says: every faulty member, the first of them, or only that there is one."""

Place = tuple["Place", str | int] | tuple[()]
"""A place in a body, as (the place that it is in, key or index); () is the whole body.

A chain of pairs and not a text: it is made for every value of every event, and read for few.
"""

BODY: Final[Place] = ()

_CODES_AND_TITLES: Final[Mapping[int, tuple[str, str]]] = {
    400: ("invalid", "Invalid input."),
    401: (
        "authentication_failed",
        "Authentication credentials were not provided or are incorrect.",
    ),
    403: ("permission_denied", "You do not have permission to perform this action."),
    404: ("not_found", "Not found."),
    410: ("gone", "Gone."),
    413: ("payload_too_large", "Payload too large."),
    415: ("unsupported_media_type", "Unsupported media type."),
    429: ("throttled", "Request was throttled."),
    500: ("error", "A server error occurred."),
    503: ("service_unavailable", "Service unavailable."),
}

_UNSPECIFIC: Final = "The payload provided in the request is invalid."
"""Source: klaviyo-api-ruby#15, the answer to a wrong nesting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What one error object says.

    Attributes:
        reason: a word to count refusals by; no answer has it.
        detail: Klaviyo's own sentence where one is known; it repeats no value of the body.
        pointer: where in the body, as RFC 6901 has it; None if it is not in the body.
        parameter: which query parameter or header; None if it is in none.
        status: of HTTP; code and title follow from it.
        code: where it is another than the status's.
    """

    reason: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    status: int = 400
    code: str | None = None


class Problems(list[Problem]):
    """All problems of one body, in the order in which they were found."""

    def add(self, reason: str, detail: str, place: Place, code: str | None = None) -> None:
        self.append(Problem(reason=reason, detail=detail, pointer=pointer(place), code=code))

    def raise_any(self) -> None:
        """Raises: ProblemsError, if there are problems."""
        if self:
            raise ProblemsError(*self)


class ProblemsError(RefusedError):
    """A request that is answered with error objects; it counts as refused for the first."""

    def __init__(self, *problems: Problem) -> None:
        first = problems[0]
        place = "" if first.pointer is None else f"{first.pointer}: "
        super().__init__(first.reason, f"{place}{first.detail}", status=first.status)
        self.problems = problems


def invalid_parameter(name: str, detail: str, status: int = 400) -> ProblemsError:
    """``name`` is that of a query parameter or a header."""
    return ProblemsError(Problem(reason=name, detail=detail, parameter=name, status=status))


def join(place: Place, *keys: str | int) -> Place:
    """The place that ``keys`` lead to from ``place``."""
    return reduce(lambda inside, key: (inside, key), keys, place)


def pointer(place: Place) -> str:
    """RFC 6901. The body's own is "" and not "/"."""
    keys: list[str] = []
    while place:
        place, key = place
        keys.append(str(key).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{key}" for key in reversed(keys))


def error_response(status: int, detail: str, retry_after_s: int | None) -> web.Response:
    """An error of the server. Source: docs/klaviyo.md, "Rate limits and errors"."""
    response = problems_response([Problem(reason="fault", detail=detail, status=status)], "all")
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def problems_response(problems: Sequence[Problem], pointers: Pointers) -> web.Response:
    shown = problems[:MAX_ERRORS]
    if pointers == "first":
        shown = problems[:1]
    elif pointers == "none" and problems[0].pointer is not None:
        shown = [replace(problems[0], detail=_UNSPECIFIC, pointer="/data", code=None)]
    errors = [_error_object(problem) for problem in shown]
    return json_response({"errors": errors}, status=shown[0].status)


def json_response(document: object, status: int = 200) -> web.Response:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, content_type=limits.JSON_API)


def _error_object(problem: Problem) -> dict[str, object]:
    """Source: docs/klaviyo.md, "Pointers"."""
    code, title = _CODES_AND_TITLES[problem.status]
    if problem.parameter is not None:
        source = {"parameter": problem.parameter}
    else:
        source = {"pointer": "/data/" if problem.pointer is None else problem.pointer}
    return {
        "id": str(uuid.uuid4()),
        "status": problem.status,
        "code": problem.code or code,
        "title": title,
        "detail": problem.detail,
        "source": source,
        "links": {},
        "meta": {},
    }
