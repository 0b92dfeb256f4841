"""Sends one request and blocks until the answer comes. ``client`` sends the events."""

import time
from collections.abc import Callable, Mapping

import httpx

from backfill.transport.http import Timeouts, reply_of, request_headers, tls_of
from backfill.transport.retry import NoAnswer
from backfill.wire.interface import Reply


class SyncClient:
    """Sends to one server, whose certificate is checked; ``close`` it.

    The transport alone: no redirects, no cookies, no proxies of the environment.
    """

    def __init__(
        self,
        scheme: str,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._headers = request_headers(headers)
        self._whole_s = timeouts.whole_s
        attempt = httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s)
        self._extensions = {"timeout": attempt.as_dict()}
        self._clock = clock
        self._transport = httpx.HTTPTransport(verify=tls_of(scheme))

    def close(self) -> None:
        self._transport.close()

    def send(
        self, method: str, url: httpx.URL, body: bytes | None, *, max_bytes: int
    ) -> Reply | NoAnswer:
        """Send one request; give the answer as it came, or why there is none.

        Args:
            method: of HTTP.
            url: where it goes.
            body: what it carries; None for nothing.
            max_bytes: of the answer's body; a longer one is not read to its end.
        """
        until_s = self._clock() + self._whole_s
        request = httpx.Request(
            method, url, headers=self._headers, content=body, extensions=self._extensions
        )
        try:
            response = self._transport.handle_request(request)
            try:
                return self._read(response, until_s, max_bytes)
            finally:
                response.close()
        except (httpx.TransportError, OSError) as err:
            return NoAnswer(f"no answer ({type(err).__name__})")

    def _read(self, response: httpx.Response, until_s: float, max_bytes: int) -> Reply | NoAnswer:
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > max_bytes:
                return NoAnswer(f"the answer is over {max_bytes:,} bytes")
            if self._clock() > until_s:
                return NoAnswer("no whole answer in time")
        return reply_of(response, bytes(body))
