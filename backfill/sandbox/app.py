"""The sandbox's web application, listening on this machine alone."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from backfill import limits
from backfill.sandbox.faults.script import NO_FAULTS, Faults
from backfill.sandbox.http.gate import Gate
from backfill.sandbox.http.pages import add_pages
from backfill.sandbox.json_api import read, responses, write
from backfill.sandbox.json_api.behaviour import DEFAULT, Behaviour
from backfill.sandbox.json_api.endpoint import JsonApi, body_text
from backfill.sandbox.store.store import Store
from backfill.sandbox.track_api import endpoint as track_api

_HOST: Final = "127.0.0.1"
_COMMIT_EVERY_S: Final = 0.25
_SHUTDOWN_TIMEOUT_S: Final = 0.5
_LOOP_TURNS_TO_ACCEPT: Final = 5
_SLASH: Final = "{slash:/?}"
"""Track's SDKs and revisions before 2024-10-15 end a path with a slash."""

_TRACK_RATES: Final = ((limits.TRACK_RATE_PER_S, 1.0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What ``Sandbox`` takes; ``clock`` is "now" for events and for rate limits."""

    port: int = 0
    store: Path | None = None
    faults: Faults = NO_FAULTS
    rate_limits: bool = False
    clock: Callable[[], float] = time.time
    behaviour: Behaviour = DEFAULT


@dataclass(frozen=True, slots=True)
class Server:
    """A sandbox that listens."""

    url: str
    store: Store


@asynccontextmanager
async def listen(settings: Settings) -> AsyncIterator[Server]:
    """Answer requests until the block is left; then the store is committed and closed."""
    with closing(Store(settings.store)) as store:
        runner = web.AppRunner(
            _app(store, settings),
            access_log=None,
            auto_decompress=False,
            shutdown_timeout=_SHUTDOWN_TIMEOUT_S,
        )
        await runner.setup()
        committing = asyncio.create_task(_commit_regularly(store))
        try:
            async with _accept_connections(runner, settings.port) as port:
                yield Server(f"http://{_HOST}:{port}", store)
        finally:
            committing.cancel()
            await runner.cleanup()


@asynccontextmanager
async def _accept_connections(runner: web.AppRunner, port: int) -> AsyncIterator[int]:
    """Accept connections until the block is left, and hand even the last one over to aiohttp.

    asyncio accepts a connection some turns of its loop before aiohttp knows of it; if the
    listening socket is closed in between, nobody closes the connection.
    """
    listening = socket.create_server((_HOST, port))
    await web.SockSite(runner, listening).start()
    try:
        yield listening.getsockname()[1]
    finally:
        asyncio.get_running_loop().remove_reader(listening)
        for _ in range(_LOOP_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)


def _app(store: Store, settings: Settings) -> web.Application:
    """The body limit of aiohttp is Track's; the JSON:API reads bodies by itself."""
    app = web.Application(client_max_size=limits.TRACK_MAX_BODY_BYTES)
    gate = Gate(store.counts, settings.faults, settings.clock, rate_limits=settings.rate_limits)
    track = gate.guard(
        partial(track_api.answer, store=store, clock=settings.clock),
        "track",
        _TRACK_RATES,
        track_api.error_response,
        read_text=track_api.event_text,
        rate_headers=False,
    )
    app.router.add_get(limits.TRACK_PATH + _SLASH, track, allow_head=False)
    app.router.add_post(limits.TRACK_PATH + _SLASH, track)
    api = JsonApi(store, settings.behaviour, settings.clock)
    for route in (*write.ROUTES, *read.ROUTES):
        handler = gate.guard(
            api.endpoint(route),
            route.name,
            route.rates,
            responses.error_response,
            read_text=body_text,
            rate_headers=True,
        )
        app.router.add_route(route.method, route.path + _SLASH, handler)
    add_pages(app, store)
    return app


async def _commit_regularly(store: Store) -> None:
    while True:
        await asyncio.sleep(_COMMIT_EVERY_S)
        store.commit()
