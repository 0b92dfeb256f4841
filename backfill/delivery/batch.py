"""Pending events become batches: what is posted, and what the ledger keeps of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill.delivery.ledger import CARRIER, KEY_BYTES, Landed
from backfill.event import IDENTIFIERS, person
from backfill.wire.batches import cut
from backfill.wire.interface import Wire

_ENCODED_EVENTS: Final = 2_000
_ENCODED_BYTES: Final = 8_000_000
"""What is encoded in one go, so in memory: a body may be a megabyte."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one request."""

    body: bytes = field(repr=False)
    keys: bytes
    contents: bytes
    carriers: bytes
    metrics: tuple[str, ...]
    """One for each event."""
    query: bytes = field(default=b"", repr=False)

    @property
    def size(self) -> int:
        return len(self.body) + len(self.query)

    def __len__(self) -> int:
        return len(self.metrics)

    def each_key(self) -> Iterator[bytes]:
        for start in range(0, len(self.keys), KEY_BYTES):
            yield self.keys[start : start + KEY_BYTES]


def chunks(pending: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut and join record batches of any length into such that are encoded in one go.

    Joined, because one encoding costs 8 ms before its first event, and a plan of which most is
    delivered gives batches of a few events.
    """
    held: list[pa.RecordBatch] = []
    for events in pending:
        held.append(events)
        if sum(map(len, held)) >= _ENCODED_EVENTS or sum(map(_bytes, held)) >= _ENCODED_BYTES:
            yield from _pieces(held)
            held = []
    yield from _pieces(held)


def _pieces(held: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    if not held:
        return
    events = pa.concat_batches(held)
    sizes = pc.add(events["size"], events["attributes_size"]).to_pylist()
    for rows in cut(sizes, max_events=_ENCODED_EVENTS, max_bytes=_ENCODED_BYTES):
        yield events.slice(rows.start, len(rows))


def _bytes(events: pa.RecordBatch) -> int:
    """Return what the bodies of these events come to, or a little more."""
    return sum(pc.sum(events[name]).as_py() or 0 for name in ("size", "attributes_size"))


def encode(events: pa.RecordBatch, wire: Wire) -> list[Batch]:
    """Encode rows of ``event.EVENTS`` with ``carries`` into batches, every event in one.

    The ledger notes the people of events that carry, and of those in a column ``noted``: those
    whose newest attributes no later run may overwrite.
    """
    noted = events["noted" if "noted" in events.schema.names else "carries"].to_pylist()
    keys, contents, metrics = (events[name].to_pylist() for name in ("key", "content", "metric"))
    people = _people(events)
    return [
        Batch(
            request.body,
            b"".join(keys[rows.start : rows.stop]),
            b"".join(contents[rows.start : rows.stop]),
            b"".join(people(row) for row in rows if noted[row]),
            tuple(metrics[rows.start : rows.stop]),
            request.query,
        )
        for request in wire.requests(events)
        for rows in [request.rows]
    ]


def _people(events: pa.RecordBatch) -> Callable[[int], bytes]:
    """For a row, what the ledger keeps of its person, under each identifier that it has."""
    people, times, keys = (events[name].to_pylist() for name in ("person", "time", "key"))
    identifiers = [(name, events[name].to_pylist()) for name in IDENTIFIERS]

    def of(row: int) -> bytes:
        found = [(name, values[row]) for name, values in identifiers if values[row] is not None]
        others = [person(name, value) for name, value in found[1:]]
        return b"".join(CARRIER.pack(who, times[row], keys[row]) for who in (people[row], *others))

    return of


def landed(batches: Iterable[Batch]) -> Landed:
    """Put acknowledged batches together for one row of the ledger."""
    taken = list(batches)
    return Landed(
        keys=b"".join(batch.keys for batch in taken),
        contents=b"".join(batch.contents for batch in taken),
        carriers=b"".join(batch.carriers for batch in taken),
        metrics=frozenset(chain.from_iterable(batch.metrics for batch in taken)),
    )
