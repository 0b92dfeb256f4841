"""Sends one request and blocks until the answer comes. ``client`` sends the events."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Final

from backfill.transport.client import Client
from backfill.transport.retry import NoAnswer
from backfill.wire.interface import Reply

_CHECK_EVERY_S: Final = 0.1


def send(
    client: Client,
    method: str,
    path: str,
    body: bytes,
    query: bytes,
    *,
    max_bytes: int,
    stop: threading.Event,
) -> Reply | NoAnswer:
    """Send one request, as ``Client.send``; give it up as soon as ``stop`` is set.

    It has a thread and a loop of its own, so it works inside a running loop too.
    """
    answer: Future[Reply | NoAnswer] = Future()

    def sending() -> Coroutine[None, None, Reply | NoAnswer]:
        return client.send(method, path, body, query, max_bytes=max_bytes)

    def ask() -> None:
        try:
            answer.set_result(asyncio.run(sending()))
        except BaseException as err:  # noqa: BLE001 - it is raised where it is waited for
            answer.set_exception(err)

    threading.Thread(target=ask, name="backfill-ask", daemon=True).start()
    while not wait([answer], timeout=_CHECK_EVERY_S).done:
        if stop.is_set():
            return NoAnswer("stopped as asked", is_final=True)
    return answer.result()
