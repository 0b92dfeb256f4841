"""Events, metrics, profiles, flows and accounts as the JSON:API resources that Klaviyo answers.

``base`` is the URL that a request's own path follows, such as ``http://127.0.0.1:8765``.
"""

import json
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from backfill import limits
from backfill.sandbox.json_api.documents import document
from backfill.sandbox.json_api.profile import NAMES
from backfill.sandbox.json_api.queries import EventRow, MetricRow, ProfileRow

Resource = dict[str, Any]

_LOCATION: Final = (
    *("address1", "address2", "city", "country", "latitude", "longitude"),
    *("region", "zip", "timezone", "ip"),
)
_API_INTEGRATION: Final = {
    "object": "integration",
    "id": "0rG4eQ",
    "key": "api",
    "name": "API",
    "category": "API",
}
"""The integration of the API's metrics: a platform's metric of the same name is another one."""


def metric_id(number: int) -> str:
    return f"M{number:05d}"


def event(row: EventRow, base: str) -> Resource:
    """The properties always contain ``$event_id``, which defaults to the time."""
    properties = json.loads(row.properties)
    properties["$event_id"] = str(row.time_s) if row.event_id is None else row.event_id
    attributes = {
        "timestamp": row.time_s,
        "event_properties": properties,
        "datetime": _iso(row.time_s),
        "uuid": str(uuid.UUID(int=row.number)),
    }
    url = f"{base}{limits.EVENTS_PATH}/E{row.number}"
    made = _resource("event", f"E{row.number}", attributes, url)
    made["relationships"] = {
        kind: {
            "data": {"type": kind, "id": related_id},
            "links": {"self": f"{url}/relationships/{kind}", "related": f"{url}/{kind}"},
        }
        for kind, related_id in (("metric", metric_id(row.metric)), ("profile", f"P{row.profile}"))
    }
    return made


def metric(row: MetricRow, base: str) -> Resource:
    created = _iso(row.created_s)
    attributes = {
        "name": row.name,
        "created": created,
        "updated": created,
        "integration": _API_INTEGRATION,
    }
    url = f"{base}{limits.METRICS_PATH}/{metric_id(row.number)}"
    made = _resource("metric", metric_id(row.number), attributes, url)
    links = {"self": f"{url}/relationships/flow-triggers", "related": f"{url}/flow-triggers"}
    made["relationships"] = {"flow-triggers": {"links": links}}
    return made


def platform_metric(number: int, name: str, platform: str, base: str) -> Resource:
    """A metric that an integration made; no event of the API belongs to it."""
    made = metric(MetricRow(number, name, 0), base)
    made["id"] = f"S{number:05d}"
    made["links"] = {"self": f"{base}{limits.METRICS_PATH}/{made['id']}"}
    integration = {"object": "integration", "id": platform, "key": platform.lower()}
    made["attributes"]["integration"] = integration | {"name": platform, "category": "eCommerce"}
    return made


def profile(row: ProfileRow, base: str) -> Resource:
    """The names of the JSON:API for what the store keeps under Track's names."""
    kept = json.loads(row.attributes)
    attributes = {
        "email": row.email,
        "phone_number": row.phone_number,
        "external_id": row.external_id,
        **{name: kept.get(f"${name}") for name in NAMES},
        "location": {name: kept.get(f"${name}") for name in _LOCATION},
        "properties": {key: kept[key] for key in kept if not key.startswith("$")},
    }
    return _resource("profile", f"P{row.number}", attributes, f"{base}/api/profiles/P{row.number}")


def flow(flow_id: str, name: str, status: str, base: str) -> Resource:
    attributes = {
        "name": name,
        "status": status,
        "archived": False,
        "created": _iso(0),
        "updated": _iso(0),
        "trigger_type": "Metric",
    }
    return _resource("flow", flow_id, attributes, f"{base}/api/flows/{flow_id}")


def account(account_id: str, base: str) -> Resource:
    attributes = document("account.json") | {"public_api_key": account_id}
    url = f"{base}{limits.ACCOUNTS_PATH}/{account_id}"
    return _resource("account", account_id, attributes, url)


def _iso(time_s: float) -> str:
    return datetime.fromtimestamp(int(time_s), UTC).isoformat()


def _resource(kind: str, resource_id: str, attributes: dict[str, Any], url: str) -> Resource:
    return {"type": kind, "id": resource_id, "attributes": attributes, "links": {"self": url}}
