"""Klaviyo's own SDK of the Track API, klaviyo 3.1.7, as the judge of the sandbox."""

import datetime as dt
import importlib
import time
import warnings

import pytest

from backfill.sandbox import Faults, Sandbox


@pytest.fixture(scope="module")
def sdk():
    with warnings.catch_warnings():
        # It warns, once and at import, that it is deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("klaviyo")


@pytest.fixture
def track_with(sdk, monkeypatch):
    """Make the SDK's ``track`` post to a sandbox.

    It reads its server in two places: a GET from the instance, a POST from the class.
    """
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def make(sandbox):
        server = f"{sandbox.url}/api"
        monkeypatch.setattr(sdk.api_helper.KlaviyoAPI, "KLAVIYO_API_SERVER", server)
        return sdk.public.Public(public_token="PUBKEY", api_server=server)

    return make


@pytest.fixture
def sandbox():
    with Sandbox() as running:
        yield running


METHODS = pytest.mark.parametrize("method", ["get", "post"])


@METHODS
@pytest.mark.parametrize(
    "call",
    [
        pytest.param({"email": "anna@shop.test"}, id="an address"),
        pytest.param({"external_id": "7"}, id="an id"),
        pytest.param({"email": "anna@shop.test", "external_id": 7}, id="both"),
        pytest.param({"email": "anna@shop.test", "ip_address": "192.0.2.1"}, id="an ip"),
        pytest.param({"email": "anna@shop.test", "is_test": True}, id="a test"),
        pytest.param({"email": "anna@shop.test", "timestamp": 1_500_000_000}, id="a time"),
        pytest.param(
            {
                "email": "anna@shop.test",
                "customer_properties": {"$first_name": "Åsa", "$consent": ["email", "sms"]},
                "properties": {"$event_id": "o/1", "$value": 9.5, "Items": [{"Name": "5+5 & ~>"}]},
            },
            id="properties",
        ),
    ],
)
def test_its_events_are_taken(sandbox, track_with, method, call):
    call = {key: dict(given) if isinstance(given, dict) else given for key, given in call.items()}

    answer = track_with(sandbox).track("Ordered Product", method=method, **call)

    assert (answer.status_code, answer.data) == (200, 1)
    assert sandbox.refusals() == []
    event = sandbox.events()[0]
    assert event["metric"] == "Ordered Product"
    assert event["properties"] == call.get("properties", {})
    assert event["profile"]["email"] == call.get("email")


@METHODS
def test_its_local_datetime_is_the_float_that_it_sends(sandbox, track_with, method):
    when = dt.datetime(2017, 7, 14, 2, 40, 0, 500_000)  # noqa: DTZ001 - what users gave it

    track_with(sandbox).track("Seen", email="anna@shop.test", timestamp=when, method=method)

    assert [event["time"] for event in sandbox.events()] == [int(time.mktime(when.timetuple()))]


def test_both_methods_send_the_same_event(sandbox, track_with):
    public = track_with(sandbox)

    for method in ("get", "post"):
        public.track("Seen", email="anna@shop.test", timestamp=1_500_000_000, method=method)

    stats = sandbox.stats()
    assert (stats["recorded"], stats["merged"], stats["merged_different"]) == (1, 1, 0)


def test_track_once_is_taken(sandbox, track_with):
    assert track_with(sandbox).track_once("Seen", email="anna@shop.test").data == 1
    assert sandbox.events()[0]["properties"] == {"__track_once__": True}


@METHODS
def test_it_understands_a_refusal(sandbox, track_with, method):
    answer = track_with(sandbox).track("Seen", email="nobody", method=method)

    assert (answer.status_code, answer.data) == (200, 0)
    assert [refusal["reason"] for refusal in sandbox.refusals()] == ["email"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, "KlaviyoAuthenticationError"),
        (429, "KlaviyoRateLimitException"),
        (500, "KlaviyoServerError"),
        (503, "KlaviyoServerError"),
        (502, "KlaviyoAPIException"),
    ],
)
def test_it_understands_the_faults(sdk, track_with, status, error):
    faults = Faults.of({"faults": [{"at": [1], "answer": status}]})
    with Sandbox(faults=faults) as sandbox:
        with pytest.raises(getattr(sdk.exceptions, error)) as raised:
            track_with(sandbox).track("Seen", email="anna@shop.test", method="post")

        assert raised.value.status_code == status
        assert raised.value.message


WHO = 'A/1,aasa@shop.test,+4520123456,7,"Åsa ""O\'Neil""",sms;email'
ORDER = f"""\
no,mail,phone,who,first,allowed,sku,at
{WHO},5+5 & ~>?,2017-07-14T02:40:00Z
{WHO},</tea>\u2028x,2017-07-14T02:40:00Z
"""
SCHEMA = """
name: as-the-sdk
source: {order: no, line: [sku]}
profiles: every
customer_properties:
  $email: mail
  $phone_number: phone
  $id: who
  $first_name: first
  $consent: {column: allowed, as: {list: ";"}}
  tier: {value: gold}
events:
  - event: Ordered Product
    time: at
    properties:
      $event_id: "{no}"
      $value: {value: 9.5}
      Items: {each: {SKU: sku}}
"""


def track_the_order(public, method):
    public.track(
        "Ordered Product",
        email="aasa@shop.test",
        external_id="7",
        customer_properties={
            "$phone_number": "+4520123456",
            "$first_name": 'Åsa "O\'Neil"',
            "$consent": ["sms", "email"],
            "tier": "gold",
        },
        properties={
            "$event_id": "A/1",
            "$value": 9.5,
            "Items": [{"SKU": "5+5 & ~>?"}, {"SKU": "</tea>\u2028x"}],
        },
        timestamp=1_500_000_000,
        method=method,
    )


def run_the_order(tool, sandbox, method):
    (tool.folder / "s.yaml").write_text(SCHEMA)
    (tool.folder / "order.csv").write_text(ORDER, encoding="utf-8")
    url = ("--url", sandbox.url)
    said = tool("run", "s.yaml", "order.csv", *url, "--method", method, KLAVIYO_PUBLIC_KEY="PUBKEY")
    assert said.code == 0, said.err


@METHODS
@pytest.mark.parametrize("by_sdk", ["get", "post"])
def test_the_sdk_and_backfill_send_the_same_order(track_with, tool, method, by_sdk):
    with Sandbox() as its, Sandbox() as ours:
        track_the_order(track_with(its), by_sdk)
        run_the_order(tool, ours, method)

        [event], [profile] = its.events(), its.profiles()
        assert ([event], [profile]) == (ours.events(), ours.profiles())
        assert event["event_id"] == "A/1"
        assert event["properties"]["Items"][1]["SKU"] == "</tea>\u2028x"
        assert profile["attributes"]["$consent"] == ["sms", "email"]
        assert (profile["phone_number"], profile["external_id"]) == ("+4520123456", "7")

        track_the_order(track_with(ours), by_sdk)
        stats = ours.stats()
        assert (stats["recorded"], stats["merged"], stats["merged_different"]) == (1, 1, 0)
        assert (ours.events(), ours.profiles()) == ([event], [profile])
