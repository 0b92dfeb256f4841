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
