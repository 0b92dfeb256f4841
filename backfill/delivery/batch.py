"""Pending events become batches: the requests to post, and what the ledger keeps of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill.event import IDENTIFIERS, person
from backfill.ledger.ledger import CARRIER, DeliveredBatch
from backfill.wire.apis import Api
from backfill.wire.cutting import cut
from backfill.wire.interface import Request, Wire


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How much is encoded at once and so is in memory: one body may be megabytes."""

    max_events: int
    max_bytes: int


_ONE_A_REQUEST: Final = ChunkLimits(2_000, 8_000_000)
_MANY_A_REQUEST: Final = ChunkLimits(10_000, 20_000_000)
"""Several full requests of Bulk Create Events: the last one of a chunk is seldom full."""


def chunk_limits(api: Api) -> ChunkLimits:
    return _MANY_A_REQUEST if api.max_events > 1 else _ONE_A_REQUEST


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one request, and all events of its chunk, to encode some of them again."""

    request: Request
    events: pa.RecordBatch = field(repr=False)
    """Every event that was encoded together with this batch."""
    carriers: list[bytes] = field(repr=False)
    """For each of ``events``, what ``_carriers`` gives."""

    @property
    def rows(self) -> range:
        """The rows of ``events`` that are in the request."""
        return self.request.rows

    def __len__(self) -> int:
        return len(self.rows)

    def delivered(self) -> DeliveredBatch:
        """What the ledger keeps, without the events themselves."""
        own = self.events.slice(self.rows.start, len(self))
        return DeliveredBatch(
            b"".join(own["key"].to_pylist()),
            b"".join(own["content"].to_pylist()),
            b"".join(self.carriers[self.rows.start : self.rows.stop]),
            frozenset(own["metric"].to_pylist()),
        )


def cut_chunks(pending: Iterable[pa.RecordBatch], limits: ChunkLimits) -> Iterator[pa.RecordBatch]:
    """Cut and join record batches of any length into chunks, each of which is encoded in one go.

    They are joined because an encoding costs 8 ms before its first event, and a plan whose events
    are mostly delivered gives record batches of a few events.
    """
    held: list[pa.RecordBatch] = []
    for events in pending:
        held.append(events)
        if (
            sum(map(len, held)) >= limits.max_events
            or sum(map(_body_bytes, held)) >= limits.max_bytes
        ):
            *whole, rest = _cut_held(held, limits)
            yield from whole
            held = [rest]
    yield from _cut_held(held, limits)


def _cut_held(held: list[pa.RecordBatch], limits: ChunkLimits) -> Iterator[pa.RecordBatch]:
    if not held:
        return
    events = pa.concat_batches(held)
    sizes = pc.add(events["size"], events["attributes_size"]).to_pylist()
    for rows in cut(sizes, max_events=limits.max_events, max_bytes=limits.max_bytes):
        yield events.slice(rows.start, len(rows))


def _body_bytes(events: pa.RecordBatch) -> int:
    """The bytes of the bodies of these events, or a little more."""
    return sum(pc.sum(events[name]).as_py() or 0 for name in ("size", "attributes_size"))


def encode(events: pa.RecordBatch, wire: Wire) -> list[Batch]:
    """Encode rows of ``event.EVENTS`` with ``carries`` into batches, every event in one."""
    carriers = _carriers(events)
    return [Batch(request, events, carriers) for request in wire.requests(events)]


def _carriers(events: pa.RecordBatch) -> list[bytes]:
    """For each event: a ``CARRIER`` for each identifier of its person, or b"" to note nobody.

    The ledger notes the people of the events that carry attributes; where there is a column
    ``noted``, the people of the events for which that is true. A plan that writes nobody's
    attributes notes all, so that no later run takes an older event for a person's newest.
    """
    noted = events["noted" if "noted" in events.schema.names else "carries"].to_pylist()
    if not any(noted):
        return [b""] * len(events)
    people, times, keys = (events[name].to_pylist() for name in ("person", "time", "key"))
    # Most columns of identifiers are empty, and a column costs 0.3 µs an event to read.
    identifiers = [
        (name, events[name].to_pylist())
        for name in IDENTIFIERS
        if events[name].null_count < len(events)
    ]

    def of_row(row: int) -> bytes:
        found = [(name, values[row]) for name, values in identifiers if values[row] is not None]
        # The person of the event is a hash of the first identifier.
        everybody = [people[row], *(person(name, value) for name, value in found[1:])]
        return b"".join(CARRIER.pack(who, times[row], keys[row]) for who in everybody)

    return [of_row(row) if is_noted else b"" for row, is_noted in enumerate(noted)]
