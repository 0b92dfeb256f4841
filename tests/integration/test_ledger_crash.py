"""The ledger under a real SIGKILL, and on a disk that has no room."""

import subprocess
import sys

import pytest

from backfill.ledger.ledger import Ledger, Target

TARGET = Target("http://127.0.0.1:8080", "aB3xYz")

WRITER = """
import resource, sys
from pathlib import Path
from backfill.ledger.ledger import DeliveredBatch, Ledger, Target
if sys.argv[2] != "0":
    import signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
with Ledger.open(Path(sys.argv[1]), Target("http://127.0.0.1:8080", "aB3xYz")) as ledger:
    for number in range(1_000_000):
        keys = b"".join((number * 10 + n).to_bytes(16, "big") for n in range(10))
        landed = DeliveredBatch(keys, bytes(80), b"", frozenset(["Placed Order"]))
        ledger.record(landed, run_id="r", time_s=7)
        print(number, flush=True)
"""


def writer(path, request, *, room=0):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(room)],
        cwd=request.config.rootpath,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def numbers(path):
    with Ledger.open(path, TARGET) as ledger:
        return [
            int.from_bytes(key, "big")
            for batch in ledger.delivered()
            for key in batch["key"].to_pylist()
        ]


@pytest.mark.parametrize("rows", [1, 40, 300])
def test_what_was_recorded_survives_a_kill_and_is_whole(tmp_path, request, rows):
    path = tmp_path / "state" / "ledger.sqlite"
    process = writer(path, request)
    for line in process.stdout:
        if int(line) + 1 == rows:
            break
    process.kill()
    said = [int(line) for line in process.communicate()[0].split()]

    events = numbers(path)

    assert events == list(range(len(events)))
    assert len(events) % 10 == 0
    assert len(events) >= 10 * max([rows, *(number + 1 for number in said)])


def test_a_full_disk_stops_the_writer_and_keeps_what_is_there(tmp_path, request):
    path = tmp_path / "state" / "ledger.sqlite"

    out, err = writer(path, request, room=300_000).communicate()

    said = [int(line) for line in out.split()]
    assert "StoppedError" in err
    assert "ledger.sqlite: the ledger cannot be written" in err
    assert len(numbers(path)) == 10 * len(said) > 0
