"""The sandbox's Track API over real sockets."""

import base64
import gzip
import json
from urllib.parse import quote, quote_plus

import httpx
import pytest

from backfill import limits
from backfill.sandbox import Sandbox

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
ORDER = {
    "token": "PUBKEY",
    "event": "Ordered Product",
    "properties": {"item_name": "Boots", "$value": 100},
    "customer_properties": {"email": "anna@shop.test"},
    "time": 1_500_000_000,
}
TEXT = json.dumps(ORDER)
BASE64 = base64.b64encode(TEXT.encode()).decode()

# docs/klaviyo.md, "Track API: what SDKs send", byte for byte.
PYTHON_POST = (
    "data=%7B%22token%22%3A%20%22PUBKEY%22%2C%20%22event%22%3A%20%22Ordered%20Product%22%2C%20"
    "%22properties%22%3A%20%7B%22item_name%22%3A%20%22Boots%22%2C%20%22%24value%22%3A%20100%7D"
    "%2C%20%22customer_properties%22%3A%20%7B%22email%22%3A%20%22a%20b%40c.com%22%7D%2C%20%22"
    "time%22%3A%20null%7D"
)
PYTHON_GET = (
    "data=eyJ0b2tlbiI6ICJQVUJLRVkiLCAiZXZlbnQiOiAiT3JkZXJlZCBQcm9kdWN0IiwgInByb3BlcnRpZXMiOiB7"
    "Iml0ZW1fbmFtZSI6ICJCb290cyIsICIkdmFsdWUiOiAxMDB9LCAiY3VzdG9tZXJfcHJvcGVydGllcyI6IHsiZW1h"
    "aWwiOiAiYSBiQGMuY29tIn0sICJ0aW1lIjogbnVsbH0%3D&test=0"
)
NODE_POST = (
    "data=%7B%22token%22%3A%22PUBKEY%22%2C%22event%22%3A%22Ordered+Product%22%2C%22properties%22"
    "%3A%7B%22item_name%22%3A%22Boots%22%2C%22%24value%22%3A100%7D%2C%22customer_properties%22%3"
    "A%7B%22email%22%3A%22a+b%40c.com%22%7D%2C%22time%22%3Anull%7D"
)
# Their one address is none (it has a space, so as to show how a space is written).
MENDED = {
    "python": PYTHON_POST.replace("a%20b%40c.com", "a.b%40c.com"),
    "node": NODE_POST.replace("a+b%40c.com", "a.b%40c.com"),
    "get": PYTHON_GET.replace("YSBiQGMuY29t", base64.b64encode(b"a.b@c.com").decode()),
}


@pytest.fixture
def sandbox():
    with Sandbox() as running:
        yield running


@pytest.fixture
def http(sandbox):
    with httpx.Client(base_url=sandbox.url, trust_env=False) as client:
        yield client


def post(http, body, headers=FORM, path=limits.TRACK_PATH):
    return http.post(path, content=body, headers=headers)


@pytest.mark.parametrize("path", ["/api/track", "/api/track/"])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(f"data={quote(TEXT)}", FORM, id="python-klaviyo: JSON, spaces as %20"),
        pytest.param(f"data={quote_plus(TEXT)}", FORM, id="klaviyo-node: JSON, spaces as +"),
        pytest.param(f"data={quote_plus(BASE64)}", FORM, id="Magento 1: base64"),
        pytest.param(f"data={quote_plus(TEXT)}&test=1&ip=1", FORM, id="with further fields"),
        pytest.param(f"data={TEXT}", FORM, id="curl --data: nothing escaped"),
        pytest.param(TEXT.replace("/", r"\/"), JSON, id="php-klaviyo: the object as the body"),
        pytest.param(json.dumps(ORDER, indent=2) + "\n", JSON, id="pretty, with a newline"),
    ],
)
def test_a_post_is_taken(sandbox, http, body, headers, path):
    response = post(http, body, headers, path)

    assert (response.status_code, response.text) == (200, "1")
    assert [event["metric"] for event in sandbox.events()] == ["Ordered Product"]


@pytest.mark.parametrize("path", ["/api/track", "/api/track/"])
@pytest.mark.parametrize(
    "query",
    [
        pytest.param(f"data={quote(BASE64)}", id="padding escaped"),
        pytest.param(f"data={BASE64}", id="padding bare"),
        pytest.param(f"test=0&data={BASE64}&ip=1", id="with further fields"),
    ],
)
def test_a_get_is_taken(sandbox, http, query, path):
    assert BASE64.endswith("=")

    response = http.get(f"{path}?{query}")

    assert (response.status_code, response.text) == (200, "1")
    assert sandbox.stats()["recorded"] == 1


def test_the_sdks_bytes_are_taken(sandbox, http):
    answers = [post(http, MENDED["python"]), post(http, MENDED["node"])]
    answers.append(http.get(f"/api/track?{MENDED['get']}"))

    assert [answer.text for answer in answers] == ["1", "1", "1"]
    assert {event["profile"]["email"] for event in sandbox.events()} == {"a.b@c.com"}
    assert sandbox.stats()["merged_different"] == 0


def test_the_sdks_bytes_as_quoted_fail_on_their_address_alone(sandbox, http):
    answers = [post(http, PYTHON_POST), post(http, NODE_POST), http.get(f"/api/track?{PYTHON_GET}")]

    assert [answer.text for answer in answers] == ["0", "0", "0"]
    assert [refusal["reason"] for refusal in sandbox.refusals()] == ["email"] * 3


def test_a_pixel_is_answered_to_accepted_and_refused_events(sandbox, http):
    answers = [
        http.get(f"/api/track?data={BASE64}&i=1"),
        http.get("/api/track?data=e30=&i=1"),
        post(http, f"data={quote(TEXT)}&i=1"),
    ]

    assert {answer.headers["Content-Type"] for answer in answers} == {"image/gif"}
    assert all(answer.content.startswith(b"GIF89a\x01\x00\x01\x00") for answer in answers)
    assert (sandbox.stats()["received"], sandbox.stats()["refused"]) == (2, 1)


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        pytest.param("data=%FF", FORM, "encoding", id="not decodable"),
        pytest.param(b'{"a": "\xff"}', JSON, "encoding", id="not UTF-8"),
        pytest.param("{", JSON, "json", id="no JSON"),
        pytest.param("[]", JSON, "object", id="no object"),
        pytest.param('{"a": NaN}', JSON, "json", id="NaN"),
        pytest.param('{"a": 1, "a": 1}', JSON, "repeated_key", id="a repeated key"),
        pytest.param(json.dumps({**ORDER, "token": "x"}), JSON, "token", id="no token"),
        pytest.param(json.dumps({**ORDER, "time": 1}), JSON, "time", id="no time"),
        pytest.param(TEXT, {"Content-Type": "text/plain"}, "content_type", id="another type"),
    ],
)
def test_a_refusal_is_answered_with_0_and_recorded(sandbox, http, body, headers, reason):
    response = post(http, body, headers)

    assert (response.status_code, response.text) == (200, "0")
    assert [refusal["reason"] for refusal in sandbox.refusals()] == [reason]
    assert (sandbox.stats()["refused"], sandbox.stats()["received"]) == (1, 0)


def test_refusals_can_be_read_and_hold_nothing_of_a_person(http):
    marker = "marker-of-a-person"
    wrong = {**ORDER, "customer_properties": {"$email": marker, "name": marker}}
    post(http, json.dumps(wrong), JSON)

    lines = http.get("/_sandbox/refusals?token=PUBKEY").text.splitlines()

    assert [sorted(json.loads(line)) for line in lines] == [["message", "reason", "time", "token"]]
    assert marker not in lines[0]
    assert http.get("/_sandbox/refusals?token=OTHER1").text == ""


def padded(size):
    """A body of exactly ``size`` bytes."""
    frame = json.dumps({**ORDER, "properties": {"pad": ""}})
    return frame.replace('"pad": ""', f'"pad": "{"x" * (size - len(frame))}"')


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_at_most_a_million_bytes(sandbox, http, chunked):
    def send(size):
        body = padded(size).encode()
        assert len(body) == size
        return post(http, iter([body]) if chunked else body, JSON)

    assert send(limits.TRACK_MAX_BODY_BYTES).text == "1"
    assert send(limits.TRACK_MAX_BODY_BYTES + 1).status_code == 413
    assert [refusal["reason"] for refusal in sandbox.refusals()] == ["too_large"]


def test_a_compressed_body_is_not_unpacked(sandbox, http):
    response = post(http, gzip.compress(TEXT.encode()), {**JSON, "Content-Encoding": "gzip"})

    assert response.status_code == 415
    assert sandbox.stats()["received"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/api/track", 405),
        ("HEAD", "/api/track", 405),
        ("POST", "/api/identify", 404),
        ("GET", "/api/profiles", 404),
    ],
)
def test_other_methods_and_paths_are_not_taken(sandbox, http, method, path, status):
    assert http.request(method, path, params={"data": BASE64}).status_code == status
    assert sandbox.stats()["requests"] == 0


def test_a_time_left_out_is_the_time_of_the_request():
    with Sandbox(clock=lambda: 1_780_000_000.9) as sandbox:
        with httpx.Client(base_url=sandbox.url, trust_env=False) as http:
            answers = [
                post(http, json.dumps({**ORDER, "time": time}), JSON).text
                for time in (None, 1_780_000_000, 1_780_000_000.5, 1_780_000_001)
            ]

        assert answers == ["1"] * 4
        assert [event["time"] for event in sandbox.events()] == [1_780_000_000, 1_780_000_001]


def test_over_the_rate_limit_is_429_with_whole_seconds_to_wait():
    now = [1_780_000_000.25]
    with (
        Sandbox(rate_limits=True, clock=lambda: now[0]) as sandbox,
        httpx.Client(base_url=sandbox.url, trust_env=False) as http,
    ):
        for _ in range(limits.TRACK_RATE_PER_S):
            assert post(http, TEXT, JSON).status_code == 200
        over = post(http, TEXT, JSON)
        now[0] += 1
        after = post(http, TEXT, JSON)

        assert (over.status_code, over.headers["Retry-After"]) == (429, "1")
        assert over.json() == {"detail": "Request was throttled. Expected available in 1 second."}
        assert after.text == "1"
        stats = sandbox.stats()
        assert (stats["limited"], stats["requests"]) == (1, limits.TRACK_RATE_PER_S + 2)
