"""The file of the events that Klaviyo refused, one JSON line each.

It alone holds Klaviyo's own words, which may quote what was sent.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from backfill.errors import StoppedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An event that Klaviyo refused, and why."""

    key: str
    """The event's, in hexadecimal."""
    metric: str
    status: int
    code: str
    detail: str = field(repr=False)
    """It may name a person, so it goes into the file and nowhere else."""


class Refusals:
    """The open file ``refusals.jsonl`` of a run, which only its owner may read."""

    def __init__(self, path: Path, lines: TextIO) -> None:
        self._path = path
        self._lines = lines

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator["Refusals"]:
        """Open the file to add lines to it.

        Raises:
            StoppedError: it cannot be opened; a refusal without a line would be lost.
        """
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as err:
            raise _cannot_write(path, err) from err
        with os.fdopen(handle, "w", encoding="utf-8", buffering=1) as lines:
            yield cls(path, lines)

    def write(self, refusal: Refusal) -> None:
        """Write one line.

        Raises:
            StoppedError: it cannot be written.
        """
        try:
            self._lines.write(json.dumps(asdict(refusal), ensure_ascii=False) + "\n")
        except OSError as err:
            raise _cannot_write(self._path, err) from err


def _cannot_write(path: Path, err: OSError) -> StoppedError:
    return StoppedError(
        f"{path}: refusals cannot be written ({err.strerror}), so nothing more is sent; make "
        "room, then run the same command to go on"
    )
