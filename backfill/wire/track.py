"""An event becomes one Track request: a POST with a form for a body, or a GET.

A batch is encoded by one DuckDB query. DuckDB's ``url_encode`` costs 1.1 µs a KB of JSON, the
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
from backfill.wire.batches import cut
from backfill.wire.interface import Answer, Reply, Request
from backfill.wire.sql import VALUE, encoded, json_of, member, members_of, select, texts
from backfill.wire.unfit import first_of_each, longer_than, longest, where

PLACEHOLDER_TOKEN: Final = "PUBKEY"  # noqa: S105 - stands where a key of six characters will stand
"""What previews show for the key, and what sizes are counted with."""


_HEADERS: Final = MappingProxyType({"accept": "text/html"})


@dataclass(frozen=True, slots=True)
class Track:
    """The Track API of an account, by POST; ``token`` is its public key."""

    token: str = field(default=PLACEHOLDER_TOKEN, repr=False)
    max_bytes: int = limits.TRACK_MAX_BODY_BYTES
    name: ClassVar[str] = "track"
    method: ClassVar[str] = "POST"
    path: ClassVar[str] = limits.TRACK_PATH
    headers: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"content-type": "application/x-www-form-urlencoded", **_HEADERS}
    )
    gone: ClassVar[str] = "Klaviyo retired the Track API for live accounts on 2024-06-30"

    def measure(self, events: pa.Table) -> pa.Table:
        # What attributes add is the same wherever they stand, so the rest is encoded once.
        return select(
            f"strlen({_form(_payload('false'))})::INTEGER AS size,"
            f" strlen(url_encode({_ATTRIBUTES}))::INTEGER AS attributes_size",
            events,
            _named(PLACEHOLDER_TOKEN),
        )

    def unfit(self, events: pa.Table, *, carries: bool) -> pa.Table:
        return longer_than(self.max_bytes, longest(events, carries=carries), events, "too_large")

    def payloads(self, events: pa.Table) -> list[str]:
        return texts(_payload("carries"), events, _named(self.token))

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        found = encoded(_form(_payload("carries")), events, _named(self.token))
        for rows in cut([len(body) for body in found], max_events=1):
            yield Request(found[rows.start], rows)

    def read(self, reply: Reply) -> Answer:
        return _read(reply)

    def rows_at(self, pointer: str, request: Request) -> range:  # noqa: ARG002
        return range(0)  # this API's answers name no part of a request


@dataclass(frozen=True, slots=True)
class TrackGet:
    """The Track API of an account, by GET; ``url`` is all that stands before the ``?``.

    A URL with its data holds keys and people: it is shown nowhere.
    """

    url: str
    token: str = field(default=PLACEHOLDER_TOKEN, repr=False)
    max_bytes: int = limits.TRACK_GET_MAX_URL_BYTES
    name: ClassVar[str] = "track"
    method: ClassVar[str] = "GET"
    path: ClassVar[str] = limits.TRACK_PATH
    # What a cache on the way answers was said by nobody of Klaviyo.
    headers: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"cache-control": "no-cache", **_HEADERS}
    )
    gone: ClassVar[str] = Track.gone

    def measure(self, events: pa.Table) -> pa.Table:
        # Attributes move what follows them to other places in base64, which has other + and /.
        bare, whole = (f"strlen({_base64(_get_payload(carries))})" for carries in ("false", "true"))
        return select(
            f"{bare}::INTEGER AS size, ({whole} - {bare})::INTEGER AS attributes_size",
            events,
            _named(PLACEHOLDER_TOKEN),
        )

    def unfit(self, events: pa.Table, *, carries: bool) -> pa.Table:
        sizes = pc.add(longest(events, carries=carries), len(self.url.encode()) + len("?"))
        unidentified = pc.and_(pc.is_null(events["email"]), pc.is_null(events["id"]))
        return first_of_each(
            where(unidentified, "phone_only", "$phone_number"),
            longer_than(self.max_bytes, sizes, events, "url_too_long"),
        )

    def payloads(self, events: pa.Table) -> list[str]:
        return texts(_get_payload("carries"), events, _named(self.token))

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        found = encoded(_base64(_get_payload("carries")), events, _named(self.token))
        for rows in cut([len(query) for query in found], max_events=1):
            yield Request(b"", rows, found[rows.start])

    def read(self, reply: Reply) -> Answer:
        return _read(reply)

    def rows_at(self, pointer: str, request: Request) -> range:  # noqa: ARG002
        return range(0)  # this API's answers name no part of a request


def _read(reply: Reply) -> Answer:
    """Read Klaviyo's ``1`` or ``0``. Either says nothing of the key, which nobody checks.

    Source: klaviyo/facts.md 1.3: help article 115000751052; an empty body is a yes to
    Klaviyo's own SDKs.
    """
    if reply.status != _OK:
        return "unreadable"
    return _ANSWERS.get(reply.body.strip(), "unreadable")


_OK: Final = 200
_ANSWERS: Final[Mapping[bytes, Answer]] = {b"1": "delivered", b"": "delivered", b"0": "refused"}


def _named(token: str) -> dict[str, str]:
    return {"token": token}


def _identifier() -> str:
    cases = (
        f'WHEN "{name}" IS NOT NULL THEN {member(f"${name}", json_of(name))}'
        for name in IDENTIFIERS
    )
    return f"CASE {' '.join(cases)} END"


def _attributes() -> str:
    """SQL for what an event says of its person beside the one identifier, from the comma on."""
    others = (
        f"CASE WHEN coalesce({', '.join(IDENTIFIERS[:place])}) IS NOT NULL"
        f" THEN {member(f'${name}', json_of(name))} END"
        for place, name in enumerate(IDENTIFIERS)
        if place
    )
    # Consent is JSON already: "list of strings" (Track API reference v1-2, "$consent").
    fields = (
        member(f"${name}", f'"{name}"' if name == "consent" else json_of(name))
        for name in PROFILE_FIELDS
    )
    members = ", ".join((*others, *fields, members_of("profile")))
    return f"coalesce(',' || nullif(concat_ws(',', {members}), ''), '')"


def _properties() -> str:
    members = ", ".join(
        (
            members_of("properties"),
            member("$event_id", json_of("event_id")),
            member("$value", VALUE),
        )
    )
    return f"concat_ws(',', {members})"


_ATTRIBUTES: Final = _attributes()


def _payload(carries: str, otherwise: str = "''") -> str:
    return f"""(
        '{{"token":' || {json_of("token")} || ',"event":' || {json_of("metric")}
        || ',"customer_properties":{{' || {_identifier()}
        || CASE WHEN {carries} THEN {_ATTRIBUTES} ELSE {otherwise} END
        || '}},"properties":{{' || {_properties()}
        || '}},"time":' || "time"::VARCHAR || '}}'
    )"""


def _get_payload(carries: str) -> str:
    """SQL for the same, with the id beside a phone number even where attributes stay away.

    Source: Track API reference v1-2, "GET": "identify the person by their email, using a $email
    key, or a unique identifier, using an $id key"; a phone number does for POST alone.
    """
    beside_phone = "email IS NULL AND phone_number IS NOT NULL AND id IS NOT NULL"
    named = f"CASE WHEN {beside_phone} THEN ',' || {member('$id', json_of('id'))} ELSE '' END"
    return _payload(carries, named)


def _form(payload: str) -> str:
    return f"('data=' || url_encode({payload}))"


def _base64(payload: str) -> str:
    # A / may stand bare in a query (RFC 3986, 3.4), and yarl, which aiohttp sends by, bares it: so
    # this is what is sent, to the byte.
    return f"('data=' || replace(url_encode(to_base64(encode({payload}))), '%2F', '/'))"
