"""What an endpoint tells of a wait, and when it takes failures for an outage."""

import pytest

from backfill.delivery.delivery import Delivery, DeliveryOptions
from backfill.delivery.endpoint import Endpoint
from backfill.transport.client import Client
from backfill.transport.exchange import Clocks
from backfill.transport.pace import Pace
from backfill.transport.retry import Unavailable
from backfill.wire.track import Track


class Clock:
    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def endpoint(clock):
    wire = Track("aB3xYz")
    return Endpoint(
        wire=wire,
        client=Client("http://127.0.0.1:9", wire.headers),
        pace=Pace((), clock),
        options=DeliveryOptions(clocks=Clocks(monotonic=clock, wall=clock)),
        done=Delivery(),
        is_stopping=lambda: False,
        sleep=lambda _: None,
    )


def test_a_long_pause_is_told_at_once_and_then_every_minute(endpoint, clock):
    endpoint.pace.pause(3_600.0, "it answered 429")

    assert endpoint.wait() == ("it answered 429", 3_600.0)
    told = []
    for _ in range(3_600):
        clock.now_s += 1
        told.append(endpoint.wait())
    left = [one[1] for one in told if one]
    assert left == [3_600.0 - 60 * minute for minute in range(1, 60)]


def test_a_short_pause_is_not_told(endpoint):
    endpoint.pace.pause(4.9, "it answered 429")
    assert endpoint.wait() is None


def test_a_request_that_fails_is_told_until_one_goes_through(endpoint, clock):
    endpoint.failing = Unavailable("it answered 500", "500")
    endpoint.tries_again_s = clock() + 20
    assert endpoint.wait() == ("it answered 500", 20.0)

    clock.now_s += 60
    endpoint.tries_again_s = clock() + 60
    endpoint.failing = None
    assert endpoint.wait() is None


def test_no_wait_is_no_word(endpoint):
    assert endpoint.wait() is None
