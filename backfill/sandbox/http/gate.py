"""What a request passes before its handler: its host's check, the faults, the rate limits."""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import hdrs, web

from backfill.sandbox.faults import answers
from backfill.sandbox.faults.answers import ErrorResponse
from backfill.sandbox.faults.script import Faults
from backfill.sandbox.http.windows import FixedWindows, Rates

Handler = Callable[[web.Request], Awaitable[web.Response]]

LOCAL_HOSTS: Final = ("127.0.0.1", "localhost")


def is_addressed_to_this_machine(request: web.Request) -> bool:
    """Whether the header Host is a name of this machine.

    A website could read the store otherwise: its own host name, resolved to 127.0.0.1, makes this
    server one of its origin (DNS rebinding).
    """
    return request.host.partition(":")[0] in LOCAL_HOSTS


class Gate:
    """One gate for all APIs of a sandbox: the script of faults counts the requests to any of them.

    Args:
        counts: the store's; the gate counts requests, faults and throttled requests there.
        faults: the script.
        clock: Unix seconds, for the rate limits.
        rate_limits: whether endpoints have theirs.
    """

    def __init__(
        self,
        counts: Counter[str],
        faults: Faults,
        clock: Callable[[], float],
        *,
        rate_limits: bool,
    ) -> None:
        self._counts = counts
        self._faults = faults
        self._clock = clock
        self._rate_limits = rate_limits
        self._number = 0

    def guard(
        self,
        handler: Handler,
        endpoint: str,
        rates: Rates,
        error: ErrorResponse,
        *,
        read_text: Callable[[web.Request], Awaitable[str]],
        rate_headers: bool,
    ) -> Handler:
        """Put ``handler`` behind this gate.

        Clients are told apart by the header Authorization: each private key has windows of its
        own. Track names its account in the body, which is not read for a 429, so all of its
        clients share one.

        Args:
            handler: answers what passes.
            endpoint: the name to count requests by.
            rates: its limits, for each client.
            error: how its API writes an error.
            read_text: gives the text of a request's events, for a script that looks at it.
            rate_headers: whether its answers say how much room the windows have.
        """
        enforced = rates if self._rate_limits else ()
        windows = defaultdict[str, FixedWindows](lambda: FixedWindows(enforced, self._clock))

        async def guarded(request: web.Request) -> web.Response:
            self._number += 1
            self._counts["requests"] += 1
            self._counts[f"endpoint {endpoint}"] += 1
            number = self._number
            text = await read_text(request) if self._faults.reads_text else ""
            fault = self._faults.decide(number, text)
            if fault is not None:
                self._counts[f"fault {fault.answer}"] += 1
                instead = answers.before_handling(fault, number, request, error)
                if instead is not None:
                    return instead
            window = windows[request.headers.get(hdrs.AUTHORIZATION, "")]
            wait_s = window.take()
            if wait_s:
                self._counts["limited"] += 1
                return answers.throttled(error, wait_s)
            response = await handler(request)
            if rate_headers:
                response.headers.update(window.headers())
            if fault is not None:
                await answers.after_handling(fault, request, response)
            return response

        return guarded
