"""What Klaviyo turned down, one JSON line an event.

The one file of a run in which Klaviyo's own words stand, and they may quote what was sent.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from backfill.errors import StoppedError


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that Klaviyo turned down; ``key`` is the event's, in hexadecimal.

    ``detail`` may name a person: it goes into the file and nowhere else.
    """

    key: str
    metric: str
    status: int
    code: str
    detail: str = field(repr=False)


class Refusals:
    """The file ``refusals.jsonl`` of a run, begun with the first line. Readable by its owner."""

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
