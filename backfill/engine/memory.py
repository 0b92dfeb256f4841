"""A bound on this process's memory while it works on what others wrote: a schema, a file.

DuckDB's memory_limit does not count the texts and lists of a running expression, and Arrow has no
limit.
"""

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final


class _Memory:
    """The system's limit on this process's data, in force while any thread is inside ``limited``.

    At the limit, DuckDB and Arrow raise an error; without it, the system would kill the process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    @contextmanager
    def limited(self, more_bytes: int) -> Iterator[None]:
        """Limit the memory to ``more_bytes`` beyond what the process holds now.

        If several threads are inside, the limit of the first one holds for all.
        """
        with self._lock:
            self._users += 1
            held = _held_bytes()
            if self._users == 1 and held is not None:
                self._before = soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
                known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
                resource.setrlimit(resource.RLIMIT_DATA, (min([held + more_bytes, *known]), hard))
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and held is not None:
                    resource.setrlimit(resource.RLIMIT_DATA, self._before)


def others_allow(more_bytes: int) -> bool:
    """Do the limits that others set (``ulimit -v``) leave this process so many bytes more?"""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    held = _held_bytes("VmSize:")
    return limit == resource.RLIM_INFINITY or held is None or held + more_bytes <= limit


def _held_bytes(name: str = "VmData:") -> int | None:
    """The bytes that count against the limit now; None where the system is not Linux."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)


MEMORY: Final = _Memory()
