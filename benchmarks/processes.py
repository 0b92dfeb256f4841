"""Each measurement in a process of its own, so that its seconds and its peak are its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).parents[1]
SHOWN_CHARS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process said, and what the system says of it and of its children."""

    said: dict[str, Any]
    seconds: float
    cpu_s: float
    peak_mb: float


def started(
    module: str,
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    errors: IO[str] | None = None,
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
    )


def measured(
    module: str, *arguments: object, environment: Mapping[str, str] | None = None
) -> Measured:
    """What ``module`` says is the last line of its standard output, as JSON.

    Whoever calls this imports nothing large: a process's peak counts its parent's memory.
    (Linux takes over the peak at ``exec``, and until then memory is shared with the parent.)
    """
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = started(module, *arguments, environment=environment, errors=errors)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        said = process.stdout.read().strip()
        process.stdout.close()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            told = errors.read()[-SHOWN_CHARS:]
            raise SystemExit(f"{told}\n{module} ended with {process.returncode}")
    unit = 1_000_000 if sys.platform == "darwin" else 1_000  # bytes there, kilobytes elsewhere
    return Measured(
        said=json.loads(said.rpartition("\n")[2] or "{}"),
        seconds=seconds,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_mb=used.ru_maxrss / unit,
    )
