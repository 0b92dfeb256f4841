"""An event becomes one Track request: a POST with a form for a body, or a GET.

A batch is encoded by one DuckDB query. DuckDB's ``url_encode`` costs 1.1 µs a KB of JSON, the
standard library's ``quote`` 30 µs. It writes a space as ``%20`` and every byte but letters, digits
and ``-._~`` as ``%XX``, which is right ``application/x-www-form-urlencoded``.

Source: Track API reference v1-2, "POST": "serialized as a URL-encoded form" in the field ``data``;
"GET": "base64-encoded, and then URL-encoded".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import ClassVar, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from backfill import limits
from backfill.event import IDENTIFIERS, PROFILE_FIELDS
from backfill.wire.batches import cut
from backfill.wire.interface import Answer, Reply, Request
from backfill.wire.unfit import first_of_each, longer_than, longest, where

SHOWN_TOKEN: Final = "PUBKEY"  # noqa: S105 - stands where a key of six characters will stand
"""What previews show for the key, and what sizes are counted with."""


_HEADERS: Final = MappingProxyType({"accept": "text/html"})


@dataclass(frozen=True, slots=True)
class Track:
    """The Track API of an account, by POST; ``token`` is its public key."""

    token: str = field(default=SHOWN_TOKEN, repr=False)
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
        return _select(
            f"strlen({_form(_payload('false'))})::INTEGER AS size,"
            f" strlen(url_encode({_ATTRIBUTES}))::INTEGER AS attributes_size",
            events,
            SHOWN_TOKEN,
        )

    def unfit(self, events: pa.Table, *, carries: bool) -> pa.Table:
        return longer_than(self.max_bytes, longest(events, carries=carries), events, "too_large")

    def payloads(self, events: pa.Table) -> list[str]:
        return _texts(_payload("carries"), events, self.token)

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        encoded = _encoded(_form(_payload("carries")), events, self.token)
        for rows in cut([len(body) for body in encoded], max_events=1):
            yield Request(encoded[rows.start], rows)

    def read(self, reply: Reply) -> Answer:
        return _read(reply)


@dataclass(frozen=True, slots=True)
class TrackGet:
    """The Track API of an account, by GET; ``url`` is all that stands before the ``?``.

    A URL with its data holds keys and people: it is shown nowhere.
    """

    url: str
    token: str = field(default=SHOWN_TOKEN, repr=False)
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
        return _select(
            f"{bare}::INTEGER AS size, ({whole} - {bare})::INTEGER AS attributes_size",
            events,
            SHOWN_TOKEN,
        )

    def unfit(self, events: pa.Table, *, carries: bool) -> pa.Table:
        sizes = pc.add(longest(events, carries=carries), len(self.url.encode()) + len("?"))
        unidentified = pc.and_(pc.is_null(events["email"]), pc.is_null(events["id"]))
        return first_of_each(
            where(unidentified, "phone_only", "$phone_number"),
            longer_than(self.max_bytes, sizes, events, "url_too_long"),
        )

    def payloads(self, events: pa.Table) -> list[str]:
        return _texts(_get_payload("carries"), events, self.token)

    def requests(self, events: pa.RecordBatch) -> Iterator[Request]:
        encoded = _encoded(_base64(_get_payload("carries")), events, self.token)
        for rows in cut([len(query) for query in encoded], max_events=1):
            yield Request(b"", rows, encoded[rows.start])

    def read(self, reply: Reply) -> Answer:
        return _read(reply)


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


def _encoded(sql: str, events: pa.RecordBatch, token: str) -> list[bytes]:
    column = _select(f"{sql} AS encoded", events, token)["encoded"]
    encoded: list[bytes] = column.cast(pa.binary()).to_pylist()
    return encoded


def _texts(sql: str, events: pa.Table, token: str) -> list[str]:
    texts: list[str] = _select(f"{sql} AS text", events, token)["text"].to_pylist()
    return texts


def _select(columns: str, events: pa.RecordBatch | pa.Table, token: str) -> pa.Table:
    table = pa.Table.from_batches([events]) if isinstance(events, pa.RecordBatch) else events
    with _engine().cursor() as connection:
        connection.register("events", table)
        query = f"SELECT {columns} FROM (SELECT *, $token AS token FROM events)"
        return connection.sql(query, params={"token": token}).to_arrow_table()


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """One for the process: to connect costs 12 ms, a cursor of its own for a thread 3 µs."""
    return duckdb.connect(":memory:", config={"threads": 1})


def _member(name: str, value: str) -> str:
    """SQL for ``"name":value``, NULL if the value is."""
    return f"""'"{name}":' || {value}"""


def _json(column: str) -> str:
    return f'to_json("{column}")::VARCHAR'


def _members_of(column: str) -> str:
    """SQL for what stands between the braces of a JSON object, NULL if that is nothing."""
    return f"""nullif("{column}"[2:-2], '')"""


def _identifier() -> str:
    cases = (
        f'WHEN "{name}" IS NOT NULL THEN {_member(f"${name}", _json(name))}' for name in IDENTIFIERS
    )
    return f"CASE {' '.join(cases)} END"


def _attributes() -> str:
    """SQL for what an event says of its person beside the one identifier, from the comma on."""
    others = (
        f"CASE WHEN coalesce({', '.join(IDENTIFIERS[:place])}) IS NOT NULL"
        f" THEN {_member(f'${name}', _json(name))} END"
        for place, name in enumerate(IDENTIFIERS)
        if place
    )
    # Consent is JSON already: "list of strings" (Track API reference v1-2, "$consent").
    fields = (
        _member(f"${name}", f'"{name}"' if name == "consent" else _json(name))
        for name in PROFILE_FIELDS
    )
    members = ", ".join((*others, *fields, _members_of("profile")))
    return f"coalesce(',' || nullif(concat_ws(',', {members}), ''), '')"


def _properties() -> str:
    # A decimal's text is exact but has all six places: "32.600000".
    value = "rtrim(rtrim(\"value\"::VARCHAR, '0'), '.')"
    members = ", ".join(
        (
            _members_of("properties"),
            _member("$event_id", _json("event_id")),
            _member("$value", value),
        )
    )
    return f"concat_ws(',', {members})"


_ATTRIBUTES: Final = _attributes()


def _payload(carries: str, otherwise: str = "''") -> str:
    return f"""(
        '{{"token":' || {_json("token")} || ',"event":' || {_json("metric")}
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
    named = f"CASE WHEN {beside_phone} THEN ',' || {_member('$id', _json('id'))} ELSE '' END"
    return _payload(carries, named)


def _form(payload: str) -> str:
    return f"('data=' || url_encode({payload}))"


def _base64(payload: str) -> str:
    # A / may stand bare in a query (RFC 3986, 3.4), and yarl, which aiohttp sends by, bares it: so
    # this is what is sent, to the byte.
    return f"('data=' || replace(url_encode(to_base64(encode({payload}))), '%2F', '/'))"
