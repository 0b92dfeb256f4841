"""Track over HTTP: a request in any of its forms, answered with ``1`` or ``0``."""

import base64
from collections.abc import Callable
from typing import Final

from aiohttp import hdrs, web

from backfill import limits
from backfill.sandbox.http.body import read_at_most
from backfill.sandbox.store.event import RefusedError
from backfill.sandbox.store.store import Store
from backfill.sandbox.track_api import body as track_body
from backfill.sandbox.track_api import rules
from backfill.sandbox.track_api.body import Payload

_BLANK_GIF: Final = base64.b64decode(
    "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", validate=True
)


async def answer(request: web.Request, *, store: Store, clock: Callable[[], float]) -> web.Response:
    """Record the event of a request; ``clock`` gives Unix seconds."""
    query = _query(request)
    pixel = track_body.wants_pixel(query)
    now_s = clock()
    try:
        payload = await _read_payload(request, query)
        pixel = payload.pixel
        store.record(rules.read_event(payload.text, now_s=now_s), now_s=int(now_s))
    except RefusedError as error:
        store.refuse(error, now_s=int(now_s))
        if error.status != web.HTTPOk.status_code:
            return web.Response(status=error.status, text=str(error))
        return _response("0", pixel=pixel)
    return _response("1", pixel=pixel)


async def event_text(request: web.Request) -> str:
    """The JSON text of a request's event, decoded; empty where there is none."""
    try:
        return (await _read_payload(request, _query(request))).text
    except RefusedError:
        return ""


def error_response(status: int, detail: str, retry_after_s: int | None) -> web.Response:
    """An error of the server. Source: docs/klaviyo.md, "Track API: errors"."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return web.json_response({"detail": detail}, status=status, headers=headers)


def _query(request: web.Request) -> bytes:
    return request.raw_path.partition("?")[2].encode("utf-8", "surrogateescape")


async def _read_payload(request: web.Request, query: bytes) -> Payload:
    if request.method == hdrs.METH_GET:
        return track_body.from_query(query)
    if hdrs.CONTENT_ENCODING in request.headers:  # no document says that Track unpacks a body
        raise RefusedError("content_encoding", "the body must not be compressed", status=415)
    body = await read_at_most(request, limits.TRACK_MAX_BODY_BYTES)
    if body is None:
        text = f"the body is over {limits.TRACK_MAX_BODY_BYTES} bytes"
        raise RefusedError("too_large", text, status=413)
    return track_body.from_body(body, request.headers.get(hdrs.CONTENT_TYPE), query)


def _response(text: str, *, pixel: bool) -> web.Response:
    """Source: Track reference v1-2, "track-get": ``i=1`` answers with a blank pixel, always."""
    if pixel:
        return web.Response(body=_BLANK_GIF, content_type="image/gif")
    return web.Response(text=text, content_type="text/html")
