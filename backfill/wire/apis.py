"""How Klaviyo's three APIs for events differ, in one table.

The table is beside the wire formats because delivery, account, runs and the command line all read
it; each ``Wire`` names its row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from backfill import limits

ApiName: TypeAlias = Literal["track", "events", "bulk"]
"""The names that ``--api`` takes, of the Track API, Create Event and Bulk Create Events."""

Method: TypeAlias = Literal["post", "get"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One API. The defaults are those of the JSON:API."""

    name: ApiName
    path: str
    methods: tuple[Method, ...] = ("post",)
    has_public_key: bool = False
    """Whether the key is the account's public one, which nobody checks, or a private key."""
    scope: str = ""
    """The scope that a private key needs to send events; empty for a public key."""
    is_json_api: bool = True
    """Whether an answer lists its errors, so that a refusal is final, and the schema has rules of
    its own.
    """
    takes_backfill: bool = True
    """Whether an event can say that it starts no flow."""
    max_events: int
    """The most events of one request."""
    max_body_bytes: int
    """The most bytes of one request."""
    rates: tuple[tuple[int, float], ...]
    """The limits of requests: a number in so many seconds, each in a window of its own."""
    min_time_s: int
    """The earliest time of an event, in Unix seconds."""
    fallback: "Api | None" = None
    """The API that takes an event alone if it cannot go with others; None where all go alone."""
    if_gone: str
    """The reason to give where the endpoint answers 404 or 410."""
    warning: str = ""
    """The warning before a live account is written to; empty for none."""

    def least_requests(self, events: int, body_bytes: int) -> int:
        """How many requests so many events with so many bytes need at the least."""
        return max(-(-events // self.max_events), -(-body_bytes // self.max_body_bytes))


TRACK: Final = Api(
    name="track",
    path=limits.TRACK_PATH,
    methods=("post", "get"),
    has_public_key=True,
    is_json_api=False,
    takes_backfill=False,
    max_events=1,
    max_body_bytes=limits.TRACK_MAX_BODY_BYTES,
    rates=((limits.TRACK_RATE_PER_S, 1.0),),
    min_time_s=limits.TRACK_MIN_TIME_S,
    if_gone="Klaviyo retired the Track API for live accounts on 2024-06-30",
    warning=(
        "Klaviyo retired the Track API for live accounts on 2024-06-30; it never checks the key, "
        "so a wrong one looks like success"
    ),
)
EVENTS: Final = Api(
    name="events",
    path=limits.EVENTS_PATH,
    scope="events:write",
    max_events=1,
    max_body_bytes=limits.MAX_BODY_BYTES,
    rates=limits.EVENTS_RATES,
    min_time_s=limits.MIN_TIME_S,
    if_gone=(
        "Klaviyo takes requests of a revision for about two years; this version speaks "
        f"{limits.REVISION}"
    ),
)
BULK: Final = replace(
    EVENTS,
    name="bulk",
    path=limits.BULK_PATH,
    max_events=limits.BULK_MAX_EVENTS,
    rates=limits.BULK_RATES,
    fallback=EVENTS,
)
APIS: Final[Mapping[ApiName, Api]] = MappingProxyType(
    {api.name: api for api in (TRACK, EVENTS, BULK)}
)
