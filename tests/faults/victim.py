"""A process that does what `backfill …` does, and to which something happens at an exact place.

`python -m tests.faults.victim ARM run s.yaml …` is one such process. `python -m
tests.faults.victim serve` reads jobs from stdin and forks a process for each: the second that
Python takes to import everything is then paid once.
"""

import importlib
import json
import os
import select
import signal
import sys
from pathlib import Path
from typing import Any

from tests.faults.arm import PRELOADED, Arm, arm


def work(what: Arm, arguments: list[str]) -> None:
    # Whoever plays a thousand scenarios under nohup has them ignored, and then so has a run.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    arm(what)
    sys.argv = ["backfill", *arguments]
    importlib.import_module("backfill.cli.commands").main()


def serve() -> None:
    """A job is a line of JSON: arm, arguments, folder, and where output and exit code go."""
    for module in PRELOADED:
        importlib.import_module(module)
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    exits: dict[int, Path] = {}
    reading = True
    while reading or exits:
        ready, _, _ = select.select([woken, *([sys.stdin] if reading else [])], [], [])
        if sys.stdin in ready:
            line = sys.stdin.buffer.raw.readline()  # type: ignore[attr-defined]
            reading = bool(line)
            if line:
                job = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _be(job)
                exits[pid] = Path(job["exit"])
                sys.stdout.write(f"{pid}\n")
                sys.stdout.flush()
        if woken in ready:
            os.read(woken, 4096)
        _reap(exits)


def _reap(exits: dict[int, Path]) -> None:
    for pid in list(exits):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            path = exits.pop(pid)
            path.with_suffix(".part").write_text(str(os.waitstatus_to_exitcode(status)))
            path.with_suffix(".part").rename(path)


def _be(job: dict[str, Any]) -> None:
    """The forked process: never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(job["folder"])
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        for number, path in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
            os.dup2(os.open(path, flags if number else os.O_RDONLY, 0o600), number)
        work(Arm(**job["arm"]), job["arguments"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - what the interpreter would do with it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        work(Arm(**json.loads(sys.argv[1])), sys.argv[2:])
