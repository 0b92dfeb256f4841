"""The runs of a state folder as lines for a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backfill.display import shortened


def lines(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line a run, then the command that continues the last one.

    Args:
        runs: as ``running.history.known_runs`` returns them.
    """
    for run in runs:
        counts = run["summary"]
        sent = (
            f"{counts['delivered']:,} delivered, {counts['left']:,} left"
            if "left" in counts
            else ""
        )
        sent += _in_account(counts.get("in_account") or {})
        yield f"{run['run']}  {run['state']:<9} {shortened(run['schema'])}  {sent}".rstrip()
    if runs and runs[-1]["next"]:
        yield f"go on with: {runs[-1]['next']}"


def _in_account(there: Mapping[str, int]) -> str:
    kinds = (("found", "found"), ("not_visible", "not visible yet"), ("missing", "missing"))
    return "".join(f", {there[key]:,} {kind}" for key, kind in kinds if there.get(key))
