"""The state folder: the ledger and a folder for each run. It holds personal data: 0700 and 0600."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from backfill.errors import StoppedError, UsageError
from backfill.running.lock import try_lock

PLAN_SHARE: Final = 1.5
"""The bytes that a plan may take for a byte of the export's text.

Measured at the peak: 0.8 where each row is an order, 1.3 where rows are gathered into orders."""


class RunFolder:
    """What one run leaves: summary, report, rejects, refusals, log; while it works, its plan."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.plan = path / "plan"
        self.rejects = path / "rejects.csv"
        self.undecided = path / "undecided.csv"
        self.refusals = path / "refusals.jsonl"

    def space_note(self, text_bytes: int) -> str | None:
        """A line for people if the plan of ``text_bytes`` of export may not fit on the disk."""
        try:
            free = shutil.disk_usage(self.path).free
        except OSError:  # some network disks do not say
            return None
        most = PLAN_SHARE * text_bytes
        if most <= free:
            return None
        return (
            f"{self.path}: the plan may take {most / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are "
            "free; if the disk fills, the run ends and nothing is sent: make room, or name a "
            "folder on a larger disk with --state"
        )

    def log(self, what: str, **facts: object) -> None:
        """Append a line to log.jsonl; facts name rows, columns and counts, never a person."""
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "what": what, **facts}
        with private_file(self.path / "log.jsonl", "a") as log:
            log.write(json.dumps(line, ensure_ascii=False) + "\n")

    def write_summary(self, summary: dict[str, Any]) -> None:
        with private_file(self.path / "summary.json") as file:
            json.dump(summary, file, indent=2, ensure_ascii=False)
            file.write("\n")

    def write_report(self, page: str) -> None:
        with private_file(self.path / "report.html") as file:
            file.write(page)

    def drop_plan(self) -> None:
        shutil.rmtree(self.plan, ignore_errors=True)

    def hold_plan(self) -> Callable[[], None]:
        """Keep the plan after the run has ended; returns the function that releases it.

        If the process dies before that, the system releases the plan, and the next run removes it.
        """
        handle = try_lock(self.plan / "held")

        def release() -> None:
            if handle is not None:
                os.close(handle)
            self.drop_abandoned_plan()

        return release

    def _plan_is_held(self) -> bool:
        try:
            handle = try_lock(self.plan / "held")
        except OSError:  # there is no plan
            return False
        if handle is not None:
            os.close(handle)
        return handle is None

    def drop_abandoned_plan(self) -> None:
        """Remove the plan, unless --keep-plan was passed or a process holds it."""
        if not (self.plan / "keep").exists() and not self._plan_is_held():
            self.drop_plan()


class StateFolder:
    """Where the ledger and all runs are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = path / "ledger.sqlite"
        self.runs = path / "runs"
        self.temporary = path / "scratch"
        """For the process that holds the lock; it removes the folder at its end."""

    def begin(self, now: datetime) -> RunFolder:
        """Make a new run's folder. The caller holds the lock."""
        run = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        path = self.runs / run
        try:
            self.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(mode=0o700)
        except OSError as error:
            raise UsageError(f"{path}: cannot be created ({error.strerror})") from error
        return RunFolder(path)

    def run(self, run_id: str) -> RunFolder:
        return RunFolder(self.runs / run_id)

    def drop_abandoned_plans(self) -> None:
        """Remove the plans that killed runs left. The caller holds the lock."""
        shutil.rmtree(self.temporary, ignore_errors=True)
        if self.runs.is_dir():
            for run in self.runs.iterdir():
                RunFolder(run).drop_abandoned_plan()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate errors of the disk into StoppedError; what Klaviyo took is in the ledger."""
    try:
        yield
    except OSError as error:
        raise StoppedError(
            f"{path}: {error.strerror or error}; make room or fix the folder, then run the "
            "same command to go on"
        ) from error


def private_file(path: Path, mode: Literal["w", "a"] = "w") -> TextIO:
    """Open a text file that only its owner can read, from its first byte on."""
    only_owner = partial(os.open, mode=0o600)
    return open(path, mode, encoding="utf-8", newline="", opener=only_owner)
