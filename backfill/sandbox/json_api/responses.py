"""What the JSON:API sends back: documents, and errors as error objects."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aiohttp import web

from backfill import limits
from backfill.sandbox.json_api.documents import document
from backfill.sandbox.json_api.problems import Pointers, Problem

MAX_ERRORS: Final = 20
"""Errors in one response. Ours: Klaviyo does not say how many it names at once."""

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
    response = problems_response([Problem("fault", detail, status=status)], "all")
    if retry_after_s is not None:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def _error_object(problem: Problem) -> dict[str, object]:
    """Source: docs/klaviyo.md, "Pointers"."""
    documented = document("errors.json")[str(problem.status)]
    source = {"pointer": "/data/" if problem.pointer is None else problem.pointer}
    if problem.parameter is not None:
        source = {"parameter": problem.parameter}
    return {
        "id": str(uuid.uuid4()),
        "status": problem.status,
        "code": problem.code or documented["code"],
        "title": documented["title"],
        "detail": problem.detail,
        "source": source,
        "links": {},
        "meta": {},
    }
