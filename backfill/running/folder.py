"""The state folder: the ledger and a folder for each run. It holds personal data: 0700 and 0600."""

import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from backfill.errors import StoppedError, UsageError
from backfill.running.lock import try_lock
from backfill.running.own_file import private_file

_LOG: Final = "log.jsonl"

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
        self.unwritten: dict[str, str] = {}
        """The files about the run that could not be written, and why. The run goes on."""

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
        with self._noted(_LOG) as path:
            time = datetime.now(UTC).isoformat(timespec="milliseconds")
            line = json.dumps({"time": time, "what": what, **facts}, ensure_ascii=False)
            with private_file(path, "a") as log:
                log.write(line + "\n")

    def write_summary(self, summary: dict[str, Any]) -> None:
        with self._noted("summary.json") as path, private_file(path) as file:
            json.dump(summary, file, indent=2, ensure_ascii=False)
            file.write("\n")

    def write_report(self, page: Callable[[], str]) -> None:
        with self._noted("report.html") as path, private_file(path) as file:
            file.write(page())

    @contextmanager
    def _noted(self, name: str) -> Iterator[Path]:
        """What is said of a run cannot stop what it does: an error is kept in ``unwritten``."""
        try:
            yield self.path / name
        except Exception as error:  # noqa: BLE001 - memory may be at its end, the clock past 9999
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            self.unwritten[name] = f"{name} cannot be written ({why})"
            if name != _LOG:
                with suppress(OSError):
                    (self.path / name).unlink()  # half of it would be taken for the whole

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
        path = self.runs
        try:
            self.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Of two runs that begin in one second, one in 65,536 would get the other's name.
            while path.exists():
                path = self.runs / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
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


_NOT_OF_THE_DISK: Final = frozenset({errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE})


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate errors of the disk into StoppedError; what Klaviyo took is in the ledger."""
    try:
        yield
    except OSError as error:
        if error.errno in _NOT_OF_THE_DISK:
            raise
        raise StoppedError(
            f"{path}: {error.strerror or error}; make room or fix the folder, then run the "
            "same command to go on"
        ) from error
