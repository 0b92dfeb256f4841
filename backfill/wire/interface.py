"""What delivery knows of an API: where its requests go, what they hold, how its yes and no read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import pyarrow as pa

Answer: TypeAlias = Literal["delivered", "refused", "unreadable"]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer to one request. Its body may name a person, so no ``repr`` shows it."""

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: str | None = None
    date: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One body and the rows of the encoded events that it holds. A body holds keys and people."""

    body: bytes = field(repr=False)
    rows: range


ReadAnswer: TypeAlias = Callable[[Reply], Answer]


class Wire(Protocol):
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

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        """Encode rows of ``event.EVENTS`` that also have a bool column ``carries``.

        Every row is in exactly one request, in order.
        """

    def read(self, reply: Reply) -> Answer:
        """Read a 2xx answer; what is not plainly a yes or a no is ``unreadable``."""
