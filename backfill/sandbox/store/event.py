"""What a request of any API is read into: an event, or a refusal."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Api = Literal["track", "events", "bulk"]
"""Which of Klaviyo's APIs an event came through."""


class Person(NamedTuple):
    """Whose event it is: at least one of the three, each written as Klaviyo keeps it."""

    email: str | None = None
    phone_number: str | None = None
    external_id: str | None = None

    def identifiers(self) -> list[tuple[str, str]]:
        """Kind and value of each that is given, the strongest first."""
        return [(kind, value) for kind, value in self._asdict().items() if value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event that has passed every rule that needs no memory of earlier ones.

    Attributes:
        token: the account's public key.
        event_id: None if the request has none.
        time_s: Unix seconds; None if the request leaves the time to Klaviyo.
        properties: as they were sent, ``$event_id`` and ``$value`` among them.
        attributes: the customer's properties as they were sent, without the identifiers.
        backfill: the event starts no flow; Track cannot say so.
    """

    token: str
    metric: str
    event_id: str | None
    time_s: int | None
    person: Person
    properties: Mapping[str, object]
    attributes: Mapping[str, object]
    api: Api = "track"
    backfill: bool = False


class RefusedError(Exception):
    """A request that Klaviyo refuses.

    Neither ``reason`` nor ``text`` repeats a value of the request: it may be somebody's address.

    Args:
        reason: a word to count refusals by.
        text: a sentence for people.
        token: the account; None where it could not be read.
        status: of HTTP; Track answers most refusals with 200.
    """

    def __init__(
        self, reason: str, text: str, *, token: str | None = None, status: int = 200
    ) -> None:
        super().__init__(text)
        self.reason = reason
        self.token = token
        self.status = status
