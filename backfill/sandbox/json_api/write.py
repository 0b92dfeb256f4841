"""Create Event and Bulk Create Events: all events of a body are recorded, or none of them."""

import re
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from backfill import limits
from backfill.sandbox.json_api import openapi, rules
from backfill.sandbox.json_api.access import RequestContext
from backfill.sandbox.json_api.endpoint import ApiRequest, Routes, parse_body, read_body
from backfill.sandbox.json_api.problems import BODY, Place, Problem, Problems, join, pointer
from backfill.sandbox.json_api.profile import EventProfile, read_profile
from backfill.sandbox.store.event import Api, Event

ROUTES: Final = Routes()

_BULK_ITEMS: Final = join(BODY, "data", "attributes", "events-bulk-create", "data")
_BULK_MEMBER: Final = re.compile(
    rf"{pointer(_BULK_ITEMS)}/([0-9]+)(?:/attributes/events/data/([0-9]+))?(?=/|\Z)"
)


@ROUTES.add("POST", limits.EVENTS_PATH, "events", "events:write", limits.EVENTS_RATES)
async def create_event(request: ApiRequest) -> web.Response:
    """A repeat is dropped, and answered as the first was. Source: docs/klaviyo.md, "Repeats"."""
    parsed = parse_event(await read_body(request.http), request.context)
    _record(request, parsed)
    headers = {"X-Klaviyo-Partial-Failure": "phone_number"} if parsed.dropped_phone else None
    return web.Response(status=202, headers=headers)


@ROUTES.add("POST", limits.BULK_PATH, "bulk", "events:write", limits.BULK_RATES)
async def bulk_create_events(request: ApiRequest) -> web.Response:
    """Klaviyo's documents differ on repeats. Source: docs/klaviyo.md, "Repeats"."""
    parsed = parse_bulk(await read_body(request.http), request.context)
    if request.api.behaviour.repeats == "refuse":
        problems = Problems()
        for index in request.api.store.repeats(parsed.events, now_s=request.context.now_s):
            detail = "unique_id is repeated for the same profile and metric."
            place = join(parsed.places[index], "attributes", "unique_id")
            problems.add("repeat", detail, place, code="duplicate")
        problems.raise_any()
    _record(request, parsed)
    return web.Response(status=202)


def _record(request: ApiRequest, parsed: "ParsedEvents") -> None:
    for event in parsed.events:
        request.api.store.record(event, now_s=request.context.now_s)


@dataclass(frozen=True, slots=True)
class ParsedEvents:
    """Events with their places in the body.

    ``dropped_phone``: the only event's phone number was not one, and is left out.
    """

    events: list[Event]
    places: list[Place]
    dropped_phone: bool = False


def parse_event(body: bytes, context: RequestContext) -> ParsedEvents:
    """The event that a body of Create Event asks for.

    Raises:
        ProblemsError: with all that is wrong with it.
    """
    parsed, problems = _parse(body, limits.EVENTS_PATH, context)
    problems.raise_any()
    place, attributes = join(BODY, "data"), parsed["data"]["attributes"]
    profile = read_profile(attributes, (place, "attributes"), problems, forgive_phone=True)
    event = _read_event(attributes, place, profile, context, problems, "events", backfill=None)
    problems.raise_any()
    return ParsedEvents([event], [place], profile.dropped_phone)


def parse_bulk(body: bytes, context: RequestContext) -> ParsedEvents:
    """The events that a body of Bulk Create Events asks for.

    A member that passes the schema is checked further, even if others do not pass.

    Raises:
        ProblemsError: with all that is wrong with all members.
    """
    parsed, problems = _parse(body, limits.BULK_PATH, context)
    faulty = _faulty_members(problems)
    events, places = [], []
    for index, item in enumerate(parsed["data"]["attributes"]["events-bulk-create"]["data"]):
        if (index, None) in faulty:
            continue
        inside, attributes = join(_BULK_ITEMS, index, "attributes"), item["attributes"]
        profile = read_profile(attributes, inside, problems, forgive_phone=False)
        backfill = attributes.get("backfill")
        for number, event in enumerate(attributes["events"]["data"]):
            if (index, number) in faulty:
                continue
            place = join(inside, "events", "data", number)
            places.append(place)
            given = event["attributes"]
            events.append(
                _read_event(given, place, profile, context, problems, "bulk", backfill=backfill)
            )
    if len(events) > limits.BULK_MAX_EVENTS:
        detail = f"The request must not exceed {limits.BULK_MAX_EVENTS} events."
        at = pointer(_BULK_ITEMS)
        problems.insert(0, Problem("too_many", detail, pointer=at))
    problems.raise_any()
    return ParsedEvents(events, places)


def _parse(body: bytes, path: str, context: RequestContext) -> tuple[dict[str, Any], Problems]:
    """The body's JSON, and what the schema finds wrong with it.

    Raises:
        ProblemsError: it is not a JSON object.
    """
    parsed = parse_body(body)
    knows_backfill = context.revision >= limits.BACKFILL_REVISION
    unknown = frozenset[str]() if knows_backfill else frozenset({"backfill"})
    problems = Problems()
    openapi.body_check(path, without=unknown)(parsed, BODY, problems)
    return parsed, problems


def _faulty_members(problems: Problems) -> frozenset[tuple[int, int | None]]:
    """The members that have problems: an event as (item, event), a whole item as (item, None).

    Raises:
        ProblemsError: what holds all members has problems.
    """
    members = set()
    for problem in problems:
        found = _BULK_MEMBER.match(problem.pointer or "")
        if found is None:
            problems.raise_any()
        else:
            members.add((int(found[1]), None if found[2] is None else int(found[2])))
    return frozenset(members)


def _read_event(
    given: dict[str, Any],
    place: Place,
    profile: EventProfile,
    context: RequestContext,
    problems: Problems,
    api: Api,
    *,
    backfill: bool | None,
) -> Event:
    """Read an event, and add what is wrong with it to ``problems``.

    ``backfill`` is the item's; which of two holds is not documented. An event counts as a backfill
    if one of them says so and none denies it: a client that relies on more finds out here.
    """
    inside: Place = (place, "attributes")
    metric = given["metric"]["data"]["attributes"]["name"]
    metric_place = join(inside, "metric", "data", "attributes", "name")
    rules.check_metric(metric, metric_place, problems)
    rules.check_properties(given["properties"], (inside, "properties"), problems)
    unique_id, value, currency = (given.get(key) for key in _TRACK_PROPERTIES)
    rules.check_unique_id(unique_id, (inside, "unique_id"), problems)
    rules.check_integer(value, (inside, "value"), problems)
    rules.check_currency(currency, (inside, "value_currency"), problems)
    time_s = rules.read_time(
        given.get("time"),
        (inside, "time"),
        problems,
        revision=context.revision,
        now_s=context.now_s,
    )
    flags = {given.get("backfill"), backfill}
    as_properties = {
        track: given[key] for key, track in _TRACK_PROPERTIES.items() if given.get(key) is not None
    }
    return Event(
        token=context.account,
        metric=metric,
        event_id=unique_id,
        time_s=time_s,
        person=profile.person,
        properties=given["properties"] | as_properties,
        attributes=profile.attributes,
        api=api,
        backfill=True in flags and False not in flags,
    )


_TRACK_PROPERTIES: Final = {
    "unique_id": "$event_id",
    "value": "$value",
    "value_currency": "$value_currency",
}
"""Members of an event that are properties in Track, and in what this API reads back."""
