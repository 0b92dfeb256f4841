"""How each scripted fault is answered, as bytes on the wire."""

import asyncio
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from backfill import limits
from backfill.sandbox.faults.script import Fault
from backfill.sandbox.http import html

ErrorResponse = Callable[[int, str, int | None], web.Response]
"""How an API writes an error: status, sentence, seconds of Retry-After (None: no header)."""

_NO_LINGER: Final = struct.pack("ii", 1, 0)
_TRACK_YES: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\n1"
_YES: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
_OPEN_S: Final = 0.5
"""How long a connection stays open after a surplus answer, for a client that uses it again."""


def throttled(error: ErrorResponse, wait_s: int) -> web.Response:
    unit = "second" if wait_s == 1 else "seconds"
    return error(429, f"Request was throttled. Expected available in {wait_s} {unit}.", wait_s)


def before_handling(
    fault: Fault, number: int, request: web.Request, error: ErrorResponse
) -> web.Response | None:
    """The answer instead of handling request ``number``; None where the fault comes after that."""
    match fault.answer:
        case "reset":
            return _reset(request)
        case "early":
            _write(request, _yes(request))
            return _reset(request)
        case "429":
            return throttled(error, fault.retry_after_s)
        case "503":
            detail = "Service temporarily unavailable, try again later."
            return error(503, detail, fault.retry_after_s)
        case "500" if number % 2:
            return web.Response(status=500, text="Internal Server Error")
        case "500":
            return error(500, "A server error occurred.", None)
        case "302" | "400" | "403" | "404" | "406" | "502":
            return _gateway_error(HTTPStatus(int(fault.answer)))
        case _:
            return None


async def after_handling(fault: Fault, request: web.Request, response: web.Response) -> None:
    """Delay or break off ``response``; the request has been handled.

    aiohttp wants a response even for a connection that is closed; it notices by itself.
    """
    match fault.answer:
        case "slow":
            await asyncio.sleep(fault.seconds)
            return
        case "half":
            head = _head(response)
            _write(request, head if response.content_length else head[: len(head) // 2])
        case "reason":
            head = _head(response, reason=b"D\xe9j\xe0")
            _write(request, head + bytes(response.body or b""))  # type: ignore[arg-type]
        case "surplus":
            await _answer_twice(request, response, fault.seconds)
    if request.transport is not None:
        request.transport.close()


async def _answer_twice(request: web.Request, response: web.Response, after_s: float) -> None:
    whole = _head(response) + bytes(response.body or b"")  # type: ignore[arg-type]
    if after_s:
        _write(request, whole)
        await asyncio.sleep(after_s)
        whole = b""
    _write(request, whole + _yes(request))
    await asyncio.sleep(_OPEN_S)


def _gateway_error(status: HTTPStatus) -> web.Response:
    page = html.gateway_error(f"{status.value} {status.phrase}")
    headers = {hdrs.LOCATION: "/blocked.html"} if status == HTTPStatus.FOUND else {}
    return web.Response(status=status, text=page, content_type="text/html", headers=headers)


def _head(response: web.Response, *, reason: bytes = b"") -> bytes:
    """``reason`` is the reason phrase; empty for that of the response."""
    return b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (
        response.status,
        reason or (response.reason or "").encode("ascii"),
        response.content_type.encode("ascii"),
        response.content_length or 0,
    )


def _yes(request: web.Request) -> bytes:
    return _TRACK_YES if request.path.startswith(limits.TRACK_PATH) else _YES


def _write(request: web.Request, answer: bytes) -> None:
    if request.transport is not None and not request.transport.is_closing():
        request.transport.write(answer)


def _reset(request: web.Request) -> web.Response:
    """End as a peer that has crashed: with a RST, which needs a linger time of zero."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        request.transport.abort()
    return web.Response()
