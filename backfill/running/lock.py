"""One process at a time holds a state folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backfill.errors import BusyError, UsageError


@contextmanager
def hold(state: Path) -> Iterator[None]:
    """Hold ``state`` until the block is left; the system lets go of it when the process dies.

    Raises:
        BusyError: another process holds it.
        UsageError: it is no folder, or cannot be written to.
    """
    handle = _open(state)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise BusyError(_who_holds(handle, state)) from err
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _open(state: Path) -> int:
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as err:
        raise UsageError(
            f"{state}: the state folder cannot be used ({err.strerror}); "
            "name another with --state DIR"
        ) from err


def _who_holds(handle: int, state: Path) -> str:
    pid = os.pread(handle, 20, 0).decode(errors="replace").strip()
    who = f"process {pid}" if pid.isdecimal() else "another process"
    return f"{state}: {who} is at work in this state folder; wait until it ends, then run again"
