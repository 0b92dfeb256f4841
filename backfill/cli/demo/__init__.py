"""A sample export goes into a local Klaviyo; what landed is shown beside what was planned."""

import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from backfill.account.account import Account
from backfill.report.summary import Summary
from backfill.report.summary_text import lines
from backfill.running.progress import Bars
from backfill.running.run import Backfill
from backfill.running.settings import Options
from backfill.sandbox import Sandbox
from backfill.schema.load import load_schema

HERE = Path(__file__).parent
KEY = "DEMO01"


def show(echo: Callable[[str], None]) -> None:
    """Backfill ``orders.csv`` beside this file; nothing stays behind."""
    schema = load_schema(HERE / "orders.yaml")
    with tempfile.TemporaryDirectory() as state, Sandbox() as sandbox, Bars(disable=False) as bars:
        echo(f"orders.csv, as {schema.schema.name} maps it, into {sandbox.url}")
        work = Backfill(
            schema,
            [HERE / "orders.csv"],
            Path(state),
            Account(sandbox.url, KEY, id=KEY),
            Options(),
            bars.hooks(threading.Event(), lambda _, __: True),
        )
        summary = work.run().summary
        bars.close()
        for line in lines(replace(summary, notes=())):
            echo(line)
        echo("")
        for line in _beside(summary, sandbox.stats()):
            echo(line)


def _beside(summary: Summary, landed: dict[str, Any]) -> list[str]:
    rows = [("metric", "planned", "landed")]
    rows += [
        (metric.metric, f"{metric.events:,}", f"{landed['metrics'].get(metric.metric, 0):,}")
        for metric in summary.metrics
    ]
    rows.append(("people", f"{summary.people:,}", f"{landed['profiles']:,}"))
    return [f"{name:<18}{planned:>9}{found:>9}" for name, planned, found in rows]
