"""The interface of a wire format: what fits into a request, and what an answer means."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

import pyarrow as pa

from backfill.wire.apis import Api

Answer: TypeAlias = Literal["delivered", "refused", "unreadable"]


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """The steady rate window of an endpoint, as the headers of an answer describe it.

    Every answer but a 429 has ``RateLimit-Limit``, ``-Remaining`` and ``-Reset``.

    Source: docs/klaviyo.md, "Rate limits and errors".
    """

    limit: int
    remaining: int
    reset_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer to one request. Its body may name a person, so no ``repr`` shows it."""

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: str | None = None
    date: str | None = None
    rate_limit: RateLimitStatus | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request, and the rows of the encoded events that it holds."""

    body: bytes = field(repr=False)
    rows: range
    query: bytes = field(default=b"", repr=False)
    """The URL's part after the ``?``, as it is sent."""
    items: tuple[range, ...] = ()
    """Of Bulk Create Events: the rows of each profile with its events, in order."""

    @property
    def size(self) -> int:
        return len(self.body) + len(self.query)


ReadAnswer: TypeAlias = Callable[[Reply], Answer]

OVERSIZED: Final = pa.schema(
    [
        pa.field("at", pa.int64(), nullable=False),  # the event's place in the table
        pa.field("reason", pa.string(), nullable=False),  # a code of report.reasons
        pa.field("column", pa.string(), nullable=False),  # which part of the event, and how large
    ]
)


class Limits(Protocol):
    """What an API takes of one event, known before the event is sent."""

    def measure(self, events: pa.Table) -> pa.Table:
        """Measure events.

        Args:
            events: rows of ``event.EVENTS`` without the sizes.

        Returns:
            The columns ``size`` and ``attributes_size`` of ``event.EVENTS``, in bytes.
        """

    def oversized(self, events: pa.Table, *, carries: bool) -> pa.Table:
        """Give each measured event that no request may hold, once, as ``OVERSIZED``.

        Args:
            events: rows of ``event.EVENTS``, with their sizes.
            carries: whether an event may go with its person's attributes. It is then judged by
                both of its sizes.
        """


class Wire(Limits, Protocol):
    """The requests of one API, with the key of one account."""

    @property
    def api(self) -> Api:
        """Its row in the table of APIs."""

    @property
    def method(self) -> str:
        """The HTTP method: POST or GET."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every request, the key among them."""

    def payloads(self, events: pa.Table) -> list[str]:
        """The JSON of each event, for people to look at.

        Args:
            events: as for ``requests``.
        """

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        """Encode events.

        Args:
            events: rows of ``event.EVENTS`` with a bool column ``carries``: whether the event goes
                with its person's attributes.

        Returns:
            The requests; every row is in exactly one of them, in order.
        """

    def read(self, reply: Reply) -> Answer:
        """Read an answer.

        Args:
            reply: its status is 2xx.

        Returns:
            What it says; ``unreadable`` where that is not plainly a yes or a no.
        """

    def rows_at(self, pointer: str, request: Request) -> range:
        """The rows of a request that a refusal names.

        Args:
            pointer: a JSON pointer of the JSON:API, as ``/data/attributes/time``.
            request: the request that was refused.

        Returns:
            Places in the encoded events; none where the pointer names no event.
        """
