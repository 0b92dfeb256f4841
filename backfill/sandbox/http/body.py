"""The body of a request, for several readers: what the gate has read, the API reads again."""

from typing import Final

from aiohttp import web

_CHUNK_BYTES: Final = 1 << 16
_KEPT: Final = web.RequestKey("kept", bytearray)


async def read_at_most(request: web.Request, max_bytes: int) -> bytes | None:
    """Read a body; None where it is longer, which its header tells, or what has come.

    Args:
        request: read, or not.
        max_bytes: of a reader that comes later, at most that of one before.
    """
    if (request.content_length or 0) > max_bytes:
        return None
    body: bytearray | None = request.get(_KEPT)
    if body is None:
        body = request[_KEPT] = bytearray()
        async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
            body += chunk
            if len(body) > max_bytes:
                break
    return bytes(body) if len(body) <= max_bytes else None
