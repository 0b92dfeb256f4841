"""What both clients share: timeouts, headers, TLS, and how a response is read as a reply."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httpx

from backfill.transport.retry import NoAnswer
from backfill.wire.interface import RateLimitStatus, Reply


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect_s: float = 10.0
    read_s: float = 30.0
    """The longest wait for the next byte of the answer."""
    whole_s: float = 60.0
    """From the first byte sent to the last one read, so that no answer drips for ever."""


DEFAULT_TIMEOUTS: Final = Timeouts()


def request_headers(own: Mapping[str, str]) -> httpx.Headers:
    # The transports do not unpack, and an answer of one byte has nothing to pack.
    return httpx.Headers({"user-agent": "backfill/0.1", "accept-encoding": "identity", **own})


def tls_of(scheme: str) -> ssl.SSLContext:
    """Check certificates as httpx does; ``SSL_CERT_FILE`` holds."""
    if scheme == "https":
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; loading authorities costs 60 ms


def reply_of(response: httpx.Response, body: bytes) -> Reply | NoAnswer:
    """Read the head of an answer whose body is read already."""
    if response.status_code == HTTPStatus.OK and body:
        return Reply(status=HTTPStatus.OK, body=body)  # nearly all; searching headers costs 12 µs
    headers = response.headers
    if not body and "content-length" not in headers and "transfer-encoding" not in headers:
        # Its end is marked by nothing: an answer that broke off looks the same. An empty one
        # counts as a yes for Track, so it has to be a whole one.
        return NoAnswer("the answer broke off")
    return Reply(
        status=response.status_code,
        body=body,
        retry_after=headers.get("retry-after"),
        date=headers.get("date"),
        rate_limit=_rate_limit(headers),
    )


def _rate_limit(headers: httpx.Headers) -> RateLimitStatus | None:
    texts = [headers.get(f"ratelimit-{name}", "") for name in ("limit", "remaining", "reset")]
    # Klaviyo's limit may go on: "150, 10;w=1, 150;w=60".
    figures = [re.match(r"\s*([0-9]{1,9})(?![0-9])", text) for text in texts]
    if None in figures:
        return None
    return RateLimitStatus(*(int(figure[1]) for figure in figures if figure))
