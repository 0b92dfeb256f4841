"""What every request and every answer has: timeouts, headers, and what an answer's head tells."""

import re
from collections.abc import Mapping
from http import HTTPStatus

from backfill.transport.connection import Answer
from backfill.transport.retry import NoAnswer
from backfill.wire.interface import RateLimitStatus, Reply


def request_headers(own: Mapping[str, str], host: str) -> list[tuple[str, str]]:
    """The headers of every request, without its length."""
    return [
        ("host", host),
        ("user-agent", "backfill/0.1"),
        ("accept", "*/*"),
        ("accept-encoding", "identity"),  # an answer of one byte has nothing to pack
        ("connection", "close"),
        *((name.lower(), value) for name, value in own.items()),
    ]


def reply_of(answer: Answer) -> Reply | NoAnswer:
    """Read the head of an answer."""
    if answer.status == HTTPStatus.OK and answer.body:
        return Reply(status=HTTPStatus.OK, body=answer.body)  # nearly all; the rest costs 12 µs
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in answer.headers}
    if not answer.body and "content-length" not in headers and "transfer-encoding" not in headers:
        # Its end is marked by nothing: an answer that broke off looks the same. An empty one
        # counts as a yes for Track, so it has to be a whole one.
        return NoAnswer("the answer broke off")
    return Reply(
        status=answer.status,
        body=answer.body,
        retry_after=headers.get("retry-after"),
        date=headers.get("date"),
        rate_limit=_rate_limit(headers),
    )


def _rate_limit(headers: Mapping[str, str]) -> RateLimitStatus | None:
    texts = [headers.get(f"ratelimit-{name}", "") for name in ("limit", "remaining", "reset")]
    # Klaviyo's limit may go on: "150, 10;w=1, 150;w=60".
    figures = [re.match(r"\s*([0-9]{1,9})(?![0-9])", text) for text in texts]
    if None in figures:
        return None
    return RateLimitStatus(*(int(figure[1]) for figure in figures if figure))
