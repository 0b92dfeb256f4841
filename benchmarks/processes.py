"""Each measurement in a process of its own, so that its seconds and its peak are its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process said, and what the system says of it."""

    said: dict[str, Any]
    cpu_s: float
    peak_mb: float


def started(module: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def measured(module: str, *arguments: object) -> Measured:
    """Whoever calls this imports nothing large: a process's peak counts its parent's memory.

    (Linux takes over the peak at ``exec``, and until then memory is shared with the parent.)
    """
    process = started(module, *arguments)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    said = process.stdout.read()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"benchmarks.{module} ended with {process.returncode}")
    unit = 1_000_000 if sys.platform == "darwin" else 1_000  # bytes there, kilobytes elsewhere
    return Measured(json.loads(said or "{}"), used.ru_utime + used.ru_stime, used.ru_maxrss / unit)
