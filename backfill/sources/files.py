"""Which files an export's names and patterns mean."""

import glob
from collections.abc import Sequence
from pathlib import Path

from backfill.errors import ExportError
from backfill.sources.packing import faults_of


def files_of(exports: Sequence[str | Path]) -> tuple[str, ...]:
    """The files in the order of their names; those of one pattern sorted.

    A name that exists is that file, also where it looks like a pattern.

    Raises:
        ExportError: nothing is named, a pattern or name without a file, a folder, a file twice.
    """
    names = [file for name in exports for file in _expanded(str(name))]
    if not names:
        raise ExportError("no export is named; name at least one CSV or Parquet file")
    seen: dict[Path, str] = {}
    for name in names:
        if (path := _regular(name)) in seen:
            raise ExportError(f"{name}: is named twice; its rows would count twice")
        seen[path] = name
    return tuple(names)


def _expanded(name: str) -> list[str]:
    with faults_of(name):
        exists = Path(name).exists()
    if exists or not glob.has_magic(name):
        return [name]
    # Path.glob takes no absolute pattern.
    matches = glob.glob(name, recursive=True)  # noqa: PTH207
    found = sorted(match for match in matches if not Path(match).is_dir())
    if not found:
        raise ExportError(f"{name}: no file matches this pattern")
    return found


def _regular(name: str) -> Path:
    path = Path(name)
    with faults_of(name):
        path.stat()
    if path.is_dir():
        raise ExportError(f"{name}: is a folder; name its files, for example {path / '*.csv'}")
    if not path.is_file():
        raise ExportError(f"{name}: is no regular file, and it is read twice; write it to one")
    return path.resolve()
