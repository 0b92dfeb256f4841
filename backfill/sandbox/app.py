"""A local Klaviyo, listening on this machine alone."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from backfill import limits
from backfill.sandbox.faults import answers
from backfill.sandbox.faults.script import NO_FAULTS, Faults
from backfill.sandbox.http.gate import Gate
from backfill.sandbox.http.pages import add_views
from backfill.sandbox.http.windows import Rate, Shares
from backfill.sandbox.json_api.behaviour import DEFAULT, Behaviour
from backfill.sandbox.json_api.endpoint import JsonApi
from backfill.sandbox.json_api.routes import routes
from backfill.sandbox.store.store import Store
from backfill.sandbox.track_api.endpoint import TrackEndpoint

_HOST: Final = "127.0.0.1"
_COMMIT_EVERY_S: Final = 0.25
_LAST_ANSWERS_S: Final = 0.5
_TURNS_TO_ACCEPT: Final = 5
_TRACK_RATES: Final = ((limits.TRACK_RATE_PER_S, 1.0),)


@dataclass(frozen=True, slots=True)
class Settings:
    """``clock`` gives Unix seconds: what "now" is for events and for rate limits."""

    port: int = 0
    store: Path | None = None
    faults: Faults = NO_FAULTS
    rate_limits: bool = False
    clock: Callable[[], float] = time.time
    behaviour: Behaviour = DEFAULT


@dataclass(frozen=True, slots=True)
class Listening:
    url: str
    store: Store


@asynccontextmanager
async def listen(settings: Settings) -> AsyncIterator[Listening]:
    """Answer requests until the block is left; then the store is committed and closed."""
    with closing(Store(settings.store)) as store:
        runner = web.AppRunner(
            _app(store, settings),
            access_log=None,
            auto_decompress=False,
            shutdown_timeout=_LAST_ANSWERS_S,
        )
        await runner.setup()
        committing = asyncio.create_task(_commit_now_and_then(store))
        try:
            async with _accepting(runner, settings.port) as port:
                yield Listening(f"http://{_HOST}:{port}", store)
        finally:
            committing.cancel()
            await runner.cleanup()


@asynccontextmanager
async def _accepting(runner: web.AppRunner, port: int) -> AsyncIterator[int]:
    """Accept connections, and at the end hand over to aiohttp, which closes them, the last one.

    asyncio takes some turns of its loop from accepting a connection to telling aiohttp, and loses
    it, open, if the listening socket is closed between.
    """
    listening = socket.create_server((_HOST, port))
    await web.SockSite(runner, listening).start()
    try:
        yield listening.getsockname()[1]
    finally:
        asyncio.get_running_loop().remove_reader(listening)
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)


def _app(store: Store, settings: Settings) -> web.Application:
    """Its body limit is Track's; today's API reads bodies by itself."""
    app = web.Application(client_max_size=limits.TRACK_MAX_BODY_BYTES)
    gate = Gate(store, settings.faults)
    track = TrackEndpoint(store, settings.clock).answer
    shares = _shares(settings, _TRACK_RATES)
    endpoint = gate.before(track, "track", shares, answers.TRACK)
    for path in (limits.TRACK_PATH, f"{limits.TRACK_PATH}/"):
        app.router.add_get(path, endpoint, allow_head=False)
        app.router.add_post(path, endpoint)
    _add_today(app, gate, store, settings)
    add_views(app, store)
    return app


def _add_today(app: web.Application, gate: Gate, store: Store, settings: Settings) -> None:
    api = JsonApi(store, settings.behaviour, settings.clock)
    for route in routes(store, settings.behaviour):
        answer = api.endpoint(route.scope, route.answer, records=route.scope == "events:write")
        shares = _shares(settings, route.rates)
        endpoint = gate.before(answer, route.name, shares, answers.JSON_API)
        for path in (route.path, f"{route.path}/"):  # revisions before 2024-10-15 had the slash
            app.router.add_route(route.method, path, endpoint)


def _shares(settings: Settings, rates: Sequence[tuple[int, float]]) -> Shares | None:
    if not settings.rate_limits:
        return None
    return Shares(*(Rate(*rate) for rate in rates), clock=settings.clock)


async def _commit_now_and_then(store: Store) -> None:
    while True:
        await asyncio.sleep(_COMMIT_EVERY_S)
        store.commit()
