"""Files of the state folder: only their owner can read them, and none is opened through a link.

Through a link, a write would change a file that is somewhere else.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final, Literal, TextIO

from backfill.errors import UsageError

_LEDGER_ENDS: Final = ("", "-wal", "-shm", "-journal")


def private_file(path: Path, mode: Literal["w", "a"] = "w") -> TextIO:
    """Open a text file for its owner alone, from its first byte on.

    Args:
        path: the file, which is created if it does not exist.
        mode: w writes it anew, a appends.
    """
    return open(path, mode, encoding="utf-8", newline="", opener=open_own)


def open_own(path: str | Path, flags: int) -> int:
    """Open a file for its owner alone, and create it if it does not exist.

    Raises OSError; its ``strerror`` says so if the name is a link.

    Args:
        path: the file.
        flags: how it is opened.
    """
    plain = flags & ~os.O_TRUNC | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        handle = os.open(path, plain, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(path) from None
        raise
    if _is_link(os.fstat(handle)):
        os.close(handle)
        raise _link(path)
    if flags & os.O_TRUNC:
        os.ftruncate(handle, 0)
    return handle


def check_ledger(path: Path) -> None:
    """Raise UsageError if the ledger, or a file that SQLite keeps beside it, is a link.

    SQLite follows links. A ledger of two names would have two write-ahead logs, and the events in
    one of them would be sent again.
    Source: https://www.sqlite.org/howtocorrupt.html, 2.4 and 2.5, read 2026-11-28.
    """
    for end in _LEDGER_ENDS:
        beside = path.with_name(path.name + end)
        try:
            found = beside.lstat()
        except OSError:
            continue
        if _is_link(found):
            raise UsageError(
                f"{beside}: it is a link; move the ledger itself here, or name another folder with "
                "--state DIR"
            )


def _is_link(found: os.stat_result) -> bool:
    """A symbolic link, or one of several names of a file."""
    return stat.S_ISLNK(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink > 1)


def _link(path: str | Path) -> OSError:
    return OSError(errno.ELOOP, "it is a link", str(path))
