"""Sends one request and blocks until the answer comes. ``client`` sends the events."""

import asyncio
import threading
from concurrent.futures import Future
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

    It has a thread and a loop of its own, so it works inside a running loop too. The thread has
    ended when this returns: one that still works when the process ends may abort it.
    """
    answer: Future[Reply | NoAnswer] = Future()

    async def sending() -> Reply | NoAnswer:
        task = asyncio.ensure_future(client.send(method, path, body, query, max_bytes=max_bytes))
        while not task.done():
            if stop.is_set():
                task.cancel()
                await asyncio.wait([task])
                return NoAnswer("stopped as asked", is_final=True)
            await asyncio.wait([task], timeout=_CHECK_EVERY_S)
        return task.result()

    def ask() -> None:
        try:
            answer.set_result(asyncio.run(sending()))
        except BaseException as err:  # noqa: BLE001 - it is raised where it is waited for
            answer.set_exception(err)

    thread = threading.Thread(target=ask, name="backfill-ask", daemon=True)
    thread.start()
    try:
        return answer.result()
    finally:
        if answer.done():
            thread.join()
