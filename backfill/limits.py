"""Klaviyo's numbers, addresses and fixed words. Nothing else in the project repeats one.

Where each comes from, and the day on which it was read: docs/klaviyo.md, under the heading that
stands above a group here. A figure such as "5 MB" is taken in its smaller reading, in bytes of
UTF-8 as they are sent.
"""

from typing import Final

API_URL: Final = "https://a.klaviyo.com"

# "Limits": the Track API -------------------------------------------------------------------------

TRACK_PATH: Final = "/api/track"

PUBLIC_KEY_CHARS: Final = 6
"""Of a public key, which Track calls ``token``."""

TRACK_MAX_BODY_BYTES: Final = 1_000_000
"""Of a body as it is sent, form-encoded."""

TRACK_GET_MAX_URL_BYTES: Final = 8_000
"""Ours: no document of Klaviyo limits a URL. Servers commonly take request lines of 8,190 bytes
(Apache's LimitRequestLine) or 8 KiB (nginx's large_client_header_buffers), and RFC 9110, 4.1, asks
everybody on the way to take at least 8,000."""

TRACK_MAX_METRICS: Final = 200
"""Of an account."""

TRACK_MIN_TIME_S: Final = 1_000_000_000
"""2001-09-09T01:46:40Z, the first Unix second with ten digits: Track takes no others."""

TRACK_RATE_PER_S: Final = 2_000
"""Requests a second; no official document names a rate."""

CONSENT_TYPES: Final = ("sms", "email", "web", "directmail", "mobile")
"""What ``$consent`` is a list of."""

# "Revisions" --------------------------------------------------------------------------------------

REVISION: Final = "2026-10-15"
"""The newest one, which we send."""

BACKFILL_REVISION: Final = "2026-04-15"
"""The first one that knows ``backfill``."""

JSON_API: Final = "application/vnd.api+json"
"""The content type of requests and answers."""

# "Limits": the JSON:API ---------------------------------------------------------------------------

MAX_FUTURE_S: Final = 366 * 86_400
"""No event is later than a year from now."""

MIN_TIME_S: Final = 631_152_000
"""1990-01-01T00:00:00Z, from revision 2026-07-15 on."""

MAX_BODY_BYTES: Final = 5_000_000
"""Of a request."""

MAX_STRING_BYTES: Final = 100_000

MAX_PROPERTIES: Final = 400
"""Of one event."""

MAX_ELEMENTS: Final = 4_000
"""Of one array."""

MAX_LEVELS: Final = 10
"""Of nesting, an event's properties being the first. Klaviyo counts objects alone at present; we
count arrays too."""

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1

MAX_METRIC_CHARS: Final = 127

MAX_UNIQUE_ID_CHARS: Final = 255

MAX_EMAIL_CHARS: Final = 99

MAX_PROFILE_BYTES: Final = 95_000
"""Of a profile inside an event, as compact JSON."""

DISCARDED_DOMAINS: Final = frozenset({"example.com", "example.net", "example.org", "test.com"})
"""Klaviyo accepts events of such addresses and throws them away."""

# "Events API", "Bulk Create Events", "Accounts", "Metrics and aggregates" -------------------------

EVENTS_PATH: Final = "/api/events"
"""Create Event by POST, Get Events by GET."""

BULK_PATH: Final = "/api/event-bulk-create-jobs"
"""Bulk Create Events."""

ACCOUNTS_PATH: Final = "/api/accounts"
METRICS_PATH: Final = "/api/metrics"
AGGREGATES_PATH: Final = "/api/metric-aggregates"

BULK_MAX_EVENTS: Final = 1_000
"""In one request, over all its profiles."""

EVENTS_PAGE: Final = 1_000
"""Events on one page of Get Events at most."""

EVENTS_PAGE_DEFAULT: Final = 200
"""Where the request names no number."""

# "Rate limits and errors": requests in so many seconds, burst and steady, in fixed windows --------

EVENTS_RATES: Final = ((350, 1.0), (3_500, 60.0))
"""Of Create Event."""

BULK_RATES: Final = ((10, 1.0), (150, 60.0))
"""Of Bulk Create Events."""

READ_RATES: Final = ((350, 1.0), (3_500, 60.0))
"""Of Get Events."""

METRICS_RATES: Final = ((10, 1.0), (150, 60.0))
"""Of Get Metrics, and of a metric's flows."""

AGGREGATES_RATES: Final = ((3, 1.0), (60, 60.0))
"""Of Query Metric Aggregates."""

ACCOUNTS_RATES: Final = ((1, 1.0), (15, 60.0))
"""Of Get Accounts."""
