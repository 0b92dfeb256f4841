"""The JSON text inside a Track request, in every form that Klaviyo's own SDKs send.

Source: docs/klaviyo.md, "Track API: what SDKs send".
"""

import base64
import binascii
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from backfill.sandbox.store.event import RefusedError

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UNESCAPED_BASE64 = re.compile(rb"[A-Za-z0-9+/ ]+={0,2}")


@dataclass(frozen=True, slots=True)
class Payload:
    """``text`` should be JSON; with ``pixel``, the answer is an image in place of ``1``."""

    text: str
    pixel: bool


def wants_pixel(query: bytes) -> bool:
    """Source: Track reference v1-2, "track-get": ``i=1`` answers with a blank pixel."""
    return b"i=1" in query.split(b"&")


def from_query(query: bytes) -> Payload:
    """A GET: ``data`` is base64, and nothing else. Klaviyo's own sample leaves its ``=`` bare."""
    return Payload(_from_base64(_field(query)), wants_pixel(query))


def from_body(body: bytes, content_type: str | None, query: bytes) -> Payload:
    """A POST: a form whose ``data`` is JSON or base64, or JSON as the body (the PHP SDK).

    Without a content type the first byte tells a form from an object.
    """
    if content_type is None:
        content_type = _JSON if body.lstrip().startswith(b"{") else _FORM
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _JSON:
        return Payload(_utf8(body), wants_pixel(query))
    if kind != _FORM:
        raise RefusedError("content_type", f"the content type is neither {_FORM} nor {_JSON}")
    field = _field(body)
    is_json = field.lstrip().startswith((b"{", b"["))  # neither is in base64's alphabet
    text = _utf8(field) if is_json else _from_base64(field)
    return Payload(text, wants_pixel(query) or wants_pixel(body))


def _field(form: bytes) -> bytes:
    pairs = (pair.partition(b"=") for pair in form.split(b"&"))
    values = [value for name, _, value in pairs if name == b"data"]
    if not values:
        raise RefusedError("encoding", 'there is no field "data"')
    if len(values) > 1:
        raise RefusedError("encoding", 'the field "data" is given twice')
    if _BAD_ESCAPE.search(values[0]):
        raise RefusedError("encoding", "a % is not followed by two hexadecimal digits")
    return unquote_to_bytes(values[0].replace(b"+", b" "))


def _from_base64(field: bytes) -> str:
    text = field.strip()
    if b" " in text and _UNESCAPED_BASE64.fullmatch(text):
        raise RefusedError("encoding", "a + in the base64 was not URL-encoded and became a space")
    try:
        return _utf8(base64.b64decode(text, validate=True))
    except binascii.Error:
        raise RefusedError("encoding", 'the field "data" is neither JSON nor base64') from None


def _utf8(encoded: bytes) -> str:
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise RefusedError("encoding", f"byte {error.start} is not UTF-8") from None
