"""The limits of a JSON object in an event or a profile: members, levels, lengths, integers.

A regular expression, the length of the text, and its brackets alone clear nearly all objects. The
few others are parsed in Python, exactly.

Source: docs/klaviyo.md, "Limits".
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill import limits
from backfill.wire.oversized import places_of

Fault = tuple[str, str]
"""A reason code, and which member breaks the limit and how far."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the limits of an event's properties and of a profile's properties differ."""

    max_members: float
    level: int
    """Of the object itself, counted from 1; a profile's properties are inside its attributes."""


EVENT: Final = Rules(limits.MAX_PROPERTIES, level=1)
PROFILE: Final = Rules(math.inf, level=2)

_MEMBER_BYTES: Final = len('"":0,')
_MANY_MEMBERS_BYTES: Final = (limits.MAX_PROPERTIES + 1) * _MEMBER_BYTES
"""A shorter text has neither too many members nor too many elements nor too long a string."""

_LONG_NUMBER: Final = r"[:,\[]\s*-?[0-9]{19}"
"""2^63 has 19 digits."""

_SUSPECT: Final = rf"{_LONG_NUMBER}|(?:[{{\[][^{{\[]*){{{limits.MAX_LEVELS}}}"
"""Such a number, or so many brackets that they may be nested too deep; one pass finds both."""


def faults(objects: pa.ChunkedArray, rules: Rules) -> Iterator[tuple[int, Fault]]:
    """Give the first fault of each JSON object that has one, with the object's place."""
    long = pc.greater_equal(pc.binary_length(objects), _MANY_MEMBERS_BYTES)
    places = places_of(pc.or_(long, pc.match_substring_regex(objects, _SUSPECT)))
    texts = objects.take(places)
    numbers = pc.match_substring_regex(texts, _LONG_NUMBER).to_pylist()
    for at, text, number in zip(places.to_pylist(), texts.to_pylist(), numbers, strict=True):
        if number or not _is_clear(text.encode(), rules):
            fault = fault_of(text, rules)
            if fault is not None:
                yield at, fault


def fault_of(text: str, rules: Rules) -> Fault | None:
    """Parse one JSON object and give its first fault; None where it has none."""
    try:
        members = json.loads(text, parse_int=_integer)
    except RecursionError:
        return "too_deep", "a member"
    if len(members) > rules.max_members:
        return "too_many_properties", f"{len(members):,} properties"
    found = (
        fault
        for name, value in members.items()
        for fault in (*_text(name, "a name"), *_within(value, rules.level + 1, name))
    )
    return next(found, None)


def _within(value: object, level: int, member: str) -> Iterator[Fault]:
    """Give the faults of a value; ``level`` is that of the value, if it is an object or array."""
    match value:
        case str():
            yield from _text(value, member)
        case int() if not limits.MIN_INTEGER <= value <= limits.MAX_INTEGER:
            yield "number_too_large", member
        case dict() | list() if level > limits.MAX_LEVELS:
            yield "too_deep", member
        case dict():
            for name in value:
                yield from _text(name, member)
            yield from _each(value.values(), level + 1, member)
        case list():
            if len(value) > limits.MAX_ELEMENTS:
                yield "too_many_elements", f"{member}: {len(value):,} elements"
            yield from _each(value, level + 1, member)


def _each(values: Iterable[object], level: int, member: str) -> Iterator[Fault]:
    for value in values:
        yield from _within(value, level, member)


def _text(text: str, member: str) -> Iterator[Fault]:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > limits.MAX_STRING_BYTES:
        yield "string_too_long", f"{member}: {size:,} bytes"


def _integer(digits: str) -> int:
    """Python parses no integer of 5,000 digits; one of 21 is too large already."""
    return int(digits) if len(digits) <= _READ_DIGITS else limits.MAX_INTEGER + 1


_READ_DIGITS: Final = 20

_TO_BRACES: Final = bytes.maketrans(b"[]", b"{}")
_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'{}[]"\\'))


def _is_clear(text: bytes, rules: Rules) -> bool:
    """Decide, at 1 ns a byte, whether nothing but a number can break a limit here.

    False means that only parsing can tell. A string without brackets, quotes and backslashes leaves
    two quotes.
    """
    if len(text) > limits.MAX_STRING_BYTES or text.count(b",") >= limits.MAX_ELEMENTS:
        return False
    if text.count(b'":') > rules.max_members:
        return False
    brackets = text.translate(_TO_BRACES, _NO_STRUCTURE).replace(b'""', b"")
    for _ in range(rules.level, limits.MAX_LEVELS + 1):
        brackets = brackets.replace(b"{}", b"")
    return not brackets
