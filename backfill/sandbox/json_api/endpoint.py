"""An endpoint of the JSON:API over HTTP: its route, and what every request to it passes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from backfill import limits
from backfill.sandbox import strict_json
from backfill.sandbox.http.body import read_at_most
from backfill.sandbox.http.gate import LOCAL_HOSTS, Handler, is_addressed_to_this_machine
from backfill.sandbox.http.windows import Rates
from backfill.sandbox.json_api import access
from backfill.sandbox.json_api.access import RequestContext
from backfill.sandbox.json_api.behaviour import Behaviour
from backfill.sandbox.json_api.problems import Problem, ProblemsError
from backfill.sandbox.json_api.responses import problems_response
from backfill.sandbox.store.event import RefusedError
from backfill.sandbox.store.store import Store


@dataclass(frozen=True, slots=True)
class JsonApi:
    """What the endpoints of one sandbox share; ``clock`` gives Unix seconds."""

    store: Store
    behaviour: Behaviour
    clock: Callable[[], float]

    def endpoint(self, route: "Route") -> Handler:
        """The route's handler behind all checks; refusals of events are recorded."""

        async def checked(request: web.Request) -> web.Response:
            now_s, account = self.clock(), None
            try:
                _check_host(request)
                context = access.authorize(
                    request.headers, route.scope, self.behaviour, now_s=now_s
                )
                account = context.account
                return await route.handler(ApiRequest(request, self, context))
            except ProblemsError as error:
                if route.scope == "events:write":
                    error.token = account
                    self.store.refuse(error, now_s=int(now_s))
                return problems_response(error.problems, self.behaviour.pointers)

        return checked


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request whose headers have passed."""

    http: web.Request
    api: JsonApi
    context: RequestContext

    @property
    def base(self) -> str:
        """The URL that the path follows, such as ``http://127.0.0.1:8765``."""
        return f"{self.http.scheme}://{self.http.host}"


ApiHandler = Callable[[ApiRequest], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The path of an endpoint, and what it requires of a request.

    Attributes:
        name: what the sandbox counts requests by.
        scope: what a key must be allowed.
        rates: the limits, for each key.
    """

    method: str
    path: str
    name: str
    scope: str
    rates: Rates
    handler: ApiHandler


class Routes(list[Route]):
    """The routes of one module, which decorates its handlers with ``add``."""

    def add(
        self, method: str, path: str, name: str, scope: str, rates: Rates
    ) -> Callable[[ApiHandler], ApiHandler]:
        def added(handler: ApiHandler) -> ApiHandler:
            self.append(
                Route(
                    method=method, path=path, name=name, scope=scope, rates=rates, handler=handler
                )
            )
            return handler

        return added


async def body_text(request: web.Request) -> str:
    """A body as text; empty where it is too long to be read."""
    body = await read_at_most(request, limits.MAX_BODY_BYTES)
    return (body or b"").decode(errors="replace")


async def read_body(request: web.Request) -> bytes:
    """Read a body. One that is too long is refused by its header, or once too much has come.

    Raises:
        ProblemsError: with status 415 or 413.
    """
    access.check_content(request.headers)
    body = await read_at_most(request, limits.MAX_BODY_BYTES)
    if body is None:
        raise _too_large()
    return body


def parse_body(body: bytes) -> dict[str, object]:
    """The JSON object that a body is.

    Raises:
        ProblemsError: it is not JSON, or parsers would read it in different ways.
    """
    try:
        return strict_json.parse(body.decode())
    except UnicodeDecodeError as error:
        problem = Problem("encoding", f"Byte {error.start} is not UTF-8.", pointer="/data")
    except RefusedError as error:
        problem = Problem(error.reason, f"JSON parse error: {error}.", pointer="/data")
    raise ProblemsError(problem)


def _check_host(request: web.Request) -> None:
    if not is_addressed_to_this_machine(request):
        detail = f"The sandbox answers requests to {LOCAL_HOSTS[0]} only."
        raise ProblemsError(Problem("host", detail, status=403))


def _too_large() -> ProblemsError:
    detail = f"The payload must not exceed {limits.MAX_BODY_BYTES // 1_000_000} MB."
    return ProblemsError(Problem("too_large", detail, status=413))
