import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.wire.batches import cut


@pytest.mark.parametrize(
    ("sizes", "options", "runs"),
    [
        pytest.param([], {"max_events": 3}, [], id="no events are no requests"),
        pytest.param(
            [9, 9], {"max_events": 1}, [range(1), range(1, 2)], id="track takes one a request"
        ),
        pytest.param(
            [1, 1, 1], {"max_events": 2}, [range(2), range(2, 3)], id="a full request is closed"
        ),
        pytest.param(
            [4, 6, 1],
            {"max_events": 9, "max_bytes": 10},
            [range(2), range(2, 3)],
            id="a request may be exactly full of bytes",
        ),
        pytest.param(
            [2, 11, 2],
            {"max_events": 9, "max_bytes": 10},
            [range(1), range(1, 2), range(2, 3)],
            id="an event over the limit stands alone",
        ),
        pytest.param(
            [1, 1, 1],
            {"max_events": 9, "keys": ["a", "b", "a"]},
            [range(2), range(2, 3)],
            id="a repeated key begins the next request",
        ),
    ],
)
def test_cut(sizes, options, runs):
    assert list(cut(sizes, **options)) == runs


events = st.lists(st.tuples(st.integers(1, 12), st.sampled_from("abcdefgh")), max_size=60)


@given(events, st.integers(1, 9), st.integers(1, 30))
def test_every_event_is_in_exactly_one_batch_in_order(events, max_events, max_bytes):
    sizes, keys = [size for size, _ in events], [key for _, key in events]

    runs = list(cut(sizes, max_events=max_events, max_bytes=max_bytes, keys=keys))

    assert [place for run in runs for place in run] == list(range(len(events)))


@given(events, st.integers(1, 9), st.integers(1, 30))
def test_no_batch_is_over_a_limit_and_none_could_take_the_next_event(events, max_events, max_bytes):
    sizes, keys = [size for size, _ in events], [key for _, key in events]

    def fits(run):
        held = [keys[place] for place in run]
        return (
            len(run) <= max_events
            and len(set(held)) == len(held)
            and sum(sizes[place] for place in run) <= max_bytes
        )

    for run in cut(sizes, max_events=max_events, max_bytes=max_bytes, keys=keys):
        assert fits(run) or len(run) == 1
        assert run.stop == len(sizes) or not fits(range(run.start, run.stop + 1))
