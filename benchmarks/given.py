"""What a measurement is given: an export, and a sink that listens."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import measured, started


@contextmanager
def export(folder: Path, shape: str, rows: int) -> Iterator[Path]:
    path = folder / f"{shape}-{rows}.csv"
    measured("benchmarks.generate", shape, rows, path)
    try:
        yield path
    finally:
        path.unlink()


@dataclass(slots=True)
class Listening:
    url: str
    taken: dict[str, int] = field(default_factory=dict)
    """Requests, bytes and events; there when the sink has ended."""


@contextmanager
def sink(latency_s: float = 0.0) -> Iterator[Listening]:
    process = started("benchmarks.sink", latency_s)
    assert process.stdout is not None
    listening = Listening(f"http://127.0.0.1:{int(process.stdout.readline())}")
    try:
        yield listening
    finally:
        told, _ = process.communicate(timeout=10)
        listening.taken = json.loads(told or "{}")
