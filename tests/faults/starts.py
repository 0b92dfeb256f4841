"""Starts of the tool: processes of their own, each with a deadline."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, environment
from tests.faults.arm import UNHARMED, Arm
from tests.waiting import HungError, wait_until


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any] | None:
        lines = self.out.splitlines()
        return json.loads(lines[-1]) if lines else None


class Start:
    """One start; ``alive`` says None or its exit code, negative for a signal."""

    def __init__(self, pid: int, alive: Callable[[], int | None], out: Path, err: Path) -> None:
        self.pid = pid
        self._alive = alive
        self._out, self._err = out, err

    def poll(self) -> int | None:
        return self._alive()

    def end(self) -> Ended:
        try:
            wait_until(lambda: self.poll() is not None, f"start {self._out.stem} to end")
        except HungError:
            self.kill()
            raise
        code = self.poll()
        assert code is not None
        return Ended(code, self._out.read_text(), self._err.read_text())

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Starter:
    """Starts the tool in one folder; ``fresh`` with an interpreter of its own each time."""

    def __init__(self, folder: Path, server: "Server", *, fresh: bool) -> None:
        self._folder = folder
        self._server = server
        self._fresh = fresh
        self._started: list[Start] = []

    @property
    def count(self) -> int:
        return len(self._started)

    def __call__(self, arguments: list[str], arm: Arm = UNHARMED) -> Start:
        place = self._folder / f"start-{self.count + 1}"
        out, err = place.with_suffix(".out"), place.with_suffix(".err")
        if self._fresh:
            start = self._fresh_start(arguments, arm, out, err)
        else:
            job = {"arguments": arguments, "arm": asdict(arm), "folder": str(self._folder)}
            paths = {"out": str(out), "err": str(err), "exit": str(place.with_suffix(".exit"))}
            start = self._server.start(job | paths)
        self._started.append(start)
        return start

    def _fresh_start(self, arguments: list[str], arm: Arm, out: Path, err: Path) -> Start:
        command = (
            ["backfill"] if arm == UNHARMED else ["tests.faults.victim", json.dumps(asdict(arm))]
        )
        with out.open("wb") as to, err.open("wb") as complain:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, *arguments],
                cwd=self._folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=to,
                stderr=complain,
            )
        return Start(process.pid, process.poll, out, err)

    def kill_all(self) -> None:
        for start in self._started:
            start.kill()


class Server:
    """The process that forks victims."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.victim", "serve"],
            cwd=ROOT,
            env=environment() | {"OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, job: dict[str, Any]) -> Start:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        ended = Path(job["exit"])
        return Start(
            pid,
            lambda: int(ended.read_text()) if ended.exists() else None,
            Path(job["out"]),
            Path(job["err"]),
        )

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()
