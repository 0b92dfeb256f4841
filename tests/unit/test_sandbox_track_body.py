import base64
import json

import pytest

from backfill.sandbox import strict_json
from backfill.sandbox.store.event import RefusedError
from backfill.sandbox.track_api import body as track_body

FORM = "application/x-www-form-urlencoded"

# What Klaviyo's own SDKs send for one call: docs/klaviyo.md, "Track API: what SDKs send".
PYTHON_POST = (
    b"data=%7B%22token%22%3A%20%22PUBKEY%22%2C%20%22event%22%3A%20%22Ordered%20Product%22%2C%20"
    b"%22properties%22%3A%20%7B%22item_name%22%3A%20%22Boots%22%2C%20%22%24value%22%3A%20100%7D"
    b"%2C%20%22customer_properties%22%3A%20%7B%22email%22%3A%20%22a%20b%40c.com%22%7D%2C%20%22"
    b"time%22%3A%20null%7D"
)
PYTHON_GET = (
    b"data=eyJ0b2tlbiI6ICJQVUJLRVkiLCAiZXZlbnQiOiAiT3JkZXJlZCBQcm9kdWN0IiwgInByb3BlcnRpZXMiOiB7"
    b"Iml0ZW1fbmFtZSI6ICJCb290cyIsICIkdmFsdWUiOiAxMDB9LCAiY3VzdG9tZXJfcHJvcGVydGllcyI6IHsiZW1h"
    b"aWwiOiAiYSBiQGMuY29tIn0sICJ0aW1lIjogbnVsbH0%3D&test=0"
)
NODE_POST = (
    b"data=%7B%22token%22%3A%22PUBKEY%22%2C%22event%22%3A%22Ordered+Product%22%2C%22properties%22"
    b"%3A%7B%22item_name%22%3A%22Boots%22%2C%22%24value%22%3A100%7D%2C%22customer_properties%22%3"
    b"A%7B%22email%22%3A%22a+b%40c.com%22%7D%2C%22time%22%3Anull%7D"
)
SDK_CALL = {
    "token": "PUBKEY",
    "event": "Ordered Product",
    "properties": {"item_name": "Boots", "$value": 100},
    "customer_properties": {"email": "a b@c.com"},
    "time": None,
}

# The sample request of the Track reference: pretty JSON, the padding bare.
REFERENCE_GET = (
    b"data=ewogICJ0b2tlbiIgOiAiQVBJX0tFWSIsCiAgImV2ZW50IiA6ICJFbGVjdGVkIFByZXNpZGVudCIsCiAgImN1"
    b"c3RvbWVyX3Byb3BlcnRpZXMiIDogewogICAgIiRlbWFpbCIgOiAidGhvbWFzLmplZmZlcnNvbkB0ZXN0LmNvbSIK"
    b"ICB9LAogICJwcm9wZXJ0aWVzIiA6IHsKICAgICJQcmV2aW91c2x5VmljZVByZXNpZGVudCIgOiB0cnVlLAogICAg"
    b"IlllYXJFbGVjdGVkIiA6IDE4MDEsCiAgICAiVmljZVByZXNpZGVudHMiIDogWyJBYXJvbiBCdXJyIiwgIkdlb3Jn"
    b"ZSBDbGludG9uIl0KICB9LAogICJ0aW1lIiA6IDE1MDA5MjI2MzYKfQ=="
)
REFERENCE_CALL = {
    "token": "API_KEY",
    "event": "Elected President",
    "customer_properties": {"$email": "thomas.jefferson@test.com"},
    "properties": {
        "PreviouslyVicePresident": True,
        "YearElected": 1801,
        "VicePresidents": ["Aaron Burr", "George Clinton"],
    },
    "time": 1500922636,
}


def base64_of(text):
    return base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        pytest.param(PYTHON_POST, FORM, SDK_CALL, id="python-klaviyo writes a space as %20"),
        pytest.param(NODE_POST, FORM, SDK_CALL, id="klaviyo-node writes a space as +"),
        pytest.param(
            PYTHON_GET, FORM, SDK_CALL, id="the Magento 1 plugin posts base64 as a form field"
        ),
        pytest.param(
            b"data=" + base64_of('{"a": 1}\n'), FORM, {"a": 1}, id="base64 with bare padding"
        ),
        pytest.param(
            b"data=" + base64_of('{"a": 1}') + b"\n", FORM, {"a": 1}, id="base64 from a file"
        ),
        pytest.param(
            b'{"a":"https:\\/\\/shop.test"}',
            "application/json",
            {"a": "https://shop.test"},
            id="the PHP SDK posts the object itself, slashes escaped",
        ),
        pytest.param(
            b'{"a": 1}', "Application/JSON; charset=utf-8", {"a": 1}, id="a charset is no matter"
        ),
        pytest.param(b'\n{"a": 1}\n', None, {"a": 1}, id="an object tells its own type"),
        pytest.param(b"data=%7B%22a%22%3A1%7D", None, {"a": 1}, id="and so does a form"),
        pytest.param(b'data={"a": 1}', FORM, {"a": 1}, id="curl --data escapes nothing"),
        pytest.param(
            b"test=1&data=%7B%22a%22%3A1%7D%0A&ip=1", FORM, {"a": 1}, id="other fields, a newline"
        ),
        pytest.param(
            'data={\n  "a" : "\N{GREEK SMALL LETTER ALPHA}"\n}'.encode(),
            FORM,
            {"a": "\N{GREEK SMALL LETTER ALPHA}"},
            id="pretty JSON in raw UTF-8",
        ),
    ],
)
def test_a_post_in_any_form_of_the_sdks_is_read(body, content_type, expected):
    posted = track_body.from_body(body, content_type, b"")

    assert strict_json.parse(posted.text) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(PYTHON_GET, SDK_CALL, id="python-klaviyo escapes the padding, adds test=0"),
        pytest.param(REFERENCE_GET, REFERENCE_CALL, id="the reference leaves the padding bare"),
        pytest.param(
            b"data=" + base64_of('{"a": 1}').replace(b"=", b"%3d"),
            {"a": 1},
            id="escapes in lower case",
        ),
        pytest.param(
            b"data=" + base64_of('{"a": ">>>~~~"}').replace(b"+", b"%2B"),
            {"a": ">>>~~~"},
            id="an escaped plus of base64",
        ),
    ],
)
def test_a_get_in_any_form_of_the_sdks_is_read(query, expected):
    assert strict_json.parse(track_body.from_query(query).text) == expected


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        pytest.param(b"", FORM, 'no field "data"', id="an empty body"),
        pytest.param(b"payload=%7B%7D", FORM, 'no field "data"', id="another field"),
        pytest.param(b"data=%7B%7D&data=%7B%7D", FORM, "given twice", id="two fields"),
        pytest.param(b"data=%7B%22a%22%3A%FF%7D", FORM, "byte 5 is not UTF-8", id="Latin-1"),
        pytest.param(b'data={"a":"5%"}', FORM, "two hexadecimal digits", id="a bare percent sign"),
        pytest.param(b"data=%%%", FORM, "two hexadecimal digits", id="no percent encoding"),
        pytest.param(b"data=hello!", FORM, "neither JSON nor base64", id="neither"),
        pytest.param(b"data=eyJhIjoxfQ", FORM, "neither JSON nor base64", id="no padding"),
        pytest.param(b"data=eyJhIjoiPz8_In0=", FORM, "neither", id="base64's URL alphabet"),
        pytest.param(b"data=/////w==", FORM, "byte 0 is not UTF-8", id="base64 of no text"),
        pytest.param(
            b"data=" + base64_of('{"a": ">>>~~~"}'), FORM, "became a space", id="a bare plus"
        ),
        pytest.param(b"<a/>", "text/xml", "content type", id="XML"),
        pytest.param(b"--x", "multipart/form-data; boundary=x", "content type", id="multipart"),
        pytest.param(b"\xff\xfe{\x00", "application/json", "not UTF-8", id="UTF-16"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_refused(body, content_type, message):
    with pytest.raises(RefusedError, match=message):
        track_body.from_body(body, content_type, b"")


def test_a_get_with_plain_json_is_refused():
    with pytest.raises(RefusedError, match="neither JSON nor base64"):
        track_body.from_query(b"data=" + json.dumps({"a": 1}).encode().replace(b" ", b"%20"))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        pytest.param(b"i=1", True, id="i=1 asks for it"),
        pytest.param(b"data=x&i=1&test=0", True, id="wherever it stands"),
        pytest.param(b"i=0", False, id="i=0 does not"),
        pytest.param(b"hi=1", False, id="nor does another name"),
    ],
)
def test_the_pixel_is_asked_for_by_name(query, wanted):
    assert track_body.wants_pixel(query) is wanted


def test_a_form_may_ask_for_the_pixel_too():
    assert track_body.from_body(b"data=%7B%7D&i=1", FORM, b"").pixel
