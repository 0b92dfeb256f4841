"""Klaviyo's no in today's API: JSON:API errors, each with the place that it speaks of."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from aiohttp import web

from backfill import limits

MOST: Final = 20
"""Errors in one answer. Ours: Klaviyo has not said how many it names at once."""

Pointers = Literal["all", "first", "none"]
"""How much an answer says: every faulty member, the first of them, or only that there is one."""

Place = tuple["Place", str | int] | tuple[()]
"""A place in a body, as (the place that it is in, key or index); () is the whole body.

A chain of pairs and not a text: it is made for every value of every event, and read for few.
"""

NO_PLACE: Final[Place] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """``detail`` is Klaviyo's own sentence where one is known; it repeats no value of the body."""

    reason: str
    detail: str
    pointer: str | None = None
    parameter: str | None = None
    status: int = 400
    code: str = "invalid"
    title: str = "Invalid input."


@dataclass
class Turned(Exception):  # noqa: N818 - an answer, not an error
    """A request that is not taken, with all that is wrong with it."""

    problems: Sequence[Problem]
    headers: dict[str, str] = field(default_factory=dict)


def no(reason: str, detail: str, *, pointer: str | None = None) -> Turned:
    return Turned([Problem(reason, detail, pointer)])


def pointer(place: Place) -> str:
    """RFC 6901. The body's own is "" and not "/"."""
    keys: list[str] = []
    while place:
        place, key = place
        keys.append(str(key).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{key}" for key in reversed(keys))


def answer(problems: Sequence[Problem], pointers: Pointers, *, number: int) -> web.Response:
    """``number`` is the request's: it goes into the errors' ids, so that no two are the same."""
    shown = _shown(problems, pointers)
    errors = [_error(problem, f"{number:08x}-{index:04x}") for index, problem in enumerate(shown)]
    return json_answer({"errors": errors}, status=shown[0].status)


def json_answer(
    document: object, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
        status=status,
        content_type=limits.JSON_API,
        headers=headers,
    )


def _shown(problems: Sequence[Problem], pointers: Pointers) -> Sequence[Problem]:
    if pointers == "first":
        return problems[:1]
    if pointers == "none" and problems[0].pointer is not None:
        return [Problem(problems[0].reason, _GENERIC, "/data", status=problems[0].status)]
    return problems[:MOST]


# Source: klaviyo-api-ruby#15, what a wrong nesting was answered with.
_GENERIC: Final = "The payload provided in the request is invalid."


def _error(problem: Problem, number: str) -> dict[str, object]:
    source = {"pointer": problem.pointer, "parameter": problem.parameter}
    return {
        "id": f"5a4db0c5-0000-4000-8000-{number.replace('-', '')}",
        "status": problem.status,
        "code": problem.code,
        "title": problem.title,
        "detail": problem.detail,
        "source": {key: given for key, given in source.items() if given is not None},
        "links": {},
        "meta": {},
    }


def reasons(problems: Iterable[Problem]) -> str:
    return ", ".join(dict.fromkeys(problem.reason for problem in problems))
