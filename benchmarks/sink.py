"""A server that says ``1`` to every POST, and nothing else: what the other side costs at least.

    python -m benchmarks.sink

Prints its port; ends when its standard input does, and then prints how many bodies it has taken.
"""

import asyncio
import re
import sys
from typing import Final

ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 1\r\nconnection: keep-alive\r\n"
    b"\r\n1"
)
MAX_REQUEST_BYTES: Final = 2_000_000
LONGEST_S: Final = 900.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ ]*([0-9]+)\r\n", re.IGNORECASE)


class Sink(asyncio.Protocol):
    taken = 0

    def __init__(self) -> None:
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, received: bytes) -> None:
        assert self._transport is not None
        self._held += received
        while (end := self._end()) is not None:
            self._held = self._held[end:]
            Sink.taken += 1
            self._transport.write(ANSWER)
        if len(self._held) > MAX_REQUEST_BYTES:
            self._transport.abort()

    def _end(self) -> int | None:
        """Where the first request ends, if all of it is there."""
        head = self._held.find(b"\r\n\r\n")
        if head < 0:
            return None
        length = _LENGTH.search(self._held, 0, head + 2)
        end = head + 4 + (int(length[1]) if length else 0)
        return end if len(self._held) >= end else None


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    asked_to_end = loop.run_in_executor(None, sys.stdin.read)
    await asyncio.wait([asked_to_end], timeout=LONGEST_S)
    server.close()
    print(Sink.taken, flush=True)


if __name__ == "__main__":
    asyncio.run(serve())
