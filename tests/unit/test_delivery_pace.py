import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.delivery.pace import Pace, Window, parse_rate
from backfill.errors import UsageError


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.mark.parametrize(
    ("text", "windows"),
    [
        pytest.param("10/s", (Window(10, 1.0),), id="a second"),
        pytest.param("150/min", (Window(150, 60.0),), id="a minute"),
        pytest.param("10/s,150/min", (Window(10, 1.0), Window(150, 60.0)), id="both"),
        pytest.param(" 150/min , 10/s ", (Window(150, 60.0), Window(10, 1.0)), id="any order"),
        pytest.param("none", (), id="no limit"),
    ],
)
def test_a_rate_is_read(text, windows):
    assert parse_rate(text) == windows


@pytest.mark.parametrize(
    "text", ["", "10", "0/s", "-1/s", "1.5/s", "10/h", "10/s,", "10/s,20/s", "None", "10/s none"]
)
def test_what_is_no_rate_is_told_how_one_is_written(text):
    with pytest.raises(UsageError, match=r'is no rate; write .* "10/s,150/min"'):
        parse_rate(text)


def test_a_full_window_says_when_it_has_room():
    clock = Clock()
    pace = Pace((Window(2, 1.0),), clock)
    assert [pace.take(), pace.take()] == [0.0, 0.0]

    clock.now_s += 0.25

    assert pace.take() == 0.75


def test_the_fuller_window_decides():
    clock = Clock()
    pace = Pace((Window(1, 1.0), Window(2, 60.0)), clock)
    pace.take()
    clock.now_s += 1.0
    pace.take()
    clock.now_s += 1.0

    assert pace.take() == 58.0


def test_a_pause_holds_all_and_then_ends():
    clock = Clock()
    pace = Pace((), clock)
    pace.pause(3.0)

    assert pace.take() == 3.0
    clock.now_s += 3.0
    assert pace.take() == 0.0


def test_a_shorter_pause_changes_nothing_and_overlaps_count_once():
    clock = Clock()
    pace = Pace((), clock)
    pace.pause(3.0)
    pace.pause(1.0)
    clock.now_s += 1.0
    pace.pause(4.0)

    assert pace.take() == 4.0
    assert pace.paused_s == 5.0


@given(
    st.integers(1, 5),
    st.integers(1, 9),
    st.lists(st.floats(0, 2), min_size=1, max_size=80),
)
def test_no_window_ever_holds_more_than_it_may(per_s, per_10s, gaps_s):
    clock = Clock()
    pace = Pace((Window(per_s, 1.0), Window(per_10s, 10.0)), clock)
    starts = []
    for gap_s in gaps_s:
        clock.now_s += gap_s
        if pace.take() == 0.0:
            starts.append(clock.now_s)

    for begin_s in starts:
        assert sum(begin_s <= start < begin_s + 1.0 for start in starts) <= per_s
        assert sum(begin_s <= start < begin_s + 10.0 for start in starts) <= per_10s


@given(st.integers(1, 5), st.integers(1, 40))
def test_who_waits_as_told_gets_all_the_rate_allows(per_s, requests):
    clock = Clock()
    pace = Pace((Window(per_s, 1.0),), clock)
    for _ in range(requests):
        while wait_s := pace.take():
            clock.now_s += wait_s

    assert clock.now_s - 100.0 == pytest.approx((requests - 1) // per_s)
