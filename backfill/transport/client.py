"""Sends requests to one server: each on its own connection, until an answer comes or none does."""

import asyncio
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import h11
import httpx

from backfill.transport.connection import (
    Address,
    ForeignAnswerError,
    NotConnectedError,
    Timeouts,
    answer_of,
)
from backfill.transport.http import reply_of, request_headers
from backfill.transport.no_answer import no_answer
from backfill.transport.retry import NoAnswer
from backfill.transport.tls import tls_of
from backfill.transport.url import base_url
from backfill.wire.interface import Reply

MAX_REPLY_BYTES: Final = 4_000_000
"""Klaviyo's longest answer lists one or more errors for each of 1,000 events."""
DEFAULT_TIMEOUTS: Final = Timeouts()

_ADDRESSES_S: Final = 60.0
"""How long the addresses of the server's name are taken for known."""


class Client:
    """Sends requests to one server.

    Redirects are never followed, cookies never kept, certificates always checked, and proxies of
    the environment not used.
    """

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        """Open no connection yet.

        Args:
            url: the base, such as ``https://a.klaviyo.com``.
            headers: those of every request.
            timeouts: of one request.

        Raises:
            UsageError: the URL may not be posted to, or no authority of certificates can be read.
        """
        self._base = httpx.URL(base_url(url))
        self._headers = request_headers(headers, self.host)
        self._tls = tls_of(self._base.scheme)
        self._timeouts = timeouts
        self._addresses: Sequence[Address] = ()
        self._resolved_s = 0.0

    @property
    def host(self) -> str:
        """Host, and port where it is not the usual one, for people."""
        return self._base.netloc.decode("ascii")

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        query: bytes = b"",
        *,
        max_bytes: int = MAX_REPLY_BYTES,
    ) -> Reply | NoAnswer:
        """Send one request; give the answer as it came, or why there is none.

        Args:
            method: such as ``POST``.
            path: what follows the base URL, such as ``/api/events``.
            body: empty for none.
            query: the URL's part after the ``?``.
            max_bytes: an answer with a longer body is not read to its end, and is none.
        """
        target = f"{self._base.raw_path.decode().rstrip('/')}{path}".encode()
        if query:
            target += b"?" + query
        headers = self._headers
        if body or method == "POST":
            headers = [*headers, ("content-length", str(len(body)))]
        request = h11.Request(method=method, target=target, headers=headers)
        try:
            async with asyncio.timeout(self._timeouts.whole_s):
                answer = await answer_of(
                    request,
                    body,
                    await self._resolved(),
                    tls=self._tls,
                    host=self._base.host,
                    timeouts=self._timeouts,
                    max_bytes=max_bytes,
                )
        except NotConnectedError as err:
            self._addresses = ()
            return no_answer(err, self._base.host)
        except (OSError, h11.RemoteProtocolError, ForeignAnswerError) as err:
            return no_answer(err, self._base.host)
        if len(answer.body) > max_bytes:
            return NoAnswer(f"the answer is over {max_bytes:,} bytes")
        return reply_of(answer)

    async def _resolved(self) -> Sequence[Address]:
        """Give the server's addresses, which are asked for once a minute."""
        now_s = time.monotonic()
        if not self._addresses or now_s > self._resolved_s + _ADDRESSES_S:
            port = self._base.port or {"https": 443, "http": 80}[self._base.scheme]
            async with asyncio.timeout(self._timeouts.connect_s):
                try:
                    self._addresses = await _addresses_of(self._base.host, port)
                except (OSError, UnicodeError) as err:
                    raise NotConnectedError from err
            self._resolved_s = now_s
        return self._addresses


async def _addresses_of(host: str, port: int) -> Sequence[Address]:
    """Resolve a name in a thread that does not hold up the end of the process.

    Raises as ``socket.getaddrinfo``.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Sequence[Address]] = loop.create_future()

    def resolve() -> None:
        addresses: Sequence[Address] = ()
        error: OSError | UnicodeError | None = None
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as err:
            error = err
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, addresses, error)

    def settle(addresses: Sequence[Address], error: OSError | UnicodeError | None) -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(addresses)

    threading.Thread(target=resolve, name="backfill-resolve", daemon=True).start()
    return await found
