import math
import random
from collections import Counter
from heapq import heappop, heappush

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill import limits
from backfill.errors import UsageError
from backfill.transport.pace import Pace, Quota, Window, parse_rate, windows_of


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
    with pytest.raises(UsageError, match=r'is not a rate; write .* "10/s,150/min"'):
        parse_rate(text)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param("60%", (90, 6), id="a share of every window"),
        pytest.param(" 100 % ", (150, 10), id="all of it"),
        pytest.param("1%", (1, 1), id="one request at least"),
    ],
)
def test_a_quota_scales_every_window(text, left):
    windows = (Window(150, 60.0), Window(10, 1.0))

    assert tuple(window.requests for window in Quota.parse(text).of(windows)) == left


@pytest.mark.parametrize("text", ["", "60", "0%", "101%", "-5%", "1e1%", "60%%"])
def test_what_is_no_quota_is_told_how_one_is_written(text):
    with pytest.raises(UsageError, match=r'is not a share; write it from "1%" to "100%"'):
        Quota.parse(text)


def test_a_slot_is_free_one_window_after_its_answer():
    clock = Clock()
    pace = Pace((Window(2, 1.0),), clock)
    assert [pace.take(), pace.take()] == [0.0, 0.0]
    clock.now_s += 0.25
    pace.done()
    clock.now_s += 0.25

    assert pace.take() == 0.75
    clock.now_s += 0.75
    assert pace.take() == 0.0


def test_with_all_under_way_none_is_free_within_a_window():
    clock = Clock()
    pace = Pace((Window(1, 1.0),), clock)
    pace.take()
    clock.now_s += 30.0

    assert pace.take() == 1.0


def test_the_fuller_window_decides():
    clock = Clock()
    pace = Pace((Window(1, 1.0), Window(2, 60.0)), clock)
    pace.take()
    pace.done()
    clock.now_s += 1.0
    pace.take()
    pace.done()
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


class Server:
    """Counts requests in fixed windows that begin when they like, as Klaviyo does."""

    def __init__(self, windows, offsets_s):
        self.windows = [
            (window, offset_s, Counter())
            for window, offset_s in zip(windows, offsets_s, strict=True)
        ]
        self.throttled = 0

    def arrive(self, now_s):
        for window, offset_s, counts in self.windows:
            at = math.floor((now_s - offset_s) / window.length_s)
            counts[at] += 1
            self.throttled += counts[at] > window.requests


def play(windows, offsets_s, latency_s, until_s, seed=0):
    """Post as fast as the pace lets, every request counted somewhere within its latency."""
    clock, chance = Clock(), random.Random(seed)
    server, pace = Server(windows, offsets_s), Pace(windows, clock)
    arrivals, answers, sent, begin_s = [], [], 0, clock.now_s
    while True:
        wait_s = pace.take()
        if not wait_s:
            sent += 1
            took_s = chance.uniform(*latency_s)
            heappush(arrivals, clock.now_s + chance.uniform(0.0, took_s))
            heappush(answers, clock.now_s + took_s)
            continue
        clock.now_s = min([clock.now_s + wait_s, *answers[:1]])
        if clock.now_s >= begin_s + until_s:
            break
        while answers and answers[0] <= clock.now_s:
            heappop(answers)
            pace.done()
    while arrivals:
        server.arrive(heappop(arrivals))
    return sent, server.throttled


BULK, EVENTS = windows_of(limits.BULK_RATES), windows_of(limits.EVENTS_RATES)


@pytest.mark.parametrize(
    ("windows", "per_min"),
    [pytest.param(BULK, 150, id="bulk"), pytest.param(EVENTS, 3_500, id="events")],
)
@pytest.mark.parametrize("latency_s", [(0.0, 0.0), (0.2, 0.2), (0.0, 0.2)])
def test_nearly_all_that_is_allowed_is_used(windows, per_min, latency_s):
    # The burst at the beginning of the eleventh minute is not counted.
    sent, throttled = play(windows, (0.3, 17.0), latency_s, 600.0)

    assert throttled == 0
    assert sent >= 0.98 * 10 * per_min


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=2),
    st.floats(0, 1),
    st.floats(0, 10),
    st.tuples(st.floats(0, 0.5), st.floats(0.5, 3)),
    st.integers(0, 99),
)
def test_no_window_of_the_server_ever_holds_more_than_it_may(
    requests, offset_s, other_s, latency_s, seed
):
    windows = (Window(requests[0], 1.0), Window(requests[1], 10.0))
    sent, throttled = play(windows, (offset_s, other_s), latency_s, 60.0, seed)

    assert sent
    assert throttled == 0
