"""An event becomes one request of Create Event."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from backfill import limits
from backfill.wire import json_api
from backfill.wire.event_limits import unfit
from backfill.wire.interface import Answer, Reply, Request
from backfill.wire.json_api import PLACEHOLDER_KEY, PROFILE, filled
from backfill.wire.sql import encoded, select, texts


@dataclass(frozen=True, slots=True)
class Events:
    """Create Event of an account; ``backfill`` says that no flow starts."""

    key: str = field(default=PLACEHOLDER_KEY, repr=False)
    backfill: bool = field(default=True, kw_only=True)
    name: ClassVar[str] = "events"
    method: ClassVar[str] = "POST"
    path: ClassVar[str] = limits.EVENTS_PATH
    gone: ClassVar[str] = json_api.GONE

    @property
    def headers(self) -> Mapping[str, str]:
        return json_api.headers(self.key)

    def measure(self, events: pa.Table) -> pa.Table:
        return select(
            f"strlen({self._body(events, 'false')})::INTEGER AS size,"
            f" strlen({json_api.attributes(filled(events))})::INTEGER AS attributes_size",
            events,
        )

    def unfit(self, events: pa.Table, *, carries: bool) -> pa.Table:
        return unfit(events, carries=carries, around=0)

    def payloads(self, events: pa.Table) -> list[str]:
        return texts(self._body(events, "carries"), events)

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        for row, body in enumerate(encoded(self._body(events, "carries"), events)):
            yield Request(body, range(row, row + 1))

    def read(self, reply: Reply) -> Answer:
        return json_api.read(reply)

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
