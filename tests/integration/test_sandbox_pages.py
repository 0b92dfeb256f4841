"""The page and the data that a sandbox shows, over real sockets."""

import json
import socket
import sys
from urllib.parse import urlsplit

import httpx
import pytest

from backfill.sandbox import Sandbox

ATTACK = "<script>alert(1)</script>"
HERE = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address on Linux only")


def order(**fields):
    return {
        "token": "PUBKEY",
        "event": "Placed Order",
        "customer_properties": {"$email": "anna@shop.test", "Plan": "free"},
        "properties": {"$event_id": "o1", "$value": 9.5},
        "time": 1_500_000_000,
    } | fields


@pytest.fixture
def sandbox():
    with Sandbox() as running:
        yield running


@pytest.fixture
def http(sandbox):
    with httpx.Client(base_url=sandbox.url, trust_env=False) as client:
        yield client


def post(http, **fields):
    assert http.post("/api/track", json=order(**fields)).text == "1"


def lines(http, path, **params):
    response = http.get(path, params=params)
    assert response.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def test_stats_have_all_counts(sandbox, http):
    post(http)
    post(http)
    post(http, properties={"$event_id": "o1"})
    post(http, event="Seen", customer_properties={"$phone_number": "+46701234567"})
    post(http, customer_properties={"$email": "anna@example.com"})
    post(
        http,
        event="Seen",
        time=1_500_000_001,
        properties={},
        customer_properties={"$email": "anna@shop.test", "$phone_number": "+46701234567"},
    )
    assert http.post("/api/track", json={}).text == "0"

    assert http.get("/_sandbox/stats").json() == {
        "requests": 7,
        "received": 6,
        "recorded": 3,
        "merged": 2,
        "merged_different": 1,
        "discarded": 1,
        "refused": 1,
        "limited": 0,
        "profiles": 1,
        "profile_merges": 1,
        "would_trigger_flows": 0,
        "lost": 0,
        "metrics": {"Placed Order": 1, "Seen": 2},
        "apis": {"track": 3},
        "endpoints": {"track": 7},
        "faults": {},
    }
    assert sandbox.stats() == http.get("/_sandbox/stats").json()


def test_events_and_profiles_are_ndjson(sandbox, http):
    post(http)
    post(http, event="Åter\u2028köp", token="OTHER1", time=1_500_000_000.9)

    assert lines(http, "/_sandbox/events") == sandbox.events()
    assert [event["time"] for event in sandbox.events()] == [1_500_000_000] * 2
    assert lines(http, "/_sandbox/profiles") == sandbox.profiles()
    assert [profile["attributes"] for profile in sandbox.profiles()] == [{"Plan": "free"}] * 2


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param({}, ["a", "b", "a"], id="all"),
        pytest.param({"token": "PUBKEY"}, ["a", "b"], id="of an account"),
        pytest.param({"metric": "a"}, ["a", "a"], id="of a metric"),
        pytest.param({"token": "OTHER1", "metric": "b"}, [], id="of neither"),
    ],
)
def test_ndjson_is_filtered(sandbox, http, wanted, found):
    for token, event in (("PUBKEY", "a"), ("PUBKEY", "b"), ("OTHER1", "a")):
        post(http, token=token, event=event)

    assert [event["metric"] for event in lines(http, "/_sandbox/events", **wanted)] == found
    assert lines(http, "/_sandbox/events", **wanted) == sandbox.events(**wanted)
    assert lines(http, "/_sandbox/profiles", **wanted) == sandbox.profiles(**wanted)
    assert len(sandbox.profiles(**wanted)) == len(
        {row["token"] for row in sandbox.events(**wanted)}
    )


def test_many_events_are_streamed(http):
    for number in range(1_001):
        post(http, properties={"$event_id": str(number)})

    with http.stream("GET", "/_sandbox/events") as response:
        ids = [json.loads(line)["event_id"] for line in response.iter_lines()]

    assert response.headers["Transfer-Encoding"] == "chunked"
    assert ids == [str(number) for number in range(1_001)]


def test_the_page_shows_events_and_escapes_them(http):
    post(http)
    post(
        http,
        event=ATTACK,
        customer_properties={"$id": ATTACK},
        properties={"$event_id": ATTACK, "$value": 12345678},
    )

    response = http.get("/")

    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "anna@shop.test" in response.text
    assert "12345678" in response.text
    assert "<script" not in response.text
    assert response.text.count("&lt;script&gt;") == 4


@pytest.mark.parametrize("path", ["/", "/_sandbox/stats", "/_sandbox/events", "/_sandbox/profiles"])
def test_a_website_cannot_read_it_under_its_own_name(http, path):
    assert http.get(path, headers={"Host": "evil.test"}).status_code == 403
    assert http.get(path, headers={"Host": "localhost:1"}).status_code == 200


@HERE
def test_it_listens_on_this_machine_alone(sandbox):
    """127.0.0.2 is this machine too, but reaches only who listens on all addresses."""
    port = urlsplit(sandbox.url).port

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)

    socket.create_connection(("127.0.0.1", port), timeout=5).close()
