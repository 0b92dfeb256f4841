"""How a sandbox starts, ends and starts again."""

import asyncio
import gc
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from backfill.sandbox import Faults, FaultsError, Sandbox, StoreError

SERVE = """
import sys
from pathlib import Path
from backfill.sandbox import Sandbox
Sandbox(store=Path(sys.argv[1])).serve(lambda url: print(url, flush=True))
print("ended", flush=True)
"""


def order(number):
    return {
        "token": "PUBKEY",
        "event": "Placed Order",
        "customer_properties": {"$email": "anna@shop.test"},
        "properties": {"$event_id": str(number)},
        "time": 1_500_000_000,
    }


def post(url, number):
    response = httpx.post(f"{url}/api/track", json=order(number), trust_env=False)
    assert response.text == "1"


@contextmanager
def served(path):
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(path)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_it_takes_a_free_port_and_says_which():
    with Sandbox() as one, Sandbox() as other:
        assert one.url.startswith("http://127.0.0.1:")
        assert one.url != other.url


def test_a_port_that_is_taken_is_an_os_error():
    with Sandbox() as sandbox:
        port = int(sandbox.url.rpartition(":")[2])

        with pytest.raises(OSError, match="in use"), Sandbox(port=port):
            pass


def test_it_serves_a_loop_that_is_already_running():
    async def notebook():
        with Sandbox() as sandbox:
            async with httpx.AsyncClient(trust_env=False) as http:
                answer = await http.post(f"{sandbox.url}/api/track", json=order(1))
            return answer.text, sandbox.stats()["recorded"], sandbox.events()[0]["event_id"]

    assert asyncio.run(notebook()) == ("1", 1, "1")


def test_it_leaves_no_thread_behind():
    before = set(threading.enumerate())

    with Sandbox() as sandbox:
        post(sandbox.url, 1)

    assert set(threading.enumerate()) == before


def test_a_connection_made_at_the_very_end_is_closed():
    """Else Python warns of a socket that nobody closed, and a warning is an error here."""
    for _ in range(20):
        with Sandbox() as sandbox:
            address = urlsplit(sandbox.url)
            socket.create_connection((address.hostname, address.port)).close()
        gc.collect()


def test_outside_its_block_a_sandbox_raises():
    sandbox = Sandbox()
    with sandbox:
        pass

    with pytest.raises(RuntimeError, match="inside its with block"):
        sandbox.stats()


def test_a_sandbox_in_memory_starts_empty_each_time():
    sandbox = Sandbox()
    for _ in range(2):
        with sandbox:
            post(sandbox.url, 1)
            assert sandbox.stats()["recorded"] == 1


def test_a_sandbox_with_a_store_keeps_its_events(tmp_path):
    path = tmp_path / "sandbox.sqlite"
    for recorded, merged in ((1, 0), (1, 1)):
        with Sandbox(store=path) as sandbox:
            post(sandbox.url, 1)
            stats = sandbox.stats()
            assert (stats["recorded"], stats["merged"]) == (recorded, merged)
            assert stats["requests"] == stats["received"] == recorded + merged


def test_faults_are_numbered_from_each_start(tmp_path):
    faults = Faults.of({"faults": [{"at": [1], "answer": 502}]})
    for _ in range(2):
        with Sandbox(store=tmp_path / "sandbox.sqlite", faults=faults) as sandbox:
            answer = httpx.post(f"{sandbox.url}/api/track", json=order(1), trust_env=False)
            assert answer.status_code == 502


def test_an_invalid_file_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "faults.yaml").write_text("faults: 1\n")
    (tmp_path / "store").write_text("something else\n" * 99)

    with pytest.raises(FaultsError, match=r"faults\.yaml:1"):
        Sandbox(faults=tmp_path / "faults.yaml")
    with pytest.raises(StoreError, match="not a database"), Sandbox(store=tmp_path / "store"):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_server_cleanly(tmp_path, number):
    path = tmp_path / "sandbox.sqlite"
    with served(path) as (process, url):
        for event in range(3):
            post(url, event)
        process.send_signal(number)
        assert process.stdout.read() == "ended\n"
        assert process.wait() == 0

    assert list(tmp_path.iterdir()) == [path]
    with Sandbox(store=path) as sandbox:
        assert sandbox.stats()["recorded"] == 3


def test_a_server_that_was_killed_can_start_again(tmp_path):
    path = tmp_path / "sandbox.sqlite"
    with served(path) as (process, url):
        post(url, 1)
        process.kill()

    with served(path) as (process, url):
        post(url, 1)
        stats = httpx.get(f"{url}/_sandbox/stats", trust_env=False).json()
        assert stats["recorded"] == 1
        assert stats["received"] == stats["recorded"] + stats["merged"]


def test_what_is_recorded_reaches_the_file_while_it_runs(tmp_path):
    """The write-ahead log grows by itself: nothing but the timer commits here."""
    path = tmp_path / "sandbox.sqlite"
    log = path.with_name("sandbox.sqlite-wal")
    with served(path) as (process, url):
        before = log.stat().st_size
        post(url, 1)
        began = time.monotonic()
        while log.stat().st_size == before:
            assert process.poll() is None
            assert time.monotonic() - began < 30


def test_a_server_that_cannot_tell_that_it_is_ready_ends(tmp_path):
    path = tmp_path / "sandbox.sqlite"
    script = SERVE.replace("print(url, flush=True)", "sys.exit(3)")

    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)

    assert ended.returncode == 3
    assert list(tmp_path.iterdir()) == [path]
