"""Events become requests of Bulk Create Events: each person once, with what stands together.

The texts of events and people are made by one DuckDB query; how they are put together here says
how many bytes they come to.

Source: Klaviyo's OpenAPI file 2026-07-15, ``EventsBulkCreateJob``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

import pyarrow as pa

from backfill import limits
from backfill.wire import json_api
from backfill.wire.cutting import Frame, People, cut_items
from backfill.wire.event_limits import unfit
from backfill.wire.interface import Answer, Reply, Request
from backfill.wire.json_api import PLACEHOLDER_KEY, PROFILE, filled
from backfill.wire.sql import select

_JOB: Final = (
    b'{"data":{"type":"event-bulk-create-job","attributes":{"events-bulk-create":{"data":[',
    b"]}}}}",
)
_JOB_BYTES: Final = sum(map(len, _JOB))


@dataclass(frozen=True, slots=True)
class Bulk:
    """Bulk Create Events of an account; ``backfill`` says that no flow starts."""

    key: str = field(default=PLACEHOLDER_KEY, repr=False)
    backfill: bool = field(default=True, kw_only=True)
    max_events: int = field(default=limits.BULK_MAX_EVENTS, kw_only=True)
    max_bytes: int = field(default=limits.MAX_BODY_BYTES, kw_only=True)
    name: ClassVar[str] = "bulk"
    method: ClassVar[str] = "POST"
    path: ClassVar[str] = limits.BULK_PATH
    gone: ClassVar[str] = json_api.GONE

    @property
    def headers(self) -> Mapping[str, str]:
        return json_api.headers(self.key)

    def measure(self, events: pa.Table) -> pa.Table:
        """Sizes are those of an item of its own, without the request around it."""
        columns = filled(events)
        event = json_api.event(columns, backfill=self.backfill)
        around = sum(map(len, _item(backfill=self.backfill)))
        return select(
            f"(strlen({event}) + strlen({json_api.identifier(columns)}) + {around})::INTEGER"
            f" AS size, strlen({json_api.attributes(columns)})::INTEGER AS attributes_size",
            events,
        )

    def unfit(self, events: pa.Table, *, carries: bool) -> pa.Table:
        return unfit(events, carries=carries, around=_JOB_BYTES)

    def payloads(self, events: pa.Table) -> list[str]:
        """Each as a request with that one event."""
        alone = Bulk(backfill=self.backfill, max_events=1)
        return [
            request.body.decode()
            for batch in events.to_batches()
            for request in alone.requests(batch)
        ]

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        columns = filled(events)
        parts = select(
            f"{json_api.event(columns, backfill=self.backfill)} AS event,"
            f" {json_api.identifier(columns)} AS who,"
            f" CASE WHEN carries THEN {json_api.attributes(columns)} ELSE '' END AS said",
            events,
        )
        texts, whos, saids = (_bytes(parts[name]) for name in ("event", "who", "said"))
        opened, turned, closed = _item(backfill=self.backfill)
        frame = Frame(
            _JOB_BYTES,
            len(opened) + len(turned) + len(closed),
            max_events=self.max_events,
            max_bytes=self.max_bytes,
        )
        sizes = list(map(len, texts))
        for items in cut_items(sizes, People(whos, saids), frame, _bytes(events["key"])):
            bodies = b",".join(
                b"".join(
                    (
                        opened,
                        whos[item.rows.start],
                        item.attributes,
                        turned,
                        b",".join(texts[item.rows.start : item.rows.stop]),
                        closed,
                    )
                )
                for item in items
            )
            rows = range(items[0].rows.start, items[-1].rows.stop)
            held = tuple(item.rows for item in items)
            yield Request(bodies.join(_JOB), rows, items=held)

    def read(self, reply: Reply) -> Answer:
        return json_api.read(reply)

    def rows_at(self, pointer: str, request: Request) -> range:
        found = _POINTER.match(pointer)
        if found is None or int(found[1]) >= len(request.items):
            return range(0)
        rows = request.items[int(found[1])]
        if found[2] is None:
            return rows
        at = int(found[2])
        return rows[at : at + 1]


_POINTER: Final = re.compile(
    "/data/attributes/events-bulk-create/data/([0-9]{1,9})"
    "(?:/attributes/events/data/([0-9]{1,9}))?(?:/|$)"
)


def _item(*, backfill: bool) -> tuple[bytes, bytes, bytes]:
    """What stands before a profile's members, between them and its events, and behind those."""
    opened, closed = PROFILE
    flag = "true" if backfill else "false"
    return (
        b'{"type":"event-bulk-create","attributes":{"backfill":%b,"profile":%b'
        % (flag.encode(), opened.encode()),
        b'%b,"events":{"data":[' % closed.encode(),
        b"]}}}",
    )


def _bytes(column: pa.Array | pa.ChunkedArray) -> list[bytes]:
    found: list[bytes] = column.cast(pa.binary()).to_pylist()
    return found
