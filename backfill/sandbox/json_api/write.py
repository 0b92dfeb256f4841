"""The events that a body of Create Event or Bulk Create Events asks for: all of them, or none."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from backfill import limits
from backfill.sandbox import strict_json
from backfill.sandbox.json_api import openapi, profile, rules
from backfill.sandbox.json_api.problems import NO_PLACE, Place, Problem, Turned, pointer
from backfill.sandbox.json_api.profile import Described
from backfill.sandbox.store.event import Api, Event, Refused

_BULK: Place = (((NO_PLACE, "data"), "attributes"), "events-bulk-create")


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and when: what a body is read by, beside itself."""

    account: str
    revision: str
    now_s: float


@dataclass(frozen=True, slots=True)
class Posted:
    """Events with their places in the body; ``dropped_phone`` is for an answer's header."""

    events: list[Event]
    places: list[Place]
    dropped_phone: bool = False


def create_event(body: bytes, asked: Asked) -> Posted:
    """Raises: Turned."""
    parsed, problems = _parsed(body, limits.EVENTS_PATH, asked)
    _turn(problems)
    place: Place = (NO_PLACE, "data")
    given = parsed["data"]["attributes"]
    who: Place = (((place, "attributes"), "profile"), "data")
    described = profile.read(given["profile"]["data"], who, problems, forgive_phone=True)
    event = _event(given, place, described, asked, problems, "events", backfill=None)
    _turn(problems)
    return Posted([event], [place], described.dropped_phone)


def bulk(body: bytes, asked: Asked) -> Posted:
    """A member that the schema has nothing against is looked at further, whatever the others are.

    Raises: Turned, with what is wrong with all of them.
    """
    parsed, problems = _parsed(body, limits.BULK_PATH, asked)
    spoilt = _spoilt(problems)
    posted = Posted([], [])
    for place, member, described, backfill in _members(parsed, spoilt, problems):
        posted.events.append(
            _event(member, place, described, asked, problems, "bulk", backfill=backfill)
        )
        posted.places.append(place)
    if len(posted.events) > limits.BULK_MAX_EVENTS:
        detail = f"The request must not exceed {limits.BULK_MAX_EVENTS} events."
        problems.insert(0, Problem("too_many", detail, pointer((_BULK, "data"))))
    _turn(problems)
    return posted


_MEMBER: Final = re.compile(
    r"/data/attributes/events-bulk-create/data/([0-9]+)(?:/attributes/events/data/([0-9]+))?(?=/|\Z)"
)


def _spoilt(problems: list[Problem]) -> frozenset[tuple[int, int | None]]:
    """The members that the schema turns down: an event as (item, event), an item as (item, None).

    Raises: Turned, where it turns down what holds all of them.
    """
    found = [_MEMBER.match(problem.pointer or "") for problem in problems]
    if None in found:
        _turn(problems)
    return frozenset(
        (int(one[1]), None if one[2] is None else int(one[2])) for one in found if one is not None
    )


def _members(
    parsed: dict[str, Any], spoilt: frozenset[tuple[int, int | None]], problems: list[Problem]
) -> Iterator[tuple[Place, dict[str, Any], Described, bool | None]]:
    for index, one in enumerate(parsed["data"]["attributes"]["events-bulk-create"]["data"]):
        if (index, None) in spoilt:
            continue
        inside: Place = (((_BULK, "data"), index), "attributes")
        given = one["attributes"]
        who: Place = ((inside, "profile"), "data")
        described = profile.read(given["profile"]["data"], who, problems, forgive_phone=False)
        events: Place = ((inside, "events"), "data")
        for number, event in enumerate(given["events"]["data"]):
            if (index, number) not in spoilt:
                yield (events, number), event["attributes"], described, given.get("backfill")


def _event(
    given: dict[str, Any],
    place: Place,
    described: Described,
    asked: Asked,
    problems: list[Problem],
    api: Api,
    *,
    backfill: bool | None,
) -> Event:
    """``backfill`` is the one beside the event; which of two holds is not documented.

    An event counts as a backfill where one says so and none says no: who relies on more learns it.
    """
    inside: Place = (place, "attributes")
    name = given["metric"]["data"]["attributes"]["name"]
    unique_id, value, currency = (given.get(key) for key in _OWN)
    rules.metric(name, ((((inside, "metric"), "data"), "attributes"), "name"), problems)
    rules.properties(given["properties"], (inside, "properties"), problems)
    rules.unique_id(unique_id, (inside, "unique_id"), problems)
    rules.value(value, (inside, "value"), problems)
    rules.currency(currency, (inside, "value_currency"), problems)
    time_s = rules.time_s(
        given.get("time"), asked.now_s, asked.revision, (inside, "time"), problems
    )
    said = {given.get("backfill"), backfill}
    return Event(
        token=asked.account,
        metric=name,
        event_id=unique_id,
        time_s=time_s,
        person=described.person,
        properties=_properties(given["properties"], unique_id, value, currency),
        attributes=described.attributes,
        api=api,
        backfill=True in said and False not in said,
    )


_OWN = ("unique_id", "value", "value_currency")


def _properties(
    given: dict[str, object], unique_id: str | None, value: float | None, currency: str | None
) -> dict[str, object]:
    """As Track has them: what are members of their own here are properties there."""
    properties: dict[str, object] = {}
    if unique_id is not None:
        properties["$event_id"] = unique_id
    if value is not None:
        properties["$value"] = value
    if currency is not None:
        properties["$value_currency"] = currency
    return given | properties


def _parsed(body: bytes, path: str, asked: Asked) -> tuple[dict[str, Any], list[Problem]]:
    """With what the schema has against it. Raises: Turned, where it is no JSON."""
    try:
        parsed = strict_json.parse(body.decode())
    except UnicodeDecodeError as error:
        raise Turned([Problem("encoding", f"Byte {error.start} is no UTF-8.", "/data")]) from None
    except Refused as refused:
        raise Turned([Problem(refused.reason, f"JSON parse error: {refused}.", "/data")]) from None
    knows_backfill = asked.revision >= limits.BACKFILL_REVISION
    problems: list[Problem] = []
    unknown: frozenset[str] = frozenset() if knows_backfill else frozenset({"backfill"})
    openapi.body_check(path, without=unknown)(parsed, NO_PLACE, problems)
    return parsed, problems


def _turn(problems: list[Problem]) -> None:
    if problems:
        raise Turned(problems)
