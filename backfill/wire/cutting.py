"""Which events share an item of a bulk request, and where one request ends and the next begins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One profile and its events: rows that stand together."""

    rows: range
    attributes: bytes
    """What one or more of its events say of the person; b"" where none says anything."""


@dataclass(frozen=True, slots=True)
class People:
    """For each row, who it is and what it says of them, as written."""

    identifiers: Sequence[bytes]
    attributes: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Frame:
    """The bytes of a request that are neither events nor people, and what it may hold at most.

    Between two items, and between two events of one, stands a comma.
    """

    request_bytes: int
    item_bytes: int
    max_events: int
    max_bytes: int


def cut_items(
    sizes: Sequence[int], people: People, frame: Frame, keys: Sequence[bytes]
) -> Iterator[list[Item]]:
    """Cut events, in order, into the longest requests that fit; each is a list of its items.

    No request is over ``frame``, and none holds one of ``keys`` twice: Bulk Create Events refuses
    the whole request for a repeat. An event that is over the limit by itself is a request of its
    own. An item has one profile, so events that say different things of one person are several.

    Source: klaviyo/facts.md, 0.7 (OpenAPI file 2026-07-15, ``unique_id`` of the bulk entry).
    """
    repeats = len(set(keys)) < len(keys)
    start = 0
    while start < len(sizes):
        stop = start + frame.max_events
        if repeats:
            stop = _before_repeat(keys, start, stop)
        items = _fill(sizes, people, frame, range(start, min(stop, len(sizes))))
        yield items
        start = items[-1].rows.stop


def _before_repeat(keys: Sequence[bytes], start: int, stop: int) -> int:
    held: set[bytes] = set()
    for place, key in enumerate(keys[start:stop], start):
        if key in held:
            return place
        held.add(key)
    return stop


def _fill(sizes: Sequence[int], people: People, frame: Frame, rows: range) -> list[Item]:
    """The items of one request, of the first of ``rows`` as far as they fit."""
    whos, saids = people.identifiers, people.attributes
    items: list[Item] = []
    begun, who, said = rows.start, whos[rows.start], saids[rows.start]
    free = frame.max_bytes - frame.request_bytes - frame.item_bytes
    free -= len(who) + len(said) + sizes[rows.start]
    for row in rows[1:]:
        own = saids[row]
        if whos[row] == who and (not own or not said or own == said):
            free -= 1 + sizes[row] + (0 if said else len(own))
            if free < 0:
                break
            said = said or own
        else:
            free -= 1 + frame.item_bytes + len(whos[row]) + len(own) + sizes[row]
            if free < 0:
                break
            items.append(Item(range(begun, row), said))
            begun, who, said = row, whos[row], own
    else:
        row = rows.stop
    items.append(Item(range(begun, row), said))
    return items
