"""What the JSON:API sends back: documents, and errors as error objects."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from aiohttp import web

from backfill import limits
from backfill.sandbox.json_api.problems import Pointers, Problem

MAX_ERRORS: Final = 20
"""Errors in one response. Ours: Klaviyo does not say how many it names at once."""

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


def json_response(document: object, status: int = 200) -> web.Response:
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return web.Response(body=body, status=status, content_type=limits.JSON_API)


def problems_response(problems: Sequence[Problem], pointers: Pointers) -> web.Response:
    shown = problems[:MAX_ERRORS]
    if pointers == "first":
        shown = problems[:1]
    elif pointers == "none" and problems[0].pointer is not None:
        shown = [replace(problems[0], detail=_UNSPECIFIC, pointer="/data", code=None)]
    errors = [_error_object(problem) for problem in shown]
    return json_response({"errors": errors}, status=shown[0].status)


def error_response(status: int, detail: str, retry_after_s: int | None) -> web.Response:
    """An error of the server. Source: docs/klaviyo.md, "Rate limits and errors"."""
    response = problems_response([Problem(reason="fault", detail=detail, status=status)], "all")
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def _error_object(problem: Problem) -> dict[str, object]:
    """Source: docs/klaviyo.md, "Pointers"."""
    code, title = _CODES_AND_TITLES[problem.status]
    source = {"pointer": "/data/" if problem.pointer is None else problem.pointer}
    if problem.parameter is not None:
        source = {"parameter": problem.parameter}
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
