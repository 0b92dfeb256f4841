"""Where one request ends and the next begins, and which events share an item of a bulk request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


def cut(sizes: Sequence[int], *, max_events: int, max_bytes: int) -> Iterator[range]:
    """Cut events, in order, into the longest runs that fit; each is a range of places.

    An event that is over ``max_bytes`` by itself is a run of its own.
    """
    start, run_bytes = 0, 0
    for place, size in enumerate(sizes):
        if place > start and (place - start == max_events or run_bytes + size > max_bytes):
            yield range(start, place)
            start, run_bytes = place, 0
        run_bytes += size
    if start < len(sizes):
        yield range(start, len(sizes))


@dataclass(frozen=True, slots=True)
class Item:
    """One profile and its events, whose rows are consecutive."""

    rows: range
    attributes: bytes
    """Of the profile, from one or more of its events; b"" where no event carries any."""


@dataclass(frozen=True, slots=True)
class People:
    """For each row, its person's identifier and the attributes that it carries, as written."""

    identifiers: Sequence[bytes]
    attributes: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a request may hold, and how many of its bytes are neither events nor people.

    A comma separates two items, and two events of one item.
    """

    max_events: int
    max_bytes: int
    request_bytes: int
    item_bytes: int


def cut_items(
    sizes: Sequence[int], people: People, keys: Sequence[bytes], limits: RequestLimits
) -> Iterator[list[Item]]:
    """Cut events, in order, into the longest requests that fit; each is a list of its items.

    No request is over ``limits``, and none holds one of ``keys`` twice: Bulk Create Events may
    refuse the whole request for a repeat. An event that is over the limit by itself is a request
    of its own. An item has one profile, so events with different attributes of one person are in
    several items. Cuts depend on the input alone.

    Args:
        sizes: of each event as JSON, in bytes.
        people: of each event.
        keys: of each event.
        limits: of one request.

    Source: docs/klaviyo.md, "Repeats".
    """
    has_repeats = len(set(keys)) < len(keys)
    start = 0
    while start < len(sizes):
        stop = min(start + limits.max_events, len(sizes))
        if has_repeats:
            stop = _before_repeat(keys, start, stop)
        items = _fill(sizes, people, range(start, stop), limits)
        yield items
        start = items[-1].rows.stop


def _before_repeat(keys: Sequence[bytes], start: int, stop: int) -> int:
    seen: set[bytes] = set()
    for place, key in enumerate(keys[start:stop], start):
        if key in seen:
            return place
        seen.add(key)
    return stop


def _fill(sizes: Sequence[int], people: People, rows: range, limits: RequestLimits) -> list[Item]:
    """Fill one request from the first of ``rows`` on, as far as they fit."""
    identifiers, attributes = people.identifiers, people.attributes
    items: list[Item] = []
    start, person, profile = rows.start, identifiers[rows.start], attributes[rows.start]
    free = limits.max_bytes - limits.request_bytes - limits.item_bytes
    free -= len(person) + len(profile) + sizes[rows.start]
    for row in rows[1:]:
        own = attributes[row]
        if identifiers[row] == person and (not own or not profile or own == profile):
            free -= 1 + sizes[row] + (0 if profile else len(own))
            if free < 0:
                break
            profile = profile or own
        else:
            free -= 1 + limits.item_bytes + len(identifiers[row]) + len(own) + sizes[row]
            if free < 0:
                break
            items.append(Item(range(start, row), profile))
            start, person, profile = row, identifiers[row], own
    else:
        row = rows.stop
    items.append(Item(range(start, row), profile))
    return items
