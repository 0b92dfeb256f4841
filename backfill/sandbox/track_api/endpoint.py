"""Track over HTTP: a request in any of its forms, answered with ``1`` or ``0``."""

import base64
from collections.abc import Callable
from typing import Final

from aiohttp import hdrs, web

from backfill import limits
from backfill.sandbox.store.event import Refused
from backfill.sandbox.store.store import Store
from backfill.sandbox.track_api import body as track_body
from backfill.sandbox.track_api import rules

_BLANK_GIF: Final = base64.b64decode(
    "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", validate=True
)


class TrackEndpoint:
    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def answer(self, request: web.Request) -> web.Response:
        query = request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")
        pixel = track_body.wants_pixel(query)
        now_s = self._clock()
        try:
            posted = await _posted(request, query)
            pixel = posted.pixel
            self._store.record(rules.read(posted.text, now_s=now_s), now_s=int(now_s))
        except Refused as refused:
            self._store.refuse(refused, now_s=int(now_s))
            if refused.status != web.HTTPOk.status_code:
                return web.Response(status=refused.status, text=str(refused))
            return _yes_or_no("0", pixel=pixel)
        return _yes_or_no("1", pixel=pixel)


async def _posted(request: web.Request, query: bytes) -> track_body.Posted:
    if request.method == hdrs.METH_GET:
        return track_body.from_query(query)
    if hdrs.CONTENT_ENCODING in request.headers:  # nobody has documented that Track unpacks one
        raise Refused("content_encoding", "the body must not be compressed", status=415)
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        limit = limits.TRACK_MAX_BODY_BYTES
        raise Refused("too_large", f"the body is over {limit} bytes", status=413) from None
    return track_body.from_body(body, request.headers.get(hdrs.CONTENT_TYPE), query)


def _yes_or_no(text: str, *, pixel: bool) -> web.Response:
    """Source: Track reference v1-2, "track-get": ``i=1`` answers with a blank pixel, always."""
    if pixel:
        return web.Response(body=_BLANK_GIF, content_type="image/gif")
    return web.Response(text=text, content_type="text/html")
