"""One request between its retries and its endpoint's pace, driven by hand."""

from itertools import islice

import pytest

from backfill.transport.exchange import Exchange
from backfill.transport.pace import Pace, Window
from backfill.transport.retry import Delivered, NoAnswer, Post, Unavailable, Wait, attempts
from backfill.wire.interface import Reply

YES = Reply(status=200, body=b"1")


class Clock:
    now_s = 1_000.0

    def __call__(self):
        return self.now_s


def exchange_of(pace):
    steps = attempts(lambda _: "delivered", jitter=lambda: 1.0, now=lambda: 0.0)
    return Exchange(steps, pace)


def drive(exchange, clock, *answers):
    """Take each step, with one answer to each Post; give what was done."""
    left, done = iter(answers), []
    for step in islice(exchange, 40):
        done.append(step)
        match step:
            case Wait(wait_s):
                clock.now_s += wait_s
            case Post():
                exchange.answer = next(left)
    return done


def test_a_request_waits_for_its_slot_and_then_for_its_retry():
    clock = Clock()
    pace = Pace((Window(1, 10.0),), clock)
    exchange = exchange_of(pace)

    done = drive(exchange, clock, NoAnswer("no connection"), YES)

    assert done == [Post(), Wait(1.0), Wait(9.0), Post()]
    assert exchange.outcome == Delivered()


def test_a_pause_holds_up_the_other_requests_of_the_endpoint():
    clock = Clock()
    pace = Pace((), clock)
    throttled = exchange_of(pace)
    steps = iter(throttled)
    assert next(steps) == Post()
    throttled.answer = Reply(status=429, retry_after="7")

    assert next(steps) == Wait(7.0)
    assert drive(exchange_of(pace), clock, YES) == [Wait(7.0), Post()]


def test_who_breaks_off_leaves_no_slot_taken():
    clock = Clock()
    pace = Pace((Window(1, 10.0),), clock)
    for step in exchange_of(pace):
        assert step == Post()
        break
    clock.now_s += 10.0

    assert pace.take() == 0.0


def test_there_is_no_outcome_before_the_end():
    exchange = exchange_of(Pace((), Clock()))
    next(iter(exchange))

    with pytest.raises(RuntimeError, match="has not ended"):
        _ = exchange.outcome


def test_what_lasts_is_the_outcome():
    clock = Clock()
    exchange = exchange_of(Pace((), clock))

    drive(exchange, clock, *[NoAnswer("no connection")] * 8)

    assert exchange.outcome == Unavailable("no connection")
