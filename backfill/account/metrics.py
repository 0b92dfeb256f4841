"""The account's metrics: which one takes what we send, and the live flows that it starts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from backfill import limits
from backfill.account.reader import Reader
from backfill.errors import DeniedError, ScopeError

MAX_METRICS_WITH_FLOWS: Final = 25
"""Metrics whose flows are asked for, a request each: a schema has a handful, and 150 requests a
minute are allowed.

Source: docs/klaviyo.md, "Rate limits and errors"."""


@contextmanager
def expected_shape(path: str) -> Iterator[None]:
    """Read an answer that was given for ``path``.

    Raises:
        DeniedError: it has another shape than Klaviyo documents.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        raise DeniedError(
            f"{path}: the answer is not in the shape that Klaviyo documents; check --url"
        ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric of the account, which is its name and its integration: names are not unique.

    Source: docs/klaviyo.md, "Metrics and aggregates".
    """

    id: str
    name: str
    integration: str
    """The name of the sender: ``API``, ``Shopify`` …; empty where Klaviyo does not say."""
    is_api: bool
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricStatus:
    """What the account has under one name of the plan."""

    name: str
    id: str | None
    """Of the metric that takes what we send; None where the first event makes it."""
    doubles: int
    """Other API metrics of this name."""
    others: tuple[str, ...]
    """Integrations that have a metric of this name, which is another one."""
    flows: tuple[str, ...] | None = None
    """Names of the live flows that an event of this metric starts; None where nobody looked."""


@dataclass(frozen=True, slots=True)
class MetricStatuses:
    metrics: tuple[MetricStatus, ...]
    not_looked_at: str = ""
    """What was left out, and why; empty for nothing."""


def metrics_of(reader: Reader) -> list[Metric]:
    """Give all metrics of the account, 200 a request. Raises as ``Reader.get``."""
    found: list[Metric] = []
    for page in reader.pages(limits.METRICS_PATH):
        with expected_shape(limits.METRICS_PATH):
            found.extend(_metric(one) for one in page["data"])
    return found


def metric_status(name: str, metrics: Iterable[Metric]) -> MetricStatus:
    """Choose the metric of this name that is the API's, the oldest where there are several."""
    named = [metric for metric in metrics if metric.name == name]
    ours = sorted((metric for metric in named if metric.is_api), key=lambda one: one.created)
    return MetricStatus(
        name=name,
        id=ours[0].id if ours else None,
        doubles=max(len(ours) - 1, 0),
        others=tuple(sorted({metric.integration for metric in named if not metric.is_api})),
    )


def metric_statuses(names: Sequence[str], reader: Reader) -> MetricStatuses:
    """Look up what a person wants to know before a live run.

    What the key may not read is in ``not_looked_at``.

    Raises:
        DeniedError: Klaviyo rejects the key.
        StoppedError: no answer.
    """
    try:
        metrics = metrics_of(reader)
    except ScopeError:
        return MetricStatuses(
            (), "the account's metrics and flows: the key lacks the scope metrics:read"
        )
    found = [metric_status(name, metrics) for name in names]
    known = [metric for metric in found if metric.id is not None]
    flows: dict[str, tuple[str, ...]] = {}
    not_looked_at = ""
    if len(known) > MAX_METRICS_WITH_FLOWS:
        more = len(known) - MAX_METRICS_WITH_FLOWS
        not_looked_at = f"the flows of {more} more metrics: too many to ask for"
    try:
        for metric in known[:MAX_METRICS_WITH_FLOWS]:
            flows[metric.name] = _live_flows(reader, str(metric.id))
    except ScopeError:
        not_looked_at = "the flows that metrics start: the key lacks the scope flows:read"
    except DeniedError as error:
        not_looked_at = f"the flows that metrics start: {error}"
    return MetricStatuses(
        tuple(replace(metric, flows=flows.get(metric.name)) for metric in found), not_looked_at
    )


def _live_flows(reader: Reader, metric_id: str) -> tuple[str, ...]:
    """Give the names of the flows that events of a metric start now.

    A manual flow fills its queue too, but sends nothing by itself.

    Source: docs/klaviyo.md, "Metrics and aggregates".
    """
    path = f"{limits.METRICS_PATH}/{metric_id}/flow-triggers"
    answer = reader.get(path)
    with expected_shape(path):
        flows = [(flow["id"], flow["attributes"]) for flow in answer["data"]]
        return tuple(
            str(flow.get("name") or flow_id)
            for flow_id, flow in flows
            if flow.get("status") == "live" and not flow.get("archived")
        )


def _metric(one: Mapping[str, Any]) -> Metric:
    attributes = one["attributes"]
    integration = attributes.get("integration") or {}
    names = {str(integration.get(field, "")).casefold() for field in ("key", "name")}
    return Metric(
        id=str(one["id"]),
        name=str(attributes.get("name") or ""),
        integration=str(integration.get("name") or ""),
        is_api="api" in names or not integration,
        created=str(attributes.get("created") or ""),
    )
