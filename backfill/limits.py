"""Klaviyo's numbers, each with its source and the day on which it was read.

Everything else in the project takes these from here; nothing repeats one.
"""

from typing import Final

TRACK_URL: Final = "https://a.klaviyo.com"
"""Source: Track API reference v1-2, "Back-end tracking events", read 2026-11-23."""

TRACK_PATH: Final = "/api/track"

PUBLIC_KEY_CHARS: Final = 6
"""Source: Track API reference v1-2, ``token``: "Your public key (six characters long)"."""

TRACK_MAX_BODY_BYTES: Final = 1_000_000
"""Source: Track API reference v1-2: "payloads up to approximately 1MB"; the smaller reading,
counted on the body as it is sent, form-encoded."""

TRACK_GET_MAX_URL_BYTES: Final = 8_000
"""Ours: no Klaviyo document has a limit for a URL. Servers commonly take request lines of 8,190
bytes (Apache's LimitRequestLine) or 8 KiB (nginx's large_client_header_buffers), and RFC 9110, 4.1,
asks of everybody on the way to take at least 8,000."""

TRACK_MAX_METRICS: Final = 200
"""Source: Track API reference v1-2: "up to 200 unique metrics (event types)"."""

TRACK_MIN_TIME_S: Final = 1_000_000_000
"""2001-09-09T01:46:40Z, the first second with ten digits.

Source: Track API reference v1-2, ``time``: "integer (10 digit unix timestamp)"."""

MAX_FUTURE_S: Final = 366 * 86_400
"""No event later than a year from now.

Source: Klaviyo's OpenAPI file 2026-07-15, ``time`` of an event; read 2026-11-23."""

TRACK_RATE_PER_S: Final = 2_000
"""No rate is published for Track (a Klaviyo employee, community topic 12204, 2024-06-13). This is
the "soft" limit that an older help text gave, quoted in klaviyo/node-klaviyo#6."""

DISCARDED_DOMAINS: Final = frozenset({"example.com", "example.net", "example.org", "test.com"})
"""Klaviyo answers yes to events of such addresses and throws them away.

Source: developers.klaviyo.com/en/reference/events_api_overview, read 2026-11-23."""

MAX_EMAIL_CHARS: Final = 99
"""Source: events_api_overview ("less than 100 characters"), read 2026-11-23."""

CONSENT_TYPES: Final = ("sms", "email", "web", "directmail", "mobile")
"""Source: Track API reference v1-2, ``$consent``."""

# Today's API. "OAS" is Klaviyo's OpenAPI file of revision 2026-07-15 (github.com/klaviyo/openapi,
# commit f0a30ba), "EV" developers.klaviyo.com/en/reference/events_api_overview, "RL"
# developers.klaviyo.com/en/docs/rate_limits_and_error_handling; all read 2026-11-23.

API_URL: Final = "https://a.klaviyo.com"
"""Source: OAS, ``servers``."""

REVISION: Final = "2026-10-15"
"""The newest revision. Source: the official SDK klaviyo-api 25.0.0, which sends it."""

BACKFILL_REVISION: Final = "2026-04-15"
"""The first revision that knows ``backfill``. Source: klaviyo/openapi, commits 0f63999, 85d25d1."""

JSON_API: Final = "application/vnd.api+json"
"""The content type of requests and answers. Source: OAS, from 2024-10-15 on."""

EVENTS_PATH: Final = "/api/events"
"""Create Event by POST, Get Events by GET. Source: OAS."""

BULK_PATH: Final = "/api/event-bulk-create-jobs"
"""Bulk Create Events. Source: OAS."""

ACCOUNTS_PATH: Final = "/api/accounts"
METRICS_PATH: Final = "/api/metrics"
AGGREGATES_PATH: Final = "/api/metric-aggregates"
"""Source: the official SDK klaviyo-api 25.0.0; the last is in no OpenAPI file that we have."""

BULK_MAX_EVENTS: Final = 1_000
"""Events in one request of Bulk Create Events, over all its profiles. Source: OAS."""

MAX_BODY_BYTES: Final = 5_000_000
"""Source: OAS and EV, "5 MB" for a request; the smaller reading, counted on the body as sent."""

MAX_EVENT_BYTES: Final = 5_000_000
"""Source: EV, "5 MB" for an event without its profile's data; the smaller reading."""

MAX_STRING_BYTES: Final = 100_000
"""Source: OAS (from 2025-01-15 on), EV: "100 KB" for a single string; the smaller reading, and in
UTF-8, as a string is sent."""

MAX_PROPERTIES: Final = 400
"""Properties of one event. Source: OAS (300 before 2025-04-15), EV."""

MAX_ELEMENTS: Final = 4_000
"""Elements of one array. Source: EV."""

MAX_LEVELS: Final = 10
"""Levels of nesting below an event's properties, these being the first. Source: EV, which adds
that only objects are counted at present; we count arrays too, the smaller reading."""

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1
"""Source: EV: integers have 64 bits; read as signed, the smaller reading."""

MAX_METRIC_CHARS: Final = 127
"""Source: OAS, ``name`` of a metric: "Must be less than 128 characters"."""

MAX_UNIQUE_ID_CHARS: Final = 255
"""Source: EV: 1 to 255 characters; the OpenAPI file has neither."""

MAX_PROFILE_BYTES: Final = 95_000
"""A profile inside an event. Source: EV, "95 KB"; the smaller reading, as compact JSON in UTF-8."""

MIN_TIME_S: Final = 631_152_000
"""1990-01-01T00:00:00Z. Source: OAS, ``time`` of an event, from revision 2026-07-15 on."""

EVENTS_RATES: Final = ((350, 1.0), (3_500, 60.0))
"""Requests in so many seconds (burst, steady), fixed windows, for Create Event. Source: OAS, XL."""

BULK_RATES: Final = ((10, 1.0), (150, 60.0))
"""The same for Bulk Create Events. Source: OAS, M."""

READ_RATES: Final = ((350, 1.0), (3_500, 60.0))
"""The same for Get Events. Source: OAS, XL."""

METRICS_RATES: Final = ((10, 1.0), (150, 60.0))
"""The same for Get Metrics and a metric's flows. Source: RL, M."""

AGGREGATES_RATES: Final = ((3, 1.0), (60, 60.0))
"""The same for Query Metric Aggregates. Source: OAS, S."""

ACCOUNTS_RATES: Final = ((1, 1.0), (15, 60.0))
"""The same for Get Accounts. Source: RL, XS."""

EVENTS_PAGE: Final = 1_000
"""Events on one page of Get Events at most; 200 where none is asked for. Source: OAS."""

EVENTS_PAGE_DEFAULT: Final = 200
