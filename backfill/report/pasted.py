"""An event in forms to paste: a shell's line that sends it, and the front end's call.

A payload is the JSON of ``Track.payloads`` with ``PLACEHOLDER_TOKEN`` as the key.
"""

import json
from collections.abc import Callable
from typing import Final

from backfill import limits
from backfill.account.account import endpoint_of
from backfill.display import plain, plain_json
from backfill.wire.apis import Api, Method
from backfill.wire.track import PLACEHOLDER_TOKEN

KEY_VARIABLE: Final = "KLAVIYO_PUBLIC_KEY"
PRIVATE_KEY_VARIABLE: Final = "KLAVIYO_PRIVATE_KEY"

_OPENING: Final = f'{{"token":"{PLACEHOLDER_TOKEN}",'


def curl_writer(api: Api, method: Method, url: str) -> Callable[[str], str]:
    """Returns the function that makes a payload a line for a shell, for the account at ``url``."""
    target = endpoint_of(url, api)
    if api.is_json_api:
        return lambda payload: curl_json_api(payload, target)
    return lambda payload: curl(payload, target, method)


def curl(payload: str, url: str, method: Method) -> str:
    r"""One line for sh, bash, dash and zsh that sends the event to ``url`` by POST or GET.

    A pipe carries the text, because one argument of a command ends at 128 KiB on Linux and an event
    may have a megabyte. Between single quotes a shell reads nothing but the next single quote, and
    the text has none: JSON can write it as \u0027. ``:?`` ends the line without a request if the
    variable is not set.
    """
    if not payload.startswith(_OPENING):
        raise ValueError("the payload does not begin with the token that is shown")
    rest = plain_json(payload.removeprefix(_OPENING), escape="'")
    text = f"""'{{"token":"'"${{{KEY_VARIABLE}:?}}"'",{rest}'"""
    coded, as_query = (" base64 | tr -d '\\n' |", " -G") if method == "get" else ("", "")
    return (
        f"printf %s {text} |{coded} curl -sS -w '\\n'{as_query} --data-urlencode data@- "
        f"{_quoted_url(url)}"
    )


def curl_json_api(payload: str, url: str) -> str:
    """The same for the JSON:API, with the private key of a variable."""
    headers = (
        f"authorization: Klaviyo-API-Key ${{{PRIVATE_KEY_VARIABLE}:?}}",
        f"revision: {limits.REVISION}",
        f"content-type: {limits.JSON_API}",
    )
    shown = " ".join(f'-H "{header}"' for header in headers)
    text = plain_json(payload, escape="'")
    return (
        f"printf %s '{text}' | curl -sS -w '%{{http_code}}\\n' "
        f"{shown} --data-binary @- {_quoted_url(url)}"
    )


def _quoted_url(url: str) -> str:
    return "'" + plain(url).replace("'", "%27") + "'"


def learnq(payload: str) -> str:
    """The call of klaviyo.js that tracks the event, for use in a ``<script>``.

    It has neither person nor time: it tracks the visitor that a cookie identifies, now.

    Source: Track API reference v1-2, "Front-end tracking events (JavaScript)".
    """
    event = json.loads(payload, parse_int=_as_javascript)
    # Without U+2028 and U+2029, which end a line of JavaScript, and without < > &: HTML ends a
    # script at </script>, even inside a string.
    name = plain(_json(event["event"])[1:-1], escape=f"'{HTML}")
    properties = plain(_json(event["properties"]), escape=HTML)
    # As a plain name in an object literal it would set what the object inherits from.
    properties = properties.replace('"__proto__": ', '["__proto__"]: ')
    return f"_learnq.push(['track', '{name}', {properties}]);"


HTML: Final = "<>&"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _as_javascript(digits: str) -> int | float:
    """JavaScript's numbers are doubles; and Python reads no integer of 5,000 digits."""
    return int(digits) if len(digits) <= _SAFE_DIGITS else float(digits)


_SAFE_DIGITS: Final = 15
