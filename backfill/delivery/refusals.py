"""The file of the events that Klaviyo refused, one JSON line each.

It alone holds Klaviyo's own words, which may quote what was sent.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from backfill.errors import StoppedError

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An event that Klaviyo refused, and why."""

    key: str
    """The event's, in hexadecimal."""
    metric: str
    status: int | None
    """None where no answer came."""
    code: str
    detail: str = field(repr=False)
    """It may name a person, so it goes into the file and nowhere else."""


@contextmanager
def refusals_file(path: Path) -> Iterator[Callable[[Refusal], None]]:
    """Open ``refusals.jsonl``, which only its owner may read; give a function that adds a line.

    Raises:
        StoppedError: it cannot be opened or written; a refusal without a line would be lost.
    """
    with _translated(path):
        handle = os.open(path, _FLAGS, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", buffering=1) as lines:

        def write(refusal: Refusal) -> None:
            with _translated(path):
                lines.write(json.dumps(asdict(refusal), ensure_ascii=False) + "\n")

        yield write


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise StoppedError(
            f"{path}: refusals cannot be written ({err.strerror}), so nothing more is sent; make "
            "room, then run the same command to go on"
        ) from err
