"""What the JSON:API answers to queries: accounts, events, metrics, flows, aggregates."""

from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from backfill import limits
from backfill.sandbox.json_api import aggregates, queries, resources
from backfill.sandbox.json_api.access import RequestContext
from backfill.sandbox.json_api.endpoint import JsonApi, Routes, read_body
from backfill.sandbox.json_api.parameters import Parameters
from backfill.sandbox.json_api.problems import (
    Problem,
    ProblemsError,
    invalid_parameter,
    json_response,
)
from backfill.sandbox.json_api.queries import AccountView, EventRow, MetricRow
from backfill.sandbox.json_api.resources import Resource

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
async def get_accounts(_: JsonApi, request: web.Request, context: RequestContext) -> web.Response:
    account = resources.account(context.account, _base(request))
    return json_response({"data": [account], "links": _links(request, None)})


@ROUTES.add("GET", _ACCOUNT_PATH, "account", "accounts:read", limits.ACCOUNTS_RATES)
async def get_account(_: JsonApi, request: web.Request, context: RequestContext) -> web.Response:
    if request.match_info["id"] != context.account:
        raise _not_found("account")
    return json_response({"data": resources.account(context.account, _base(request))})


@ROUTES.add("GET", limits.EVENTS_PATH, "get events", "events:read", limits.READ_RATES)
async def get_events(api: JsonApi, request: web.Request, context: RequestContext) -> web.Response:
    parameters = Parameters(request.query, _EVENT_PARAMETERS)
    view, base = _view(api, context), _base(request)
    included = parameters.include(("metric", "profile", "attributions"))
    rows, cursor = queries.events(
        view,
        parameters.conditions(queries.EVENT_FILTERS),
        sort=parameters.choice("sort", queries.EVENT_SORTS, "-datetime"),
        size=parameters.page_size(),
        cursor=parameters.get("page[cursor]"),
    )
    fields = parameters.names("fields[event]")
    document: dict[str, Any] = {
        "data": [resources.sparse(resources.event(row, base), fields) for row in rows],
        "links": _links(request, cursor),
    }
    if included:
        document["included"] = _included(view, rows, included, parameters, base)
    return json_response(document)


def _included(
    view: AccountView,
    rows: list[EventRow],
    included: list[str],
    parameters: Parameters,
    base: str,
) -> list[Resource]:
    found = []
    if "metric" in included:
        fields = parameters.names("fields[metric]")
        metrics = queries.metrics(view, {row.metric for row in rows})
        found += [resources.sparse(resources.metric(row, base), fields) for row in metrics]
    if "profile" in included:
        profiles = queries.profiles(view, {row.profile for row in rows})
        found += [resources.profile(row, base) for row in profiles]
    return found


@ROUTES.add("GET", limits.METRICS_PATH, "metrics", "metrics:read", limits.METRICS_RATES)
async def get_metrics(api: JsonApi, request: web.Request, context: RequestContext) -> web.Response:
    parameters = Parameters(request.query, _METRIC_PARAMETERS)
    base = _base(request)
    wanted = {
        condition.field.removeprefix("integration."): condition.text
        for condition in parameters.conditions(_METRIC_FILTERS)
    }
    after = queries.row_number("M", parameters.get("page[cursor]") or "M0")
    if after is None:
        raise invalid_parameter("page[cursor]", "Invalid page cursor.")
    rows = [row for row in queries.metrics(_view(api, context)) if row.number > after]
    page = rows[:_METRICS_PAGE]
    metrics = [resources.metric(row, base) for row in page]
    cursor = None
    if len(rows) > len(page):
        cursor = metrics[-1]["id"]
    else:
        platforms = enumerate(api.behaviour.platforms.items(), 1)
        metrics += [
            resources.platform_metric(number, name, platform, base)
            for number, (name, platform) in platforms
        ]
    fields = parameters.names("fields[metric]")
    document: dict[str, Any] = {
        "data": [
            resources.sparse(metric, fields)
            for metric in metrics
            if wanted.items() <= metric["attributes"]["integration"].items()
        ],
        "links": _links(request, cursor),
    }
    if parameters.include(("flow-triggers",)):
        document["included"] = [flow for row in page for flow in _flows(api, row, parameters, base)]
    return json_response(document)


@ROUTES.add("GET", _METRIC_PATH, "metric", "metrics:read", limits.METRICS_RATES)
async def get_metric(api: JsonApi, request: web.Request, context: RequestContext) -> web.Response:
    row = _requested_metric(api, request, context)
    fields = Parameters(request.query, _METRIC_PARAMETERS).names("fields[metric]")
    return json_response({"data": resources.sparse(resources.metric(row, _base(request)), fields)})


@ROUTES.add("GET", _FLOWS_PATH, "flows", "flows:read", limits.METRICS_RATES)
async def get_flow_triggers(
    api: JsonApi, request: web.Request, context: RequestContext
) -> web.Response:
    row = _requested_metric(api, request, context)
    parameters = Parameters(request.query, {"fields[flow]"})
    flows = _flows(api, row, parameters, _base(request))
    return json_response({"data": flows, "links": _links(request, None)})


@ROUTES.add("POST", limits.AGGREGATES_PATH, "aggregates", "metrics:read", limits.AGGREGATES_RATES)
async def query_metric_aggregates(
    api: JsonApi, request: web.Request, context: RequestContext
) -> web.Response:
    query = aggregates.parse_query(await read_body(request))
    view = _view(api, context)
    metric = queries.metric(view, query.metric_id)
    if metric is None:
        detail = f"Metric with ID {query.metric_id[:20]} does not exist."
        pointer = "/data/attributes/metric_id"
        raise ProblemsError(Problem(reason="metric", detail=detail, pointer=pointer))
    start_s, end_s = query.start.timestamp(), query.end.timestamp()
    links = {"self": f"{_base(request)}{limits.AGGREGATES_PATH}"}
    aggregate = {
        "type": "metric-aggregate",
        "id": str(api.store.counts["requests"]),
        "attributes": aggregates.aggregate(
            query, queries.values(view, metric.number, start_s, end_s)
        ),
        "links": links,
    }
    return json_response({"data": aggregate, "links": links})


def _view(api: JsonApi, context: RequestContext) -> AccountView:
    until_s = context.now_s - api.behaviour.visible_after_s
    return AccountView(api.store, context.account, until_s)


def _requested_metric(api: JsonApi, request: web.Request, context: RequestContext) -> MetricRow:
    row = queries.metric(_view(api, context), request.match_info["id"])
    if row is None:
        raise _not_found("metric")
    return row


def _flows(api: JsonApi, row: MetricRow, parameters: Parameters, base: str) -> list[Resource]:
    fields = parameters.names("fields[flow]")
    flows = (
        resources.flow(f"F{row.number:03d}{place:02d}", name, status, base)
        for place, (name, status) in enumerate(api.behaviour.flows.get(row.name, ()), 1)
    )
    return [resources.sparse(flow, fields) for flow in flows]


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _links(request: web.Request, cursor: str | None) -> dict[str, str | None]:
    """Source: OAS, ``CollectionLinks``; Klaviyo writes null for a page that is not there."""
    url = f"{_base(request)}{request.path}"
    query = dict(request.query)
    return {
        "self": f"{url}?{urlencode(query)}" if query else url,
        "next": f"{url}?{urlencode(query | {'page[cursor]': cursor})}" if cursor else None,
        "prev": None,
    }


def _not_found(kind: str) -> ProblemsError:
    detail = f"A {kind} with that id does not exist."
    return ProblemsError(Problem(reason="not_found", detail=detail, status=404))
