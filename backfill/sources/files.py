"""Which files an export's names and patterns mean."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from backfill.errors import ExportError
from backfill.sources.packing import faults_of

_Identity = tuple[int, int] | Path
"""Device and inode: a hard link is the same file as much as a symbolic one. Where a file system
has no inodes (0), the path."""


def shown(name: str) -> str:
    r"""A file's name as text that can be printed; bytes that are no UTF-8 come as ``\xe9``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def files_of(exports: Sequence[str | Path]) -> tuple[str, ...]:
    """The files in the order of their names; those of one pattern sorted.

    A name that exists is that file, also where it looks like a pattern.

    Raises:
        ExportError: nothing is named, a pattern or name without a file, a folder, a file twice.
    """
    names = [file for name in exports for file in _expanded(str(name))]
    if not names:
        raise ExportError("no export is named; name at least one CSV or Parquet file")
    seen: dict[_Identity, str] = {}
    for name in names:
        identity = _identity(name)
        if first := seen.get(identity):
            same = "named twice" if first == name else f"the same file as {shown(first)}"
            raise ExportError(f"{shown(name)}: is {same}; its rows would count twice, name it once")
        seen[identity] = name
    return tuple(names)


def _expanded(name: str) -> list[str]:
    with faults_of(shown(name)):
        exists = Path(name).exists()
    if exists or not glob.has_magic(name):
        return [name]
    # Path.glob takes no absolute pattern.
    matches = glob.glob(name, recursive=True)  # noqa: PTH207
    found = sorted(match for match in matches if not Path(match).is_dir())
    if not found:
        raise ExportError(f"{shown(name)}: no file matches this pattern")
    return found


def _identity(name: str) -> _Identity:
    path = Path(name)
    text = shown(name)
    with faults_of(text):
        found = path.stat()
    if path.is_dir():
        example = shown(str(path / "*.csv"))
        raise ExportError(f"{text}: is a folder; name its files, for example {example}")
    if not path.is_file():
        raise ExportError(f"{text}: is no regular file, and it is read twice; write it to one")
    return (found.st_dev, found.st_ino) if found.st_ino else path.resolve()
