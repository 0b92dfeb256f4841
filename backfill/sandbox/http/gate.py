"""What an API request passes before its endpoint: a number, the faults, the rate limits."""

from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from backfill.sandbox.faults import answers
from backfill.sandbox.faults.script import Faults
from backfill.sandbox.http.windows import Shares
from backfill.sandbox.store.store import Store

Endpoint = Callable[[web.Request], Awaitable[web.Response]]


class Gate:
    """One for all APIs of a sandbox: a script of faults counts the requests to any of them."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._counts = store.counts
        self._faults = faults
        self._number = 0

    def before(
        self, endpoint: Endpoint, name: str, shares: Shares | None, manner: answers.Manner
    ) -> Endpoint:
        """``endpoint`` behind this gate; without ``shares`` it has no rate limit.

        Who shares a window is told by the header Authorization: a private key, or nobody. Track's
        account is in the body, which is not read for a no.
        """

        async def gated(request: web.Request) -> web.Response:
            self._number += 1
            self._counts["requests"] += 1
            self._counts[f"endpoint {name}"] += 1
            fault = self._faults.decide(self._number)
            if fault is not None:
                self._counts[f"fault {fault.answer}"] += 1
                early = answers.before(fault, self._number, request, manner)
                if early is not None:
                    return early
            windows = None
            if shares is not None:
                windows = shares.of(request.headers.get(hdrs.AUTHORIZATION, ""))
                wait_s = windows.take()
                if wait_s:
                    self._counts["limited"] += 1
                    return manner.throttled(wait_s)
            answer = await endpoint(request)
            if windows is not None and manner is answers.JSON_API:
                answer.headers.update(windows.headers())
            return answer if fault is None else await answers.after(fault, request, answer)

        return gated
