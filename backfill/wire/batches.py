"""Where one request ends and the next begins."""

from collections.abc import Hashable, Iterator, Sequence


def cut(
    sizes: Sequence[int],
    *,
    max_events: int,
    max_bytes: int | None = None,
    keys: Sequence[Hashable] | None = None,
) -> Iterator[range]:
    """Cut events, in order, into the longest runs that fit; each run is a range of places.

    No run holds more than ``max_events`` events, nor more than ``max_bytes`` bytes, nor one of
    ``keys`` twice: Bulk Create Events refuses the whole request for a repeat. An event that is
    over ``max_bytes`` by itself is a run of its own. Cuts depend on the input alone.

    Source: klaviyo/facts.md, 0.7 (OpenAPI file 2026-07-15, ``unique_id`` of the bulk entry).
    """
    start, taken_bytes = 0, 0
    held: set[Hashable] = set()
    for place, size in enumerate(sizes):
        repeated = keys is not None and keys[place] in held
        too_big = max_bytes is not None and taken_bytes + size > max_bytes
        if place > start and (place - start == max_events or too_big or repeated):
            yield range(start, place)
            start, taken_bytes = place, 0
            held.clear()
        taken_bytes += size
        if keys is not None:
            held.add(keys[place])
    if start < len(sizes):
        yield range(start, len(sizes))
