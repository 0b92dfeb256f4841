"""Pending events become batches: what is posted, and what the ledger keeps of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from backfill.event import IDENTIFIERS, person
from backfill.ledger.ledger import CARRIER, CONTENT_BYTES, KEY_BYTES, DeliveredBatch
from backfill.wire.apis import Api
from backfill.wire.cutting import cut
from backfill.wire.interface import Request, Wire


@dataclass(frozen=True, slots=True)
class Chunk:
    """What is encoded in one go, so in memory: a body may be megabytes."""

    max_events: int
    max_bytes: int


_ONE_A_REQUEST: Final = Chunk(2_000, 8_000_000)
_MANY_A_REQUEST: Final = Chunk(10_000, 20_000_000)
"""Several full requests of Bulk Create Events: the last one of a chunk is seldom full."""


def chunk_of(api: Api) -> Chunk:
    return _MANY_A_REQUEST if api.max_events > 1 else _ONE_A_REQUEST


@dataclass(frozen=True, slots=True)
class Source:
    """Events that were encoded in one go, and what the ledger keeps of each."""

    events: pa.RecordBatch = field(repr=False)
    keys: bytes
    contents: bytes
    carriers: bytes
    carriers_before: list[int]
    """Of each row; and of all, at the end."""
    metrics: list[str]

    @classmethod
    def of(cls, events: pa.RecordBatch) -> Self:
        """Take it from rows of ``event.EVENTS`` with ``carries``.

        The ledger notes the people of events that carry, and of those in a column ``noted``:
        those whose newest attributes no later run may overwrite.
        """
        noted = events["noted" if "noted" in events.schema.names else "carries"].to_pylist()
        people = _people(events) if any(noted) else _nobody
        carriers = [people(row) if note else b"" for row, note in enumerate(noted)]
        return cls(
            events,
            _bytes_of(events["key"], KEY_BYTES),
            _bytes_of(events["content"], CONTENT_BYTES),
            b"".join(carriers),
            list(accumulate(map(len, carriers), initial=0)),
            events["metric"].to_pylist(),
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """The events of one request; their rows are kept, to encode some of them anew."""

    request: Request
    source: Source

    @property
    def rows(self) -> range:
        """Their places in ``source``."""
        return self.request.rows

    def __len__(self) -> int:
        return len(self.request.rows)

    @property
    def keys(self) -> bytes:
        return self.source.keys[self.rows.start * KEY_BYTES : self.rows.stop * KEY_BYTES]

    @property
    def contents(self) -> bytes:
        rows = self.rows
        return self.source.contents[rows.start * CONTENT_BYTES : rows.stop * CONTENT_BYTES]

    @property
    def carriers(self) -> bytes:
        before = self.source.carriers_before
        return self.source.carriers[before[self.rows.start] : before[self.rows.stop]]

    @property
    def metrics(self) -> list[str]:
        """One for each event."""
        return self.source.metrics[self.rows.start : self.rows.stop]

    def key_of(self, row: int) -> bytes:
        return self.source.keys[row * KEY_BYTES : (row + 1) * KEY_BYTES]

    def metric_of(self, row: int) -> str:
        return self.source.metrics[row]

    def landed(self) -> DeliveredBatch:
        """What the ledger keeps of it, without the events themselves."""
        return DeliveredBatch(self.keys, self.contents, self.carriers, frozenset(self.metrics))


def chunks(pending: Iterable[pa.RecordBatch], chunk: Chunk) -> Iterator[pa.RecordBatch]:
    """Cut and join record batches of any length into such that are encoded in one go.

    Joined, because one encoding costs 8 ms before its first event, and a plan of which most is
    delivered gives batches of a few events.
    """
    held: list[pa.RecordBatch] = []
    for events in pending:
        held.append(events)
        if sum(map(len, held)) >= chunk.max_events or sum(map(_bytes, held)) >= chunk.max_bytes:
            *whole, rest = _pieces(held, chunk)
            yield from whole
            held = [rest]
    yield from _pieces(held, chunk)


def _pieces(held: list[pa.RecordBatch], chunk: Chunk) -> Iterator[pa.RecordBatch]:
    if not held:
        return
    events = pa.concat_batches(held)
    sizes = pc.add(events["size"], events["attributes_size"]).to_pylist()
    for rows in cut(sizes, max_events=chunk.max_events, max_bytes=chunk.max_bytes):
        yield events.slice(rows.start, len(rows))


def _bytes(events: pa.RecordBatch) -> int:
    """Return what the bodies of these events come to, or a little more."""
    return sum(pc.sum(events[name]).as_py() or 0 for name in ("size", "attributes_size"))


def encode(events: pa.RecordBatch, wire: Wire) -> list[Batch]:
    """Encode rows of ``event.EVENTS`` with ``carries`` into batches, every event in one."""
    source = Source.of(events)
    return [Batch(request, source) for request in wire.requests(events)]


def _people(events: pa.RecordBatch) -> Callable[[int], bytes]:
    """For a row, what the ledger keeps of its person, under each identifier that it has."""
    people, keys = (_bytes_of(events[name], KEY_BYTES) for name in ("person", "key"))
    times = events["time"].to_pylist()
    # Most columns of identifiers are empty, and a column costs 0.3 µs an event to read.
    identifiers = [
        (name, events[name].to_pylist())
        for name in IDENTIFIERS
        if events[name].null_count < len(events)
    ]

    def of(row: int) -> bytes:
        at = slice(row * KEY_BYTES, (row + 1) * KEY_BYTES)
        noted = CARRIER.pack(people[at], times[row], keys[at])
        if len(identifiers) < 2:  # noqa: PLR2004 - a person with one name is noted once
            return noted
        found = [(name, values[row]) for name, values in identifiers if values[row] is not None]
        others = (person(name, value) for name, value in found[1:])
        return noted + b"".join(CARRIER.pack(who, times[row], keys[at]) for who in others)

    return of


def _nobody(_: int) -> bytes:
    return b""


def _bytes_of(column: pa.Array, width: int) -> bytes:
    """The values of a column of fixed width, one after the other."""
    begin = column.offset * width
    return bytes(memoryview(column.buffers()[1])[begin : begin + len(column) * width])


def landed(parts: Iterable[DeliveredBatch]) -> DeliveredBatch:
    """Put acknowledged batches together for one row of the ledger."""
    taken = list(parts)
    return DeliveredBatch(
        keys=b"".join(part.keys for part in taken),
        contents=b"".join(part.contents for part in taken),
        carriers=b"".join(part.carriers for part in taken),
        metrics=frozenset(chain.from_iterable(part.metrics for part in taken)),
    )
