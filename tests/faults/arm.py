"""What happens to a process, and at which place: functions are wrapped, connections watched.

The product has no hooks for this. `arm` is called in the process that is to suffer.
"""

import _thread
import functools
import importlib
import inspect
import itertools
import os
import resource
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from backfill.transport.client import DEFAULT_TIMEOUTS
from backfill.transport.exchange import REAL_CLOCKS
from backfill.transport.retry import DEFAULT_RETRY_POLICY
from backfill.wire.bulk import Bulk

PRELOADED = (
    "backfill.cli.commands",
    "backfill.running.run",
    "backfill.running.progress",
    "backfill.schema.load",
    "backfill.running.history",
    "backfill.report.summary_text",
    "backfill.transport.pace",
)
SIGNALS = {"INT": (signal.SIGINT,), "INT INT": (signal.SIGINT, signal.SIGINT)} | {
    name: (getattr(signal, f"SIG{name}"),) for name in ("TERM", "HUP")
}
BETWEEN_TWO_SIGNALS_S = 0.02


@dataclass(frozen=True, slots=True)
class Arm:
    """What happens to a victim, and where."""

    point: str = ""
    """``module:function``, ``sqlite:insert`` or ``sqlite:commit`` of a batch, or ``anywhere``."""
    when: str = "before"
    """before, after, or during: ``delay_s`` after it has begun."""
    nth: int = 1
    action: str = ""
    """kill, a name out of SIGNALS, quota (no file may grow on), clock (it steps by ``step_s``),
    threads (no more begin), memory (``quota`` bytes more and no more), MemoryError (is raised)."""
    delay_s: float = 0.0
    quota: int = 0
    """No file may be longer, from the beginning; with the action: than the WAL and this."""
    clock_s: int = 0
    """How far its clock is off from the beginning."""
    step_s: int = 0
    read_s: float = 0.0
    """How long it waits for an answer; 0 is the product's own time."""
    a_request: int = 0
    """How many events a bulk request has at the most; 0 is the product's own number."""
    mute: bool = False
    """stderr is full from the beginning."""


UNHARMED = Arm()


class _Clock:
    offset_s = 0.0


def arm(what: Arm) -> None:
    for module in PRELOADED:
        importlib.import_module(module)
    _hurry(what.read_s)
    if what.a_request:
        Bulk.__init__.__kwdefaults__["max_events"] = what.a_request
    if what.mute:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
    if what.clock_s or what.step_s:
        _put_clock(what.clock_s)
    if what.quota and what.action not in ("quota", "memory"):
        _allow(what.quota)
    if not what.action:
        return
    strike = _counted(what)
    if what.point == "anywhere":
        _strike_at_calls(strike)
    elif what.point.startswith("sqlite:"):
        _watch_sqlite(what, strike)
    else:
        _wrap(what, strike)


def _hurry(read_s: float) -> None:
    """Waits that a person would not mind are too long for a thousand scenarios."""
    object.__setattr__(DEFAULT_RETRY_POLICY, "first_wait_s", 0.05)
    object.__setattr__(DEFAULT_RETRY_POLICY, "longest_wait_s", 0.4)
    if read_s:
        object.__setattr__(DEFAULT_TIMEOUTS, "read_s", read_s)


def _put_clock(offset_s: int) -> None:
    real = time.time
    _Clock.offset_s = offset_s

    class Stepping(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromtimestamp(time.time(), tz)

    time.time = lambda: real() + _Clock.offset_s
    object.__setattr__(REAL_CLOCKS, "wall", time.time)
    for name, module in list(sys.modules.items()):
        if name.startswith("backfill.") and getattr(module, "datetime", None) is datetime:
            module.datetime = Stepping  # type: ignore[attr-defined]


def _allow(longest: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (longest, longest))


def _counted(what: Arm) -> Callable[[], None]:
    """Strike at the nth call, once."""
    calls = itertools.count(1)

    def strike() -> None:
        if next(calls) == what.nth:
            _strike(what)

    return strike


def _strike(what: Arm) -> None:
    if what.when == "during":
        threading.Timer(what.delay_s, _do, (what,)).start()
    else:
        _do(what)


def _do(what: Arm) -> None:
    if what.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what.action == "quota":
        wal = next(Path.cwd().glob("state/ledger.sqlite-wal"), None)
        _allow((wal.stat().st_size if wal else 0) + what.quota)
    elif what.action == "clock":
        _Clock.offset_s += what.step_s
    elif what.action == "threads":
        _allow_no_thread()
    elif what.action == "memory":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        longest = pages * resource.getpagesize() + what.quota
        resource.setrlimit(resource.RLIMIT_AS, (longest, longest))
    elif what.action == "MemoryError":
        raise MemoryError
    else:
        threading.Thread(target=_signal, args=(SIGNALS[what.action],)).start()


def _allow_no_thread() -> None:
    """As Python says it; the system's own limit does not bind root."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("can't start new thread")

    for name in ("start_new_thread", "start_joinable_thread"):
        for module, own in ((_thread, name), (threading, f"_{name}")):
            if hasattr(module, own):
                setattr(module, own, refuse)


def _signal(numbers: tuple[signal.Signals, ...]) -> None:
    for place, number in enumerate(numbers):
        if place:
            time.sleep(BETWEEN_TWO_SIGNALS_S)
        os.kill(os.getpid(), number)


def _wrap(what: Arm, strike: Callable[[], None]) -> None:
    module_name, _, path = what.point.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module_name)
    for part in owners:
        owner = getattr(owner, part)
    function = getattr(owner, name)
    early, late = what.when != "after", what.when == "after"

    @functools.wraps(function)
    async def later(*args: Any, **kwargs: Any) -> Any:
        _ = strike() if early else None
        result = await function(*args, **kwargs)
        _ = strike() if late else None
        return result

    @functools.wraps(function)
    def now(*args: Any, **kwargs: Any) -> Any:
        _ = strike() if early else None
        result = function(*args, **kwargs)
        _ = strike() if late else None
        return result

    setattr(owner, name, later if inspect.iscoroutinefunction(function) else now)


def _watch_sqlite(what: Arm, strike: Callable[[], None]) -> None:
    """Strike where a batch is inserted, or where the transaction that inserted one commits."""
    at_insert, late = what.point == "sqlite:insert", what.when == "after"

    class Watched(sqlite3.Connection):
        batch = False

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            ours = sql.startswith("INSERT INTO batches")
            self.batch |= ours
            if ours and at_insert and not late:
                strike()
            cursor = super().execute(sql, *args)
            if ours and at_insert and late:
                strike()
            return cursor

        def __exit__(self, *args: Any) -> Any:  # noqa: PYI036 - handed on
            ours, self.batch = self.batch and not at_insert, False
            if ours and not late:
                strike()
            result = super().__exit__(*args)
            if ours and late:
                strike()
            return result

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Watched)  # type: ignore[assignment]


def _strike_at_calls(strike: Callable[[], None]) -> None:
    """Each call and return of the product's own functions, in every thread, is a place."""
    own = f"{os.sep}backfill{os.sep}"

    def see(frame: Any, _event: str, _arg: Any) -> None:
        if own in frame.f_code.co_filename:
            strike()

    threading.setprofile(see)
    sys.setprofile(see)
