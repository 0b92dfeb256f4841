import pytest

from backfill.sandbox.http.windows import FixedWindows


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


def take(windows, times):
    return [windows.take() for _ in range(times)]


def test_a_window_has_room_for_its_rate_and_no_more():
    windows = FixedWindows([(3, 1)], Clock(100.25))

    assert take(windows, 5) == [0, 0, 0, 1, 1]


def test_a_new_window_is_empty():
    clock = Clock(100.25)
    windows = FixedWindows([(3, 1)], clock)
    take(windows, 4)

    clock.now = 101.0

    assert take(windows, 4) == [0, 0, 0, 1]


def test_a_window_is_fixed_and_does_not_slide():
    clock = Clock(100.9)
    windows = FixedWindows([(2, 1)], clock)
    take(windows, 2)

    clock.now = 101.1

    assert take(windows, 2) == [0, 0]


@pytest.mark.parametrize(
    ("now", "wait_s"),
    [
        pytest.param(120.0, 60, id="a whole window"),
        pytest.param(120.5, 60, id="rounded up"),
        pytest.param(179.9, 1, id="never nothing"),
    ],
)
def test_the_wait_is_whole_seconds_to_the_next_window(now, wait_s):
    windows = FixedWindows([(1, 60)], Clock(now))
    windows.take()

    assert windows.take() == wait_s


def test_burst_and_steady_must_both_have_room():
    clock = Clock(60.0)
    windows = FixedWindows([(2, 1), (3, 60)], clock)
    assert take(windows, 3) == [0, 0, 1]

    clock.now = 61.0

    assert take(windows, 2) == [0, 59]


def test_the_longest_wait_counts():
    windows = FixedWindows([(2, 1), (2, 60)], Clock(60.0))

    assert take(windows, 3) == [0, 0, 60]


def test_a_throttled_request_uses_up_nothing():
    clock = Clock(60.0)
    windows = FixedWindows([(1, 1), (2, 60)], clock)
    take(windows, 10)

    clock.now = 61.0

    assert windows.take() == 0


def test_headers_tell_of_the_steady_window():
    clock = Clock(60.25)
    windows = FixedWindows([(2, 1), (3, 60)], clock)
    take(windows, 1)

    assert windows.headers() == {
        "RateLimit-Limit": "3",
        "RateLimit-Remaining": "2",
        "RateLimit-Reset": "60",
    }

    clock.now = 120.0

    assert windows.headers()["RateLimit-Remaining"] == "3"


def test_without_limits_there_are_no_headers():
    assert FixedWindows([], Clock(60.0)).headers() == {}
