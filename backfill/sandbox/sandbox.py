"""A sandbox in a thread of its own, for tests and notebooks, or as the whole of a process."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from backfill.sandbox.app import Listening, Settings, listen
from backfill.sandbox.faults.script import NO_FAULTS, Faults
from backfill.sandbox.json_api.behaviour import DEFAULT, Behaviour, Flows, Platforms, Repeats
from backfill.sandbox.json_api.problems import Pointers
from backfill.sandbox.store import views
from backfill.sandbox.store.store import Store
from backfill.sandbox.store.views import Filter

_T = TypeVar("_T")


class Sandbox:
    """A local Klaviyo for the length of a ``with`` block.

    Example:
        with Sandbox(faults=Faults.of({"faults": [{"at": [3], "answer": 429}]})) as sandbox:
            post(f"{sandbox.url}/api/track", ...)
            assert sandbox.stats()["recorded"] == 1

    It has a thread and an event loop of its own, so that it serves code that blocks and code in a
    running loop (a notebook) alike. ``port=0`` takes a free one; without ``store`` all is kept in
    memory and gone afterwards. ``clock`` stands in for the time of day, in Unix seconds.

    Of today's API: ``repeats`` is what Bulk Create Events does with what it has had,
    ``visible_after_s`` how long a query is blind to an event, ``account`` whose the keys are that
    name none, ``scopes`` what all keys may, ``pointers`` how much a refusal says, ``flows`` by
    metric what hangs on it, as ``{"Placed Order": [("Thank you", "live")]}``, ``platforms`` by
    metric which integration has one of the same name, as ``{"Placed Order": "Shopify"}``.

    Raises:
        FaultsError, StoreError: a file that is not what it should be.
        OSError: the port is taken.
    """

    def __init__(
        self,
        port: int = 0,
        store: Path | None = None,
        faults: Faults | Path | None = None,
        *,
        rate_limits: bool = False,
        clock: Callable[[], float] = time.time,
        repeats: Repeats = DEFAULT.repeats,
        visible_after_s: float = DEFAULT.visible_after_s,
        account: str = DEFAULT.account,
        scopes: Iterable[str] = DEFAULT.scopes,
        pointers: Pointers = DEFAULT.pointers,
        flows: Flows | None = None,
        platforms: Platforms | None = None,
    ) -> None:
        behaviour = Behaviour(
            repeats,
            visible_after_s,
            account,
            frozenset(scopes),
            pointers,
            flows or {},
            platforms or {},
        )
        self._settings = Settings(port, store, _script(faults), rate_limits, clock, behaviour)
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        self._running = _Running(self._settings)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running, self._running = self._open(), None
        running.stop()

    @property
    def url(self) -> str:
        return self._open().listening.url

    def stats(self) -> dict[str, Any]:
        """What ``GET /_sandbox/stats`` says."""
        return self._open().read(views.stats)

    def events(
        self, *, token: str | None = None, metric: str | None = None
    ) -> list[dict[str, Any]]:
        """All events, in the order in which they were recorded."""
        return self._all(views.events, Filter(token, metric))

    def profiles(
        self, *, token: str | None = None, metric: str | None = None
    ) -> list[dict[str, Any]]:
        """All people; those of a metric are those with an event of it."""
        return self._all(views.profiles, Filter(token, metric))

    def refusals(self, *, token: str | None = None) -> list[dict[str, Any]]:
        """Why each request was answered with no, in order."""
        return self._all(views.refusals, Filter(token))

    def lose(self, event_ids: Iterable[str]) -> int:
        """Forget events, as Klaviyo would that took and lost them; how many there were."""
        ids = list(event_ids)
        return self._open().read(lambda store: store.lose(ids))

    def _all(self, pages: views.Pages, wanted: Filter) -> list[dict[str, Any]]:
        return self._open().read(lambda store: list(chain.from_iterable(pages(store, wanted))))

    def _open(self) -> "_Running":
        if self._running is None:
            raise RuntimeError("the sandbox runs inside its with block only")
        return self._running


class _Running:
    """The thread: it has started when this is made, and ended when ``stop`` returns."""

    def __init__(self, settings: Settings) -> None:
        started: Future[Listening] = Future()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(settings, started), name="sandbox", daemon=True
        )
        self._thread.start()
        self.listening = started.result()

    def read(self, question: Callable[[Store], _T]) -> _T:
        """Ask in the thread that owns the store, between two requests."""

        async def ask() -> _T:
            return question(self.listening.store)

        return asyncio.run_coroutine_threadsafe(ask(), self._loop).result()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._ended.result()

    def _run(self, settings: Settings, started: Future[Listening]) -> None:
        try:
            asyncio.run(self._listen(settings, started))
            self._ended.set_result(None)
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            (self._ended if started.done() else started).set_exception(error)

    async def _listen(self, settings: Settings, started: Future[Listening]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with listen(settings) as listening:
            started.set_result(listening)
            await self._stop.wait()


def serve(
    port: int = 0,
    store: Path | None = None,
    faults: Faults | Path | None = None,
    *,
    rate_limits: bool = False,
    behaviour: Behaviour = DEFAULT,
    ready: Callable[[str], None],
) -> None:
    """Be a sandbox until SIGINT or SIGTERM; ``ready`` is told its URL once it listens.

    Raises what ``Sandbox`` raises. In the main thread only, as signals are.
    """
    settings = Settings(port, store, _script(faults), rate_limits, behaviour=behaviour)
    asyncio.run(_until_signalled(settings, ready))


async def _until_signalled(settings: Settings, ready: Callable[[str], None]) -> None:
    signalled = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signalled.set)
    async with listen(settings) as listening:
        ready(listening.url)
        await signalled.wait()


def _script(faults: Faults | Path | None) -> Faults:
    if isinstance(faults, Path):
        return Faults.read(faults)
    return faults or NO_FAULTS
