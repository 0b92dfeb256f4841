"""Reads the private-key API: one JSON document at a time, paced, tried again, page by page.

Blocks until the answer is there. Nothing of an answer stands in an error, and no key.
"""

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import httpx

from backfill import limits
from backfill.delivery.denied import to_read
from backfill.errors import DeniedError, StoppedByUserError, StoppedError
from backfill.transport.client import DEFAULT_TIMEOUTS, Timeouts
from backfill.transport.pace import Pace, Quota, windows_of
from backfill.transport.retry import (
    DEFAULT_RETRY_POLICY,
    Delivered,
    Fatal,
    NoAnswer,
    Outcome,
    Post,
    Refused,
    RetryPolicy,
    Unavailable,
    Wait,
    attempts,
)
from backfill.transport.sync_client import SyncClient
from backfill.transport.url import base_url
from backfill.wire.interface import Answer, Reply

Json: TypeAlias = dict[str, Any]

_FLOWS: Final = "the flows of a metric"

_RATES: Final[Mapping[str, tuple[tuple[int, float], ...]]] = {
    limits.ACCOUNTS_PATH: limits.ACCOUNTS_RATES,
    limits.EVENTS_PATH: limits.READ_RATES,
    limits.METRICS_PATH: limits.METRICS_RATES,
    _FLOWS: limits.METRICS_RATES,
    limits.AGGREGATES_PATH: limits.AGGREGATES_RATES,
}


@dataclass(frozen=True, slots=True)
class ReadingTime:
    """Every clock of a reader, so that a test hands in its own."""

    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    jitter: Callable[[], float] = random.random
    sleep: Callable[[float], object] | None = None
    """None waits for ``stop`` at the same time."""


_REAL_TIME: Final = ReadingTime()


class Reader:
    """Asks one account's API; a context manager, used by one thread at a time.

    ``url`` is the base (``https://a.klaviyo.com``), ``key`` the private key. When ``stop`` is set,
    no further request starts.

    Raises:
        UsageError: the URL may not be posted to.

    Every call raises:
        ScopeError: 403, this key may not ask that; a ``DeniedError``.
        DeniedError: the key, the path or the question is refused.
        StoppedError: no answer after all tries; an ``StoppedByUserError`` where ``stop`` is set.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        quota: Quota = Quota(),  # noqa: B008 - frozen
        stop: threading.Event | None = None,
        patience: RetryPolicy = DEFAULT_RETRY_POLICY,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        time: ReadingTime = _REAL_TIME,
    ) -> None:
        self._base = httpx.URL(base_url(url))
        headers = {
            "authorization": f"Klaviyo-API-Key {key}",
            "revision": limits.REVISION,
            "accept": limits.JSON_API,
            "content-type": limits.JSON_API,
        }
        self._asking = SyncClient(self._base.scheme, headers, timeouts, time.clock)
        self._quota = quota
        self._stop = stop or threading.Event()
        self._patience = patience
        self._time = time
        self._paces: dict[str, Pace] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._asking.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """The JSON object that GET of ``path`` (``/api/metrics``) answers."""
        return self._ask("GET", self._at(path, query), None)

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """The JSON object that POST of ``body`` to ``path`` answers; for questions alone."""
        return self._ask("POST", self._at(path, None), json.dumps(body).encode())

    def pages(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[Json]:
        """Give each page of a list, whole, following ``links.next`` to its end."""
        url: httpx.URL | None = self._at(path, query)
        seen: set[str] = set()
        while url is not None:
            seen.add(str(url))
            answer = self._ask("GET", url, None)
            if not isinstance(answer.get("data"), list):
                raise DeniedError(f"GET {path}: the answer is no list; check --url")
            yield answer
            url = self._next(answer, path, seen)

    def _at(self, path: str, query: Mapping[str, str] | None) -> httpx.URL:
        return httpx.URL(str(self._base).rstrip("/") + path, params=dict(query) if query else None)

    def _next(self, answer: Json, path: str, seen: set[str]) -> httpx.URL | None:
        links = answer.get("links")
        link = links.get("next") if isinstance(links, dict) else None
        if not link:
            return None
        try:
            url = httpx.URL(link) if isinstance(link, str) else None
        except httpx.InvalidURL:
            url = None
        # The key goes along, so it goes to this path of this server and nowhere else.
        here = self._at(path, None)
        if url is None or (url.scheme, url.netloc, url.userinfo, url.path.rstrip("/")) != (
            here.scheme,
            here.netloc,
            here.userinfo,
            here.path.rstrip("/"),
        ):
            raise DeniedError(
                f"{path}: the answer's next page is not at {self._shown}{path}, and the key goes "
                "nowhere else; check --url"
            )
        if str(url) in seen:
            raise DeniedError(f"{path}: the answer's next page is one that was already read")
        return url

    def _ask(self, method: str, url: httpx.URL, body: bytes | None) -> Json:
        path = url.path.removeprefix(self._base.path.rstrip("/"))
        answers: list[Json] = []

        def read(reply: Reply) -> Answer:
            found = _object(reply.body)
            answers[:] = [] if found is None else [found]
            return "unreadable" if found is None else "delivered"

        match self._bring(read, self._pace(path), method, url, body):
            case Delivered():
                return answers[0]
            case Fatal(status):
                raise to_read(status, method, path)
            case Refused(reason, _, detail):
                raise DeniedError(f"{method} {path}: {detail} ({reason}); the question is refused")
            case Unavailable(why):
                raise StoppedError(
                    f"{self._shown} answers no more: {why} ({method} {path}); run the same command "
                    "again"
                )

    def _bring(
        self,
        read: Callable[[Reply], Answer],
        pace: Pace,
        method: str,
        url: httpx.URL,
        body: bytes | None,
    ) -> Outcome:
        steps = attempts(
            read,
            jitter=self._time.jitter,
            now=self._time.wall,
            patience=self._patience,
            json_api=True,
        )
        came: Reply | NoAnswer | None = None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                outcome: Outcome = done.value
                return outcome
            came = None
            match step:
                case Wait(wait_s, whole_run=True):
                    pace.pause(wait_s)
                case Wait(wait_s):
                    self._rest(wait_s)
                case Post():
                    while wait_s := pace.take():
                        self._rest(wait_s)
                    self._heed()
                    try:
                        came = self._asking.send(method, url, body)
                    finally:
                        pace.done()

    def _pace(self, path: str) -> Pace:
        """One pace for each endpoint: Klaviyo counts them apart."""
        endpoint = _FLOWS if path.startswith(f"{limits.METRICS_PATH}/") else path.rstrip("/")
        if endpoint not in self._paces:
            rates = _RATES.get(endpoint, limits.AGGREGATES_RATES)
            self._paces[endpoint] = Pace(self._quota.of(windows_of(rates)), self._time.clock)
        return self._paces[endpoint]

    def _rest(self, wait_s: float) -> None:
        self._heed()
        if self._time.sleep is None:
            self._stop.wait(wait_s)
        else:
            self._time.sleep(wait_s)
        self._heed()

    def _heed(self) -> None:
        if self._stop.is_set():
            raise StoppedByUserError("stopped as asked; run the same command again")

    @property
    def _shown(self) -> str:
        return self._base.netloc.decode("ascii")


_ACCOUNT_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")


def account_id(reader: Reader) -> str:
    """The id of the account that the key belongs to, which is its public key.

    Source: docs/klaviyo.md, "Accounts".

    Raises:
        ScopeError: the key may not read accounts; a person can say ``--account NAME``.
        DeniedError: Klaviyo does not know the key, or the answer names no account.
        StoppedError: no answer.
    """
    accounts = reader.get(limits.ACCOUNTS_PATH).get("data")
    first = accounts[0] if isinstance(accounts, list) and accounts else None
    found = first.get("id") if isinstance(first, dict) else None
    if not isinstance(found, str) or not _ACCOUNT_ID.fullmatch(found):
        raise DeniedError(
            f"GET {limits.ACCOUNTS_PATH} names no account; say which one it is with --account NAME"
        )
    return found


def _object(body: bytes) -> Json | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
