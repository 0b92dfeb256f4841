"""Which events no request of the JSON:API may hold.

Klaviyo's remark that a property of 0, null or "" counts as not set is not a limit: such a zero is
sent.

Source: docs/klaviyo.md, "Limits".
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill import limits
from backfill.wire import json_api
from backfill.wire.interface import OVERSIZED
from backfill.wire.oversized import first_of_each, largest_sizes, longer_than, where
from backfill.wire.property_limits import EVENT, PROFILE, Rules, faults
from backfill.wire.sql import select

_PROFILE_BYTES: Final = len('{"type":"profile","attributes":{}}')
_ESCAPED_BYTES: Final = len("\\u0000")
"""What JSON makes of one byte at most."""


def oversized(events: pa.Table, *, carries: bool, around: int) -> pa.Table:
    """Give ``OVERSIZED``; a request has ``around`` bytes more than an event's measured size."""
    sizes = pc.add(largest_sizes(events, carries=carries), around)
    found = [
        longer_than(limits.MAX_BODY_BYTES, sizes, events, "too_large"),
        _long_texts(events, "metric", limits.MAX_METRIC_CHARS, "name_too_long", "event"),
        _long_texts(events, "event_id", limits.MAX_UNIQUE_ID_CHARS, "id_too_long", "$event_id"),
        _long_texts(events, "email", limits.MAX_EMAIL_CHARS, "email_too_long", "$email"),
        where(_large_values(events), "number_too_large", "$value"),
        _in_objects(events, "properties", EVENT),
        _large_profiles(events, carries=carries),
    ]
    if carries:
        found.append(_in_objects(events, "profile", PROFILE))
    return first_of_each(*found)


def _long_texts(
    events: pa.Table, column: str, max_chars: int, reason: str, shown_as: str
) -> pa.Table:
    texts = events[column]
    if (pc.max(pc.binary_length(texts)).as_py() or 0) <= max_chars:  # a character has 1 to 4 bytes
        return OVERSIZED.empty_table()
    return where(pc.greater(pc.utf8_length(texts), max_chars), reason, shown_as)


def _large_values(events: pa.Table) -> pa.ChunkedArray:
    values = events["value"]
    over = pc.greater(values, pa.scalar(limits.MAX_INTEGER, values.type))
    return pc.or_(over, pc.less(values, pa.scalar(limits.MIN_INTEGER, values.type)))


def _in_objects(events: pa.Table, column: str, rules: Rules) -> pa.Table:
    rows = [
        {"at": at, "reason": reason, "column": member}
        for at, (reason, member) in faults(events[column], rules)
    ]
    return pa.Table.from_pylist(rows, schema=OVERSIZED)


def _large_profiles(events: pa.Table, *, carries: bool) -> pa.Table:
    """List the events whose profile is too large, with attributes where they may carry them."""
    identifiers = pc.multiply(pc.fill_null(pc.binary_length(events["id"]), 0), _ESCAPED_BYTES)
    rest = _PROFILE_BYTES + _ESCAPED_BYTES * 4 * (limits.MAX_EMAIL_CHARS + 1)
    attributes = events["attributes_size"] if carries else 0
    upper_bounds = pc.add(pc.add(identifiers, attributes), rest)
    if (pc.max(upper_bounds).as_py() or 0) <= limits.MAX_PROFILE_BYTES:
        return OVERSIZED.empty_table()
    identifier = json_api.identifier(json_api.filled(events))
    exact = select(f"strlen({identifier}) + {_PROFILE_BYTES} AS size", events)["size"]
    sizes = pc.add(exact, attributes)
    return longer_than(limits.MAX_PROFILE_BYTES, sizes, events, "profile_too_large")
