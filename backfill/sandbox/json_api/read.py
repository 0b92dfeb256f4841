"""What today's API answers to those who look: accounts, events, metrics, flows, aggregates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web

from backfill import limits
from backfill.sandbox.json_api import aggregates, endpoint, filters, queries, resources
from backfill.sandbox.json_api.behaviour import Behaviour
from backfill.sandbox.json_api.problems import Problem, Turned, json_answer
from backfill.sandbox.json_api.queries import MetricRow, View
from backfill.sandbox.json_api.resources import Resource, Row
from backfill.sandbox.json_api.write import Asked
from backfill.sandbox.store.store import Store

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
_INCLUDED: Final = ("metric", "profile", "attributions")


class Looking:
    def __init__(self, store: Store, behaviour: Behaviour) -> None:
        self._store = store
        self._behaviour = behaviour

    async def accounts(self, request: web.Request, asked: Asked) -> web.Response:
        own = resources.account(asked.account, _base(request))
        return json_answer({"data": [own], "links": _links(request, None)})

    async def account(self, request: web.Request, asked: Asked) -> web.Response:
        if request.match_info["id"] != asked.account:
            raise _not_there("account")
        return json_answer({"data": resources.account(asked.account, _base(request))})

    async def events(self, request: web.Request, asked: Asked) -> web.Response:
        query = _query(request, _EVENT_PARAMETERS)
        view, base = self._view(asked), _base(request)
        page = queries.events(
            view,
            _conditions(query, queries.EVENT_FILTERS),
            sort=_one_of(query, "sort", queries.SORTS, "-datetime"),
            size=_size(query),
            cursor=query.get("page[cursor]"),
        )
        fields = _listed(query, "fields[event]")
        answer: dict[str, Any] = {
            "data": [resources.event(row, base, fields) for row in page.rows],
            "links": _links(request, page.cursor),
        }
        include = _included(query)
        if include:
            answer["included"] = self._included(view, page.rows, include, query, base)
        return json_answer(answer)

    async def metrics(self, request: web.Request, asked: Asked) -> web.Response:
        query = _query(request, _METRIC_PARAMETERS)
        base, fields = _base(request), _listed(query, "fields[metric]")
        wanted = {
            one.field.removeprefix("integration."): one.text or ""
            for one in _conditions(query, _METRIC_FILTERS)
        }
        after = resources.number_of("M", query.get("page[cursor]", "M0"))
        if after is None:
            raise Turned([Problem("cursor", "Invalid page cursor.", parameter="page[cursor]")])
        left = [row for row in queries.metrics(self._view(asked)) if row.number > after]
        page = left[:_METRICS_PAGE]
        more = resources.metric_id(page[-1].number) if len(left) > len(page) else None
        every = [_metric(row, base, None) for row in page] + ([] if more else self._platforms(base))
        answer: dict[str, Any] = {
            "data": [
                resources.in_part(one, fields) for one in every if resources.is_of(one, wanted)
            ],
            "links": _links(request, more),
        }
        if "flow-triggers" in (_listed(query, "include") or ()):
            flows = (self._flows(row, base, _listed(query, "fields[flow]")) for row in page)
            answer["included"] = [flow for of_one in flows for flow in of_one]
        return json_answer(answer)

    async def metric(self, request: web.Request, asked: Asked) -> web.Response:
        row = self._metric_asked_for(request, asked)
        fields = _listed(_query(request, _METRIC_PARAMETERS), "fields[metric]")
        return json_answer({"data": _metric(row, _base(request), fields)})

    async def flow_triggers(self, request: web.Request, asked: Asked) -> web.Response:
        row = self._metric_asked_for(request, asked)
        fields = _listed(_query(request, frozenset({"fields[flow]"})), "fields[flow]")
        flows = self._flows(row, _base(request), fields)
        return json_answer({"data": flows, "links": _links(request, None)})

    async def aggregates(self, request: web.Request, asked: Asked) -> web.Response:
        query = aggregates.read(await endpoint.body(request))
        view = self._view(asked)
        metric = queries.metric(view, query.metric_id)
        if metric is None:
            detail = f"Metric with ID {query.metric_id[:20]} does not exist."
            raise Turned([Problem("metric", detail, "/data/attributes/metric_id")])
        start_s, end_s = query.start.timestamp(), query.end.timestamp()
        found = queries.values(view, metric.number, start_s, end_s)
        own = f"{_base(request)}{limits.AGGREGATES_PATH}"
        answer = {
            "type": "metric-aggregate",
            "id": str(self._store.counts["requests"]),
            "attributes": aggregates.tally(query, found),
            "links": {"self": own},
        }
        return json_answer({"data": answer, "links": {"self": own}})

    def _view(self, asked: Asked) -> View:
        return View(self._store, asked.account, asked.now_s - self._behaviour.visible_after_s)

    def _metric_asked_for(self, request: web.Request, asked: Asked) -> MetricRow:
        row = queries.metric(self._view(asked), request.match_info["id"])
        if row is None:
            raise _not_there("metric")
        return row

    def _platforms(self, base: str) -> list[Resource]:
        return [
            resources.platform_metric(number, name, platform, base)
            for number, (name, platform) in enumerate(self._behaviour.platforms.items(), 1)
        ]

    def _flows(self, row: MetricRow, base: str, fields: Iterable[str] | None) -> list[Resource]:
        hang = self._behaviour.flows.get(row.name, ())
        return [
            resources.flow(f"F{row.number:03d}{place:02d}", name, status, base, fields)
            for place, (name, status) in enumerate(hang, 1)
        ]

    def _included(
        self, view: View, rows: list[Row], include: list[str], query: dict[str, str], base: str
    ) -> list[Resource]:
        found: list[Resource] = []
        if "metric" in include:
            fields = _listed(query, "fields[metric]")
            metrics = queries.metrics(view, {row.metric for row in rows})
            found += [_metric(row, base, fields) for row in metrics]
        if "profile" in include:
            people = queries.profiles(view, (row.profile for row in rows))
            found += [resources.profile(*one, base) for one in people]
        return found


def _metric(row: MetricRow, base: str, fields: Iterable[str] | None) -> Resource:
    return resources.metric(row.number, row.name, row.created_s, base, fields)


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _links(request: web.Request, cursor: str | None) -> dict[str, str | None]:
    """Source: OAS, ``CollectionLinks``; Klaviyo writes null for a page that is not there."""
    own = f"{_base(request)}{request.path}"
    query = dict(request.query)
    following = None
    if cursor is not None:
        following = f"{own}?{urlencode(query | {'page[cursor]': cursor})}"
    return {"self": f"{own}?{urlencode(query)}" if query else own, "next": following, "prev": None}


def _query(request: web.Request, allowed: frozenset[str]) -> dict[str, str]:
    for name in request.query:
        if name not in allowed:
            detail = f"'{name[:60]}' is not a valid query parameter."
            raise Turned([Problem("parameter", detail, parameter=name[:60])])
    return dict(request.query)


def _conditions(
    query: dict[str, str], allowed: Mapping[str, Sequence[str]]
) -> list[filters.Condition]:
    text = query.get("filter")
    return [] if text is None else filters.parse(text, allowed)


def _listed(query: dict[str, str], name: str) -> list[str] | None:
    return query[name].split(",") if name in query else None


def _included(query: dict[str, str]) -> list[str]:
    include = _listed(query, "include") or []
    for name in include:
        if name not in _INCLUDED:
            raise Turned([Problem("include", "Invalid include.", parameter="include")])
    return include


def _one_of(query: dict[str, str], name: str, known: Iterable[str], default: str) -> str:
    given = query.get(name, default)
    if given not in known:
        raise Turned([Problem(name, f"Invalid {name}.", parameter=name)])
    return given


def _size(query: dict[str, str]) -> int:
    given = query.get("page[size]", str(limits.EVENTS_PAGE_DEFAULT))
    most = limits.EVENTS_PAGE
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= most):
        detail = f"Page size must be an integer between 1 and {most}."
        raise Turned([Problem("page_size", detail, parameter="page[size]")])
    return int(given)


def _not_there(kind: str) -> Turned:
    detail = f"A {kind} with that id does not exist."
    return Turned(
        [Problem("not_there", detail, "/data/", status=404, code="not_found", title="Not found.")]
    )
