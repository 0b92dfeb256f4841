"""Whether a file is still the one that was opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backfill.errors import ExportError
from backfill.sources.packing import faults_of


class Version:
    """A file's size and time of change, as they were when this was made."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._first = self._now()

    def assert_unchanged(self) -> None:
        """Raises ExportError where the file is another by now, or gone."""
        if self._now() != self._first:
            raise ExportError(
                f"{self._name}: was changed while it was read; start again "
                "when nothing writes to it any more"
            )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Around one pass over the file: a change is told, not the fault that it looks like.

        A pass that is left before its end is not checked at its end.
        """
        self.assert_unchanged()
        try:
            yield
        except ExportError:
            self.assert_unchanged()
            raise
        self.assert_unchanged()

    def _now(self) -> tuple[int, int]:
        with faults_of(self._name):
            found = self._path.stat()
        return found.st_size, found.st_mtime_ns
