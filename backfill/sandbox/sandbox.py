"""A sandbox in a thread of its own, for tests and notebooks, or as the whole of a process."""

import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, Self, TypeVar

import anyio
from anyio.from_thread import start_blocking_portal

from backfill.sandbox.app import Server, Settings, listen
from backfill.sandbox.faults.script import NO_FAULTS, Faults
from backfill.sandbox.json_api.behaviour import DEFAULT, Behaviour, Flows, Platforms, Repeats
from backfill.sandbox.json_api.problems import Pointers
from backfill.sandbox.store import views
from backfill.sandbox.store.store import Store
from backfill.sandbox.store.views import Filter

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
        store: an SQLite file, made if it is not there, that keeps everything from one start to
            the next; None keeps all in memory until the block is left.
        faults: a script, or the YAML file of one; None for no faults.
        rate_limits: answer 429 over Klaviyo's rate limits.
        clock: the time of day in Unix seconds, which events and rate limits go by.
        repeats: what Bulk Create Events does with an event that it has had, or has twice in one
            request: "discard" answers 202 and keeps the first, "refuse" answers 400 and takes
            nothing of the request.
        visible_after_s: seconds from the answer to an event until a query finds it.
        account: six letters and digits; the account of private keys that name none, as
            ``pk_ABC123_…`` does.
        scopes: what every private key may do, as ``events:write``; another endpoint answers 403.
        pointers: how much a refusal says: "all" faulty members (20 at most), the "first", or
            "none", only that there is one.
        flows: by metric, the (name, status) of each flow that it triggers, as
            ``{"Placed Order": [("Thank you", "live")]}``; None for no flows.
        platforms: by metric, the integration that has one of the same name, as
            ``{"Placed Order": "Shopify"}``; None for no integrations.

    Raises:
        FaultsError: the script is not of the form that it should be; when this is made.
        StoreError: the store cannot be used; when the block is entered.
        OSError: the port is taken; when the block is entered.
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
        self._settings = Settings(
            port=port,
            store=store,
            faults=_script(faults),
            rate_limits=rate_limits,
            clock=clock,
            behaviour=Behaviour(
                repeats=repeats,
                visible_after_s=visible_after_s,
                account=account,
                scopes=frozenset(scopes),
                pointers=pointers,
                flows=flows or {},
                platforms=platforms or {},
            ),
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

    @property
    def url(self) -> str:
        """Such as ``http://127.0.0.1:8765``."""
        return self._running().url

    def stats(self) -> dict[str, Any]:
        """The counts that ``GET /_sandbox/stats`` answers."""
        return self._read(views.stats)

    def events(
        self, *, token: str | None = None, metric: str | None = None
    ) -> list[dict[str, Any]]:
        """Events in the order in which they were recorded; None for any account, any metric."""
        return self._rows(views.events, Filter(token, metric))

    def profiles(
        self, *, token: str | None = None, metric: str | None = None
    ) -> list[dict[str, Any]]:
        """Profiles; those of a metric are those with an event of it."""
        return self._rows(views.profiles, Filter(token, metric))

    def refusals(self, *, token: str | None = None) -> list[dict[str, Any]]:
        """Why each request was refused, in order."""
        return self._rows(views.refusals, Filter(token))

    def lose(self, event_ids: Iterable[str]) -> int:
        """Forget events, as Klaviyo would that took and lost them; how many there were."""
        ids = list(event_ids)
        return self._read(lambda store: store.lose(ids))

    def _rows(self, pages: views.Pages, wanted: Filter) -> list[dict[str, Any]]:
        return self._read(lambda store: list(chain.from_iterable(pages(store, wanted))))

    def _read(self, question: Callable[[Store], _T]) -> _T:
        """Ask in the thread that owns the store, between two requests."""
        return self._portal.call(question, self._running().store)

    def _running(self) -> Server:
        if self._server is None:
            raise RuntimeError("the sandbox runs inside its with block only")
        return self._server


def serve(
    port: int = 0,
    store: Path | None = None,
    faults: Faults | Path | None = None,
    *,
    rate_limits: bool = False,
    behaviour: Behaviour = DEFAULT,
    ready: Callable[[str], None],
) -> None:
    """Be a sandbox until SIGINT or SIGTERM comes; in the main thread only, as signals are.

    Args:
        port: on 127.0.0.1; 0 takes a free one.
        store: an SQLite file, made if it is not there; None keeps all in memory.
        faults: a script, or the YAML file of one; None for no faults.
        rate_limits: answer 429 over Klaviyo's rate limits.
        behaviour: how the JSON:API answers.
        ready: is called with the URL once the sandbox listens.

    Raises:
        FaultsError: the script is not of the form that it should be.
        StoreError: the store cannot be used.
        OSError: the port is taken.
    """
    settings = Settings(
        port=port,
        store=store,
        faults=_script(faults),
        rate_limits=rate_limits,
        behaviour=behaviour,
    )
    anyio.run(_serve_until_signalled, settings, ready)


async def _serve_until_signalled(settings: Settings, ready: Callable[[str], None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with listen(settings) as server:
            ready(server.url)
            await anext(signals)


def _script(faults: Faults | Path | None) -> Faults:
    if isinstance(faults, Path):
        return Faults.read(faults)
    return faults or NO_FAULTS
