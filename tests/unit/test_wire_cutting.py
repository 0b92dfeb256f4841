"""Runs of events, and requests of Bulk Create Events: the largest that fit, to the byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill import limits
from backfill.wire.bulk import Bulk
from backfill.wire.cutting import People, RequestLimits, cut, cut_items
from tests.unit.test_wire_json_api import numbered, table

ADA, BO, CY = ({"email": f"{name}@shop.example"} for name in ("ada", "bo", "cyrus"))


def batch(events):
    [found] = table(*events).combine_chunks().to_batches()
    return found


def requests(events, **most):
    return list(Bulk(**most).requests(batch(events)))


def alone(events):
    """The bytes of one request with all of these."""
    [request] = requests(events, max_events=10**6, max_bytes=10**9)
    return len(request.body)


@pytest.mark.parametrize(
    ("sizes", "limits", "runs"),
    [
        pytest.param([], (3, 10), [], id="no events are no runs"),
        pytest.param([1, 1, 1], (2, 10), [range(2), range(2, 3)], id="a full run is closed"),
        pytest.param(
            [4, 6, 1], (9, 10), [range(2), range(2, 3)], id="a run may be exactly full of bytes"
        ),
        pytest.param(
            [2, 11, 2],
            (9, 10),
            [range(1), range(1, 2), range(2, 3)],
            id="an event over the limit stands alone",
        ),
    ],
)
def test_cut(sizes, limits, runs):
    max_events, max_bytes = limits
    assert list(cut(sizes, max_events=max_events, max_bytes=max_bytes)) == runs


@given(st.lists(st.integers(1, 12), max_size=60), st.integers(1, 9), st.integers(1, 30))
def test_runs_hold_every_event_in_order_and_none_could_take_the_next(sizes, max_events, max_bytes):
    def fits(run):
        return len(run) <= max_events and sum(sizes[place] for place in run) <= max_bytes

    runs = list(cut(sizes, max_events=max_events, max_bytes=max_bytes))

    assert [place for run in runs for place in run] == list(range(len(sizes)))
    for run in runs:
        assert fits(run) or len(run) == 1
        assert run.stop == len(sizes) or not fits(range(run.start, run.stop + 1))


def test_the_limits_are_those_that_klaviyo_documents():
    assert (Bulk().max_events, Bulk().max_bytes) == (1_000, 5_000_000)


def test_a_thousand_events_are_one_request_and_the_next_begins_another():
    events = numbered(*[ADA] * 1001)

    assert [len(request.rows) for request in requests(events)] == [limits.BULK_MAX_EVENTS, 1]


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([ADA, ADA], id="of one item"),
        pytest.param([ADA, BO], id="of two items"),
        pytest.param([ADA | {"carries": False}, ADA | {"city": "Århus"}], id="of late attributes"),
        pytest.param([ADA | {"city": "A"}, ADA | {"city": "A"}], id="of attributes told once"),
    ],
)
def test_a_request_may_be_exactly_full_of_bytes(events):
    events = numbered(*events)
    full = alone(events)

    assert [r.rows for r in requests(events, max_bytes=full)] == [range(2)]
    assert [r.rows for r in requests(events, max_bytes=full - 1)] == [range(1), range(1, 2)]


def test_an_event_over_the_limit_stands_alone():
    big = ADA | {"properties": f'{{"note":"{"x" * 900}"}}'}

    found = requests(numbered(ADA, big, ADA), max_bytes=800)
    assert [r.rows for r in found] == [range(1), range(1, 2), range(2, 3)]


def test_a_repeated_key_begins_the_next_request():
    events = numbered(ADA, BO, ADA)
    events[2]["key"] = events[0]["key"]

    assert [r.rows for r in requests(events)] == [range(2), range(2, 3)]


def test_no_events_are_no_requests():
    assert list(cut_items([], People([], []), [], RequestLimits(1, 1, 1, 1))) == []


people = st.sampled_from([ADA, BO, CY])
said = st.sampled_from([{}, {"city": "A"}, {"city": "Berlin"}, {"last_name": "Ø"}])
notes = st.text("aß€", max_size=60).map(lambda text: {"properties": f'{{"n":"{text}"}}'})
orders = st.lists(
    st.tuples(people, said, notes, st.booleans(), st.integers(0, 12)), min_size=1, max_size=14
)


@pytest.mark.slow
@settings(max_examples=70)
@given(orders, st.integers(1, 6), st.integers(300, 2500))
def test_no_request_is_over_a_limit_and_none_could_take_the_next_event(drawn, most, most_bytes):
    events = [
        {**who, **what, **note, "carries": carries, "key": bytes([key]) * 16, "event_id": f"{key}"}
        for who, what, note, carries, key in drawn
    ]

    def fits(rows):
        held = events[rows.start : rows.stop]
        keys = {event["key"] for event in held}
        return len(held) <= most and len(keys) == len(held) and alone(held) <= most_bytes

    found = requests(events, max_events=most, max_bytes=most_bytes)

    assert [row for request in found for row in request.rows] == list(range(len(events)))
    for request in found:
        rows = request.rows
        assert [row for item in request.items for row in item] == list(rows)
        assert len(request.body) == alone(events[rows.start : rows.stop])
        assert fits(rows) or len(rows) == 1
        assert rows.stop == len(events) or not fits(range(rows.start, rows.stop + 1))
