"""The bodies of Create Event and Bulk Create Events, read by Klaviyo's own models and schemas."""

import json
from datetime import datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator
from openapi_client.models.event_create_query_v2 import EventCreateQueryV2
from openapi_client.models.events_bulk_create_job import EventsBulkCreateJob

from backfill import limits
from backfill.event import EVENTS, PROFILE_FIELDS
from backfill.wire.bulk import Bulk
from backfill.wire.events import Events
from backfill.wire.interface import Reply, Request

KEY = "pk_ABC123_secret"
WIRED = pa.schema([*EVENTS, pa.field("carries", pa.bool_())])
PLAIN = {
    "key": b"k" * 16,
    "person": b"p" * 16,
    "metric": "Placed Order",
    "event_id": "1001",
    "time": 1_577_934_245,
    "content": b"c" * 8,
    "size": 0,
    "attributes_size": 0,
    "file": 0,
    "row": 1,
    "carries": True,
}
EVERYTHING = {
    **{name: f"the {name}" for name in PROFILE_FIELDS if name != "consent"},
    "email": "ada@shop.example",
    "phone_number": "+4512345678",
    "id": "7",
    "profile": '{"tier":"gold","tags":["a","b"]}',
    "properties": '{"Items":[{"SKU":"B-1","Price":32.6}],"$extra":{"html":"<b>"}}',
    "value": Decimal("32.6"),
    "currency": "EUR",
}
OPENAPI = Path(__file__).parents[2] / "backfill" / "sandbox" / "json_api" / "openapi.json"
MODELS = {"events": EventCreateQueryV2, "bulk": EventsBulkCreateJob}


def table(*events):
    return pa.Table.from_pylist([PLAIN | event for event in events], schema=WIRED)


def requests(wire, *events):
    return [request for batch in table(*events).to_batches() for request in wire.requests(batch)]


def sent(wire, *events):
    """The body of the only request, as JSON in which no key stands twice."""
    [request] = requests(wire, *events)
    return json.loads(request.body, parse_float=Decimal, object_pairs_hook=_no_key_twice)


def _no_key_twice(pairs):
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def items(*events, wire=None):
    [job] = [sent(wire or Bulk(KEY), *events)["data"]]
    assert job["type"] == "event-bulk-create-job"
    return [item["attributes"] for item in job["attributes"]["events-bulk-create"]["data"]]


def attributes(**event):
    return sent(Events(KEY), event)["data"]["attributes"]


def profile(**event):
    return attributes(**event)["profile"]["data"]["attributes"]


def as_sent(value):
    """What a model of the SDK gives back as it was sent: it has null for all that was not."""
    match value:
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        case Enum():
            return value.value
        case dict():
            there = {name: inner for name, inner in value.items() if inner is not None}
            return {name: as_sent(inner) for name, inner in there.items()}
        case list():
            return [as_sent(inner) for inner in value]
        case _:
            return value


def closed(schema):
    """The same schema, taking no member that it does not name."""
    match schema:
        case dict():
            own = {"additionalProperties": False} if "properties" in schema else {}
            kept = {key: closed(value) for key, value in schema.items() if key != "nullable"}
            return kept | own if schema.get("type") == "object" else kept
        case list():
            return [closed(inner) for inner in schema]
        case _:
            return schema


def validator(name):
    document = closed(json.loads(OPENAPI.read_text(encoding="utf-8")))
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return Draft4Validator(schema)


def test_create_event_takes_this_body():
    event = {
        "email": "ada@shop.example",
        "first_name": "Åda",
        "city": "Aarhus",
        "profile": '{"tier":"gold"}',
        "properties": '{"item_name":"Boots"}',
        "value": Decimal("32.6"),
        "currency": "EUR",
    }

    assert Events(KEY).payloads(table(event)) == [
        '{"data":{"type":"event","attributes":{"properties":{"item_name":"Boots"},'
        '"metric":{"data":{"type":"metric","attributes":{"name":"Placed Order"}}},'
        '"profile":{"data":{"type":"profile","attributes":{"email":"ada@shop.example",'
        '"first_name":"Åda","location":{"city":"Aarhus"},"properties":{"tier":"gold"}}}},'
        '"time":"2020-01-02T03:04:05Z","value":32.6,"value_currency":"EUR",'
        '"unique_id":"1001","backfill":true}}}'
    ]
    assert [r.body.decode() for r in requests(Events(KEY), event)] == Events().payloads(
        table(event)
    )


def test_bulk_create_events_takes_this_body():
    event = {"email": "ada@shop.example", "last_name": "L", "properties": '{"a":1}'}
    other = event | {"event_id": "1002", "key": b"l" * 16, "carries": False, "metric": 'A "b"'}

    [request] = requests(Bulk(KEY), event, other)
    assert request.body.decode() == (
        '{"data":{"type":"event-bulk-create-job","attributes":{"events-bulk-create":{"data":['
        '{"type":"event-bulk-create","attributes":{"backfill":true,'
        '"profile":{"data":{"type":"profile","attributes":{"email":"ada@shop.example",'
        '"last_name":"L"}}},"events":{"data":['
        '{"type":"event","attributes":{"properties":{"a":1},'
        '"metric":{"data":{"type":"metric","attributes":{"name":"Placed Order"}}},'
        '"time":"2020-01-02T03:04:05Z","unique_id":"1001","backfill":true}},'
        '{"type":"event","attributes":{"properties":{"a":1},'
        '"metric":{"data":{"type":"metric","attributes":{"name":"A \\"b\\""}}},'
        '"time":"2020-01-02T03:04:05Z","unique_id":"1002","backfill":true}}'
        "]}}}]}}}}"
    )
    assert request.rows == range(2)
    assert request.items == (range(2),)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(Events(KEY), id="events"),
        pytest.param(Bulk(KEY), id="bulk"),
        pytest.param(Events(KEY, backfill=False), id="events that start flows"),
        pytest.param(Bulk(KEY, backfill=False), id="bulk that starts flows"),
    ],
)
@pytest.mark.parametrize(
    "event",
    [
        pytest.param(EVERYTHING, id="with everything"),
        pytest.param(EVERYTHING | {"carries": False}, id="without attributes"),
        pytest.param({"id": "7"}, id="with nothing but an id"),
    ],
)
def test_the_official_models_and_schemas_take_every_member(wire, event):
    body = json.loads(requests(wire, event)[0].body)
    model = MODELS[wire.api.name]

    assert as_sent(model.from_dict(body).to_dict()) == body
    assert list(validator(model.__name__).iter_errors(body)) == []


@pytest.mark.parametrize("path", [("data",), ("data", "attributes")])
def test_the_judges_see_a_member_that_klaviyo_does_not_know(path):
    body = json.loads(requests(Events(KEY), EVERYTHING)[0].body)
    node = body
    for part in path:
        node = node[part]
    node["$unheard"] = 1

    assert EventCreateQueryV2.from_dict(body).to_dict() != body
    assert list(validator("EventCreateQueryV2").iter_errors(body))


def test_names_of_track_become_those_of_the_json_api():
    found = profile(**EVERYTHING)

    places = ("address1", "address2", "city", "region", "country", "zip", "timezone")
    plain = ("first_name", "last_name", "organization", "title", "image")
    assert found == {
        "email": "ada@shop.example",
        "phone_number": "+4512345678",
        "external_id": "7",
        **{name: f"the {name}" for name in plain},
        "location": {name: f"the {name}" for name in places},
        "properties": {"tier": "gold", "tags": ["a", "b"]},
    }
    assert "id" not in attributes(**EVERYTHING)["profile"]["data"]


def test_id_and_value_of_an_event_are_attributes_and_no_properties():
    found = attributes(**EVERYTHING)

    assert found["unique_id"] == "1001"
    assert found["value"] == Decimal("32.6")
    assert found["value_currency"] == "EUR"
    assert found["properties"] == {
        "Items": [{"SKU": "B-1", "Price": Decimal("32.6")}],
        "$extra": {"html": "<b>"},
    }


def test_an_event_of_nothing_has_empty_properties_and_no_value():
    found = attributes(id="7")

    assert found["properties"] == {}
    assert {"value", "value_currency"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("32.600000", "32.6", id="no zeros at the end"),
        pytest.param("100", "100", id="the zeros of a hundred stay"),
        pytest.param("0", "0", id="nothing is a number too"),
        pytest.param("-0.5", "-0.5", id="a negative one"),
        pytest.param("12345678901234567890.000001", "12345678901234567890.000001", id="exact"),
    ],
)
def test_the_value_is_written_in_its_shortest_exact_form(value, text):
    [body] = Events(KEY).payloads(table({"id": "7", "value": Decimal(value)}))

    assert f'"value":{text},"unique_id"' in body


@pytest.mark.parametrize(
    ("given_", "identifier"),
    [
        pytest.param(
            {"email": "a@b.co", "phone_number": "+4512345678", "id": "7"},
            {"email": "a@b.co"},
            id="an e-mail goes before all",
        ),
        pytest.param(
            {"phone_number": "+4512345678", "id": "7"},
            {"phone_number": "+4512345678"},
            id="a phone number goes before an id",
        ),
        pytest.param({"id": "7"}, {"external_id": "7"}, id="an id where there is nothing else"),
    ],
)
def test_an_event_without_attributes_carries_one_identifier(given_, identifier):
    bare = {"carries": False, "city": "Aarhus", "first_name": "Ada", "profile": '{"tier":"gold"}'}

    assert profile(**given_ | bare) == identifier
    [item] = items(given_ | bare)
    assert item["profile"]["data"]["attributes"] == identifier


@pytest.mark.parametrize(
    ("time", "text"),
    [
        pytest.param(limits.MIN_TIME_S, "1990-01-01T00:00:00Z", id="the first second"),
        pytest.param(1_582_934_400, "2020-02-29T00:00:00Z", id="a leap day"),
        pytest.param(4_102_444_799, "2099-12-31T23:59:59Z", id="the end of a century"),
    ],
)
def test_a_time_is_iso_8601_in_utc(time, text):
    assert attributes(id="7", time=time)["time"] == text


@pytest.mark.parametrize("flag", [True, False])
def test_backfill_stands_on_items_and_events(flag):
    assert sent(Events(KEY, backfill=flag), {"id": "7"})["data"]["attributes"]["backfill"] is flag
    [item] = items({"id": "7"}, wire=Bulk(KEY, backfill=flag))
    assert item["backfill"] is flag
    assert item["events"]["data"][0]["attributes"]["backfill"] is flag


def test_consent_goes_with_no_event():
    assert profile(email="a@b.co", consent='["sms"]') == {"email": "a@b.co"}


ADA, BO = {"email": "ada@shop.example"}, {"email": "bo@shop.example"}


def numbered(*events):
    return [
        event | {"key": at.to_bytes(16), "event_id": f"{at}"} for at, event in enumerate(events)
    ]


@pytest.mark.parametrize(
    ("events", "rows"),
    [
        pytest.param([ADA, ADA, BO], [2, 1], id="one person's events that stand together"),
        pytest.param([ADA, BO, ADA], [1, 1, 1], id="not those that stand apart"),
        pytest.param(
            [ADA | {"carries": False}, ADA | {"city": "A"}, ADA | {"city": "A"}],
            [3],
            id="attributes that are the same, or not carried",
        ),
        pytest.param(
            [ADA | {"city": "A"}, ADA | {"carries": False}, ADA | {"city": "B"}, ADA],
            [2, 2],
            id="an item has one profile, so others begin the next",
        ),
        pytest.param(
            [ADA | {"phone_number": "+45", "carries": False}, {"phone_number": "+45"}],
            [1, 1],
            id="one who is named in two ways",
        ),
        pytest.param(
            [{"id": "1", "person": b"p" * 16}, {"id": "2", "person": b"p" * 16}],
            [1, 1],
            id="the identifier that is sent counts, not a hash of one that was dropped",
        ),
    ],
)
def test_events_of_one_person_share_an_item(events, rows):
    found = items(*numbered(*events))

    assert [len(item["events"]["data"]) for item in found] == rows
    [request] = requests(Bulk(KEY), *numbered(*events))
    assert [len(held) for held in request.items] == rows
    for held, item in zip(request.items, found, strict=True):
        ids = [event["attributes"]["unique_id"] for event in item["events"]["data"]]
        assert ids == [str(row) for row in held]


def test_an_item_carries_what_its_second_event_says():
    [item] = items(*numbered(ADA | {"carries": False, "city": "x"}, ADA | {"city": "Aarhus"}))

    assert item["profile"]["data"]["attributes"] == ADA | {"location": {"city": "Aarhus"}}


def test_a_shown_bulk_payload_is_a_request_with_one_event():
    shown = Bulk(KEY).payloads(table(*numbered(ADA, ADA)))

    assert len(shown) == 2
    assert shown == [r.body.decode() for e in numbered(ADA, ADA) for r in requests(Bulk(), e)]


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
json_texts = st.dictionaries(words, st.recursive(words, st.lists, max_leaves=4), max_size=3).map(
    lambda found: json.dumps(found, ensure_ascii=False, separators=(",", ":"))
)


@settings(max_examples=40)
@given(words.filter(bool), words, words, words, json_texts, json_texts)
def test_any_text_arrives_as_it_is(metric, event_id, city, name, own, properties):
    event = {
        "metric": metric,
        "event_id": event_id,
        "id": "7",
        "city": city,
        "first_name": name,
        "profile": own,
        "properties": properties,
    }
    found = attributes(**event)
    [item] = items(event)

    assert found["metric"]["data"]["attributes"]["name"] == metric
    assert found["unique_id"] == event_id
    assert found["properties"] == json.loads(properties)
    who = found.pop("profile")
    assert who["data"]["attributes"]["location"] == {"city": city}
    assert who["data"]["attributes"]["first_name"] == name
    assert who["data"]["attributes"].get("properties", {}) == json.loads(own)
    assert item["profile"] == who
    assert item["events"]["data"][0]["attributes"] == found


@pytest.mark.parametrize("wire", [Events(KEY), Bulk(KEY)], ids=lambda wire: wire.api.name)
def test_the_key_stands_in_one_header_and_nowhere_else(wire):
    assert wire.headers == {
        "authorization": f"Klaviyo-API-Key {KEY}",
        "revision": "2026-10-15",
        "content-type": "application/vnd.api+json",
        "accept": "application/vnd.api+json",
    }
    [request] = requests(wire, EVERYTHING)
    assert KEY not in repr(wire)
    assert b"pk_" not in request.body
    assert request.query == b""


@pytest.mark.parametrize("wire", [Events(KEY), Bulk(KEY)], ids=lambda wire: wire.api.name)
def test_sizes_are_those_of_what_is_sent(wire):
    events = [EVERYTHING, EVERYTHING | {"carries": False}, {"id": "ß"}]
    sizes = wire.measure(table(*events)).to_pylist()
    around = 0 if wire.api.name == "events" else len(Bulk().payloads(table({"id": "7"}))[0])
    if around:
        around -= wire.measure(table({"id": "7"}))["size"][0].as_py()

    for event, size in zip(events, sizes, strict=True):
        carried = size["attributes_size"] if event.get("carries", True) else 0
        [request] = requests(wire, event)
        assert len(request.body) == size["size"] + carried + around


@pytest.mark.parametrize("wire", [Events(KEY), Bulk(KEY)], ids=lambda wire: wire.api.name)
@pytest.mark.parametrize(
    ("status", "answer"), [(202, "delivered"), (200, "unreadable"), (204, "unreadable")]
)
def test_only_202_says_that_a_request_was_taken(wire, status, answer):
    assert wire.read(Reply(status=status)) == answer


MANY = Request(b"", range(10, 16), items=(range(10, 13), range(13, 14), range(14, 16)))
AT = "/data/attributes/events-bulk-create/data/"


@pytest.mark.parametrize(
    ("pointer", "rows"),
    [
        pytest.param(f"{AT}0/attributes/events/data/1/attributes/time", range(11, 12), id="one"),
        pytest.param(f"{AT}2/attributes/events/data/1", range(15, 16), id="the event itself"),
        pytest.param(
            f"{AT}2/attributes/profile/data/attributes/email", range(14, 16), id="a profile"
        ),
        pytest.param(f"{AT}1", range(13, 14), id="an item"),
        pytest.param(f"{AT}1/attributes/events/data", range(13, 14), id="an item's events"),
        pytest.param(f"{AT}3/attributes/profile", range(0), id="an item that is not there"),
        pytest.param(f"{AT}0/attributes/events/data/3/attributes", range(0), id="nor this event"),
        pytest.param("/data", range(0), id="the whole body"),
        pytest.param("/data/attributes/events-bulk-create/data", range(0), id="all items"),
        pytest.param(f"{AT}x", range(0), id="no number"),
        pytest.param(f"{AT}99999999999999999999", range(0), id="a number of twenty digits"),
        pytest.param("", range(0), id="nothing"),
    ],
)
def test_a_pointer_of_bulk_names_rows(pointer, rows):
    assert list(Bulk(KEY).rows_at(pointer, MANY)) == list(rows)


@pytest.mark.parametrize(
    ("pointer", "rows"),
    [
        pytest.param("/data/attributes/profile/data/attributes/email", range(4, 5), id="a member"),
        pytest.param("/data", range(4, 5), id="the whole body is the event"),
        pytest.param("", range(0), id="nothing"),
    ],
)
def test_any_pointer_of_create_event_names_its_one_row(pointer, rows):
    assert Events(KEY).rows_at(pointer, Request(b"", range(4, 5))) == rows
