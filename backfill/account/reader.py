"""Reads the JSON:API page by page; it paces its requests and retries them.

A call blocks until the answer comes. No error contains the key or a part of an answer.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeAlias

import httpx

from backfill import limits
from backfill.errors import DeniedError, StoppedByUserError, StoppedError
from backfill.transport.client import DEFAULT_TIMEOUTS, Client
from backfill.transport.connection import Timeouts
from backfill.transport.denied import denied_error
from backfill.transport.exchange import (
    LONG_WAIT_S,
    REAL_CLOCKS,
    TELL_EVERY_S,
    Clocks,
    Exchange,
)
from backfill.transport.pace import Pace, Quota, windows_of
from backfill.transport.retry import (
    DEFAULT_RETRY_POLICY,
    Delivered,
    Fatal,
    Post,
    Refused,
    RetryPolicy,
    Unavailable,
    Wait,
    attempts,
    json_object,
)
from backfill.transport.sync_client import send
from backfill.transport.url import base_url
from backfill.wire.interface import Answer, Reply
from backfill.wire.json_api import headers

Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """The scope that a key needs for an endpoint, and the rates, which Klaviyo counts apart."""

    scope: str
    rates: tuple[tuple[int, float], ...]
    max_bytes: int
    """Ours, so that no answer fills the memory: some twenty times what an answer needs."""


_FLOWS: Final = "the flows of a metric"
_ENDPOINTS: Final[Mapping[str, _Endpoint]] = {
    limits.ACCOUNTS_PATH: _Endpoint("accounts:read", limits.ACCOUNTS_RATES, 100_000),
    limits.EVENTS_PATH: _Endpoint("events:read", limits.READ_RATES, 256_000_000),
    limits.METRICS_PATH: _Endpoint("metrics:read", limits.METRICS_RATES, 10_000_000),
    _FLOWS: _Endpoint("flows:read", limits.METRICS_RATES, 10_000_000),
    limits.AGGREGATES_PATH: _Endpoint("metrics:read", limits.AGGREGATES_RATES, 2_000_000),
}


class Reader:
    """Asks one account's API; a context manager, used by one thread at a time."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        quota: Quota = Quota(),  # noqa: B008 - frozen
        stop: threading.Event | None = None,
        policy: RetryPolicy = DEFAULT_RETRY_POLICY,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        clocks: Clocks = REAL_CLOCKS,
        sleep: Callable[[float], object] | None = None,
        on_wait: Callable[[str, float], None] = lambda *_: None,
    ) -> None:
        """Open no connection yet.

        Args:
            url: the base, such as ``https://a.klaviyo.com``.
            key: the private key.
            quota: the share of each endpoint's rate that is used.
            stop: when it is set, no further request starts.
            policy: how often and how long each request is tried.
            timeouts: of one attempt.
            clocks: give the time.
            sleep: waits so many seconds; None ends the wait early if ``stop`` is set.
            on_wait: is called before a wait of several seconds, and then every minute: why, and the
                seconds that are left.

        Raises:
            UsageError: the URL may not be asked, or no authority of certificates can be read.
        """
        self._base = httpx.URL(base_url(url))
        self._client = Client(url, headers(key), timeouts=timeouts)
        self._quota = quota
        self._stop = stop or threading.Event()
        self._policy = policy
        self._clocks = clocks
        self._sleep = sleep or self._stop.wait
        self._on_wait = on_wait
        self._paces: dict[str, Pace] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between two requests."""

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Give the JSON object that GET of ``path`` (``/api/metrics``) answers.

        Raises:
            ScopeError: the key may not read this.
            DeniedError: Klaviyo rejects the key or the request.
            StoppedError: no answer, or ``stop`` is set.
        """
        return self._ask("GET", self._at(path, query))

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """Give the JSON object that POST of ``body`` answers, for questions alone.

        Raises as ``get``.
        """
        return self._ask("POST", self._at(path), json.dumps(body).encode())

    def pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Json]:
        """Give each page of a list, whole, following ``links.next`` to its end.

        Raises as ``get``.
        """
        url: httpx.URL | None = self._at(path, query)
        seen: set[str] = set()
        while url is not None:
            seen.add(str(url))
            answer = self._ask("GET", url)
            if not isinstance(answer.get("data"), list):
                raise DeniedError(f"GET {path}: the answer is not a list; check --url")
            yield answer
            url = self._next_page(answer, path, seen)

    def _at(self, path: str, query: Mapping[str, str] | None = None) -> httpx.URL:
        return httpx.URL(str(self._base).rstrip("/") + path, params=dict(query) if query else None)

    def _next_page(self, answer: Json, path: str, seen: set[str]) -> httpx.URL | None:
        links = answer.get("links")
        link = links.get("next") if isinstance(links, dict) else None
        if not link:
            return None
        try:
            url = httpx.URL(link) if isinstance(link, str) else None
        except httpx.InvalidURL:
            url = None
        # The key is sent to the next page, so that has to be at this path of this server.
        if url is None or _place(url) != _place(self._at(path)):
            raise DeniedError(
                f"{path}: the answer's next page is not at {self._host}{path}, and the key goes "
                "nowhere else; check --url"
            )
        if str(url) in seen:
            raise DeniedError(f"{path}: the answer's next page is one that was already read")
        return url

    def _ask(self, method: str, url: httpx.URL, body: bytes = b"") -> Json:
        path = url.path.removeprefix(self._base.path.rstrip("/"))
        name = _FLOWS if path.startswith(f"{limits.METRICS_PATH}/") else path.rstrip("/")
        documents: list[Json] = []

        def read(reply: Reply) -> Answer:
            document = json_object(reply.body)
            if document is None:
                return "unreadable"
            documents.append(document)
            return "delivered"

        steps = attempts(
            read,
            jitter=self._clocks.jitter,
            now=self._clocks.wall,
            policy=self._policy,
            is_json_api=True,
        )
        exchange = Exchange(steps, self._pace_of(name))
        for step in exchange:
            self._raise_if_stopped()
            match step:
                case Wait(wait_s, otherwise):
                    why = self._pace_of(name).why_paused if otherwise is None else otherwise.why
                    self._wait(wait_s, why)
                case Post():
                    most, stop = _ENDPOINTS[name].max_bytes, self._stop
                    exchange.answer = send(
                        self._client, method, path, body, url.query, max_bytes=most, stop=stop
                    )
        match exchange.outcome:
            case Delivered():
                return documents[0]
            case Fatal(status):
                scope = _ENDPOINTS[name].scope
                raise denied_error(status, f"{method} {path}", scope=scope, if_gone="check --url")
            case Refused(reason, _, detail):
                raise DeniedError(
                    f"{method} {path}: {detail} ({reason}); Klaviyo refused the request"
                )
            case Unavailable(why):
                self._raise_if_stopped()
                raise StoppedError(
                    f"{self._host} gives no answer to read: {why} ({method} {path}); run the same "
                    "command again"
                )

    def _wait(self, wait_s: float, why: str) -> None:
        while wait_s > LONG_WAIT_S and not self._stop.is_set():
            self._on_wait(why, wait_s)
            self._sleep(min(wait_s, TELL_EVERY_S))
            wait_s -= TELL_EVERY_S
        if wait_s > 0:
            self._sleep(wait_s)

    def _pace_of(self, endpoint: str) -> Pace:
        if endpoint not in self._paces:
            windows = self._quota.of(windows_of(_ENDPOINTS[endpoint].rates))
            self._paces[endpoint] = Pace(windows, self._clocks.monotonic)
        return self._paces[endpoint]

    def _raise_if_stopped(self) -> None:
        if self._stop.is_set():
            raise StoppedByUserError("stopped as asked; run the same command again")

    @property
    def _host(self) -> str:
        return self._base.netloc.decode("ascii")


def _place(url: httpx.URL) -> tuple[object, ...]:
    return url.scheme, url.netloc, url.userinfo, url.path.rstrip("/")


_ACCOUNT_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")


def account_id(reader: Reader) -> str:
    """The id of the account that the key belongs to, which is its public key.

    Source: docs/klaviyo.md, "Accounts".

    Raises:
        ScopeError: the key may not read accounts; a person can pass ``--account NAME``.
        DeniedError: Klaviyo does not know the key, or the answer names no account.
        StoppedError: no answer.
    """
    accounts = reader.get(limits.ACCOUNTS_PATH).get("data")
    first = accounts[0] if isinstance(accounts, list) and accounts else None
    found = first.get("id") if isinstance(first, dict) else None
    if not isinstance(found, str) or not _ACCOUNT_ID.fullmatch(found):
        raise DeniedError(
            f"GET {limits.ACCOUNTS_PATH} names no account; name it with --account NAME"
        )
    return found
