"""The error for an answer by which Klaviyo rejects the key or the endpoint."""

from http import HTTPStatus
from typing import Final

from backfill.errors import DeniedError, ScopeError

_REDIRECT: Final = 3
_KEY: Final = "the key in KLAVIYO_PRIVATE_KEY"


def denied_error(status: int, request: str, *, scope: str, if_gone: str) -> DeniedError:
    """Say what was rejected, and what to do.

    Args:
        status: the answer's, of a ``Fatal`` outcome.
        request: method and path.
        scope: which the private key needs for it; empty where the key is a public one.
        if_gone: what to do if the endpoint does not exist.
    """
    answer = f"the answer is {status} for {request}"
    if status // 100 == _REDIRECT:
        return DeniedError(
            f"{answer}: a redirect, and redirects are not followed; check --url, nothing is posted "
            "elsewhere"
        )
    if status not in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return DeniedError(f"{answer}: {if_gone}")
    if not scope:
        return DeniedError(f"{answer}: Klaviyo does not accept this key")
    if status == HTTPStatus.FORBIDDEN:
        return ScopeError(
            f"{answer}: {_KEY} lacks the scope {scope}; make one that has it under Settings, API "
            "keys"
        )
    return DeniedError(
        f"{answer}: Klaviyo does not know {_KEY}; it takes a private key pk_... with the scope "
        f"{scope}, from Settings, API keys"
    )
