"""What mapping hands to delivery: one Arrow schema with a row an event; and an event's key.

Mapping writes these columns and wire reads them; nothing in between parses JSON.
"""

import hashlib
from typing import Final

import pyarrow as pa

KEY_VERSION: Final = "1"
"""The first part of what is hashed to a key. A change of how keys are made needs a new version."""

SEPARATOR: Final = "\x1f"

IDENTIFIERS: Final = ("email", "phone_number", "id")
"""An event has the first of these that its order has; the others count as attributes.

Source: Track API reference v1-2, ``customer_properties``: an e-mail, for SMS-only contacts a phone
number, else an id."""

PROFILE_FIELDS: Final = (
    "first_name",
    "last_name",
    "organization",
    "title",
    "image",
    "address1",
    "address2",
    "city",
    "region",
    "country",
    "zip",
    "timezone",
    "consent",
)
"""The special fields of ``customer_properties`` except the identifiers, without their ``$``.

Source: Track API reference v1-2, "Specific properties"; organization, title, address1, address2
and timezone from the official php-klaviyo, ``ProfileModel::$specialAttributes`` (917f46a)."""

EVENTS: Final = pa.schema(
    [
        pa.field("key", pa.binary(16), nullable=False),
        pa.field("person", pa.binary(16), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("time", pa.int64(), nullable=False),  # Unix seconds
        pa.field("value", pa.decimal128(38, 6)),
        pa.field("currency", pa.string()),
        *(pa.field(name, pa.string()) for name in IDENTIFIERS),
        *(pa.field(name, pa.string()) for name in PROFILE_FIELDS),  # consent: a JSON list
        pa.field("profile", pa.string()),  # own profile properties, a JSON object
        pa.field("properties", pa.string()),  # event properties, a JSON object
        pa.field("content", pa.binary(8), nullable=False),
        pa.field("size", pa.int32(), nullable=False),  # bytes on the wire without attributes
        pa.field("attributes_size", pa.int32(), nullable=False),  # bytes that attributes add
        pa.field("file", pa.int32(), nullable=False),  # of the order's first row
        pa.field("row", pa.int64(), nullable=False),
        # of an event whose id holds a running sum: the hash of the id without it, the sum before
        pa.field("sum_key", pa.binary(16)),
        pa.field("sum_before", pa.decimal128(38, 6)),
    ]
)


def key(metric: str, event_id: str) -> bytes:
    """The identity of an event in plan and ledger: 16 bytes that never change."""
    return _hash(metric, event_id)


def person(identifier: str, value: str) -> bytes:
    """The identity of a person: the name and the value of the identifier that an event has."""
    return _hash(identifier, value)


def hash_sql(*parts: str) -> str:
    """SQL for the same 16 bytes; ``parts`` are SQL for what ``key`` and ``person`` hash."""
    joined = ", chr(31), ".join((f"'{KEY_VERSION}'", *parts))
    return f"unhex(left(sha256(concat({joined})), 32))"


def _hash(*parts: str) -> bytes:
    text = SEPARATOR.join((KEY_VERSION, *parts))
    return hashlib.sha256(text.encode()).digest()[:16]
