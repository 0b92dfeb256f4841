"""Events as requests of Bulk Create Events; consecutive events of one person share an item.

One DuckDB query makes the texts of events and people, and ``cutting`` counts the bytes of each
request from them, so that no body is built twice.

Source: Klaviyo's OpenAPI file 2026-07-15, ``EventsBulkCreateJob``.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

import pyarrow as pa

from backfill.wire import apis, event_limits, json_api, sql
from backfill.wire.cutting import People, RequestLimits, cut_items
from backfill.wire.interface import Request
from backfill.wire.json_api import PROFILE, JsonApiWire, filled

_JOB: Final = (
    b'{"data":{"type":"event-bulk-create-job","attributes":{"events-bulk-create":{"data":[',
    b"]}}}}",
)
_JOB_BYTES: Final = sum(map(len, _JOB))


@dataclass(frozen=True, slots=True)
class Bulk(JsonApiWire):
    max_events: int = field(default=apis.BULK.max_events, kw_only=True)
    max_bytes: int = field(default=apis.BULK.max_body_bytes, kw_only=True)
    api: ClassVar[apis.Api] = apis.BULK

    def measure(self, events: pa.Table) -> pa.Table:
        """Give the sizes of an item with that one event, without the request around it."""
        columns = filled(events)
        event = json_api.event(columns, backfill=self.backfill)
        around = sum(map(len, _item(backfill=self.backfill)))
        return sql.select(
            f"(strlen({event}) + strlen({json_api.identifier(columns)}) + {around})::INTEGER"
            f" AS size, strlen({json_api.attributes(columns)})::INTEGER AS attributes_size",
            events,
        )

    def oversized(self, events: pa.Table, *, carries: bool) -> pa.Table:
        return event_limits.oversized(events, carries=carries, around=_JOB_BYTES)

    def payloads(self, events: pa.Table) -> list[str]:
        """Give each event as a request with that one event."""
        one_a_request = Bulk(backfill=self.backfill, max_events=1)
        return [
            request.body.decode()
            for batch in events.to_batches()
            for request in one_a_request.requests(batch)
        ]

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        columns = filled(events)
        texts = sql.select(
            f"{json_api.event(columns, backfill=self.backfill)} AS event,"
            f" {json_api.identifier(columns)} AS identifier,"
            f" CASE WHEN carries THEN {json_api.attributes(columns)} ELSE '' END AS attributes",
            events,
        )
        event_texts, identifiers, attributes = map(sql.as_bytes, texts.columns)
        begin, middle, end = _item(backfill=self.backfill)
        cuts = cut_items(
            list(map(len, event_texts)),
            People(identifiers, attributes),
            sql.as_bytes(events["key"]),
            RequestLimits(
                self.max_events, self.max_bytes, _JOB_BYTES, len(begin) + len(middle) + len(end)
            ),
        )
        for items in cuts:
            encoded = b",".join(
                b"".join(
                    (
                        begin,
                        identifiers[item.rows.start],
                        item.attributes,
                        middle,
                        b",".join(event_texts[item.rows.start : item.rows.stop]),
                        end,
                    )
                )
                for item in items
            )
            rows = range(items[0].rows.start, items[-1].rows.stop)
            yield Request(encoded.join(_JOB), rows, items=tuple(item.rows for item in items))

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
    """The texts before a profile's members, between them and the events, and after the events."""
    opened, closed = PROFILE
    return (
        b'{"type":"event-bulk-create","attributes":{"backfill":%b,"profile":%b'
        % (json.dumps(backfill).encode(), opened.encode()),
        b'%b,"events":{"data":[' % closed.encode(),
        b"]}}}",
    )
