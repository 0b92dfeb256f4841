import base64
import json
import re
from decimal import Decimal
from itertools import product
from urllib.parse import parse_qs, parse_qsl

import pyarrow as pa
import pytest
import yarl
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill import limits
from backfill.event import EVENTS, IDENTIFIERS, PROFILE_FIELDS
from backfill.wire.interface import OVERSIZED, Reply
from backfill.wire.track import Track, TrackGet

TOKEN = "aB3xYz"
WIRED = pa.schema([*EVENTS, pa.field("carries", pa.bool_())])
PLAIN = {
    "key": b"k" * 16,
    "person": b"p" * 16,
    "metric": "Placed Order",
    "event_id": "1001",
    "time": 1_500_922_636,
    "content": b"c" * 8,
    "size": 0,
    "attributes_size": 0,
    "file": 0,
    "row": 1,
    "carries": True,
}


def table(*events):
    return pa.Table.from_pylist([PLAIN | event for event in events], schema=WIRED)


def bodies(events):
    return [r.body for batch in events.to_batches() for r in Track(TOKEN).requests(batch)]


def sent(**event):
    """What a server reads out of the body."""
    (body,) = bodies(table(event))
    form = parse_qs(body.decode("ascii"), strict_parsing=True, keep_blank_values=True)
    assert list(form) == ["data"]
    (text,) = form["data"]
    return json.loads(text, parse_float=Decimal, object_pairs_hook=_no_key_twice)


def _no_key_twice(pairs):
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_the_body_is_one_form_field_of_compact_json():
    event = table(
        {
            "email": "ada@shop.dk",
            "first_name": "Åda",
            "profile": '{"tier":"gold"}',
            "properties": '{"item_name":"Boots"}',
            "value": Decimal("32.6"),
        }
    )

    (text,) = Track(TOKEN).payloads(event)
    assert text == (
        '{"token":"aB3xYz","event":"Placed Order",'
        '"customer_properties":{"$email":"ada@shop.dk","$first_name":"Åda","tier":"gold"},'
        '"properties":{"item_name":"Boots","$event_id":"1001","$value":32.6},'
        '"time":1500922636}'
    )
    assert bodies(event)[0].startswith(b"data=%7B%22token%22%3A%22aB3xYz%22%2C")


@pytest.mark.parametrize(
    ("given_", "identifier"),
    [
        pytest.param(
            {"email": "a@b.co", "phone_number": "+4512345678", "id": "7"},
            {"$email": "a@b.co"},
            id="an e-mail goes before all",
        ),
        pytest.param(
            {"phone_number": "+4512345678", "id": "7"},
            {"$phone_number": "+4512345678"},
            id="a phone number goes before an id",
        ),
        pytest.param({"id": "7"}, {"$id": "7"}, id="an id where there is nothing else"),
    ],
)
def test_an_event_without_attributes_carries_one_identifier(given_, identifier):
    event = given_ | {"carries": False, "city": "Aarhus", "profile": '{"tier":"gold"}'}

    assert sent(**event)["customer_properties"] == identifier


def test_an_event_with_attributes_carries_all_that_is_known():
    strings = {name: f"the {name}" for name in PROFILE_FIELDS if name != "consent"}
    event = {
        **strings,
        "consent": '["sms","email"]',
        "email": "a@b.co",
        "phone_number": "+4512345678",
        "id": "7",
        "profile": '{"tier":"gold","tags":["a","b"]}',
    }

    assert sent(**event)["customer_properties"] == {
        **{f"${name}": value for name, value in strings.items()},
        "$consent": ["sms", "email"],
        "$email": "a@b.co",
        "$phone_number": "+4512345678",
        "$id": "7",
        "tier": "gold",
        "tags": ["a", "b"],
    }


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"id": "7", "city": "Aarhus"}, id="the only identifier is not told twice"),
        pytest.param({"phone_number": "+45", "id": "7"}, id="nor is the second of three"),
        pytest.param({"email": "a@b.co", "profile": "{}"}, id="an empty profile adds nothing"),
        pytest.param({"email": "a@b.co", "properties": "{}"}, id="nor do empty properties"),
    ],
)
def test_no_member_stands_twice(event):
    assert sent(**event)["properties"] == {"$event_id": "1001"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("32.600000", "32.6", id="no zeros at the end"),
        pytest.param("100", "100", id="the zeros of a hundred stay"),
        pytest.param("0.5", "0.5", id="a zero stands before the point"),
        pytest.param("-7", "-7", id="a return is negative"),
        pytest.param("0", "0", id="nothing is a value"),
        pytest.param("0.000001", "0.000001", id="no exponent for the small"),
        pytest.param(
            "12345678901234567890123456789012.654321",
            "12345678901234567890123456789012.654321",
            id="nothing is rounded",
        ),
    ],
)
def test_a_value_is_written_in_its_shortest_exact_form(value, text):
    (written,) = Track().payloads(table({"email": "a@b.co", "value": Decimal(value)}))

    assert f'"$value":{text}}}' in written


def test_an_absent_value_is_left_out():
    assert "$value" not in Track().payloads(table({"email": "a@b.co"}))[0]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_objects = st.dictionaries(texts, texts | st.none() | st.integers() | st.lists(texts)).map(
    lambda members: json.dumps(members, ensure_ascii=False, separators=(",", ":"))
)
wired_events = st.fixed_dictionaries(
    {
        "metric": texts,
        "event_id": texts,
        "email": texts,
        "value": st.none() | st.decimals(-(10**9), 10**9, places=6),
        "time": st.integers(limits.TRACK_MIN_TIME_S, 9_999_999_999),
        "properties": st.none() | json_objects,
        "carries": st.booleans(),
    },
    optional={
        **{name: texts for name in (*IDENTIFIERS[1:], *PROFILE_FIELDS) if name != "consent"},
        "profile": json_objects,
    },
)


@given(wired_events)
def test_a_server_reads_exactly_what_was_given_whatever_the_text(event):
    properties = json.loads(event["properties"] or "{}")
    expected = {"$event_id": event["event_id"]} | (
        {} if event["value"] is None else {"$value": event["value"]}
    )

    (body,) = bodies(table(event))

    read = json.loads(
        parse_qs(body.decode("ascii"), strict_parsing=True)["data"][0], parse_float=Decimal
    )
    assert read["token"] == TOKEN
    assert read["event"] == event["metric"]
    assert read["time"] == event["time"]
    assert read["customer_properties"]["$email"] == event["email"]
    assert read["properties"] == properties | expected
    if event["carries"]:
        own = json.loads(event.get("profile", "{}"))
        named = {f"${name}": event[name] for name in PROFILE_FIELDS if name in event}
        others = {f"${name}": event[name] for name in IDENTIFIERS if name in event}
        assert read["customer_properties"] == named | others | own
    else:
        assert list(read["customer_properties"]) == ["$email"]


@given(st.lists(wired_events, min_size=1, max_size=5))
@settings(max_examples=60)
def test_sizes_are_those_of_the_bodies(events):
    rows = table(*events)

    counted = Track().measure(rows.drop_columns(["carries", "size", "attributes_size"])).to_pylist()

    assert [
        one["size"] + (one["attributes_size"] if event["carries"] else 0)
        for one, event in zip(counted, events, strict=True)
    ] == [len(body) for body in bodies(rows)]


def test_sizes_come_as_the_columns_of_an_event():
    counted = Track().measure(table({"email": "a@b.co"}))

    assert counted.schema.types == [EVENTS.field(name).type for name in counted.schema.names]


def test_a_batch_is_a_request_an_event():
    events = table({"email": "a@b.co"}, {"email": "c@d.co"}).to_batches()[0]

    requests = list(Track(TOKEN).requests(events))

    assert [request.rows for request in requests] == [range(1), range(1, 2)]
    assert [request.body for request in requests] == bodies(pa.Table.from_batches([events]))


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        pytest.param(Reply(status=200, body=b"1"), "delivered", id="1 is a yes"),
        pytest.param(Reply(status=200, body=b""), "delivered", id="an empty body is a yes"),
        pytest.param(
            Reply(status=200, body=b"1\n"), "delivered", id="white space around it does not count"
        ),
        pytest.param(Reply(status=200, body=b"0"), "refused", id="0 is a no"),
        pytest.param(Reply(status=200, body=b"<html>"), "unreadable", id="a page is neither"),
        pytest.param(Reply(status=200, body=b"11"), "unreadable", id="11 is not 1"),
        pytest.param(
            Reply(status=202, body=b""), "unreadable", id="the Track API never answers 202"
        ),
    ],
)
def test_how_an_answer_reads(reply, answer):
    assert Track(TOKEN).read(reply) == answer


def test_no_key_is_in_a_repr():
    event = table({"email": "a@b.co"}).to_batches()[0]

    assert TOKEN not in repr(Track(TOKEN))
    assert TOKEN not in repr(next(Track(TOKEN).requests(event)))


URL = "https://a.klaviyo.com/api/track"


def queries(events, token=TOKEN):
    wire = TrackGet(URL, token)
    return [r.query for batch in events.to_batches() for r in wire.requests(batch)]


def read_query(query):
    """What a server reads: the field, URL-decoded, then base64, then JSON."""
    [(name, field)] = parse_qsl(query.decode("ascii"), strict_parsing=True)
    assert name == "data"
    return base64.b64decode(field, validate=True).decode()


@given(wired_events)
def test_a_get_says_what_a_post_says(event):
    [query], [text] = queries(table(event)), Track(TOKEN).payloads(table(event))

    assert read_query(query) == text
    assert re.fullmatch(rb"data=([A-Za-z0-9/]|%2B)+(%3D){0,2}", query)
    assert str(yarl.URL(f"{URL}?{query.decode()}")) == f"{URL}?{query.decode()}"


@pytest.mark.slow
@given(wired_events, st.from_regex(r"[A-Za-z0-9]{6}", fullmatch=True))
def test_a_get_has_the_size_that_was_measured_whatever_the_key(event, token):
    rows = table(event)

    [one] = TrackGet(URL).measure(rows.drop_columns(["size", "attributes_size"])).to_pylist()

    size = one["size"] + (one["attributes_size"] if event["carries"] else 0)
    assert [len(query) for query in queries(rows, token)] == [size]


@pytest.mark.parametrize(
    ("event", "people"),
    [
        pytest.param({"email": "a@b.co", "id": "7"}, {"$email": "a@b.co"}, id="e-mail alone"),
        pytest.param(
            {"phone_number": "+45", "id": "7"},
            {"$phone_number": "+45", "$id": "7"},
            id="an id beside the phone number by which a POST finds the person",
        ),
        pytest.param({"id": "7"}, {"$id": "7"}, id="an id alone"),
    ],
)
def test_a_get_names_an_address_or_an_id(event, people):
    for carries in (False, True):
        [query] = queries(table(event | {"carries": carries}))
        read = json.loads(read_query(query), object_pairs_hook=_no_key_twice)
        assert read["customer_properties"] == (event_identifiers(event) if carries else people)


def event_identifiers(event):
    return {f"${name}": event[name] for name in IDENTIFIERS if name in event}


def oversized(wire, *events, carries=True):
    rows = table(*events).drop_columns(["carries", "size", "attributes_size"])
    sizes = wire.measure(rows)
    for name in sizes.column_names:
        rows = rows.append_column(name, sizes[name])
    found = wire.oversized(rows, carries=carries)
    assert found.schema == OVERSIZED
    return found.to_pylist()


def whole_url(event):
    [query] = queries(table(event))
    return len(f"{URL}?{query.decode()}")


@pytest.mark.parametrize("over", [0, 1])
def test_a_url_may_have_so_many_bytes_and_no_more(over):
    event = {"email": "a@b.co", "city": "Å" * 99}
    length = whole_url(event)
    wire = TrackGet(URL, max_bytes=length - over)

    reject = {"at": 1, "reason": "url_too_long", "column": f"Placed Order: {length:,} bytes"}
    assert oversized(wire, {"email": "a@b.co"}, event) == [reject] * over
    assert oversized(wire, event, carries=False) == []


def test_attributes_can_make_a_url_shorter_and_then_the_longer_one_counts():
    # A ~ in the third place of three is a + in base64, and three bytes in a URL; attributes before
    # it move it to another place.
    def event(shift, places, carries):
        properties = json.dumps({"a": "z" * shift + "zz~" * 300})
        return {"email": "a@b.co", "id": places, "properties": properties, "carries": carries}

    def lengths(shift, places):
        return [whole_url(event(shift, places, carries)) for carries in (False, True)]

    pairs = product(range(3), ("7", "77", "777"))
    odd = max(pairs, key=lambda pair: int.__sub__(*lengths(*pair)))
    bare, whole = lengths(*odd)
    assert bare > whole
    assert oversized(TrackGet(URL, max_bytes=whole), event(*odd, carries=True))
    assert not oversized(TrackGet(URL, max_bytes=bare), event(*odd, carries=True))


def test_a_person_with_nothing_but_a_phone_number_is_no_get():
    long = {"phone_number": "+45", "city": "x" * 9_000}
    found = oversized(
        TrackGet(URL), {"phone_number": "+45", "id": "7"}, long, {"phone_number": "+45"}
    )
    phone_only = {"reason": "phone_only", "column": "$phone_number"}
    assert found == [{"at": at} | phone_only for at in (1, 2)]
    assert oversized(Track(), {"phone_number": "+45"}) == []


def test_a_body_over_the_limit_is_told_with_its_bytes():
    [size] = map(len, bodies(table({"email": "a@b.co", "city": "Aarhus"})))
    event = {"email": "a@b.co", "city": "Aarhus"}
    assert oversized(Track(max_bytes=size), event) == []
    assert oversized(Track(max_bytes=size - 1), event) == [
        {"at": 0, "reason": "too_large", "column": f"Placed Order: {size:,} bytes"}
    ]


def test_no_key_or_address_is_in_a_get_that_is_shown():
    [batch] = table({"email": "a@b.co"}).to_batches()
    [request] = TrackGet(URL, TOKEN).requests(batch)
    assert repr(request) == "Request(rows=range(0, 1), items=())"
    assert TOKEN not in repr(TrackGet(URL, TOKEN))
