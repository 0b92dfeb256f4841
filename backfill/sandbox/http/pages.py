"""What a sandbox shows of its store: a page for people, and the same as JSON for programs."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from backfill.sandbox.http import html
from backfill.sandbox.http.gate import LOCAL_HOSTS, is_addressed_to_this_machine
from backfill.sandbox.store import views
from backfill.sandbox.store.store import Store
from backfill.sandbox.store.views import Filter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_pages(app: web.Application, store: Store) -> None:
    """Route ``/`` and ``/_sandbox/…``; the last three take ``token`` and ``metric`` as filters."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(
            text=html.page(views.stats(store), views.months(store), views.last_events(store)),
            content_type="text/html",
            headers={"Content-Security-Policy": html.POLICY},
        )

    async def stats(_: web.Request) -> web.Response:
        return web.json_response(views.stats(store))

    handlers: dict[str, Handler] = {
        "/": page,
        "/_sandbox/stats": stats,
        "/_sandbox/events": _ndjson(store, views.events),
        "/_sandbox/profiles": _ndjson(store, views.profiles),
        "/_sandbox/refusals": _ndjson(store, views.refusals),
    }
    for path, handler in handlers.items():
        app.router.add_get(path, _local_only(handler))


def _local_only(handler: Handler) -> Handler:
    async def checked(request: web.Request) -> web.StreamResponse:
        if not is_addressed_to_this_machine(request):
            raise web.HTTPForbidden(text=f"ask for http://{LOCAL_HOSTS[0]}")
        return await handler(request)

    return checked


def _ndjson(store: Store, pages: views.Pages) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        wanted = Filter(request.query.get("token"), request.query.get("metric"))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for rows in pages(store, wanted):
            # ASCII: readers split lines at U+2028 and U+0085 too
            text = "".join(f"{json.dumps(row)}\n" for row in rows)
            await response.write(text.encode())
            await asyncio.sleep(0)  # a write need not wait, and events come in meanwhile
        await response.write_eof()
        return response

    return handler
