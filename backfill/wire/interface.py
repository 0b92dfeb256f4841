"""What the rest knows of an API: what fits into a request, where it goes, how its answer reads."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

import pyarrow as pa

Method: TypeAlias = Literal["post", "get"]
"""Of the Track API's requests."""

Api: TypeAlias = Literal["track", "events", "bulk"]
"""Track; Create Event; Bulk Create Events."""

Answer: TypeAlias = Literal["delivered", "refused", "unreadable"]


@dataclass(frozen=True, slots=True)
class RateLimitStatus:
    """What Klaviyo says of a key's steady window: ``RateLimit-Limit``, ``-Remaining``, ``-Reset``.

    Source: klaviyo/facts.md 2.9: every answer but a 429 has them.
    """

    limit: int
    remaining: int
    reset_s: int


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer to one request. Its body may name a person, so no ``repr`` shows it."""

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: str | None = None
    date: str | None = None
    allowance: RateLimitStatus | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, and the rows of the encoded events that it holds: keys and people."""

    body: bytes = field(repr=False)
    rows: range
    query: bytes = field(default=b"", repr=False)
    """What stands behind the ``?``, as it is sent."""
    items: tuple[range, ...] = ()
    """Of Bulk Create Events: the rows of each profile with its events, in order."""

    @property
    def size(self) -> int:
        return len(self.body) + len(self.query)


ReadAnswer: TypeAlias = Callable[[Reply], Answer]

UNFIT: Final = pa.schema(
    [
        pa.field("at", pa.int64(), nullable=False),  # the event's place in the table
        pa.field("reason", pa.string(), nullable=False),  # a code of report.reasons
        pa.field("column", pa.string(), nullable=False),  # which part of the event, and how large
    ]
)


class Limits(Protocol):
    """What an API says of one event, known before it is sent."""

    def measure(self, events: pa.Table) -> pa.Table:
        """The columns ``size`` and ``attributes_size`` of ``event.EVENTS``, which lack as yet."""

    def unfit(self, events: pa.Table, *, carries: bool) -> pa.Table:
        """``UNFIT``: each measured event that no request may hold, once; empty where all fit.

        ``carries``: any event may go with its person's attributes, so all go by that size too.
        """


class Wire(Limits, Protocol):
    @property
    def name(self) -> str: ...

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def gone(self) -> str:
        """What a person should know when the endpoint answers 404 or 410."""

    def payloads(self, events: pa.Table) -> list[str]:
        """The JSON of each event, for people to look at; events as for ``requests``."""

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        """Encode rows of ``event.EVENTS`` that also have a bool column ``carries``.

        Every row is in exactly one request, in order.
        """

    def read(self, reply: Reply) -> Answer:
        """Read a 2xx answer; what is not plainly a yes or a no is ``unreadable``."""

    def rows_at(self, pointer: str, request: Request) -> range:
        """The rows of ``request`` that a JSON:API pointer names; none where it names no event."""
