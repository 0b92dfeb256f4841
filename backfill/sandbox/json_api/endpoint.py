"""An endpoint of today's API over HTTP: its head judged, its body read, its no in JSON:API."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from backfill import limits
from backfill.sandbox.http.gate import Endpoint
from backfill.sandbox.http.local import LOCAL_HOSTS, asks_for_this_machine
from backfill.sandbox.json_api import access, problems
from backfill.sandbox.json_api.behaviour import Behaviour
from backfill.sandbox.json_api.problems import Problem, Turned
from backfill.sandbox.json_api.write import Asked
from backfill.sandbox.store.event import Refused
from backfill.sandbox.store.store import Store

Answer = Callable[[web.Request, Asked], Awaitable[web.Response]]

_CHUNK: Final = 1 << 16
_ELSEWHERE: Final = Problem(
    "host",
    f"The sandbox answers those who ask for {LOCAL_HOSTS[0]}.",
    "/data/",
    status=403,
    code="permission_denied",
)


class JsonApi:
    """What the endpoints of one sandbox have in common."""

    def __init__(self, store: Store, behaviour: Behaviour, clock: Callable[[], float]) -> None:
        self._store = store
        self._behaviour = behaviour
        self._clock = clock

    def endpoint(self, scope: str, answer: Answer, *, records: bool = False) -> Endpoint:
        """``answer`` for those who may; with ``records``, a no is a refusal to look up later."""

        async def answered(request: web.Request) -> web.Response:
            now_s, account = self._clock(), None
            try:
                _check_host(request)
                asked = access.asked(request.headers, scope, self._behaviour, now_s=now_s)
                account = asked.account
                return await answer(request, asked)
            except Turned as turned:
                if records:
                    self._refuse(turned, account, now_s)
                number = self._store.counts["requests"]
                return problems.answer(turned.problems, self._behaviour.pointers, number=number)

        return answered

    def _refuse(self, turned: Turned, account: str | None, now_s: float) -> None:
        first = turned.problems[0]
        text = first.detail if first.pointer is None else f"{first.pointer}: {first.detail}"
        refused = Refused(first.reason, text, token=account, status=first.status)
        self._store.refuse(refused, now_s=int(now_s))


def _check_host(request: web.Request) -> None:
    if not asks_for_this_machine(request):
        raise Turned([_ELSEWHERE])


async def body(request: web.Request) -> bytes:
    """Read at most one body's worth: a longer one is refused by its length, or where it ends.

    Raises: Turned, with 415 or 413.
    """
    access.check_content(request.headers)
    if (request.content_length or 0) > limits.MAX_BODY_BYTES:
        _too_large()
    read = bytearray()
    async for chunk in request.content.iter_chunked(_CHUNK):
        read += chunk
        if len(read) > limits.MAX_BODY_BYTES:
            _too_large()
    return bytes(read)


def _too_large() -> None:
    detail = f"The payload must not exceed {limits.MAX_BODY_BYTES // 1_000_000} MB."
    title = "Payload too large."
    raise Turned(
        [Problem("too_large", detail, "/data/", status=413, code="payload_too_large", title=title)]
    )
