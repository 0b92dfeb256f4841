"""The state folder: the ledger and a folder for each run. It holds personal data: 0700 and 0600."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from backfill.errors import UsageError


@dataclass(frozen=True, slots=True)
class RunFolder:
    """What one run leaves: summary, rejects, refusals, log; while it works, its plan."""

    path: Path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def plan(self) -> Path:
        return self.path / "plan"

    @property
    def rejects(self) -> Path:
        return self.path / "rejects.csv"

    @property
    def refusals(self) -> Path:
        return self.path / "refusals.jsonl"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    def log(self, what: str, **facts: object) -> None:
        """One line more in log.jsonl; facts name rows, columns and counts, never a person."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "what": what, **facts}
        with private_file(self.path / "log.jsonl", append=True) as log:
            log.write(json.dumps(line, ensure_ascii=False) + "\n")

    def write_summary(self, summary: dict[str, Any]) -> None:
        with private_file(self.summary) as file:
            json.dump(summary, file, indent=2, ensure_ascii=False)
            file.write("\n")

    def drop_plan(self) -> None:
        shutil.rmtree(self.plan, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class State:
    path: Path

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.sqlite"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    def begin(self, now: datetime) -> RunFolder:
        """A new run's folder. Whoever calls this holds the lock."""
        run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        path = self.runs / run
        try:
            self.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
        except OSError as error:
            raise UsageError(f"{path}: cannot be made ({error.strerror})") from error
        return RunFolder(path)

    def drop_dead_plans(self) -> None:
        """Take away the plans that killed runs left, but those kept by --keep-plan."""
        if self.runs.is_dir():
            for run in self.runs.iterdir():
                if not (run / "plan" / "keep").exists():
                    RunFolder(run).drop_plan()


@contextmanager
def private_file(path: Path, *, append: bool = False) -> Iterator[TextIO]:
    """A text file that only its owner reads, from its first byte on."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    handle = os.open(path, flags, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        yield file
