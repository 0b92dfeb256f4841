"""Who asks today's API, and by which of its revisions: what stands in the head of a request."""

import re
from collections.abc import Mapping
from typing import Final

from aiohttp import hdrs

from backfill import limits
from backfill.sandbox.json_api.behaviour import Behaviour
from backfill.sandbox.json_api.problems import Problem, Turned
from backfill.sandbox.json_api.write import Asked
from backfill.sandbox.store import identifiers

_KEY: Final = re.compile(r"Klaviyo-API-Key (pk_[A-Za-z0-9_-]+)\Z")
_REVISION: Final = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9](\.[a-z]+)?\Z")
_RETIRED: Final = "2025-01-15"
"""The oldest revision that still lives: two years for each. Source: klaviyo/facts.md 0, fact 10."""


def asked(headers: Mapping[str, str], scope: str, behaviour: Behaviour, *, now_s: float) -> Asked:
    """Raises: Turned, with 401, 400, 404, 410 or 403."""
    account = _account(headers.get(hdrs.AUTHORIZATION, ""), behaviour)
    revision = _revision(headers.get("revision"))
    if scope not in behaviour.scopes:
        detail = f"The API key is missing required scopes: {scope}"
        title = "You do not have permission to perform this action."
        raise Turned(
            [Problem("scope", detail, "/data/", status=403, code="permission_denied", title=title)]
        )
    return Asked(account, revision, now_s)


def check_content(headers: Mapping[str, str]) -> None:
    """Raises: Turned, with 415. Source: rate_limits_and_error_handling, read 2026-11-23."""
    kind = headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind not in (limits.JSON_API, "application/json"):
        _unsupported("content_type", f"The content type is not {limits.JSON_API}.")
    if hdrs.CONTENT_ENCODING in headers:
        _unsupported("content_encoding", "The body must not be compressed.")


def _account(authorization: str, behaviour: Behaviour) -> str:
    found = _KEY.match(authorization)
    if found is None:
        code = "authentication_failed" if authorization else "not_authenticated"
        detail = "Missing or invalid private key." if authorization else "Missing or invalid key."
        title = "Authentication credentials were not provided or are incorrect."
        raise Turned([Problem("key", detail, "/data/", status=401, code=code, title=title)])
    parts = found[1].split("_", 2)
    named = len(parts) > 2 and identifiers.is_public_key(parts[1])  # noqa: PLR2004 - pk, it, a rest
    return parts[1] if named else behaviour.account


def _revision(revision: str | None) -> str:
    if revision is None or _REVISION.match(revision) is None:
        detail = "The header revision is required, as in 2026-10-15."
        raise Turned([Problem("revision", detail, parameter="revision")])
    if revision[:10] < _RETIRED:
        detail = "The revision is retired."
        raise Turned([Problem("revision", detail, parameter="revision", status=410, code="gone")])
    if revision[:10] > limits.REVISION:
        detail = "No valid revisions found for method."
        raise Turned(
            [Problem("revision", detail, parameter="revision", status=404, code="not_found")]
        )
    return revision


def _unsupported(reason: str, detail: str) -> None:
    title = "Unsupported media type."
    raise Turned(
        [Problem(reason, detail, "/data/", status=415, code="unsupported_media_type", title=title)]
    )
