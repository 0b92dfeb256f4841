"""How each scripted fault is answered, as bytes on the wire."""

import asyncio
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from backfill.sandbox.faults.script import Fault
from backfill.sandbox.http import html

ErrorResponse = Callable[[int, str, int | None], web.Response]
"""How an API writes an error: status, sentence, seconds of Retry-After (None: no header)."""

_NO_LINGER: Final = struct.pack("ii", 1, 0)


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
        case "429":
            return throttled(error, fault.retry_after_s)
        case "503":
            detail = "Service temporarily unavailable, try again later."
            return error(503, detail, fault.retry_after_s)
        case "500" if number % 2:
            return web.Response(status=500, text="Internal Server Error")
        case "500":
            return error(500, "A server error occurred.", None)
        case "502" | "403":
            return _gateway_error(HTTPStatus(int(fault.answer)))
        case _:
            return None


async def after_handling(fault: Fault, request: web.Request, response: web.Response) -> None:
    """Delay or break off ``response``; the request has been handled.

    aiohttp wants a response even for a connection that is closed; it notices by itself.
    """
    if fault.answer == "slow":
        await asyncio.sleep(fault.seconds)
    elif request.transport is not None:
        if fault.answer == "half":
            request.transport.write(_head(response))
        request.transport.close()


def _gateway_error(status: HTTPStatus) -> web.Response:
    page = html.gateway_error(f"{status.value} {status.phrase}")
    return web.Response(status=status, text=page, content_type="text/html")


def _head(response: web.Response) -> bytes:
    """The head without the body; of an answer that has no body, half of the head."""
    head = (
        f"HTTP/1.1 {response.status} {response.reason}\r\n"
        f"Content-Type: {response.content_type}\r\n"
        f"Content-Length: {response.content_length}\r\n\r\n"
    ).encode("ascii")
    return head if response.content_length else head[: len(head) // 2]


def _reset(request: web.Request) -> web.Response:
    """End as a peer that has crashed: with a RST, which needs a linger time of zero."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        request.transport.abort()
    return web.Response()
