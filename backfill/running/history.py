"""The runs of a state folder, as status shows them."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backfill.errors import BusyError, UsageError
from backfill.ledger.ledger import RunState, read_runs
from backfill.running.lock import hold


def known_runs(state: Path) -> list[dict[str, Any]]:
    """Every run, the newest last. Raises UsageError where there is no ledger."""
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
                "started": _iso(run.started),
                "ended": _iso(run.ended) if run.ended is not None else None,
                "command": run.command,
                "next": run.command if now in ("stopped", "killed") else "",
                "summary": json.loads(run.summary),
            }
        )
    return known


def _is_held(state: Path) -> bool:
    """Whether a process is at work there: a run that says so without one was killed."""
    try:
        with hold(state):
            return False
    except BusyError:
        return True


def run_lines(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    for run in runs:
        figures = run["summary"]
        sent = (
            f"{figures['delivered']:,} delivered, {figures['left']:,} left"
            if "left" in figures
            else ""
        )
        yield f"{run['run']}  {run['state']:<9} {run['schema']}  {sent}".rstrip()
    if runs and runs[-1]["next"]:
        yield f"go on with: {runs[-1]['next']}"


def _iso(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
