"""A server that answers early, twice, unasked or not at all: what the ledger has, it has recorded.

The server reads its socket byte by byte up to the end of a head, so that a body that it does not
want stays unread in the system, as with a real one: the system resets the connection then.
"""

import json
import re
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from random import Random
from urllib.parse import unquote_plus

import pyarrow as pa
import pytest

from backfill import event
from backfill.delivery.run import deliver
from backfill.ledger.ledger import Ledger, Target
from backfill.wire.bulk import Bulk
from backfill.wire.events import Events
from backfill.wire.track import Track
from tests.integration.test_delivery_bulk import KEY, SCHEMA, order, quick

pytestmark = pytest.mark.slow

ACCOUNT = "LOCAL1"
YES = {
    "track": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1",
    "events": b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
    "bulk": b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
}
NO = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
FAULTS = (
    "surplus",
    "two in one segment",
    "early, then closed",
    "early, then reset",
    "early, then slow and closed",
    "before the request, then closed",
    "before the request, then no",
    "no",
)
DELAYS_S = (0.0, 0.05, 0.3)


class Server(socketserver.ThreadingTCPServer):
    """Desynchronises half of its connections at random; keeps which events it recorded."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, api, seed, faults=FAULTS):
        super().__init__(("127.0.0.1", 0), Talk)
        self.yes = YES[api]
        self.faults = faults
        self.random = Random(seed)
        self.lock = threading.Lock()
        self.recorded = set()
        self.played = Counter()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def choose(self):
        with self.lock:
            fault = self.random.choice(self.faults) if self.random.random() < 0.5 else ""
            self.played[fault] += 1
            return fault, self.random.choice(DELAYS_S), self.random.random() < 0.5

    def record(self, body):
        found = re.findall(r'"ada(\d+)@shop\.dk"', unquote_plus(body.decode()))
        with self.lock:
            self.recorded |= set(map(int, found))


class Talk(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self):
        with suppress(OSError):
            fault, delay_s, keeps_open = self.server.choose()
            self.play(fault, delay_s)
            while keeps_open and not fault.startswith("early") and self.read_head():
                self.request.sendall(NO)  # the trap: a surplus yes would be taken for its answer

    def play(self, fault, delay_s):
        yes, send = self.server.yes, self.request.sendall
        if fault.startswith("before"):
            send(yes)
        if fault == "before the request, then closed":
            return
        head = self.read_head()
        if fault.startswith("early"):
            send(yes)
            if fault.endswith("reset"):
                linger = struct.pack("ii", 1, 0)
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if "slow" in fault:
                time.sleep(delay_s)
            self.request.close()
            return
        body = self.read_body(head)
        if fault.endswith("no"):
            send(NO)
            return
        self.server.record(body)
        send(yes * 2 if fault == "two in one segment" else yes)
        if fault == "surplus":
            time.sleep(delay_s)
            send(yes)

    def read_head(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self.request.recv(1)
            if not byte:
                return b""
            head += byte
        return head

    def read_body(self, head):
        left = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        parts = []
        while left:
            part = self.request.recv(min(left, 65_536))
            if not part:
                raise ConnectionAbortedError
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def finish(self):
        with suppress(OSError):
            self.request.close()  # without the shutdown of the library, which is no reset


@contextmanager
def serving(api, seed, **more):
    with Server(api, seed, **more) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def orders(count, text_bytes):
    text = json.dumps({"Text": "x" * text_bytes})
    rows = [order(number, properties=text, size=text_bytes + 500) for number in range(count)]
    return pa.Table.from_pylist(rows, schema=SCHEMA).to_batches()


def send(path, server, api, pending, bulk_events):
    wire = {
        "bulk": Bulk(KEY, max_events=bulk_events),
        "events": Events(KEY),
        "track": Track(ACCOUNT),
    }[api]
    with Ledger.open(path, Target(server.url, ACCOUNT)) as ledger:
        delivery = deliver(
            pending,
            wire=wire,
            fallback=Events(KEY) if api == "bulk" else None,
            url=server.url,
            ledger=ledger,
            run_id="r1",
            on_refusal=lambda _: None,
            options=quick(concurrency=8),
        )
        held = {key for batch in ledger.delivered() for key in batch["key"].to_pylist()}
    return delivery, held


def keys(numbers):
    return {event.key("Placed Order", str(number)) for number in numbers}


SIZES = {
    "small": {"count": 200, "text_bytes": 20, "bulk_events": 10},
    "300 kB": {"count": 24, "text_bytes": 300_000, "bulk_events": 1},
    "5 MB": {"count": 160, "text_bytes": 240_000, "bulk_events": 20},
}
CASES = [
    *((api, size, seed) for api in YES for size in ("small", "300 kB") for seed in range(3)),
    *(("bulk", "5 MB", seed) for seed in range(3)),
]


@pytest.mark.parametrize(("api", "size", "seed"), CASES)
def test_what_the_ledger_has_the_server_has_recorded(tmp_path, api, size, seed):
    shape = SIZES[size]
    pending = orders(shape["count"], shape["text_bytes"])
    with serving(api, seed) as server:
        delivery, held = send(tmp_path / "l", server, api, pending, shape["bulk_events"])

    assert held <= keys(server.recorded)
    assert 0 < len(held) == delivery.delivered
    assert server.played.keys() > {""}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("api", YES)
def test_each_fault_alone_loses_nothing(tmp_path, api, fault):
    with serving(api, 7, faults=(fault,)) as server:
        delivery, held = send(tmp_path / "l", server, api, orders(60, 20), 5)

    assert held <= keys(server.recorded)
    assert 0 < len(held) == delivery.delivered
    assert server.played[fault] > 0
