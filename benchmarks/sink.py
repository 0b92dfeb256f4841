"""A server that says yes to every event and does nothing with it: what the other side costs least.

    python -m benchmarks.sink [LATENCY_S]

It speaks Track and today's API, and has one account. Prints its port; ends when its standard input
does, and then prints the requests, bytes and events that it has taken, as JSON. An answer to a POST
waits ``LATENCY_S`` after the whole body is there; other requests do not wait for it.
"""

import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass
from typing import Final

TRACKED: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1\r\nconnection: keep-alive\r\n"
    b"\r\n1"
)
ACCEPTED: Final = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"
NOT_FOUND: Final = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n"
ACCOUNTS: Final = json.dumps(
    {
        "data": [
            {
                "type": "account",
                "id": "LOCAL1",
                "attributes": {"test_account": True, "public_api_key": "LOCAL1"},
                "links": {"self": "http://127.0.0.1/api/accounts/LOCAL1"},
            }
        ],
        "links": {"self": "http://127.0.0.1/api/accounts"},
    }
).encode()
ACCOUNT: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.api+json\r\ncontent-length: %d\r\n"
    b"connection: keep-alive\r\n\r\n%s" % (len(ACCOUNTS), ACCOUNTS)
)
MAX_REQUEST_BYTES: Final = 6_000_000
LONGEST_S: Final = 900.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ ]*([0-9]+)\r\n", re.IGNORECASE)
_EVENT: Final = b'"unique_id"'
"""Once in each event of today's API here, and in none of their properties."""


@dataclass(slots=True)
class Taken:
    requests: int = 0
    bytes: int = 0
    events: int = 0


class Sink(asyncio.Protocol):
    def __init__(self, taken: Taken, latency_s: float) -> None:
        self._taken = taken
        self._latency_s = latency_s
        self._held = bytearray()
        self._line = b""
        self._body = self._end = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, received: bytes) -> None:
        assert self._transport is not None
        self._held += received
        while self._is_whole():
            answer = self._answer()
            del self._held[: self._end]
            self._end = 0
            if self._latency_s and self._line.startswith(b"POST "):
                loop = asyncio.get_running_loop()
                loop.call_later(self._latency_s, self._transport.write, answer)
            else:
                self._transport.write(answer)
        if len(self._held) > MAX_REQUEST_BYTES:
            self._transport.abort()

    def _is_whole(self) -> bool:
        """Whether all of the first request is there; its head is read once."""
        if not self._end:
            head = self._held.find(b"\r\n\r\n")
            if head < 0:
                return False
            self._line = bytes(self._held[: self._held.find(b"\r\n")])
            length = _LENGTH.search(self._held, 0, head + 2)
            self._body = head + 4
            self._end = self._body + (int(length[1]) if length else 0)
        return len(self._held) >= self._end

    def _answer(self) -> bytes:
        method, target, _ = self._line.split(b" ", 2)
        match method, target.partition(b"?")[0].rstrip(b"/"):
            case (_, b"/api/track"):
                events, answer = 1, TRACKED
            case (b"POST", b"/api/events" | b"/api/event-bulk-create-jobs"):
                events, answer = self._held.count(_EVENT, self._body, self._end), ACCEPTED
            case (b"GET", b"/api/accounts"):
                return ACCOUNT
            case _:
                return NOT_FOUND
        self._taken.requests += 1
        self._taken.bytes += self._end - self._body
        self._taken.events += events
        return answer


async def serve(latency_s: float) -> None:
    loop = asyncio.get_running_loop()
    taken = Taken()
    server = await loop.create_server(lambda: Sink(taken, latency_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    asked_to_end = loop.run_in_executor(None, sys.stdin.read)
    await asyncio.wait([asked_to_end], timeout=LONGEST_S)
    server.close()
    print(json.dumps(asdict(taken)), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(float(*sys.argv[1:])))
