"""A sample export goes into a local Klaviyo; then its counts are shown beside those of the plan."""

import tempfile
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from backfill.account.account import Account
from backfill.report.summary import Summary
from backfill.report.summary_text import lines
from backfill.running.progress import Bars
from backfill.running.run import Backfill
from backfill.running.settings import Options
from backfill.sandbox import Sandbox
from backfill.schema.load import load_schema

HERE: Final = Path(__file__).parent
KEY: Final = "DEMO01"


def show(echo: Callable[[str], None]) -> None:
    """Backfill ``orders.csv`` beside this file; nothing stays behind."""
    schema = load_schema(HERE / "orders.yaml")
    with tempfile.TemporaryDirectory() as state, Sandbox() as sandbox:
        echo(f"orders.csv, as {schema.schema.name} maps it, into {sandbox.url}")
        with closing(Bars(disable=False)) as bars:
            hooks = bars.hooks(threading.Event(), lambda _, __: True, echo)
            account = Account(sandbox.url, KEY, id=KEY)
            export = [HERE / "orders.csv"]
            summary = Backfill(schema, export, Path(state), account, Options(), hooks).run().summary
        recorded = sandbox.stats()
    for line in (*lines(replace(summary, notes=())), "", *_comparison(summary, recorded)):
        echo(line)


def _comparison(summary: Summary, recorded: dict[str, Any]) -> list[str]:
    rows = [("metric", "planned", "recorded")]
    rows += [
        (metric.metric, f"{metric.events:,}", f"{recorded['metrics'].get(metric.metric, 0):,}")
        for metric in summary.metrics
    ]
    rows.append(("people", f"{summary.people:,}", f"{recorded['profiles']:,}"))
    return [f"{name:<18}{planned:>9}{found:>10}" for name, planned, found in rows]
