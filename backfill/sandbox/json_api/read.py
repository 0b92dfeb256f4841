"""What the JSON:API answers to queries: accounts, events, metrics, flows, aggregates."""

from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from backfill import limits
from backfill.sandbox.json_api import aggregates, queries, resources
from backfill.sandbox.json_api.endpoint import ApiRequest, Routes, read_body
from backfill.sandbox.json_api.parameters import Parameters
from backfill.sandbox.json_api.problems import Problem, ProblemsError, invalid_parameter
from backfill.sandbox.json_api.queries import AccountView, EventRow, MetricRow
from backfill.sandbox.json_api.resources import Resource
from backfill.sandbox.json_api.responses import json_response

ROUTES: Final = Routes()

_ACCOUNT_PATH: Final = f"{limits.ACCOUNTS_PATH}/{{id}}"
_METRIC_PATH: Final = f"{limits.METRICS_PATH}/{{id}}"
_FLOWS_PATH: Final = f"{_METRIC_PATH}/flow-triggers"
_METRIC_FILTERS: Final = {"integration.name": ("equals",), "integration.category": ("equals",)}
_EVENT_PARAMETERS: Final = frozenset(
    {"filter", "include", "sort", "page[size]", "page[cursor]", "fields[event]"}
    | {"fields[metric]", "fields[profile]", "fields[attribution]"}
)
_METRIC_PARAMETERS: Final = frozenset(
    {"filter", "include", "page[cursor]", "fields[metric]", "fields[flow]"}
)
_METRICS_PAGE: Final = 200
"""Source: klaviyo-api 25.0.0, Get Metrics: "a maximum of 200 results per page"."""


@ROUTES.add("GET", limits.ACCOUNTS_PATH, "accounts", "accounts:read", limits.ACCOUNTS_RATES)
async def get_accounts(request: ApiRequest) -> web.Response:
    account = resources.account(request.context.account, request.base)
    return json_response({"data": [account], "links": _links(request)})


@ROUTES.add("GET", _ACCOUNT_PATH, "account", "accounts:read", limits.ACCOUNTS_RATES)
async def get_account(request: ApiRequest) -> web.Response:
    account = request.context.account
    if request.http.match_info["id"] != account:
        raise _not_found("account")
    return json_response({"data": resources.account(account, request.base)})


@ROUTES.add("GET", limits.EVENTS_PATH, "get events", "events:read", limits.READ_RATES)
async def get_events(request: ApiRequest) -> web.Response:
    parameters = Parameters(request.http.query, _EVENT_PARAMETERS)
    include = parameters.include(("metric", "profile", "attributions"))
    rows, cursor = queries.events(
        _view(request),
        parameters.conditions(queries.EVENT_FILTERS),
        sort=parameters.choice("sort", queries.EVENT_SORTS, "-datetime"),
        size=parameters.page_size(),
        cursor=parameters.get("page[cursor]"),
    )
    document: dict[str, Any] = {
        "data": [parameters.sparse(resources.event(row, request.base)) for row in rows],
        "links": _links(request, cursor),
    }
    if include:
        related = _related(request, rows, include)
        document["included"] = [parameters.sparse(resource) for resource in related]
    return json_response(document)


def _related(request: ApiRequest, rows: list[EventRow], include: list[str]) -> list[Resource]:
    view, related = _view(request), []
    if "metric" in include:
        metrics = queries.metrics(view, {row.metric for row in rows})
        related += [resources.metric(row, request.base) for row in metrics]
    if "profile" in include:
        profiles = queries.profiles(view, {row.profile for row in rows})
        related += [resources.profile(row, request.base) for row in profiles]
    return related


@ROUTES.add("GET", limits.METRICS_PATH, "metrics", "metrics:read", limits.METRICS_RATES)
async def get_metrics(request: ApiRequest) -> web.Response:
    parameters = Parameters(request.http.query, _METRIC_PARAMETERS)
    after = queries.row_number("M", parameters.get("page[cursor]") or "M0")
    if after is None:
        raise invalid_parameter("page[cursor]", "Invalid page cursor.")
    rows = [row for row in queries.metrics(_view(request)) if row.number > after]
    page = rows[:_METRICS_PAGE]
    cursor = resources.metric_id(page[-1].number) if len(rows) > len(page) else None
    metrics = [resources.metric(row, request.base) for row in page]
    if cursor is None:
        metrics += _platform_metrics(request)
    integration = {
        condition.field.removeprefix("integration."): condition.text
        for condition in parameters.conditions(_METRIC_FILTERS)
    }
    document: dict[str, Any] = {
        "data": [
            parameters.sparse(metric)
            for metric in metrics
            if integration.items() <= metric["attributes"]["integration"].items()
        ],
        "links": _links(request, cursor),
    }
    if parameters.include(("flow-triggers",)):
        flows = (flow for row in page for flow in _flows(request, row))
        document["included"] = [parameters.sparse(flow) for flow in flows]
    return json_response(document)


@ROUTES.add("GET", _METRIC_PATH, "metric", "metrics:read", limits.METRICS_RATES)
async def get_metric(request: ApiRequest) -> web.Response:
    parameters = Parameters(request.http.query, _METRIC_PARAMETERS)
    metric = resources.metric(_requested_metric(request), request.base)
    return json_response({"data": parameters.sparse(metric)})


@ROUTES.add("GET", _FLOWS_PATH, "flows", "flows:read", limits.METRICS_RATES)
async def get_flow_triggers(request: ApiRequest) -> web.Response:
    parameters = Parameters(request.http.query, {"fields[flow]"})
    flows = _flows(request, _requested_metric(request))
    data = [parameters.sparse(flow) for flow in flows]
    return json_response({"data": data, "links": _links(request)})


@ROUTES.add("POST", limits.AGGREGATES_PATH, "aggregates", "metrics:read", limits.AGGREGATES_RATES)
async def query_metric_aggregates(request: ApiRequest) -> web.Response:
    query = aggregates.parse_query(await read_body(request.http))
    view = _view(request)
    metric = queries.metric(view, query.asked.metric_id)
    if metric is None:
        detail = f"Metric with ID {query.asked.metric_id[:20]} does not exist."
        pointer = "/data/attributes/metric_id"
        raise ProblemsError(Problem("metric", detail, pointer=pointer))
    start_s, end_s = query.start.timestamp(), query.end.timestamp()
    events = queries.values(view, metric.number, start_s, end_s)
    links = {"self": f"{request.base}{limits.AGGREGATES_PATH}"}
    aggregate = {
        "type": "metric-aggregate",
        "id": str(request.api.store.counts["requests"]),
        "attributes": aggregates.aggregate(query, events),
        "links": links,
    }
    return json_response({"data": aggregate, "links": links})


def _view(request: ApiRequest) -> AccountView:
    until_s = request.context.now_s - request.api.behaviour.visible_after_s
    return AccountView(request.api.store, request.context.account, until_s)


def _requested_metric(request: ApiRequest) -> MetricRow:
    row = queries.metric(_view(request), request.http.match_info["id"])
    if row is None:
        raise _not_found("metric")
    return row


def _platform_metrics(request: ApiRequest) -> list[Resource]:
    platforms = enumerate(request.api.behaviour.platforms.items(), 1)
    return [
        resources.platform_metric(number, name, platform, request.base)
        for number, (name, platform) in platforms
    ]


def _flows(request: ApiRequest, row: MetricRow) -> list[Resource]:
    """The flows that a metric triggers."""
    flows = enumerate(request.api.behaviour.flows.get(row.name, ()), 1)
    return [
        resources.flow(f"F{row.number:03d}{place:02d}", name, status, request.base)
        for place, (name, status) in flows
    ]


def _links(request: ApiRequest, cursor: str | None = None) -> dict[str, str | None]:
    """``cursor`` is the next page's; Klaviyo writes null for a page that is not there.

    Source: OAS, ``CollectionLinks``.
    """
    url, query = f"{request.base}{request.http.path}", dict(request.http.query)
    return {
        "self": f"{url}?{urlencode(query)}" if query else url,
        "next": f"{url}?{urlencode(query | {'page[cursor]': cursor})}" if cursor else None,
        "prev": None,
    }


def _not_found(kind: str) -> ProblemsError:
    return ProblemsError(Problem("not_found", f"A {kind} with that id does not exist.", status=404))
