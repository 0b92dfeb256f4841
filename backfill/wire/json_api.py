"""What Create Event and Bulk Create Events share: headers, answers, JSON of events and profiles.

Source: Klaviyo's OpenAPI file 2026-07-15, ``EventCreateQueryV2`` and ``EventsBulkCreateJob``;
docs/klaviyo.md, "From Track to JSON:API", for the names that stand for those of the Track API.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final

import pyarrow as pa

from backfill import limits
from backfill.event import IDENTIFIERS, PROFILE_FIELDS
from backfill.wire.interface import Answer, Reply
from backfill.wire.sql import VALUE, json_of, member

PLACEHOLDER_KEY: Final = "PRIVATE_KEY"
"""Stands for the private key in what is only planned or shown; no body holds a key."""

_NAMES: Final = {"email": "email", "phone_number": "phone_number", "id": "external_id"}
"""A profile's ``id`` is an id that Klaviyo gave, and none of ours."""

_LOCATION: Final = ("address1", "address2", "city", "region", "country", "zip", "timezone")

_ELSEWHERE: Final = (*_LOCATION, "consent")
"""Consent goes with no event; ``schema.api_rules`` has refused it."""


@dataclass(frozen=True, slots=True)
class JsonApiWire:
    """What both wire formats have in common; ``backfill`` says that an event starts no flow."""

    key: str = field(default=PLACEHOLDER_KEY, repr=False)
    backfill: bool = field(default=True, kw_only=True)
    method: ClassVar[str] = "POST"

    @property
    def headers(self) -> Mapping[str, str]:
        return headers(self.key)

    def read(self, reply: Reply) -> Answer:
        """202 says that the whole request was understood and taken; it has no body."""
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
    optional = [(member("value", VALUE), "value"), (_currency(), "currency")]
    members = [f"',' || {sql}" for sql, column in optional if column in columns]
    properties = "coalesce(properties, '{}')" if "properties" in columns else "'{}'"
    parts = (
        """'{"type":"event","attributes":{"properties":'""",
        properties,
        """',"metric":{"data":{"type":"metric","attributes":{"name":'""",
        json_of("metric"),
        "'}}}'",
        profile,
        '\',"time":"\'',
        "strftime(make_timestamp(\"time\" * 1000000), '%Y-%m-%dT%H:%M:%SZ')",
        "'\"'",
        *members,
        "',\"unique_id\":'",
        json_of("event_id"),
        f"""',"backfill":{_json(backfill)}}}}}'""",
    )
    return f"concat({', '.join(parts)})"


def _currency() -> str:
    return member("value_currency", json_of("currency"))


def _json(flag: bool) -> str:  # noqa: FBT001 - the value itself
    return "true" if flag else "false"


PROFILE: Final = ('{"data":{"type":"profile","attributes":{', "}}}")
"""The text before and behind a profile's members."""


def identifier(columns: Collection[str]) -> str:
    """SQL for the one member that identifies the person."""
    cases = (
        f'WHEN "{name}" IS NOT NULL THEN {member(_NAMES[name], json_of(name))}'
        for name in IDENTIFIERS
        if name in columns
    )
    return f"CASE {' '.join((*cases, 'WHEN false THEN NULL'))} END"


def attributes(columns: Collection[str]) -> str:
    """SQL for the person's other members, with a comma before each; '' where there are none."""
    there = [name for name in IDENTIFIERS if name in columns]
    others = [
        f"CASE WHEN coalesce({', '.join(there[:place])}) IS NOT NULL"
        f" THEN {member(_NAMES[name], json_of(name))} END"
        for place, name in enumerate(there)
        if place
    ]
    own = [name for name in PROFILE_FIELDS if name in columns and name not in _ELSEWHERE]
    fields = [member(name, json_of(name)) for name in own]
    places = [member(name, json_of(name)) for name in _LOCATION if name in columns]
    location = [f"""'"location":{{' || {_joined(places)} || '}}'"""] if places else []
    more = [member("properties", """nullif("profile", '{}')""")] if "profile" in columns else []
    members = [*others, *fields, *location, *more]
    return f"coalesce(',' || {_joined(members)}, '')" if members else "''"


def _joined(members: Collection[str]) -> str:
    return f"nullif(concat_ws(',', {', '.join(members)}), '')"
