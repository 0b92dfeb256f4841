"""The runs of a state folder, with the state that each is in now."""

import json
from pathlib import Path
from typing import Any

from backfill.errors import BusyError, UsageError
from backfill.ledger.runs import RunState, read_runs
from backfill.report.summary import iso
from backfill.running.lock import hold


def known_runs(state: Path) -> list[dict[str, Any]]:
    """Every run, the newest last. Raises UsageError if there is no ledger."""
    path = state / "ledger.sqlite"
    if not path.exists():
        raise UsageError(f"{state}: no runs yet (no ledger there); is --state right?")
    found = read_runs(path)
    alive = _is_held(state)
    known = []
    for run in found:
        now: RunState = "killed" if run.state == "running" and not alive else run.state
        known.append(
            {
                "run": run.id,
                "schema": run.schema_name,
                "state": now,
                "started": iso(run.started),
                "ended": iso(run.ended) if run.ended is not None else None,
                "command": run.command,
                "next": run.command if now in ("stopped", "killed") else "",
                "summary": json.loads(run.summary),
            }
        )
    return known


def _is_held(state: Path) -> bool:
    """Whether a process works there. Without one, a run that is called running was killed."""
    try:
        with hold(state):
            return False
    except BusyError:
        return True
