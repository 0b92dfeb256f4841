import json

import pytest

from backfill import limits
from backfill.sandbox.json_api import write
from backfill.sandbox.json_api.access import RequestContext
from backfill.sandbox.json_api.problems import ProblemsError, pointer
from backfill.sandbox.store.event import Person

NOW_S = 1_795_000_000
CONTEXT = RequestContext("ABC123", limits.REVISION, NOW_S)
AT = "/data/attributes"
BULK_AT = "/data/attributes/events-bulk-create/data"


def event(**attributes):
    return {
        "properties": {"Sku": "a"},
        "metric": {"data": {"type": "metric", "attributes": {"name": "Placed Order"}}},
        "time": "2022-11-08T10:30:00+01:00",
        "unique_id": "o1",
        **attributes,
    }


def profile(**attributes):
    return {"data": {"type": "profile", "attributes": attributes}}


def single(who=None, **attributes):
    given = event(**attributes) | {"profile": profile(**(who or {"email": "anna@shop.test"}))}
    return {"data": {"type": "event", "attributes": given}}


def item(*events, who=None, **attributes):
    members = [{"type": "event", "attributes": one} for one in events]
    inside = {
        "profile": profile(**(who or {"email": "anna@shop.test"})),
        "events": {"data": members},
    }
    return {"type": "event-bulk-create", "attributes": inside | attributes}


def bulk(*items):
    inside = {"events-bulk-create": {"data": list(items)}}
    return {"data": {"type": "event-bulk-create-job", "attributes": inside}}


def create(body, context=CONTEXT):
    return write.parse_event(json.dumps(body).encode(), context)


def create_bulk(body, context=CONTEXT):
    return write.parse_bulk(json.dumps(body).encode(), context)


def problems(act, *args):
    with pytest.raises(ProblemsError) as raised:
        act(*args)
    return [(one.pointer, one.detail) for one in raised.value.problems]


def test_an_event_is_parsed_into_tracks_names():
    who = {
        "email": "Anna@Shop.test",
        "external_id": "7",
        "first_name": "Åsa",
        "location": {"city": "Visby", "zip": None},
        "properties": {"tier": "gold"},
    }
    (made,) = create(single(who, value=9.5, value_currency="EUR", backfill=True)).events

    assert (made.token, made.metric, made.event_id) == ("ABC123", "Placed Order", "o1")
    assert made.time_s == 1_667_899_800
    assert made.person == Person(email="anna@shop.test", external_id="7")
    assert made.properties == {
        "Sku": "a",
        "$event_id": "o1",
        "$value": 9.5,
        "$value_currency": "EUR",
    }
    assert made.attributes == {"$first_name": "Åsa", "$city": "Visby", "$zip": None, "tier": "gold"}
    assert (made.api, made.backfill) == ("events", True)


def test_null_counts_as_absent():
    (made,) = create(single(time=None, value=None, unique_id=None, backfill=None)).events

    assert (made.time_s, made.event_id, made.properties) == (None, None, {"Sku": "a"})
    assert made.backfill is False


@pytest.mark.parametrize(
    ("of_item", "of_event", "backfill"),
    [
        ({"backfill": True}, {"backfill": True}, True),
        ({"backfill": True}, {}, True),
        ({}, {"backfill": True}, True),
        ({"backfill": False}, {"backfill": True}, False),
        ({"backfill": True}, {"backfill": False}, False),
        ({}, {}, False),
    ],
)
def test_a_backfill_is_what_one_level_says_and_none_denies(of_item, of_event, backfill):
    (made,) = create_bulk(bulk(item(event(**of_event), **of_item))).events

    assert made.backfill is backfill


def nested(levels):
    made = {"a": 1}
    for _ in range(levels - 1):
        made = {"a": made}
    return made


LIMITS = [
    pytest.param({"unique_id": ""}, "/unique_id", "1 to 255", id="an empty id"),
    pytest.param({"unique_id": "x" * 256}, "/unique_id", "1 to 255", id="a long id"),
    pytest.param({"time": "2022-11-08"}, "/time", "ISO 8601", id="a date alone"),
    pytest.param({"time": "2022-11-08T10:30:00"}, "/time", "ISO 8601", id="no offset"),
    pytest.param({"time": "2022-02-30T10:30:00Z"}, "/time", "ISO 8601", id="no day"),
    pytest.param({"time": "1989-12-31T23:59:59Z"}, "/time", "after 1990", id="before 1990"),
    pytest.param({"time": "2027-11-30T00:00:00Z"}, "/time", "1 year", id="in two years"),
    pytest.param({"value": 2**63}, "/value", "64 bits", id="a large value"),
    pytest.param({"value_currency": "EURO"}, "/value_currency", "ISO 4217", id="no currency"),
    pytest.param(
        {"properties": {f"p{number}": 1 for number in range(401)}},
        "/properties",
        "400 properties",
        id="many properties",
    ),
    pytest.param(
        {"properties": {"a/b": "é" * 50_001}}, "/properties/a~1b", "100 KB", id="a long text"
    ),
    pytest.param(
        {"properties": {"a": [0] * 4_001}}, "/properties/a", "4000 elements", id="a long array"
    ),
    pytest.param(
        {"properties": nested(11)}, "/properties" + "/a" * 10, "10 levels", id="deep objects"
    ),
    pytest.param({"properties": {"a": [-(2**63) - 1]}}, "/properties/a/0", "64 bits", id="an int"),
    pytest.param(
        {"metric": {"data": {"type": "metric", "attributes": {"name": "x" * 128}}}},
        "/metric/data/attributes/name",
        "less than 128",
        id="a long name",
    ),
    pytest.param(
        {"metric": {"data": {"type": "metric", "attributes": {"name": " "}}}},
        "/metric/data/attributes/name",
        "blank",
        id="a blank name",
    ),
]


@pytest.mark.parametrize(("attributes", "at", "says"), LIMITS)
def test_limits_that_no_schema_has(attributes, at, says):
    ((single_at, single_says),) = problems(create, single(**attributes))
    body = bulk(item(event()), item(event(), event(**attributes)))
    ((bulk_at, bulk_says),) = problems(create_bulk, body)

    assert (single_at, bulk_at) == (AT + at, f"{BULK_AT}/1/attributes/events/data/1/attributes{at}")
    assert says in single_says
    assert says in bulk_says


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({"unique_id": "x" * 255}, id="an id"),
        pytest.param({"time": "1990-01-01T00:00:00Z"}, id="the first time"),
        pytest.param({"time": "2026-11-08T10:30:00.123456Z"}, id="parts of a second"),
        pytest.param({"properties": {f"p{number}": 1 for number in range(400)}}, id="properties"),
        pytest.param({"properties": {"a": "é" * 50_000}}, id="a text"),
        pytest.param({"properties": {"a": [0] * 4_000}}, id="an array"),
        pytest.param({"properties": nested(10)}, id="levels"),
        pytest.param({"properties": {"a": 2**63 - 1, "b": -(2**63)}}, id="integers"),
        pytest.param(
            {"metric": {"data": {"type": "metric", "attributes": {"name": "x" * 127}}}}, id="a name"
        ),
    ],
)
def test_values_at_their_limit_are_accepted(attributes):
    assert len(create(single(**attributes)).events) == 1


WHO = "/profile/data/attributes"


@pytest.mark.parametrize(
    ("who", "at", "says"),
    [
        pytest.param({"email": "nobody"}, f"{WHO}/email", "Invalid email", id="no address"),
        pytest.param(
            {"email": f"{'a' * 60}@{'b' * 34}.test"}, f"{WHO}/email", "Invalid email", id="long"
        ),
        pytest.param({"phone_number": "070"}, f"{WHO}/phone_number", "phone number", id="a phone"),
        pytest.param({"first_name": "Anna"}, WHO, "identifier", id="nobody"),
        pytest.param({"email": None, "external_id": ""}, WHO, "identifier", id="nothing"),
        pytest.param(
            {"external_id": "7", "properties": {"a": "x" * 50_000, "b": "x" * 50_000}},
            "/profile/data",
            "95 KB",
            id="a large profile",
        ),
    ],
)
def test_a_profile_must_be_valid(who, at, says):
    ((single_at, single_says),) = problems(create, single(who))
    ((bulk_at, bulk_says),) = problems(create_bulk, bulk(item(event()), item(event(), who=who)))

    assert (single_at, bulk_at) == (AT + at, f"{BULK_AT}/1/attributes{at}")
    assert says in single_says
    assert says in bulk_says


def test_create_event_forgives_a_phone_beside_an_address_and_bulk_does_not():
    who = {"email": "anna@shop.test", "phone_number": "070"}

    made = create(single(who))

    assert (made.dropped_phone, made.events[0].person) == (True, Person(email="anna@shop.test"))
    ((at, _),) = problems(create_bulk, bulk(item(event(), who=who)))
    assert at == f"{BULK_AT}/0/attributes{WHO}/phone_number"


def test_all_faulty_members_are_named_whatever_is_wrong_with_them():
    body = bulk(
        item(event(), event(value="9,50")),
        item(event(unique_id="")),
        item(event(), who={"email": "nobody"}),
        item(event(foo=1, unique_id="")),
    )

    assert {at for at, _ in problems(create_bulk, body)} == {
        f"{BULK_AT}/0/attributes/events/data/1/attributes/value",
        f"{BULK_AT}/1/attributes/events/data/0/attributes/unique_id",
        f"{BULK_AT}/2/attributes{WHO}/email",
        f"{BULK_AT}/3/attributes/events/data/0/attributes/foo",
    }


def test_the_events_of_all_items_are_counted():
    many = [event(unique_id=f"o{number}") for number in range(500)]

    assert len(create_bulk(bulk(item(*many), item(*many))).events) == 1_000
    ((at, says),) = problems(create_bulk, bulk(item(*many), item(*many, event())))
    assert (at, says) == (BULK_AT, "The request must not exceed 1000 events.")


def test_places_lead_to_the_events():
    made = create_bulk(bulk(item(event()), item(event(), event())))

    assert [pointer(place) for place in made.places] == [
        f"{BULK_AT}/{number}/attributes/events/data/{inner}"
        for number, inner in ((0, 0), (1, 0), (1, 1))
    ]


def test_an_older_revision_knows_no_backfill_and_no_years_before_2000():
    older = RequestContext("ABC123", "2026-01-15", NOW_S)

    assert problems(create, single(backfill=True), older)[0][0] == f"{AT}/backfill"
    ((at, says),) = problems(create, single(time="1999-12-31T00:00:00Z"), older)
    assert (at, "after 2000" in says) == (f"{AT}/time", True)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"\xff", "Byte 0 is not UTF-8.", id="other bytes"),
        pytest.param(b"[]", "JSON parse error: the JSON is not an object.", id="a list"),
        pytest.param(b'{"a": NaN}', "NaN", id="no number"),
        pytest.param(b'{"a": 1, "a": 1}', "is given twice", id="a key twice"),
        pytest.param(rb'{"a": "\ud800"}', "surrogate", id="half a pair"),
        pytest.param(b"{}", "'data' is a required field", id="nothing"),
        pytest.param(b'{"data": {"type": "event"}}', "'attributes' is a required", id="too little"),
    ],
)
@pytest.mark.parametrize("read", [write.parse_event, write.parse_bulk])
def test_bodies_that_cannot_be_parsed(read, body, says):
    assert any(says in detail for _, detail in problems(read, body, CONTEXT))
