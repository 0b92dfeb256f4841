"""Klaviyo's answers on a bad day, as bytes on the wire."""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from backfill import limits
from backfill.sandbox.faults.script import Fault
from backfill.sandbox.http import html

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Manner:
    """How an API says that it cannot just now: by the seconds to wait, by the request's number."""

    throttled: Callable[[int], web.Response]
    unavailable: Callable[[int], web.Response]
    broken: Callable[[int], web.Response]


def before(fault: Fault, number: int, request: web.Request, manner: Manner) -> web.Response | None:
    """The answer in place of taking the request; None where the fault comes after that."""
    match fault.answer:
        case "reset":
            return _reset(request)
        case "429":
            return manner.throttled(fault.retry_after_s)
        case "503":
            return manner.unavailable(fault.retry_after_s)
        case "500":
            return _broken(number) if number % 2 else manner.broken(number)
        case "502":
            return _page(502, "502 Bad Gateway")
        case "403":
            return _page(403, "403 Forbidden")
        case _:
            return None


async def after(fault: Fault, request: web.Request, answer: web.Response) -> web.Response:
    """Spoil ``answer``, the request having been taken.

    aiohttp wants a response even for a connection that is closed; it finds that out by itself.
    """
    if fault.answer == "slow":
        await asyncio.sleep(fault.seconds)
    elif request.transport is not None:
        if fault.answer == "half":
            request.transport.write(_head(answer))
        request.transport.close()
    return answer


def _broken(_: int) -> web.Response:
    return web.Response(status=500, text="Internal Server Error")


def _page(status: int, title: str) -> web.Response:
    return web.Response(status=status, text=html.gateway_error(title), content_type="text/html")


def _expected(wait_s: int) -> str:
    seconds = "second" if wait_s == 1 else "seconds"
    return f"Request was throttled. Expected available in {wait_s} {seconds}."


def _legacy(status: int, detail: str, wait_s: int | None = None) -> web.Response:
    """Source: bodies seen on Klaviyo's legacy endpoints, klaviyo/facts.md 1.5."""
    return web.json_response({"detail": detail}, status=status, headers=_retry_after(wait_s))


def _errors(status: int, code: str, title: str, detail: str, wait_s: int | None) -> web.Response:
    """Source: bodies seen on today's API, klaviyo/facts.md 2.9."""
    error = {"id": _ERROR, "status": status, "code": code, "title": title, "detail": detail}
    whole = {"errors": [error | {"source": {"pointer": "/data/"}, "links": {}, "meta": {}}]}
    return web.json_response(
        whole, status=status, headers=_retry_after(wait_s), content_type=limits.JSON_API
    )


def _retry_after(wait_s: int | None) -> dict[str, str]:
    return {} if wait_s is None else {"Retry-After": str(wait_s)}


_ERROR: Final = "5a4db0c5-0000-4000-8000-000000000000"
_LATER: Final = "Service temporarily unavailable, try again later."
_BROKEN: Final = "A server error occurred."

TRACK: Final = Manner(
    throttled=lambda wait_s: _legacy(429, _expected(wait_s), wait_s),
    unavailable=lambda wait_s: _legacy(503, _LATER, wait_s),
    broken=lambda _: _legacy(500, _BROKEN),
)
JSON_API: Final = Manner(
    throttled=lambda wait_s: _errors(
        429, "throttled", "Request was throttled.", _expected(wait_s), wait_s
    ),
    unavailable=lambda wait_s: _errors(
        503, "service_unavailable", "Service unavailable.", _LATER, wait_s
    ),
    broken=lambda _: _errors(500, "error", "A server error occurred.", _BROKEN, None),
)


def _head(answer: web.Response) -> bytes:
    """Without the body; of an answer that has none, without its own end."""
    head = (
        f"HTTP/1.1 {answer.status} {answer.reason}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {answer.content_length}\r\n\r\n"
    ).encode("ascii")
    return head if answer.content_length else head[: len(head) // 2]


def _reset(request: web.Request) -> web.Response:
    """Leave as a peer does that has crashed: with a RST, which needs a linger time of zero."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()
