"""Events, metrics, profiles, flows and accounts as the JSON:API documents that Klaviyo answers."""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from backfill import limits

Resource = dict[str, Any]

_LOCATION: Final = ("address1", "address2", "city", "country", "latitude", "longitude")
_MORE_LOCATION: Final = ("region", "zip", "timezone", "ip")
_NAMES: Final = ("first_name", "last_name", "organization", "locale", "title", "image")
_INTEGRATION: Final = {
    "object": "integration",
    "id": "0rG4eQ",
    "key": "api",
    "name": "API",
    "category": "API",
}
"""What makes a metric one of the API's: a platform's of the same name is another."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event as the store has it."""

    number: int
    metric: int
    profile: int
    event_id: str | None
    time_s: int
    properties: str


def metric_id(number: int) -> str:
    return f"M{number:05d}"


def profile_id(number: int) -> str:
    return f"P{number}"


def number_of(letter: str, given: str) -> int | None:
    """The store's number behind an id; None where it is none of ours."""
    digits = given.removeprefix(letter)
    known = given.startswith(letter) and digits.isascii() and digits.isdigit()
    return int(digits) if known else None


def event(row: Row, base: str, fields: Iterable[str] | None) -> Resource:
    """``$event_id`` stands among the properties always: it defaults to the time."""
    properties = json.loads(row.properties)
    properties["$event_id"] = str(row.time_s) if row.event_id is None else row.event_id
    named = metric_id(row.metric), profile_id(row.profile)
    own = f"{base}{limits.EVENTS_PATH}/E{row.number}"
    attributes = {
        "timestamp": row.time_s,
        "event_properties": properties,
        "datetime": iso(row.time_s),
        "uuid": str(uuid.UUID(int=row.number)),
    }
    made = _resource("event", f"E{row.number}", _sparse(attributes, fields), own)
    made["relationships"] = {
        kind: {
            "data": {"type": kind, "id": one},
            "links": {"self": f"{own}/relationships/{kind}", "related": f"{own}/{kind}"},
        }
        for kind, one in zip(("metric", "profile"), named, strict=True)
    }
    return made


def metric(
    number: int, name: str, created_s: float, base: str, fields: Iterable[str] | None
) -> Resource:
    own = f"{base}{limits.METRICS_PATH}/{metric_id(number)}"
    attributes = {
        "name": name,
        "created": iso(created_s),
        "updated": iso(created_s),
        "integration": _INTEGRATION,
    }
    made = _resource("metric", metric_id(number), _sparse(attributes, fields), own)
    links = {"self": f"{own}/relationships/flow-triggers", "related": f"{own}/flow-triggers"}
    made["relationships"] = {"flow-triggers": {"links": links}}
    return made


def platform_metric(number: int, name: str, platform: str, base: str) -> Resource:
    """A metric that an integration made: no event of the API is one of its."""
    made = metric(number, name, 0, base, None)
    made["id"] = f"S{number:05d}"
    made["links"] = {"self": f"{base}{limits.METRICS_PATH}/{made['id']}"}
    integration = {"object": "integration", "id": platform, "key": platform.lower()}
    made["attributes"]["integration"] = integration | {"name": platform, "category": "eCommerce"}
    return made


def is_of(metric: Resource, integration: Mapping[str, str]) -> bool:
    """Whether a metric is one of ``integration``, by name or category."""
    own = metric["attributes"]["integration"]
    return all(own[key] == given for key, given in integration.items())


def profile(
    number: int, identifiers: Mapping[str, str | None], attributes: Mapping[str, Any], base: str
) -> Resource:
    """The reverse of what ``people`` does to what was posted."""
    own = {name: attributes.get(f"${name}") for name in (*_LOCATION, *_MORE_LOCATION, *_NAMES)}
    described = {
        **identifiers,
        **{name: own[name] for name in _NAMES},
        "location": {name: own[name] for name in (*_LOCATION, *_MORE_LOCATION)},
        "properties": {key: one for key, one in attributes.items() if not key.startswith("$")},
    }
    url = f"{base}/api/profiles/{profile_id(number)}"
    return _resource("profile", profile_id(number), described, url)


def flow(number: str, name: str, status: str, base: str, fields: Iterable[str] | None) -> Resource:
    attributes = {
        "name": name,
        "status": status,
        "archived": False,
        "created": iso(0),
        "updated": iso(0),
        "trigger_type": "Metric",
    }
    return _resource("flow", number, _sparse(attributes, fields), f"{base}/api/flows/{number}")


def account(name: str, base: str) -> Resource:
    attributes = {
        "test_account": True,
        "contact_information": {
            "default_sender_name": "A local Klaviyo",
            "default_sender_email": "nobody@shop.example",
            "website_url": None,
            "organization_name": "A local Klaviyo",
            "street_address": dict.fromkeys(
                ("address1", "address2", "city", "region", "country", "zip")
            ),
        },
        "industry": None,
        "timezone": "UTC",
        "preferred_currency": "USD",
        "public_api_key": name,
        "locale": "en-US",
    }
    return _resource("account", name, attributes, f"{base}{limits.ACCOUNTS_PATH}/{name}")


def in_part(resource: Resource, fields: Iterable[str] | None) -> Resource:
    return resource | {"attributes": _sparse(resource["attributes"], fields)}


def iso(time_s: float) -> str:
    return datetime.fromtimestamp(int(time_s), UTC).isoformat()


def _resource(kind: str, number: str, attributes: Mapping[str, Any], url: str) -> Resource:
    return {"type": kind, "id": number, "attributes": dict(attributes), "links": {"self": url}}


def _sparse(attributes: Mapping[str, Any], fields: Iterable[str] | None) -> Mapping[str, Any]:
    """``fields`` may name what is no attribute (``id``): it is there always."""
    if fields is None:
        return attributes
    wanted = set(fields)
    return {name: one for name, one in attributes.items() if name in wanted}
