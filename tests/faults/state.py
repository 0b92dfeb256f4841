"""The state folder as somebody sees it who does not trust the product."""

import shutil
import sqlite3
import stat
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.faults.steps import Damage

LEDGER = "ledger.sqlite"
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Held:
    """What the ledger holds; of a damaged one, nothing."""

    keys: frozenset[bytes] = frozenset()
    count: int = 0
    """With repeats."""
    runs: tuple[tuple[str, str], ...] = ()
    """Id and state, in the sequence in which they were begun."""


def held(state: Path) -> Held:
    """Read a copy: to open the ledger itself would bring its WAL into it."""
    if not (state / LEDGER).exists():
        return Held()
    with tempfile.TemporaryDirectory() as folder:
        for name in (LEDGER, f"{LEDGER}-wal"):
            if (state / name).exists():
                shutil.copy(state / name, Path(folder) / name)
        try:
            return _read(Path(folder) / LEDGER)
        except (sqlite3.Error, OSError, TypeError):  # NULL where a blob was
            return Held()


def _read(path: Path) -> Held:
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = lambda text: text.decode(errors="replace")
        blobs = [blob for (blob,) in connection.execute("SELECT keys FROM batches")]
        runs = connection.execute("SELECT id, state FROM runs ORDER BY rowid").fetchall()
    keys = [
        blob[start : start + _KEY_BYTES]
        for blob in blobs
        for start in range(0, len(blob), _KEY_BYTES)
    ]
    return Held(frozenset(keys), len(keys), tuple(runs))


def damage(state: Path, what: Damage) -> str:
    """Do it, and say at which byte of how many."""
    path = state / what.file
    whole = bytearray(path.read_bytes())
    assert whole, f"{what.file} is there, and empty"
    place = int(len(whole) * what.share)
    if what.how == "cut":
        del whole[place:]
    else:
        whole[place] ^= what.mask
    with path.open("r+b") as file:  # the same file: modes and links stay
        file.truncate(0)
        file.write(whole)
    return f"{what.how} at byte {place} of {path.stat().st_size if what.how == 'flip' else '…'}"


def assert_private(state: Path) -> None:
    for path in (state, *state.rglob("*")):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue  # of a process that is at work
        wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
        assert stat.S_IMODE(mode) == wanted, f"{path} has mode {stat.S_IMODE(mode):o}"


def assert_swept(state: Path) -> None:
    """Nothing is left of plans, spilled rows and half-made files."""
    left = [path for path in state.rglob("*") if path.name in {"plan", "spill"}]
    left += [path for path in state.glob("*") if path.suffix in {".new", ".tmp"}]
    left += list(state.glob(f"{LEDGER}-*"))
    assert not left, f"left behind: {', '.join(str(path) for path in left)}"
