import json

import pytest

from backfill import limits
from backfill.sandbox.store.event import Event, Person, RefusedError
from backfill.sandbox.track_api import rules

NOW_S = 1_780_000_000.5
MOST_EMAIL = "a" * 50 + "@" + "b" * 43 + ".test"
ABSENT = object()


def posted(*, customer=ABSENT, properties=ABSENT, **fields):
    """A request's JSON, right but for what a test says."""
    whole = {
        "token": "AbC123",
        "event": "Placed Order",
        "customer_properties": {"$email": "anna@shop.test"} if customer is ABSENT else customer,
        "properties": {"$event_id": "o1", "$value": 9.5} if properties is ABSENT else properties,
        "time": 1_500_000_000,
    } | fields
    return json.dumps({key: given for key, given in whole.items() if given is not ABSENT})


def read(text):
    return rules.read_event(text, now_s=NOW_S)


def test_an_event_is_read_whole():
    customer = {"$email": "Anna@Shop.test", "$first_name": "Anna", "Plan": None}

    assert read(posted(customer=customer)) == Event(
        token="AbC123",
        metric="Placed Order",
        event_id="o1",
        time_s=1_500_000_000,
        person=Person(email="anna@shop.test"),
        properties={"$event_id": "o1", "$value": 9.5},
        attributes={"$first_name": "Anna", "Plan": None},
    )


@pytest.mark.parametrize(
    ("customer", "person"),
    [
        pytest.param({"$email": "a@b.test"}, Person("a@b.test"), id="the reference writes $email"),
        pytest.param({"email": "a@b.test"}, Person("a@b.test"), id="the SDKs write email"),
        pytest.param(
            {"email": "a@b.test", "$phone_number": "+46701234567"},
            Person("a@b.test", "+46701234567"),
            id="the ruby SDK mixes both",
        ),
        pytest.param(
            {"phone_number": "+13239169023"}, Person(None, "+13239169023"), id="a phone number"
        ),
        pytest.param({"$id": "7"}, Person(external_id="7"), id="an id"),
        pytest.param({"id": 7}, Person(external_id="7"), id="an id that is a number"),
        pytest.param(
            {"$id": "7", "$email": None, "$phone_number": ""},
            Person(external_id="7"),
            id="the PHP SDK's null counts as not given",
        ),
        pytest.param(
            {"$email": "a@b.test", "email": "a@b.test"}, Person("a@b.test"), id="twice the same"
        ),
        pytest.param({"$email": MOST_EMAIL}, Person(MOST_EMAIL), id="an address of 99 characters"),
        pytest.param({"$email": "a.b+c@d-e.f.test"}, Person("a.b+c@d-e.f.test"), id="a tagged one"),
    ],
)
def test_a_person_is_read(customer, person):
    assert read(posted(customer=customer)).person == person


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        pytest.param(ABSENT, None, id="no time is the time of the request"),
        pytest.param(None, None, id="so is null"),
        pytest.param(limits.TRACK_MIN_TIME_S, 1_000_000_000, id="the first with ten digits"),
        pytest.param(1_500_922_636.75, 1_500_922_636, id="the Python SDK's float"),
        pytest.param(
            int(NOW_S) + limits.MAX_FUTURE_S, int(NOW_S) + limits.MAX_FUTURE_S, id="in a year"
        ),
    ],
)
def test_a_time_is_read(time, expected):
    assert read(posted(time=time)).time_s == expected


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        pytest.param(ABSENT, "o1", id="text"),
        pytest.param({"$event_id": 12}, "12", id="an integer"),
        pytest.param({}, None, id="none"),
    ],
)
def test_an_event_id_is_read(properties, expected):
    assert read(posted(properties=properties)).event_id == expected


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"ip": "192.0.2.1", "service": "magento"}, id="the SDKs' further keys"),
        pytest.param({"properties": {}}, id="no properties"),
        pytest.param({"properties": {"$value": 0}}, id="a value of nothing"),
        pytest.param({"properties": {"$value": -12}}, id="a refund"),
        pytest.param({"properties": {"__track_once__": True}}, id="track_once"),
        pytest.param(
            {"customer": {"$id": "7", "$consent": list(limits.CONSENT_TYPES)}}, id="all consents"
        ),
        pytest.param({"customer": {"$id": "7", "$consent": []}}, id="no consent"),
    ],
)
def test_valid_events_are_accepted(fields):
    assert read(posted(**fields)).metric == "Placed Order"


def test_properties_may_be_left_out():
    text = json.dumps({"token": "AbC123", "event": "Seen", "customer_properties": {"$id": "7"}})

    assert read(text).properties == {}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({"token": ABSENT}, "token", id="no token"),
        pytest.param({"token": 123456}, "token", id="a token that is a number"),
        pytest.param({"token": "AbC12"}, "token", id="a token too short"),
        pytest.param({"token": "AbC1234"}, "token", id="a token too long"),
        pytest.param({"token": "AbC123\n"}, "token", id="a newline behind a token"),
        pytest.param({"token": "API_KY"}, "token", id="a token with a mark"),
        pytest.param({"token": "pk_0123456789"}, "token", id="a private key"),
        pytest.param({"event": ABSENT}, "event", id="no event"),
        pytest.param({"event": ""}, "event", id="an empty event"),
        pytest.param({"event": " "}, "event", id="a blank event"),
        pytest.param({"event": 5}, "event", id="an event that is a number"),
        pytest.param({"customer": None}, "customer_properties", id="null for a person"),
        pytest.param({"customer": []}, "customer_properties", id="a list for a person"),
        pytest.param({"customer": {}}, "identifier", id="nobody"),
        pytest.param({"customer": {"$first_name": "A"}}, "identifier", id="only a name"),
        pytest.param({"customer": {"$email": ""}}, "identifier", id="an empty address"),
        pytest.param(
            {"customer": {"$email": "a@b.test", "email": "c@b.test"}}, "identifier", id="two people"
        ),
        pytest.param({"customer": {"$id": True}}, "identifier", id="an id that is a boolean"),
        pytest.param({"customer": {"$id": 1.5}}, "identifier", id="an id that is a fraction"),
        pytest.param({"customer": {"$id": " "}}, "identifier", id="a blank id"),
        pytest.param({"customer": {"$email": "a b@c.com"}}, "email", id="a space in an address"),
        pytest.param({"customer": {"$email": " a@c.com"}}, "email", id="a space around one"),
        pytest.param({"customer": {"$email": "a@c.com\n"}}, "email", id="a newline behind one"),
        pytest.param({"customer": {"$email": "a@c"}}, "email", id="a domain without a dot"),
        pytest.param({"customer": {"$email": "a.c.com"}}, "email", id="no at sign"),
        pytest.param({"customer": {"$email": "a@b@c.com"}}, "email", id="two at signs"),
        pytest.param({"customer": {"$email": "a..b@c.com"}}, "email", id="two dots"),
        pytest.param({"customer": {"$email": "a@-c.com"}}, "email", id="a hyphen in front"),
        pytest.param({"customer": {"$email": "a@1.2.3.4"}}, "email", id="a numeric address"),
        pytest.param({"customer": {"$email": "a@å.com"}}, "email", id="a domain beyond ASCII"),
        pytest.param({"customer": {"$email": "a" * 65 + "@c.com"}}, "email", id="a long mailbox"),
        pytest.param({"customer": {"$email": "a" + MOST_EMAIL}}, "email", id="100 characters"),
        pytest.param({"customer": {"$email": 7}}, "email", id="an address that is a number"),
        pytest.param({"customer": {"$phone_number": "0701234567"}}, "phone_number", id="local"),
        pytest.param(
            {"customer": {"$phone_number": "+46 70 123"}}, "phone_number", id="spaces in a number"
        ),
        pytest.param(
            {"customer": {"$phone_number": "+0701234567"}}, "phone_number", id="a zero in front"
        ),
        pytest.param(
            {"customer": {"$phone_number": "+1234567890123456"}}, "phone_number", id="16 digits"
        ),
        pytest.param(
            {"customer": {"$phone_number": 46701234567}}, "phone_number", id="a phone as a number"
        ),
        pytest.param(
            {"customer": {"$email": "a@c.test", "$phone_number": "1"}},
            "phone_number",
            id="a wrong phone number beside a right address",
        ),
        pytest.param({"customer": {"$id": "7", "$consent": "email"}}, "consent", id="one consent"),
        pytest.param({"customer": {"$id": "7", "$consent": ["fax"]}}, "consent", id="a fax"),
        pytest.param({"customer": {"$id": "7", "$consent": [[]]}}, "consent", id="a list in one"),
        pytest.param({"properties": []}, "properties", id="a list of properties"),
        pytest.param({"properties": None}, "properties", id="null for properties"),
        pytest.param({"properties": {"$value": "9.50"}}, "value", id="a value that is text"),
        pytest.param({"properties": {"$value": True}}, "value", id="a value that is a boolean"),
        pytest.param({"properties": {"$value": None}}, "value", id="a value that is null"),
        pytest.param({"properties": {"$event_id": ""}}, "event_id", id="an empty id of an event"),
        pytest.param({"properties": {"$event_id": None}}, "event_id", id="a null id of an event"),
        pytest.param({"properties": {"$event_id": 1.0}}, "event_id", id="a fraction for one"),
        pytest.param({"time": "1500000000"}, "time", id="a time that is text"),
        pytest.param({"time": True}, "time", id="a time that is a boolean"),
        pytest.param({"time": 999_999_999}, "time", id="nine digits"),
        pytest.param({"time": 999_999_999.9}, "time", id="nine digits and a fraction"),
        pytest.param({"time": 1_500_000_000_000}, "time", id="milliseconds"),
        pytest.param({"time": 1e300}, "time", id="an absurd time"),
        pytest.param({"time": -1_500_000_000}, "time", id="a time before all time"),
        pytest.param(
            {"time": int(NOW_S) + limits.MAX_FUTURE_S + 1}, "future", id="more than a year away"
        ),
    ],
)
def test_invalid_events_are_refused(fields, reason):
    with pytest.raises(RefusedError) as refused:
        read(posted(**fields))

    assert refused.value.reason == reason
    assert refused.value.token == (None if reason == "token" else "AbC123")


def test_a_refusal_does_not_repeat_what_was_posted():
    marker = "marker-of-a-person"
    customers = ({"$email": marker}, {"$phone_number": marker}, {"$id": "7", "$consent": [marker]})

    for customer in customers:
        with pytest.raises(RefusedError) as refused:
            read(posted(customer=customer))
        assert marker not in str(refused.value)
