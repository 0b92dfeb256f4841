"""A sandbox in a thread of its own, for tests and notebooks, or as the whole of a process."""

import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Self, TypeVar

import anyio
from anyio.from_thread import start_blocking_portal

from backfill.sandbox.app import Server, Settings, listen
from backfill.sandbox.faults.script import NO_FAULTS, Faults
from backfill.sandbox.json_api.behaviour import DEFAULT, Behaviour
from backfill.sandbox.store import views
from backfill.sandbox.store.store import Store
from backfill.sandbox.store.views import Filter, Row

_T = TypeVar("_T")


class Sandbox:
    """A local Klaviyo for the length of a ``with`` block.

    It has a thread and an event loop of its own, so that it serves code that blocks and code in a
    running loop (a notebook) alike.

    Example:
        with Sandbox(faults=Faults.of({"faults": [{"at": [3], "answer": 429}]})) as sandbox:
            post(f"{sandbox.url}/api/track", ...)
            assert sandbox.stats()["recorded"] == 1

    Args:
        port: on 127.0.0.1; 0 takes a free one.
        store: an SQLite file that keeps everything from one start to the next, and is created if
            it does not exist; None keeps everything in memory until the block ends.
        faults: a script, or its YAML file; None for no faults.
        rate_limits: answer 429 to requests over Klaviyo's rate limits.
        clock: gives the time of events and rate limits in Unix seconds.
        behaviour: how the JSON:API answers.

    Raises:
        FaultsError: the script does not have the form that it should have; raised at once.
        StoreError: the store cannot be used; raised when the block begins.
        OSError: the port is taken; raised when the block begins.
    """

    def __init__(
        self,
        port: int = 0,
        store: Path | None = None,
        faults: Faults | Path | None = None,
        *,
        rate_limits: bool = False,
        clock: Callable[[], float] = time.time,
        behaviour: Behaviour = DEFAULT,
    ) -> None:
        script = Faults.read(faults) if isinstance(faults, Path) else faults
        self._settings = Settings(
            port=port,
            store=store,
            faults=script or NO_FAULTS,
            rate_limits=rate_limits,
            clock=clock,
            behaviour=behaviour,
        )
        self._server: Server | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            listening = self._portal.wrap_async_context_manager(listen(self._settings))
            self._server = stack.enter_context(listening)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._server = None
        self._stack.close()

    def serve(self, ready: Callable[[str], None]) -> None:
        """Be a sandbox until SIGINT or SIGTERM comes, instead of a ``with`` block.

        Only the main thread may call this, because only it gets signals. ``ready`` is called with
        the URL once the sandbox listens.
        """
        anyio.run(self._serve_until_signalled, ready)

    async def _serve_until_signalled(self, ready: Callable[[str], None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with listen(self._settings) as server:
                ready(server.url)
                await anext(signals)

    @property
    def url(self) -> str:
        """Such as ``http://127.0.0.1:8765``."""
        return self._running().url

    def stats(self) -> Row:
        """The counts that ``GET /_sandbox/stats`` answers."""
        return self._read(views.stats)

    def events(self, *, token: str | None = None, metric: str | None = None) -> list[Row]:
        """Events in the order in which they were recorded; None for any account, any metric."""
        return self._rows(views.events, Filter(token, metric))

    def profiles(self, *, token: str | None = None, metric: str | None = None) -> list[Row]:
        """Profiles; those of a metric are those with an event of it."""
        return self._rows(views.profiles, Filter(token, metric))

    def refusals(self, *, token: str | None = None) -> list[Row]:
        """Why each request was refused, in order."""
        return self._rows(views.refusals, Filter(token))

    def lose(self, event_ids: Iterable[str]) -> int:
        """Delete events, as if Klaviyo had lost them; return how many there were."""
        ids = list(event_ids)
        return self._read(lambda store: store.lose(ids))

    def _rows(self, pages: views.Pages, wanted: Filter) -> list[Row]:
        return self._read(lambda store: list(chain.from_iterable(pages(store, wanted))))

    def _read(self, question: Callable[[Store], _T]) -> _T:
        """Ask in the thread that owns the store, between two requests."""
        return self._portal.call(question, self._running().store)

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("the sandbox runs inside its with block only")
        return self._server
