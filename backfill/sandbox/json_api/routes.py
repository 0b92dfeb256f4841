"""The endpoints of today's API: where each stands, what it asks of a key, its rate limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from backfill import limits
from backfill.sandbox.json_api.behaviour import Behaviour
from backfill.sandbox.json_api.endpoint import Answer
from backfill.sandbox.json_api.posting import Posting
from backfill.sandbox.json_api.read import Looking
from backfill.sandbox.store.store import Store


@dataclass(frozen=True, slots=True)
class Route:
    """``name`` is what the sandbox counts its requests by."""

    name: str
    method: str
    path: str
    scope: str
    rates: Sequence[tuple[int, float]]
    answer: Answer


def routes(store: Store, behaviour: Behaviour) -> list[Route]:
    post, look = Posting(store, behaviour), Looking(store, behaviour)
    metric = f"{limits.METRICS_PATH}/{{id}}"
    account = f"{limits.ACCOUNTS_PATH}/{{id}}"
    flows = f"{metric}/flow-triggers"
    rows: list[tuple[str, str, str, str, Sequence[tuple[int, float]], Answer]] = [
        (
            "events",
            "POST",
            limits.EVENTS_PATH,
            "events:write",
            limits.EVENTS_RATES,
            post.create_event,
        ),
        ("bulk", "POST", limits.BULK_PATH, "events:write", limits.BULK_RATES, post.bulk),
        ("get events", "GET", limits.EVENTS_PATH, "events:read", limits.READ_RATES, look.events),
        (
            "accounts",
            "GET",
            limits.ACCOUNTS_PATH,
            "accounts:read",
            limits.ACCOUNTS_RATES,
            look.accounts,
        ),
        ("account", "GET", account, "accounts:read", limits.ACCOUNTS_RATES, look.account),
        ("metrics", "GET", limits.METRICS_PATH, "metrics:read", limits.METRICS_RATES, look.metrics),
        ("metric", "GET", metric, "metrics:read", limits.METRICS_RATES, look.metric),
        ("flows", "GET", flows, "flows:read", limits.METRICS_RATES, look.flow_triggers),
        (
            "aggregates",
            "POST",
            limits.AGGREGATES_PATH,
            "metrics:read",
            limits.AGGREGATES_RATES,
            look.aggregates,
        ),
    ]
    return [Route(*row) for row in rows]
