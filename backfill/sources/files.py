"""The files of an export: which ones its names mean, and whether they can still be read."""

import glob
import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backfill.errors import ExportError

_Identity = tuple[int, int] | Path
"""Device and inode, because a hard link is the same file just as a symbolic link is. The path
where a file system has no inodes (0)."""


def printable_name(name: str) -> str:
    r"""A file's name as text that can be printed; bytes that are not UTF-8 become ``\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def expand_names(exports: Sequence[str | Path]) -> tuple[str, ...]:
    """The files in the order of ``exports``; those of one pattern sorted.

    A name that exists is that file, even if it looks like a pattern.

    Raises:
        ExportError: nothing is named, a pattern or name without a file, a folder, a file twice.
    """
    names = [file for name in exports for file in _expand(str(name))]
    if not names:
        raise ExportError("no export is named; name at least one CSV or Parquet file")
    seen: dict[_Identity, str] = {}
    for name in names:
        identity = _identity(name)
        if first := seen.get(identity):
            same = "named twice" if first == name else f"the same file as {printable_name(first)}"
            raise ExportError(
                f"{printable_name(name)}: is {same}; its rows would count twice, name it once"
            )
        seen[identity] = name
    return tuple(names)


def _expand(name: str) -> list[str]:
    with read_errors(printable_name(name)):
        exists = Path(name).exists()
    if exists or not glob.has_magic(name):
        return [name]
    # Path.glob takes no absolute pattern.
    matches = glob.glob(name, recursive=True)  # noqa: PTH207
    found = sorted(match for match in matches if not Path(match).is_dir())
    if not found:
        raise ExportError(f"{printable_name(name)}: no file matches this pattern")
    return found


def _identity(name: str) -> _Identity:
    path = Path(name)
    text = printable_name(name)
    with read_errors(text):
        found = path.stat()
    if path.is_dir():
        example = printable_name(str(path / "*.csv"))
        raise ExportError(f"{text}: is a folder; name its files, for example {example}")
    if not path.is_file():
        raise ExportError(
            f"{text}: is not a regular file, and an export is read twice; save it to a file"
        )
    return (found.st_dev, found.st_ino) if found.st_ino else path.resolve()


class FileVersion:
    """A file's size and time of change, as they were when this was made."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._first = self._current()

    def assert_unchanged(self) -> None:
        """Raise ExportError if the file has changed or is gone."""
        if self._current() != self._first:
            raise ExportError(
                f"{self._name}: was changed while it was read; start again "
                "when nothing writes to it any more"
            )

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Check the file before and after one pass over it.

        If the pass fails and the file has changed, the error names the change, because the change
        explains the failure. A pass that is abandoned before its end is not checked at its end.
        """
        self.assert_unchanged()
        try:
            yield
        except ExportError:
            self.assert_unchanged()
            raise
        self.assert_unchanged()

    def _current(self) -> tuple[int, int]:
        with read_errors(self._name):
            found = self._path.stat()
        return found.st_size, found.st_mtime_ns


@contextmanager
def read_errors(name: str) -> Iterator[None]:
    """Translate what the system and the decompressors raise into an ExportError."""
    try:
        yield
    except FileNotFoundError as error:
        raise ExportError(f"{name}: there is no such file") from error
    except PermissionError as error:
        raise ExportError(f"{name}: may not be read by this user; check its permissions") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ExportError(f"{name}: {_damage('gzip', error)}") from error
    except OSError as error:
        if error.errno is None:  # pyarrow's decompressor raises an OSError without a number
            raise ExportError(f"{name}: {_damage('zstd', error)}") from error
        raise ExportError(f"{name}: cannot be read ({error.strerror})") from error


def _damage(compression: str, error: Exception) -> str:
    cut = isinstance(error, EOFError) or "Truncated" in str(error)
    what = "ends too early" if cut else "is damaged"
    return f"the {compression} data {what}; download or copy the file again"
