"""The events of a plan, posted in one of three ways; what the process tells of it, as JSON.

    python -m benchmarks.posting WAY PLAN URL EVENTS

``deliver`` is ours: encoding, pace, retries, ledger. ``httpx`` posts the same bodies, encoded
beforehand, through httpx.AsyncClient with the same transport, and ``transport`` without that
client; neither keeps a book of anything.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import aiohttp
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
from httpx_aiohttp import AiohttpTransport

from backfill.delivery.delivery import DeliveryOptions
from backfill.delivery.run import deliver
from backfill.ledger.ledger import Ledger, Target
from backfill.ledger.runs import Run
from backfill.wire.track import Track

CONNECTIONS: Final = 16
TOKEN: Final = "BENCH1"
LONGEST_S: Final = 300.0

Post = Callable[[bytes], Awaitable[bytes]]


def pending(plan: Path, events: int) -> Iterator[pa.RecordBatch]:
    """The plan's first events, each with its person's attributes."""
    for path in sorted(plan.glob("events-*.parquet")):
        for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(8_192):
            taken = batch.slice(0, events)
            events -= len(taken)
            yield taken.append_column("carries", pa.repeat(pa.scalar(value=True), len(taken)))
            if not events:
                return


def by_deliver(plan: Path, url: str, events: int) -> tuple[int, float]:
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        Ledger.open(Path(folder) / "ledger.sqlite", Target(url, TOKEN)) as ledger,
    ):
        ledger.begin_run(Run(id="bench", command="", schema_name="flat", started=0))
        began = time.perf_counter()
        done = deliver(
            pending(plan, events),
            wire=Track(TOKEN),
            url=url,
            ledger=ledger,
            run_id="bench",
            on_refusal=lambda refusal: sys.exit(f"refused: {refusal}"),
            options=DeliveryOptions(concurrency=CONNECTIONS, windows=()),
        )
        return done.delivered, time.perf_counter() - began


def by_transport(plan: Path, url: str, events: int, *, client: bool) -> tuple[int, float]:
    wire = Track(TOKEN)
    batches = pending(plan, events)
    bodies = [request.body for batch in batches for request in wire.requests(batch)]
    began = time.perf_counter()
    taken = asyncio.run(
        _looped(bodies, httpx.URL(url + wire.api.path), dict(wire.headers), client=client)
    )
    return taken, time.perf_counter() - began


async def _looped(
    bodies: list[bytes], url: httpx.URL, headers: dict[str, str], *, client: bool
) -> int:
    transport = AiohttpTransport(
        client=lambda: aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS))
    )
    left = iter(bodies)
    async with httpx.AsyncClient(transport=transport) as through:

        async def by_client(body: bytes) -> bytes:
            return (await through.post(url, content=body, headers=headers)).content

        async def directly(body: bytes) -> bytes:
            request = httpx.Request("POST", url, headers=headers, content=body)
            response = await transport.handle_async_request(request)
            try:
                return await response.aread()
            finally:
                await response.aclose()

        async def work(post: Post) -> int:
            taken = 0
            for body in left:
                taken += await post(body) == b"1"
            return taken

        workers = [work(by_client if client else directly) for _ in range(CONNECTIONS)]
        async with asyncio.timeout(LONGEST_S):
            return sum(await asyncio.gather(*workers))


def main(way: str, plan: str, url: str, events: str) -> None:
    match way:
        case "deliver":
            taken, seconds = by_deliver(Path(plan), url, int(events))
        case _:
            taken, seconds = by_transport(Path(plan), url, int(events), client=way == "httpx")
    sys.stdout.write(json.dumps({"events": taken, "seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
