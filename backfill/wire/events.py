"""Events as requests of Create Event, one event a request."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from backfill.wire import apis, event_limits, json_api, sql
from backfill.wire.interface import Request
from backfill.wire.json_api import PROFILE, JsonApiWire, filled


@dataclass(frozen=True, slots=True)
class Events(JsonApiWire):
    api: ClassVar[apis.Api] = apis.EVENTS

    def measure(self, events: pa.Table) -> pa.Table:
        return sql.select(
            f"strlen({self._body(events, 'false')})::INTEGER AS size,"
            f" strlen({json_api.attributes(filled(events))})::INTEGER AS attributes_size",
            events,
        )

    def oversized(self, events: pa.Table, *, carries: bool) -> pa.Table:
        return event_limits.oversized(events, carries=carries, around=0)

    def payloads(self, events: pa.Table) -> list[str]:
        return sql.texts(self._body(events, "carries"), events)

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        for row, body in enumerate(sql.encoded(self._body(events, "carries"), events)):
            yield Request(body, range(row, row + 1))

    def rows_at(self, pointer: str, request: Request) -> range:
        return request.rows if pointer else range(0)

    def _body(self, events: pa.RecordBatch | pa.Table, carries: str) -> str:
        columns = filled(events)
        opened, closed = PROFILE
        profile = (
            f"""concat(',"profile":{opened}', {json_api.identifier(columns)},"""
            f" CASE WHEN {carries} THEN {json_api.attributes(columns)} END, '{closed}')"
        )
        event = json_api.event(columns, backfill=self.backfill, profile=profile)
        return f"""concat('{{"data":', {event}, '}}')"""
