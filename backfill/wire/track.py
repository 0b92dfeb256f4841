"""Events as requests of the Track API, one event a request: a POST with a form, or a GET.

One DuckDB query encodes many events. DuckDB's ``url_encode`` costs 1.1 µs a KB of JSON, the
standard library's ``quote`` 30 µs. It writes a space as ``%20`` and every byte but letters, digits
and ``-._~`` as ``%XX``, which is right ``application/x-www-form-urlencoded``.

Source: Track API reference v1-2, "POST": "serialized as a URL-encoded form" in the field ``data``;
"GET": "base64-encoded, and then URL-encoded".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill import limits
from backfill.event import IDENTIFIERS, PROFILE_FIELDS
from backfill.wire import apis, sql
from backfill.wire.interface import Answer, Reply, Request
from backfill.wire.oversized import first_of_each, largest_sizes, longer_than, where

PLACEHOLDER_TOKEN: Final = "PUBKEY"  # noqa: S105 - as long as a key
"""What previews show for the key, and what sizes are counted with."""

_OK: Final = 200
_ANSWERS: Final[Mapping[bytes, Answer]] = {b"1": "delivered", b"": "delivered", b"0": "refused"}


class _Answers:
    """What both requests have in common: the answer, which names no part of a request."""

    __slots__ = ()
    api: ClassVar[apis.Api] = apis.TRACK

    def read(self, reply: Reply) -> Answer:
        """Read Klaviyo's ``1`` or ``0``. Neither depends on the key, which nobody checks.

        Source: docs/klaviyo.md, "Track API: answers".
        """
        if reply.status != _OK:
            return "unreadable"
        return _ANSWERS.get(reply.body.strip(), "unreadable")

    def rows_at(self, pointer: str, request: Request) -> range:  # noqa: ARG002
        return range(0)


@dataclass(frozen=True, slots=True)
class Track(_Answers):
    """The Track API by POST; ``token`` is the account's public key."""

    token: str = field(default=PLACEHOLDER_TOKEN, repr=False)
    max_bytes: int = apis.TRACK.max_body_bytes
    method: ClassVar[str] = "POST"
    headers: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}
    )

    def measure(self, events: pa.Table) -> pa.Table:
        # Attributes add the same number of bytes at every place, so the rest is encoded once.
        return sql.select(
            f"strlen({_form(_payload('false'))})::INTEGER AS size,"
            f" strlen(url_encode({_ATTRIBUTES}))::INTEGER AS attributes_size",
            events,
            {"token": PLACEHOLDER_TOKEN},
        )

    def oversized(self, events: pa.Table, *, carries: bool) -> pa.Table:
        sizes = largest_sizes(events, carries=carries)
        return longer_than(self.max_bytes, sizes, events, "too_large")

    def payloads(self, events: pa.Table) -> list[str]:
        return sql.texts(_payload("carries"), events, {"token": self.token})

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        bodies = sql.encoded(_form(_payload("carries")), events, {"token": self.token})
        for row, body in enumerate(bodies):
            yield Request(body, range(row, row + 1))


@dataclass(frozen=True, slots=True)
class TrackGet(_Answers):
    """The Track API by GET; ``url`` is the part before the ``?``.

    A URL with its data holds keys and people: it is shown nowhere.
    """

    url: str
    token: str = field(default=PLACEHOLDER_TOKEN, repr=False)
    max_bytes: int = limits.TRACK_GET_MAX_URL_BYTES
    method: ClassVar[str] = "GET"
    # A cache between must not answer instead of Klaviyo.
    headers: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"cache-control": "no-cache", "accept": "text/html"}
    )

    def measure(self, events: pa.Table) -> pa.Table:
        # Attributes shift what follows them in base64, which then has other + and /.
        bare, whole = (f"strlen({_base64(_get_payload(carries))})" for carries in ("false", "true"))
        return sql.select(
            f"{bare}::INTEGER AS size, ({whole} - {bare})::INTEGER AS attributes_size",
            events,
            {"token": PLACEHOLDER_TOKEN},
        )

    def oversized(self, events: pa.Table, *, carries: bool) -> pa.Table:
        """Give also each event whose person has neither an e-mail address nor an id."""
        sizes = pc.add(largest_sizes(events, carries=carries), len(self.url.encode()) + len("?"))
        unidentified = pc.and_(pc.is_null(events["email"]), pc.is_null(events["id"]))
        return first_of_each(
            where(unidentified, "phone_only", "$phone_number"),
            longer_than(self.max_bytes, sizes, events, "url_too_long"),
        )

    def payloads(self, events: pa.Table) -> list[str]:
        return sql.texts(_get_payload("carries"), events, {"token": self.token})

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        queries = sql.encoded(_base64(_get_payload("carries")), events, {"token": self.token})
        for row, query in enumerate(queries):
            yield Request(b"", range(row, row + 1), query)


_NAMES: Final = {name: f"${name}" for name in IDENTIFIERS}


def _attributes() -> str:
    """SQL for the person's members beside the one identifier, with a comma before each."""
    # Consent is JSON already: "list of strings" (Track API reference v1-2, "$consent").
    fields = (
        sql.member(f"${name}", f'"{name}"' if name == "consent" else sql.json_of(name))
        for name in PROFILE_FIELDS
    )
    members = ", ".join((*sql.other_identifiers(_NAMES), *fields, sql.members_of("profile")))
    return f"coalesce(',' || nullif(concat_ws(',', {members}), ''), '')"


def _properties() -> str:
    members = ", ".join(
        (
            sql.members_of("properties"),
            sql.member("$event_id", sql.json_of("event_id")),
            sql.member("$value", sql.VALUE),
        )
    )
    return f"concat_ws(',', {members})"


_ATTRIBUTES: Final = _attributes()


def _payload(carries: str, otherwise: str = "''") -> str:
    """SQL for the JSON of an event; ``otherwise`` goes where an event does not carry attributes."""
    return f"""(
        '{{"token":' || {sql.json_of("token")} || ',"event":' || {sql.json_of("metric")}
        || ',"customer_properties":{{' || {sql.identifier(_NAMES)}
        || CASE WHEN {carries} THEN {_ATTRIBUTES} ELSE {otherwise} END
        || '}},"properties":{{' || {_properties()}
        || '}},"time":' || "time"::VARCHAR || '}}'
    )"""


def _get_payload(carries: str) -> str:
    """SQL for the same, with the id beside a phone number even where no attributes go along.

    Source: Track API reference v1-2, "GET": "identify the person by their email, using a $email
    key, or a unique identifier, using an $id key"; a phone number is enough for POST alone.
    """
    beside_phone = "email IS NULL AND phone_number IS NOT NULL AND id IS NOT NULL"
    own_id = sql.member("$id", sql.json_of("id"))
    id_alone = f"CASE WHEN {beside_phone} THEN ',' || {own_id} ELSE '' END"
    return _payload(carries, id_alone)


def _form(payload: str) -> str:
    return f"('data=' || url_encode({payload}))"


def _base64(payload: str) -> str:
    # A / may be unescaped in a query (RFC 3986, 3.4), and yarl, by which aiohttp sends, does not
    # escape it: so these are the bytes that are sent.
    return f"('data=' || replace(url_encode(to_base64(encode({payload}))), '%2F', '/'))"
