"""What there is to look at in a sandbox: a page for people, the same as data for programs."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from backfill.sandbox.http import html
from backfill.sandbox.http.local import LOCAL_HOSTS, asks_for_this_machine
from backfill.sandbox.store import views
from backfill.sandbox.store.store import Store
from backfill.sandbox.store.views import Filter

View = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_views(app: web.Application, store: Store) -> None:
    app.router.add_get("/", _local(_page(store)))
    app.router.add_get("/_sandbox/stats", _local(_stats(store)))
    for name, pages in (
        ("events", views.events),
        ("profiles", views.profiles),
        ("refusals", views.refusals),
    ):
        app.router.add_get(f"/_sandbox/{name}", _local(_lines(store, pages)))


def _local(view: View) -> View:
    async def looked(request: web.Request) -> web.StreamResponse:
        if not asks_for_this_machine(request):
            raise web.HTTPForbidden(text=f"ask for http://{LOCAL_HOSTS[0]}")
        return await view(request)

    return looked


def _stats(store: Store) -> View:
    async def view(_: web.Request) -> web.Response:
        return web.json_response(views.stats(store))

    return view


def _lines(store: Store, pages: views.Pages) -> View:
    async def view(request: web.Request) -> web.StreamResponse:
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

    return view


def _page(store: Store) -> View:
    async def view(_: web.Request) -> web.Response:
        stats, months, last = (
            views.stats(store),
            views.months(store),
            views.last_events(store),
        )
        return web.Response(
            text=html.page(stats, months, last),
            content_type="text/html",
            headers={"Content-Security-Policy": html.POLICY},
        )

    return view
