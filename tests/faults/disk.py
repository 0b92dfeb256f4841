"""A disk that is full: a small tmpfs where the machine allows one."""

import errno
import functools
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOMY = 64_000_000
_BLOCK = 4_096


@functools.cache
def can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        return _mount(Path(folder), ROOMY) and _run("umount", folder)


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir()
    assert _mount(folder, size)
    try:
        yield
    finally:
        _run("umount", "--lazy", str(folder))


def make_room(folder: Path) -> None:
    """What a person does whom the message told to make room."""
    (folder / "ballast").unlink(missing_ok=True)
    assert _run("mount", "-o", f"remount,size={ROOMY}", str(folder))


def fill(folder: Path, left: int) -> None:
    """Fill the disk but for so many bytes."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(_BLOCK))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        file.truncate(max(0, file.tell() - left))


def _mount(folder: Path, size: int) -> bool:
    return _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "faults", str(folder))


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    except FileNotFoundError:
        return False
