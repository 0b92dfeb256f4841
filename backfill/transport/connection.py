"""One request on a connection of its own, and the one answer that belongs to it.

HTTP/1.1 has no number that ties an answer to a request. On a connection that is used again, bytes
that nobody asked for look like the answer to the next request, and each later answer is taken for
its neighbour's. So each request has a connection of its own, which is read to its end. An answer
is silence where

- bytes came before the request was sent,
- it says yes before the server has the whole request,
- more bytes follow it,
- or the connection is reset after it, as systems do where a server closes and has not read all.

Source: RFC 9112, 9.2 (answers belong to requests by their order alone) and 9.6 (``close``).
"""

import asyncio
import fcntl
import socket
import ssl
import struct
import sys
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import aiohappyeyeballs
import h11


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long one request may take."""

    connect_s: float = 10.0
    read_s: float = 30.0
    """The longest wait for the next byte of the answer."""
    whole_s: float = 60.0
    """From the first step to the last byte read, so that no answer drips for ever."""


Address: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]
"""As ``socket.getaddrinfo`` gives it."""

_NEXT_ADDRESS_S: Final = 0.25
"""How long an address may stay silent before the next one is tried too. Source: RFC 8305, 5."""
_LAST_BYTES_S: Final = 1.0
"""How long the end of the connection is waited for, where the server does not close it."""
_OK: Final = range(200, 300)


class NotConnectedError(Exception):
    """There is no connection to the server; the cause says why."""


class ForeignAnswerError(Exception):
    """What came is not plainly the answer to this request. The text is for people."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    """The names are lower case."""
    body: bytes


async def answer_of(
    request: h11.Request,
    body: bytes,
    addresses: Sequence[Address],
    *,
    tls: ssl.SSLContext | None,
    host: str,
    timeouts: Timeouts,
    max_bytes: int,
) -> Answer:
    """Connect, send one request, and read its answer and the end of the connection.

    Args:
        request: the head, with the length of the body.
        body: empty for none.
        addresses: of the server.
        tls: how the certificate is checked; None for no encryption.
        host: whose certificate it has to be.
        timeouts: ``whole_s`` is for whoever calls.
        max_bytes: what follows so many bytes of the answer's body is not read.

    Raises:
        NotConnectedError
        OSError: the connection broke, or ``TimeoutError``: nothing came for too long.
        h11.RemoteProtocolError: what came is no HTTP.
        ForeignAnswerError
    """
    talk = _Talk(max_bytes)
    try:
        async with asyncio.timeout(timeouts.connect_s):
            plain, transport = await _connect(talk, addresses, tls, host)
    except OSError as err:
        raise NotConnectedError from err
    try:
        talk.send(request, body, transport, plain)
        await talk.wait_for_answer(timeouts.read_s)
        return await talk.wait_for_end()
    finally:
        transport.abort()


async def _connect(
    talk: asyncio.Protocol, addresses: Sequence[Address], tls: ssl.SSLContext | None, host: str
) -> tuple[asyncio.Transport, asyncio.Transport]:
    """Give the transport that holds the socket, and the one to write to, which may encrypt."""
    loop = asyncio.get_running_loop()
    connected = await aiohappyeyeballs.start_connection(
        addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S
    )
    plain, _ = await loop.create_connection(lambda: talk, sock=connected)
    try:
        if tls is None:
            return plain, plain
        encrypted = await loop.start_tls(plain, talk, tls, server_hostname=host)
    except BaseException:
        plain.abort()
        raise
    if encrypted is None:
        plain.abort()
        raise ConnectionAbortedError("closed during the handshake")
    return plain, encrypted


class _Talk(asyncio.Protocol):
    """One request and its answer, as bytes come in."""

    def __init__(self, max_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.CLIENT)
        self._max_bytes = max_bytes
        self._clock = loop.time
        self._response: h11.Response | None = None
        self._body = bytearray()
        self._answered: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._sent = False
        self._foreign = ""
        self._heard_s = self._clock()

    # called by whoever talks ---------------------------------------------------------------------

    def send(
        self,
        request: h11.Request,
        body: bytes,
        transport: asyncio.WriteTransport,
        plain: asyncio.WriteTransport,
    ) -> None:
        """``plain`` is the transport that holds the socket, ``transport`` may encrypt above it."""
        self._transport, self._plain = transport, plain
        self._raise_foreign()
        self._sent = True
        self._heard_s = self._clock()
        head = self._http.send(request) or b""
        if body:
            self._http.send(h11.Data(body))
        self._http.send(h11.EndOfMessage())
        transport.write(head + body)

    async def wait_for_answer(self, longest_s: float) -> None:
        """Wait for a whole answer; ``longest_s`` without a byte from or to the server is too long.

        Raises as ``answer_of``.
        """
        unsent = self._unsent()
        while not self._answered.done():
            left_s = self._heard_s + longest_s - self._clock()
            if left_s > 0:
                await asyncio.wait([self._answered], timeout=left_s)
            elif (now_unsent := self._unsent()) < unsent:
                self._heard_s, unsent = self._clock(), now_unsent
            else:
                raise TimeoutError
        self._answered.result()

    async def wait_for_end(self) -> Answer:
        """Read on until the server closes, so that nothing that contradicts the answer is missed.

        Raises as ``answer_of``.
        """
        is_cut = len(self._body) > self._max_bytes
        if not self._ended.done() and not is_cut:
            if self._transport.can_write_eof():
                self._transport.write_eof()  # a server that waits for more requests ends now
            await asyncio.wait([self._ended], timeout=_LAST_BYTES_S)
        if not is_cut:
            self._raise_foreign()
        if self._response is None:
            raise RuntimeError("the answer has not been waited for")
        headers = list(self._response.headers)
        return Answer(self._response.status_code, headers, bytes(self._body))

    def _unsent(self) -> int:
        """The bytes of the request that the server's system does not have yet."""
        held = self._transport.get_write_buffer_size() + self._plain.get_write_buffer_size()
        return held + _unacknowledged(self._plain.get_extra_info("socket"))

    def _raise_foreign(self) -> None:
        if self._foreign:
            raise ForeignAnswerError(self._foreign)

    # called by the loop --------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._clock()
        if not self._sent:
            self._foreign = "bytes came before the request was sent"
        elif self._answered.done():
            self._foreign = "more than one answer came"
        else:
            self._read(data)

    def eof_received(self) -> None:
        if not self._answered.done() and self._sent:
            self._read(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answered.done():
            broken = exc or ConnectionAbortedError("the server closed the connection")
            self._answered.set_exception(broken)
            self._answered.exception()  # nobody may be waiting for it
        elif exc is not None:
            self._foreign = "the connection was reset after the answer"
        if not self._ended.done():
            self._ended.set_result(None)

    def _read(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            self._read_events()
        except h11.RemoteProtocolError as err:
            broken = ConnectionAbortedError("the server closed the connection")
            self._answered.set_exception(err if data else broken)

    def _read_events(self) -> None:
        while not self._answered.done():
            match self._http.next_event():
                case h11.Response() as response:
                    self._response = response
                    if response.status_code in _OK and self._unsent():
                        self._foreign = "a yes came before the whole request was sent"
                case h11.Data(data=data):
                    self._body += data
                    if len(self._body) > self._max_bytes:
                        self._answered.set_result(None)
                case h11.EndOfMessage():
                    self._answered.set_result(None)
                    if self._http.trailing_data[0]:
                        self._foreign = "more than one answer came"
                case h11.NEED_DATA | h11.ConnectionClosed():
                    return


def _unacknowledged(sock: socket.socket) -> int:
    """The bytes in the system's buffer that the other side has not acknowledged; 0 if unknown."""
    if sys.platform != "linux" or sock.fileno() < 0:
        return 0
    (unsent,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    return int(unsent)
