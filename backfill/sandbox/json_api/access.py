"""The headers of a request to the JSON:API: whose key, which revision, what kind of body."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs

from backfill import limits
from backfill.sandbox.json_api.behaviour import Behaviour
from backfill.sandbox.json_api.problems import Problem, ProblemsError, invalid_parameter
from backfill.sandbox.store import identifiers

_KEY: Final = re.compile(r"Klaviyo-API-Key (pk_[A-Za-z0-9_-]+)\Z")
_ACCOUNT_IN_KEY: Final = re.compile(r"pk_([^_]+)_")
_REVISION: Final = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9](\.[a-z]+)?\Z")
_OLDEST_REVISION: Final = "2025-01-15"
"""The oldest that is not retired: each lives two years. Source: docs/klaviyo.md, "Revisions"."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The account and the revision that a request names, and when it came, in Unix seconds."""

    account: str
    revision: str
    now_s: float


def authorize(
    headers: Mapping[str, str], scope: str, behaviour: Behaviour, *, now_s: float
) -> RequestContext:
    """Check the key, the revision and the scope.

    Raises:
        ProblemsError: with status 401, 400, 404, 410 or 403.
    """
    account = _account(headers.get(hdrs.AUTHORIZATION, ""), behaviour)
    revision = _revision(headers.get("revision", ""))
    if scope not in behaviour.scopes:
        detail = f"The API key is missing required scopes: {scope}"
        raise ProblemsError(Problem("scope", detail, status=403))
    return RequestContext(account, revision, now_s)


def check_content(headers: Mapping[str, str]) -> None:
    """Raises: ProblemsError, with status 415. Source: docs/klaviyo.md, "Rate limits and errors"."""
    content_type = headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if content_type not in (limits.JSON_API, "application/json"):
        detail = f"The content type is not {limits.JSON_API}."
        raise ProblemsError(Problem("content_type", detail, status=415))
    if hdrs.CONTENT_ENCODING in headers:
        detail = "The body must not be compressed."
        raise ProblemsError(Problem("content_encoding", detail, status=415))


def _account(authorization: str, behaviour: Behaviour) -> str:
    if not authorization:
        detail, code = "Missing or invalid key.", "not_authenticated"
        raise ProblemsError(Problem("key", detail, status=401, code=code))
    key = _KEY.match(authorization)
    if key is None:
        raise ProblemsError(Problem("key", "Missing or invalid private key.", status=401))
    named = _ACCOUNT_IN_KEY.match(key[1])
    return named[1] if named and identifiers.is_public_key(named[1]) else behaviour.account


def _revision(revision: str) -> str:
    if _REVISION.match(revision) is None:
        raise invalid_parameter("revision", "The header revision is required, as in 2026-10-15.")
    if revision[:10] < _OLDEST_REVISION:
        raise invalid_parameter("revision", "The revision is retired.", status=410)
    if revision[:10] > limits.REVISION:
        raise invalid_parameter("revision", "No valid revisions found for method.", status=404)
    return revision
