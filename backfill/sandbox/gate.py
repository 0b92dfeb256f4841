"""What an API request passes before its endpoint: a number, the faults, the rate limits."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from backfill.sandbox import mishaps
from backfill.sandbox.faults import Faults
from backfill.sandbox.store import Store
from backfill.sandbox.windows import FixedWindows

Endpoint = Callable[[web.Request], Awaitable[web.Response]]


class Gate:
    """One for all APIs of a sandbox: a script of faults counts the requests to any of them."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._counts = store.counts
        self._faults = faults
        self._number = 0

    def before(self, endpoint: Endpoint, windows: FixedWindows | None) -> Endpoint:
        """``endpoint`` behind this gate; without ``windows`` it has no rate limit."""

        async def gated(request: web.Request) -> web.Response:
            self._number += 1
            self._counts["requests"] += 1
            fault = self._faults.decide(self._number)
            if fault is not None:
                self._counts[f"fault {fault.answer}"] += 1
                early = mishaps.before(fault, self._number, request)
                if early is not None:
                    return early
            wait_s = windows.take() if windows is not None else 0
            if wait_s:
                self._counts["limited"] += 1
                return mishaps.throttled(wait_s)
            answer = await endpoint(request)
            return answer if fault is None else await mishaps.after(fault, request, answer)

        return gated
