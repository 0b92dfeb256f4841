"""Locks on files; the system releases them when the process dies."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backfill.errors import BusyError, UsageError
from backfill.running.own_file import open_own


def try_lock(path: Path) -> int | None:
    """Lock a file, which is created if it does not exist. Raises OSError.

    Returns the handle to close when the lock is not needed any more; None if the file is locked.
    """
    handle = open_own(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


@contextmanager
def hold(state: Path) -> Iterator[None]:
    """Hold a state folder, which is created if it does not exist, until the block ends.

    Raises:
        BusyError: another process holds it.
        UsageError: it is no folder, or nothing can be written there.
    """
    path = state / "lock"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = try_lock(path)
    except OSError as error:
        place = path if error.errno == errno.ELOOP else state
        raise UsageError(
            f"{place}: the state folder cannot be used ({error.strerror}); "
            "name another with --state DIR"
        ) from error
    if handle is None:
        pid = path.read_text(errors="replace").strip()
        who = f"process {pid}" if pid.isdecimal() else "another process"
        raise BusyError(
            f"{state}: {who} is at work in this state folder; wait until it ends, then run again"
        )
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
