"""The account's metrics: which one takes what we send, and the live flows that hang on it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from backfill import limits
from backfill.display import plain
from backfill.errors import DeniedError, ScopeError

MAX_LOOKED_AT: Final = 25
"""Metrics whose flows are asked for: a schema has a handful, and 150 requests a minute are allowed.

Source: klaviyo-api 25.0.0 (revision 2026-10-15), ``get_flows_triggered_by_metric``: 10/s, 150/m."""

_FLOWS_SHOWN: Final = 10


class Reader(Protocol):
    """Reads JSON of the API that a private key opens; keeps its rates, tries again by itself."""

    def get(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One answer. Raises DeniedError where the key may not read this, StoppedError."""

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a question that is a body. Raises as ``get``."""

    def pages(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Every page, by ``links.next``. Raises as ``get``."""


@contextmanager
def understood(path: str) -> Iterator[None]:
    """Raises DeniedError where an answer has another shape than Klaviyo's."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise DeniedError(
            f"{path}: the answer is not in the shape that Klaviyo documents; check --url"
        ) from error


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric of the account. Its identity is name and integration: names are not unique."""

    id: str
    name: str
    integration: str
    """The name of who sends it: ``API``, ``Shopify`` …; empty where Klaviyo does not say."""
    is_api: bool
    created: str


@dataclass(frozen=True, slots=True)
class MetricStatus:
    """What stands in the account under one name of the plan."""

    name: str
    id: str | None
    """Of the metric that takes what we send; None: the first event makes it."""
    doubles: int
    """API metrics of this name beside it."""
    others: tuple[str, ...]
    """Integrations that have a metric of this name, which is another."""
    flows: tuple[str, ...] | None = None
    """Live flows that an event of this metric starts; None: not looked at."""


@dataclass(frozen=True, slots=True)
class MetricStatuses:
    metrics: tuple[MetricStatus, ...]
    unseen: str = ""
    """What was not looked at, and why, as a clause."""

    @property
    def flows(self) -> int:
        return sum(len(metric.flows or ()) for metric in self.metrics)


def metrics_of(reader: Reader) -> list[Metric]:
    """All metrics of the account, 200 a request. Raises DeniedError, StoppedError."""
    found: list[Metric] = []
    for page in reader.pages(limits.METRICS_PATH, {}):
        with understood(limits.METRICS_PATH):
            found.extend(_metric(one) for one in page["data"])
    return found


def standing(name: str, metrics: Iterable[Metric]) -> MetricStatus:
    """Which of the account's metrics is ours: the API's, the oldest where there are several."""
    named = [metric for metric in metrics if metric.name == name]
    ours = sorted((metric for metric in named if metric.is_api), key=lambda one: one.created)
    others = sorted({metric.integration for metric in named if not metric.is_api})
    return MetricStatus(name, ours[0].id if ours else None, max(len(ours) - 1, 0), tuple(others))


def metric_statuses(names: Sequence[str], reader: Reader) -> MetricStatuses:
    """What a person wants to know before a live run; what the key may not read is said, not raised.

    Raises StoppedError.
    """
    try:
        metrics = metrics_of(reader)
    except ScopeError:
        return MetricStatuses(
            (), "the account's metrics and flows: the key lacks the scope metrics:read"
        )
    found = [standing(name, metrics) for name in names]
    ours = [metric for metric in found if metric.id is not None]
    flows: dict[str, tuple[str, ...]] = {}
    unseen = ""
    if len(ours) > MAX_LOOKED_AT:
        unseen = f"the flows of {len(ours) - MAX_LOOKED_AT} more metrics: too many to ask for"
    try:
        for metric in ours[:MAX_LOOKED_AT]:
            flows[metric.name] = _live_flows(reader, str(metric.id))
    except ScopeError:
        unseen = "the flows that hang on metrics: the key lacks the scope flows:read"
    except DeniedError as error:
        unseen = f"the flows that hang on metrics: {error}"
    return MetricStatuses(
        tuple(
            MetricStatus(one.name, one.id, one.doubles, one.others, flows.get(one.name))
            for one in found
        ),
        unseen,
    )


def lines(metric_statuses: MetricStatuses) -> Iterator[str]:
    """For the confirmation: a line for each metric, and what could not be looked at."""
    for metric in metric_statuses.metrics:
        yield f'"{plain(metric.name)}": {"; ".join(_clauses(metric))}'
    if metric_statuses.unseen:
        yield f"not looked at: {metric_statuses.unseen}"


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
    shown = ", ".join(f'"{plain(flow)}"' for flow in metric.flows[:_FLOWS_SHOWN])
    more = len(metric.flows) - _FLOWS_SHOWN
    also = f" and {more} more" if more > 0 else ""
    count = len(metric.flows)
    yield f"{count} live {'flow hangs' if count == 1 else 'flows hang'} on it: {shown}{also}"


def _live_flows(reader: Reader, metric_id: str) -> tuple[str, ...]:
    """Names of the flows that events of a metric start now.

    Source: klaviyo-api 25.0.0, ``FlowUpdateQueryResourceObjectAttributes``: ``status`` is draft,
    manual or live. A manual flow fills its queue too, but sends nothing by itself.
    """
    path = f"{limits.METRICS_PATH}/{metric_id}/flow-triggers"
    answer = reader.get(path, {})
    with understood(path):
        flows = [(flow["id"], flow["attributes"]) for flow in answer["data"]]
        return tuple(
            str(flow.get("name") or flow_id)
            for flow_id, flow in flows
            if flow.get("status") == "live" and not flow.get("archived")
        )


def _metric(one: Mapping[str, Any]) -> Metric:
    attributes = one["attributes"]
    integration = attributes.get("integration") or {}
    said = {str(integration.get(field, "")).casefold() for field in ("key", "name")}
    return Metric(
        id=str(one["id"]),
        name=str(attributes.get("name") or ""),
        integration=str(integration.get("name") or ""),
        is_api="api" in said or not integration,
        created=str(attributes.get("created") or ""),
    )
