"""Sends the requests of events: one goes out, a reply comes back, or none does."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from backfill.transport.http import DEFAULT_TIMEOUTS, Timeouts, reply_of, request_headers, tls_of
from backfill.transport.retry import NoAnswer
from backfill.transport.url import base_url
from backfill.wire.interface import Reply, Wire

MAX_REPLY_BYTES: Final = 4_000_000
"""Klaviyo's longest answer lists one or more errors for each of 1,000 events; what follows is not
read."""


class Client:
    """Sends requests of one wire format to one base URL; use it as an async context manager.

    Redirects are never followed, cookies never kept, certificates always checked.

    Raises:
        UsageError: the URL may not be posted to.
    """

    def __init__(
        self,
        url: str,
        wire: Wire,
        *,
        connections: int,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        self._url = httpx.URL(base_url(url) + wire.api.path)
        self._method = wire.method
        self._headers = request_headers(wire.headers)
        self._whole_s = timeouts.whole_s
        attempt = httpx.Timeout(None, connect=timeouts.connect_s, read=timeouts.read_s)
        self._extensions = {"timeout": attempt.as_dict()}
        self._connections = connections
        self._transport: AiohttpTransport | None = None

    async def __aenter__(self) -> Self:
        tls = tls_of(self._url.scheme)
        self._transport = AiohttpTransport(
            verify=tls,
            client=lambda: aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                middlewares=(_once,) if self._method == "GET" else (),
            ),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is not None:
            await self._transport.aclose()

    @property
    def host(self) -> str:
        """Host, and port where it is not the usual one, for people."""
        return self._url.netloc.decode("ascii")

    async def post(self, body: bytes, query: bytes = b"") -> Reply | NoAnswer:
        """Send one request; give the answer as it came, or why there is none."""
        try:
            async with asyncio.timeout(self._whole_s):
                return await self._send(body, query)
        except (httpx.TransportError, aiohttp.ClientError, OSError) as err:
            return NoAnswer(_why(err))

    async def _send(self, body: bytes, query: bytes) -> Reply | NoAnswer:
        if self._transport is None:
            raise RuntimeError("the client posts only inside its async with")
        in_one_piece = len(body) <= _PIECE_BYTES
        request = httpx.Request(
            self._method,
            self._url.copy_with(query=query) if query else self._url,
            # With a length a stream goes as it is, and not in chunks, which a proxy may refuse.
            headers=self._headers if in_one_piece else _with_length(self._headers, body),
            content=body if in_one_piece else _pieces(body),
            extensions=self._extensions,
        )
        response = await self._transport.handle_async_request(request)
        try:
            return reply_of(response, await _beginning(response))
        finally:
            await response.aclose()


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a GET after the connection broke.

    aiohttp repeats it at once and silently, after exactly two kinds of exception; this raises
    another instead. Only the retry policy decides when to send again, and how often.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as err:
        raise _BrokenError from err


class _BrokenError(aiohttp.ClientConnectionError):
    """Unknown to aiohttp's retry loop; its cause says what broke."""


_PIECE_BYTES: Final = 1 << 20
"""aiohttp warns on stderr of a larger body in one piece, since writing it blocks the loop."""


def _with_length(headers: httpx.Headers, body: bytes) -> httpx.Headers:
    return httpx.Headers([*headers.items(), ("content-length", str(len(body)))])


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(body), _PIECE_BYTES):
        yield body[begin : begin + _PIECE_BYTES]


async def _beginning(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            break
    return bytes(body)


def _why(err: Exception) -> str:
    """Say what happened; a foreign message may quote the request, so only its type is named."""
    # The transport calls a refused connection a timeout, so its cause decides.
    cause = err if isinstance(err, TimeoutError) else err.__cause__ or err
    if isinstance(cause, _BrokenError):
        cause = cause.__cause__ or cause
    match cause:
        case aiohttp.ClientConnectorCertificateError():
            what = "its TLS certificate is not valid"
        case TimeoutError():
            what = "no answer in time"
        case aiohttp.ClientConnectorError():
            what = "no connection"
        case _:
            what = "the connection broke"
    return f"{what} ({type(cause).__name__})"
