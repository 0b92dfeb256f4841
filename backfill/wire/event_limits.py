"""Which events no request of today's API may hold: every limit of klaviyo/facts.md 2.8.

Its remark that a property of 0, null or "" counts as not set is no limit: such a zero is sent.
"""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill import limits
from backfill.wire import json_api
from backfill.wire.property_limits import EVENT, PROFILE, Rules, faults
from backfill.wire.sql import select
from backfill.wire.unfit import first_of_each, longer_than, longest, named, where

_PROFILE_BYTES: Final = len('{"type":"profile","attributes":{}}')
_ESCAPED_BYTES: Final = len("\\u0000")
"""What JSON makes of one byte at most."""


def unfit(events: pa.Table, *, carries: bool, around: int) -> pa.Table:
    """``UNFIT``; ``around`` are the bytes of a request around the measured size of an event."""
    sizes = pc.add(longest(events, carries=carries), around)
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


def _long_texts(events: pa.Table, column: str, most: int, reason: str, told: str) -> pa.Table:
    texts = events[column]
    if (pc.max(pc.binary_length(texts)).as_py() or 0) <= most:  # no character is under one byte
        return where(pa.chunked_array([[]], pa.bool_()), reason, told)
    return where(pc.greater(pc.utf8_length(texts), most), reason, told)


def _large_values(events: pa.Table) -> pa.ChunkedArray:
    values = events["value"]
    over = pc.greater(values, pa.scalar(limits.MAX_INTEGER, values.type))
    return pc.or_(over, pc.less(values, pa.scalar(limits.MIN_INTEGER, values.type)))


def _in_objects(events: pa.Table, column: str, rules: Rules) -> pa.Table:
    found = list(faults(events[column], rules))
    return named(
        [at for at, _ in found],
        [reason for _, (reason, _) in found],
        [told for _, (_, told) in found],
    )


def _large_profiles(events: pa.Table, *, carries: bool) -> pa.Table:
    """Those whose profile is over the limit, with attributes where it may carry them."""
    identifiers = pc.multiply(pc.fill_null(pc.binary_length(events["id"]), 0), _ESCAPED_BYTES)
    rest = _PROFILE_BYTES + _ESCAPED_BYTES * 4 * (limits.MAX_EMAIL_CHARS + 1)
    said = events["attributes_size"] if carries else 0
    most = pc.add(pc.add(identifiers, said), rest)
    if (pc.max(most).as_py() or 0) <= limits.MAX_PROFILE_BYTES:
        return named([], [], [])
    identifier = json_api.identifier(json_api.filled(events))
    exact = select(f"strlen({identifier}) + {_PROFILE_BYTES} AS size", events)["size"]
    return longer_than(limits.MAX_PROFILE_BYTES, pc.add(exact, said), events, "profile_too_large")
