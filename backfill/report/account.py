"""What the account has of a plan's metrics before a live run, as lines for a person."""

from collections.abc import Iterator
from typing import Final

from backfill.account.metrics import MetricStatus, MetricStatuses
from backfill.display import counted, listed, plain

_FLOWS_SHOWN: Final = 10


def metric_lines(statuses: MetricStatuses) -> Iterator[str]:
    """A line for each metric, and one for what was not looked at."""
    for metric in statuses.metrics:
        yield f'"{plain(metric.name)}": {"; ".join(_clauses(metric))}'
    if statuses.not_looked_at:
        yield f"not looked at: {statuses.not_looked_at}"


def _clauses(metric: MetricStatus) -> Iterator[str]:
    yield "the account has it from the API" if metric.id else "the first event makes this metric"
    if metric.doubles:
        yield f"the API has {metric.doubles + 1} metrics of this name, the oldest is meant"
    if metric.others:
        names = ", ".join(
            plain(other) or "an integration without a name" for other in metric.others
        )
        yield f"{names} has one of the same name, which stays a metric of its own beside it"
    if metric.flows is None:
        return
    if not metric.flows:
        yield "no live flow hangs on it"
        return
    shown = listed([f'"{plain(flow)}"' for flow in metric.flows], _FLOWS_SHOWN)
    yield f"{counted(len(metric.flows), 'live flow hangs', 'live flows hang')} on it: {shown}"
