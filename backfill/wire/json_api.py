"""What Create Event and Bulk Create Events share: headers, answers, JSON of events and profiles.

Source: Klaviyo's OpenAPI file 2026-07-15, ``EventCreateQueryV2`` and ``EventsBulkCreateJob``;
docs/klaviyo.md, "From Track to JSON:API", for the names that replace those of the Track API.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final

import pyarrow as pa

from backfill import limits
from backfill.event import IDENTIFIERS, PROFILE_FIELDS
from backfill.wire import sql
from backfill.wire.interface import Answer, Reply

PLACEHOLDER_KEY: Final = "PRIVATE_KEY"
"""Replaces the private key where requests are only planned or shown; no body holds a key."""

_NAMES: Final = {"email": "email", "phone_number": "phone_number", "id": "external_id"}
"""A profile's own ``id`` is Klaviyo's; the id of an export is its ``external_id``."""

_LOCATION: Final = ("address1", "address2", "city", "region", "country", "zip", "timezone")

_ELSEWHERE: Final = (*_LOCATION, "consent")
"""Consent goes with no event; ``schema.api_rules`` has refused it."""


@dataclass(frozen=True, slots=True)
class JsonApiWire:
    """What both wire formats have in common; ``backfill`` means that an event starts no flow."""

    key: str = field(default=PLACEHOLDER_KEY, repr=False)
    backfill: bool = field(default=True, kw_only=True)
    method: ClassVar[str] = "POST"

    @property
    def headers(self) -> Mapping[str, str]:
        return headers(self.key)

    def read(self, reply: Reply) -> Answer:
        """Read a 202: Klaviyo took the whole request. It has no body."""
        return "delivered" if reply.status == _ACCEPTED else "unreadable"


_ACCEPTED: Final = 202


def headers(key: str) -> Mapping[str, str]:
    return MappingProxyType(
        {
            "authorization": f"Klaviyo-API-Key {key}",
            "revision": limits.REVISION,
            "content-type": limits.JSON_API,
            "accept": limits.JSON_API,
        }
    )


def filled(events: pa.RecordBatch | pa.Table) -> frozenset[str]:
    """Give the columns that are not empty: SQL over an empty one costs as much."""
    return frozenset(
        name for name in events.schema.names if events[name].null_count < events.num_rows
    )


def event(columns: Collection[str], *, backfill: bool, profile: str = "''") -> str:
    """SQL for an event; ``profile`` is SQL for a member ``profile``, its comma included."""
    # concat() leaves NULL out, and costs two thirds of ||.
    optional = {
        "value": sql.member("value", sql.VALUE),
        "currency": sql.member("value_currency", sql.json_of("currency")),
    }
    members = [f"',' || {text}" for column, text in optional.items() if column in columns]
    properties = "coalesce(properties, '{}')" if "properties" in columns else "'{}'"
    parts = (
        """'{"type":"event","attributes":{"properties":'""",
        properties,
        """',"metric":{"data":{"type":"metric","attributes":{"name":'""",
        sql.json_of("metric"),
        "'}}}'",
        profile,
        '\',"time":"\'',
        "strftime(make_timestamp(\"time\" * 1000000), '%Y-%m-%dT%H:%M:%SZ')",
        "'\"'",
        *members,
        "',\"unique_id\":'",
        sql.json_of("event_id"),
        f"""',"backfill":{json.dumps(backfill)}}}}}'""",
    )
    return f"concat({', '.join(parts)})"


PROFILE: Final = ('{"data":{"type":"profile","attributes":{', "}}}")
"""The text before and after a profile's members."""


def identifier(columns: Collection[str]) -> str:
    """SQL for the one member that identifies the person."""
    return sql.identifier(_names(columns))


def _names(columns: Collection[str]) -> dict[str, str]:
    return {name: _NAMES[name] for name in IDENTIFIERS if name in columns}


def attributes(columns: Collection[str]) -> str:
    """SQL for the person's other members, with a comma before each; '' where there are none."""
    plain = [name for name in PROFILE_FIELDS if name in columns and name not in _ELSEWHERE]
    fields = [sql.member(name, sql.json_of(name)) for name in plain]
    places = [sql.member(name, sql.json_of(name)) for name in _LOCATION if name in columns]
    location = [f"""'"location":{{' || {_joined(places)} || '}}'"""] if places else []
    own = sql.member("properties", """nullif("profile", '{}')""")
    more = [own] if "profile" in columns else []
    members = [*sql.other_identifiers(_names(columns)), *fields, *location, *more]
    return f"coalesce(',' || {_joined(members)}, '')" if members else "''"


def _joined(members: Collection[str]) -> str:
    return f"nullif(concat_ws(',', {', '.join(members)}), '')"
