"""What a person is told when Klaviyo refuses the key or the endpoint."""

from http import HTTPStatus
from typing import Final

from backfill import limits
from backfill.errors import DeniedError, ScopeError
from backfill.wire.interface import Wire

_REDIRECT: Final = 3
_SCOPES: Final = (
    (limits.ACCOUNTS_PATH, "accounts:read"),
    (limits.EVENTS_PATH, "events:read"),
    (limits.METRICS_PATH, "metrics:read"),
    (limits.AGGREGATES_PATH, "metrics:read"),
)
_FLOWS: Final = "/flow-triggers"


def speaks_json_api(wire: Wire) -> bool:
    """Whether it is today's API, whose answers say what is wrong; Track's do not."""
    return wire.api.is_json_api


def to_send(status: int, wire: Wire) -> DeniedError:
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return DeniedError(f"the answer is {status} for {wire.api.path}: {wire.api.if_gone}")
    if status // 100 == _REDIRECT:
        return _redirected(status)
    if not speaks_json_api(wire):
        return DeniedError(f"the answer is {status}: Klaviyo does not accept this key")
    if status == HTTPStatus.FORBIDDEN:
        return ScopeError(
            f"the answer is 403 for {wire.api.path}: the key in KLAVIYO_PRIVATE_KEY may not send "
            "events; make one with the scope events:write under Settings, API keys"
        )
    return DeniedError(
        f"the answer is {status} for {wire.api.path}: Klaviyo does not know the key in "
        "KLAVIYO_PRIVATE_KEY; it takes a private key pk_... with the scope events:write"
    )


def to_read(status: int, method: str, path: str) -> DeniedError:
    if status // 100 == _REDIRECT:
        return _redirected(status)
    if status == HTTPStatus.FORBIDDEN:
        scope = next((scope for begin, scope in _SCOPES if path.startswith(begin)), "")
        needed = "flows:read" if path.endswith(_FLOWS) else scope
        needs = f"; it needs the scope {needed}" if needed else ""
        return ScopeError(
            f"the answer is 403 for {method} {path}: the key in KLAVIYO_PRIVATE_KEY may not read "
            f"that{needs}"
        )
    if status == HTTPStatus.UNAUTHORIZED:
        return DeniedError(
            f"the answer is 401 for {method} {path}: Klaviyo does not know the key in "
            "KLAVIYO_PRIVATE_KEY; it takes a private key pk_... from Settings, API keys"
        )
    return DeniedError(f"the answer is {status} for {method} {path}; check --url")


def _redirected(status: int) -> DeniedError:
    return DeniedError(
        f"the answer is {status}, a redirect, and redirects are not followed; "
        "check --url, nothing is posted elsewhere"
    )
