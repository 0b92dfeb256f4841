"""A local Klaviyo, listening on this machine alone."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from backfill import limits
from backfill.sandbox.faults import NO_FAULTS, Faults
from backfill.sandbox.gate import Gate
from backfill.sandbox.store import Store
from backfill.sandbox.track_endpoint import TrackEndpoint
from backfill.sandbox.views import add_views
from backfill.sandbox.windows import FixedWindows, Rate

_HOST: Final = "127.0.0.1"
_COMMIT_EVERY_S: Final = 0.25
_LAST_ANSWERS_S: Final = 0.5
_TURNS_TO_ACCEPT: Final = 5

TRACK_RATES: Final = (Rate(limits.TRACK_RATE_PER_S, 1),)


@dataclass(frozen=True, slots=True)
class Settings:
    """``clock`` gives Unix seconds: what "now" is for events and for rate limits."""

    port: int = 0
    store: Path | None = None
    faults: Faults = NO_FAULTS
    rate_limits: bool = False
    clock: Callable[[], float] = time.time


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
    """One endpoint for an API; its body limit is the application's as long as there is one."""
    app = web.Application(client_max_size=limits.TRACK_MAX_BODY_BYTES)
    gate = Gate(store, settings.faults)
    # One window for all accounts: Track's account is in the body, which is not read for a no.
    windows = FixedWindows(*TRACK_RATES, clock=settings.clock) if settings.rate_limits else None
    endpoint = gate.before(TrackEndpoint(store, settings.clock).answer, windows)
    for path in (limits.TRACK_PATH, f"{limits.TRACK_PATH}/"):
        app.router.add_get(path, endpoint, allow_head=False)
        app.router.add_post(path, endpoint)
    add_views(app, store)
    return app


async def _commit_now_and_then(store: Store) -> None:
    while True:
        await asyncio.sleep(_COMMIT_EVERY_S)
        store.commit()
