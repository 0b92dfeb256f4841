"""The table of the APIs, and who names its rows."""

import pytest

from backfill.account.account import Account, Keys, api_of, wire_of
from backfill.wire.apis import APIS, BULK, EVENTS, TRACK


@pytest.mark.parametrize(
    ("api", "events", "body_bytes", "requests"),
    [
        pytest.param(TRACK, 1_264, 900_000, 1_264, id="track takes one a request"),
        pytest.param(EVENTS, 7, 9_000_000, 7, id="so does create event"),
        pytest.param(BULK, 1_000, 5_000_000, 1, id="one full request"),
        pytest.param(BULK, 1_001, 5_000_000, 2, id="one event more"),
        pytest.param(BULK, 1_000, 5_000_001, 2, id="one byte more"),
        pytest.param(BULK, 0, 0, 0, id="nothing"),
    ],
)
def test_so_many_requests_are_needed_at_the_least(api, events, body_bytes, requests):
    assert api.least_requests(events, body_bytes) == requests


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_each_api_has_the_wire_that_names_it(api):
    for method in api.methods:
        wire = wire_of(Account("http://127.0.0.1:1", "", api), method)
        assert (wire.api, wire.method) == (api, method.upper())


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_what_goes_together_has_a_fallback_by_which_it_goes_alone(api):
    assert (api.fallback is None) == (api.max_events == 1)
    assert api.fallback is None or api.fallback.max_events == 1


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_a_private_key_has_a_scope(api):
    assert bool(api.scope) is not api.has_public_key


def test_the_kind_of_key_decides_unless_an_api_is_asked_for():
    both = Keys(public="aB3xYz", private="pk_1")

    assert [api_of(keys, None) for keys in (Keys(), Keys(public="aB3xYz"), both)] == [
        TRACK,
        TRACK,
        BULK,
    ]
    assert api_of(both, "events") is EVENTS
