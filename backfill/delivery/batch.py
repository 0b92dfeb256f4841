"""Pending events become batches: the requests to post, and what the ledger keeps of each."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from backfill.event import IDENTIFIERS, person
from backfill.ledger.ledger import CARRIER, DeliveredBatch
from backfill.wire.apis import Api
from backfill.wire.cutting import cut
from backfill.wire.interface import Request, Wire


@dataclass(frozen=True, slots=True)
class ChunkLimits:
    """How much is encoded in one go, and so is in memory: a body may be megabytes."""

    max_events: int
    max_bytes: int


_ONE_A_REQUEST: Final = ChunkLimits(2_000, 8_000_000)
_MANY_A_REQUEST: Final = ChunkLimits(10_000, 20_000_000)
"""Several full requests of Bulk Create Events: the last one of a chunk is seldom full."""


def chunk_limits(api: Api) -> ChunkLimits:
    return _MANY_A_REQUEST if api.max_events > 1 else _ONE_A_REQUEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Events that are encoded in one go, and what the ledger keeps of each."""

    events: pa.RecordBatch = field(repr=False)
    keys: list[bytes]
    contents: list[bytes]
    carriers: list[bytes]
    """``CARRIER``, one for each identifier of the event's person; b"" where none is noted."""
    metrics: list[str]

    @classmethod
    def of(cls, events: pa.RecordBatch) -> Self:
        """Take what the ledger keeps from rows of ``event.EVENTS`` with a column ``carries``.

        The ledger notes the people of the events that carry attributes; where there is a column
        ``noted``, the people of the events for which that is true. A plan that writes nobody's
        attributes notes all, so that no later run takes an older event for a person's newest.
        """
        noted = events["noted" if "noted" in events.schema.names else "carries"].to_pylist()
        people = _people(events) if any(noted) else None
        return cls(
            events=events,
            keys=events["key"].to_pylist(),
            contents=events["content"].to_pylist(),
            carriers=[people(row) if people and note else b"" for row, note in enumerate(noted)],
            metrics=events["metric"].to_pylist(),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one request; their chunk is kept, to encode some of them again."""

    request: Request
    chunk: Chunk

    @property
    def rows(self) -> range:
        """Their places in ``chunk``."""
        return self.request.rows

    def __len__(self) -> int:
        return len(self.request.rows)

    def delivered(self) -> DeliveredBatch:
        """What the ledger keeps, without the events themselves."""
        rows = slice(self.rows.start, self.rows.stop)
        return DeliveredBatch(
            b"".join(self.chunk.keys[rows]),
            b"".join(self.chunk.contents[rows]),
            b"".join(self.chunk.carriers[rows]),
            frozenset(self.chunk.metrics[rows]),
        )


def cut_chunks(pending: Iterable[pa.RecordBatch], limits: ChunkLimits) -> Iterator[pa.RecordBatch]:
    """Cut and join record batches of any length into such that are encoded in one go.

    Joined, because one encoding costs 8 ms before its first event, and a plan of which most is
    delivered gives batches of a few events.
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
    chunk = Chunk.of(events)
    return [Batch(request, chunk) for request in wire.requests(events)]


def _people(events: pa.RecordBatch) -> Callable[[int], bytes]:
    """Make a function that gives a row's person as the ledger keeps it, under each identifier."""
    people, times, keys = (events[name].to_pylist() for name in ("person", "time", "key"))
    # Most columns of identifiers are empty, and a column costs 0.3 µs an event to read.
    identifiers = [
        (name, events[name].to_pylist())
        for name in IDENTIFIERS
        if events[name].null_count < len(events)
    ]

    def carriers_of(row: int) -> bytes:
        first = CARRIER.pack(people[row], times[row], keys[row])
        if len(identifiers) < 2:  # noqa: PLR2004 - a person with one identifier is noted once
            return first
        found = [(name, values[row]) for name, values in identifiers if values[row] is not None]
        others = (person(name, value) for name, value in found[1:])
        return first + b"".join(CARRIER.pack(who, times[row], keys[row]) for who in others)

    return carriers_of
