"""Klaviyo's answers on a bad day, as bytes on the wire."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final

from aiohttp import web

from backfill.sandbox.faults import Fault

_PAGE = (
    "<!DOCTYPE html>\n<html>\n<head><title>{title}</title></head>\n<body>\n"
    "<center><h1>{title}</h1></center>\n<hr><center>gateway</center>\n</body>\n</html>\n"
)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def throttled(wait_s: int) -> web.Response:
    """Source: bodies seen on Klaviyo's legacy endpoints, klaviyo/facts.md 1.5."""
    seconds = "second" if wait_s == 1 else "seconds"
    return web.json_response(
        {"detail": f"Request was throttled. Expected available in {wait_s} {seconds}."},
        status=429,
        headers={"Retry-After": str(wait_s)},
    )


def before(fault: Fault, number: int, request: web.Request) -> web.Response | None:
    """The answer in place of taking the request; None where the fault comes after that."""
    if fault.answer == "reset":
        return _reset(request)
    instead = _INSTEAD.get(fault.answer)
    return None if instead is None else instead(fault, number)


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


def _unavailable(wait_s: int) -> web.Response:
    return web.json_response(
        {"detail": "Service temporarily unavailable, try again later."},
        status=503,
        headers={"Retry-After": str(wait_s)},
    )


def _broken(number: int) -> web.Response:
    if number % 2:
        return web.Response(status=500, text="Internal Server Error")
    return web.json_response({"detail": "A server error occurred."}, status=500)


def _page(status: int, title: str) -> web.Response:
    return web.Response(status=status, text=_PAGE.format(title=title), content_type="text/html")


_INSTEAD: Final[dict[str, Callable[[Fault, int], web.Response]]] = {
    "429": lambda fault, _: throttled(fault.retry_after_s),
    "503": lambda fault, _: _unavailable(fault.retry_after_s),
    "500": lambda _, number: _broken(number),
    "502": lambda *_: _page(502, "502 Bad Gateway"),
    "403": lambda *_: _page(403, "403 Forbidden"),
}


def _head(answer: web.Response) -> bytes:
    return (
        f"HTTP/1.1 {answer.status} {answer.reason}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {answer.content_length}\r\n\r\n"
    ).encode("ascii")


def _reset(request: web.Request) -> web.Response:
    """Leave as a peer does that has crashed: with a RST, which needs a linger time of zero."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()
