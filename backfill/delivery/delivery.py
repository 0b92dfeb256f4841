"""How a run posts, and what it has done: what ``deliver`` takes and gives."""

from dataclasses import dataclass
from typing import Final

from backfill.errors import BackfillError
from backfill.transport.client import DEFAULT_TIMEOUTS
from backfill.transport.connection import Timeouts
from backfill.transport.exchange import REAL_CLOCKS, Clocks
from backfill.transport.pace import Window, windows_of
from backfill.transport.retry import DEFAULT_RETRY_POLICY, RetryPolicy
from backfill.wire import apis
from backfill.wire.interface import RateLimitStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """How a run posts; the defaults are right for Track."""

    concurrency: int = 16
    """Requests in flight at most."""
    windows: tuple[Window, ...] = windows_of(apis.TRACK.rates)
    """The rate limits of the endpoint; empty for no limit."""
    fallback_windows: tuple[Window, ...] = windows_of(apis.EVENTS.rates)
    """The rate limits of the fallback endpoint."""
    retry_policy: RetryPolicy = DEFAULT_RETRY_POLICY
    timeouts: Timeouts = DEFAULT_TIMEOUTS
    clocks: Clocks = REAL_CLOCKS


DEFAULT_OPTIONS: Final = DeliveryOptions()


@dataclass(slots=True, kw_only=True)
class Delivery:
    """What a run has done, so far or in the end. It counts events unless a name says otherwise.

    The run counts in one of its own, and gives copies away.
    """

    delivered: int = 0
    refused: int = 0
    requests: int = 0
    body_bytes: int = 0
    """Of all requests, each attempt counted."""
    paused_s: float = 0.0
    """How long a 429 or 503 held up all requests to an endpoint."""
    phones_dropped: int = 0
    """Sent again without the phone number that Klaviyo did not take."""
    by_gateway: int = 0
    """Of the refused: kept out by a gateway before Klaviyo, so the next run tries them again."""
    by_fallback: int = 0
    """Sent one by one, by Create Event, because the bulk endpoint did not take them."""
    rate_limit: RateLimitStatus | None = None
    """The steady window of the endpoint, as the last answer described it."""
    unrecorded: int = 0
    """Delivered, and not in the ledger; after the end not 0 only if the ledger failed."""
    ended: BackfillError | None = None
    """Why the run ended before the last event, for the caller to raise."""
