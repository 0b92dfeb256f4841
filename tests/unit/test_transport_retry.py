import json

import pytest

from backfill.transport.retry import (
    Delivered,
    ErrorObject,
    Fatal,
    NoAnswer,
    Pause,
    Post,
    Refused,
    RetryPolicy,
    Unavailable,
    Wait,
    attempts,
)
from backfill.wire.interface import Reply
from backfill.wire.track import Track

NOW_S = 1_000.0
YES = Reply(status=200, body=b"1")
JSON_NO = b'{"errors":[{"code":"invalid","detail":"Invalid email a@b.co"}]}'


def steps(*answers, policy=RetryPolicy(), jitter=1.0):  # noqa: B008 - frozen
    """Send the answers, one to each Post; give the waits and the outcome."""
    trying = attempts(Track("aB3xYz").read, jitter=lambda: jitter, now=lambda: NOW_S, policy=policy)
    waiting, waits, came = iter(answers), [], None
    while True:
        try:
            step = trying.send(came)
        except StopIteration as done:
            assert list(waiting) == []
            return waits, done.value
        if isinstance(step, Wait | Pause):
            waits.append(step)
        came = next(waiting) if isinstance(step, Post) else None


def alone(*waits_s):
    return [Wait(wait_s) for wait_s in waits_s]


def together(*waits_s):
    return [Pause(wait_s, Unavailable("")) for wait_s in waits_s]


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        pytest.param(YES, Delivered(), id="1 is delivered"),
        pytest.param(Reply(status=200), Delivered(), id="an empty 200 is delivered"),
        pytest.param(
            Reply(status=200, body=b"0"),
            Refused("answered-no", 200, "the answer was 0: not taken"),
            id="0 is refused",
        ),
        pytest.param(
            Reply(status=413),
            Refused("http-413", 413, "the answer was 413"),
            id="too large is refused",
        ),
        pytest.param(Reply(status=301), Fatal(301), id="a redirect ends the run"),
        pytest.param(Reply(status=401), Fatal(401), id="401 ends the run"),
        pytest.param(Reply(status=403, body=JSON_NO), Fatal(403), id="a JSON 403 ends the run"),
        pytest.param(Reply(status=404, body=b"<html>"), Fatal(404), id="404 ends the run"),
        pytest.param(Reply(status=410), Fatal(410), id="410 ends the run"),
    ],
)
def test_what_is_settled_by_one_answer(answer, outcome):
    assert steps(answer) == ([], outcome)


@pytest.mark.parametrize(
    "passing",
    [
        pytest.param(NoAnswer("no answer in time"), id="silence"),
        pytest.param(Reply(status=500), id="500"),
        pytest.param(Reply(status=502, body=b"<html>"), id="a gateway's 502"),
        pytest.param(Reply(status=504), id="504"),
        pytest.param(Reply(status=200, body=b"<html>"), id="a 200 that is neither yes nor no"),
        pytest.param(Reply(status=403, body=b"<html>"), id="a gateway's 403"),
        pytest.param(Reply(status=400), id="400"),
        pytest.param(Reply(status=408), id="408"),
    ],
)
def test_what_may_pass_is_tried_again_after_a_wait(passing):
    assert steps(passing, passing, YES) == (alone(1.0, 2.0), Delivered())


@pytest.mark.parametrize(
    ("lasting", "outcome"),
    [
        pytest.param(
            NoAnswer("no connection"), Unavailable("no connection"), id="silence is silence"
        ),
        pytest.param(Reply(status=500), Unavailable("it answered 500", "500"), id="5xx is silence"),
        pytest.param(
            Reply(status=403, body=b"<html>"),
            Unavailable("a gateway before it answered 403", "403"),
            id="HTML 403 too",
        ),
        pytest.param(
            Reply(status=200, body=b"?"),
            Unavailable("it answered 200 with a body that is no yes or no", "200"),
            id="an unreadable 200 too",
        ),
        pytest.param(
            Reply(status=422),
            Refused("http-422", 422, "the answer was 422"),
            id="other 4xx is refused",
        ),
    ],
)
def test_what_lasts_for_eight_attempts(lasting, outcome):
    assert steps(*[lasting] * 8) == (alone(1, 2, 4, 8, 16, 32, 60), outcome)


def test_the_last_answer_decides():
    assert steps(*[Reply(status=400)] * 7, NoAnswer("no connection"))[1] == Unavailable(
        "no connection"
    )


def test_jitter_takes_from_nothing_to_all_of_a_wait():
    assert steps(Reply(status=500), Reply(status=500), YES, jitter=0.25)[0] == alone(0.25, 0.5)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "date", "wait_s"),
    [
        pytest.param("7", None, 7.0, id="the server names seconds"),
        pytest.param("0", None, 0.1, id="nought is not a busy loop"),
        pytest.param(None, None, 5.0, id="no time is named"),
        pytest.param("soon", None, 5.0, id="the time cannot be read"),
        pytest.param("-3", None, 5.0, id="a negative time cannot be read"),
        pytest.param("1.5", None, 5.0, id="nor can half seconds"),
        pytest.param("Thu, 01 Jan 1970 00:17:00 GMT", None, 20.0, id="a date, by our clock"),
        pytest.param(
            "Mon, 23 Nov 2026 10:00:30 GMT",
            "Mon, 23 Nov 2026 10:00:00 GMT",
            30.0,
            id="a date, by the server's clock",
        ),
        pytest.param("Thu, 01 Jan 1970 00:00:00 GMT", None, 0.1, id="a date that is past"),
        pytest.param("Thu, 99 Foo 1970 00:00:00 GMT", None, 5.0, id="a date that is none"),
        pytest.param("Mon, 23 Nov 2026 10:00:30 +99999999999999", None, 5.0, id="no such offset"),
        pytest.param("9" * 6_000, None, 5.0, id="a number without end"),
    ],
)
def test_a_throttled_run_waits_as_one(status, retry_after, date, wait_s):
    throttled = Reply(status=status, retry_after=retry_after, date=date)

    assert steps(throttled, YES) == (together(wait_s), Delivered())


def test_a_pause_uses_no_attempt_up():
    throttled = Reply(status=429, retry_after="1")

    waits, outcome = steps(*[throttled] * 50, Reply(status=500), throttled, YES)

    assert outcome == Delivered()
    assert waits == [*together(*[1.0] * 50), *alone(1.0), *together(1.0)]


@pytest.mark.parametrize("named", ["0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_server_that_asks_for_a_busy_loop_gets_less_and_less(named):
    throttled = Reply(status=429, retry_after=named)

    waits, outcome = steps(*[throttled] * 12, YES)

    assert outcome == Delivered()
    assert waits == together(*[0.1 * 2**n for n in range(10)], 60.0, 60.0)


def test_pauses_come_to_an_end():
    throttled = Reply(status=503, retry_after="1000")

    waits, outcome = steps(*[throttled] * 4)

    assert waits == together(1000.0, 1000.0, 1000.0)
    assert outcome == Unavailable("it answered 503 and asks to wait 1000 s more", "503")


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        pytest.param(
            b'{"errors":[{"code":"invalid","detail":"a@b.co","source":{"pointer":"/data/x/0"}}]}',
            "invalid",
            "the answer was 400 at /data/x/0",
            id="code and pointer are kept, the text is not",
        ),
        pytest.param(
            b'{"errors":[{"code":"a@b.co","source":{"pointer":"/a@b.co"}}]}',
            "http-400",
            "the answer was 400",
            id="what could name a person is not kept",
        ),
        pytest.param(b"[1]", "http-400", "the answer was 400", id="another JSON"),
        pytest.param(b'{"errors":[]}', "http-400", "the answer was 400", id="no error in it"),
        pytest.param(b"\xff{", "http-400", "the answer was 400", id="no JSON"),
    ],
)
def test_a_refusal_names_no_person(body, reason, detail):
    assert steps(*[Reply(status=400, body=body)] * 8)[1] == Refused(reason, 400, detail)


BAD_MEMBERS = Reply(
    status=400,
    body=b'{"errors":[{"code":"invalid","detail":"Invalid email a@b.co",'
    b'"source":{"pointer":"/data/7"}},'
    b'{"title":"Invalid input.","source":{"parameter":"x"}}, 5]}',
)


def bulk_steps(*answers):
    trying = attempts(
        lambda _: "delivered", jitter=lambda: 1.0, now=lambda: NOW_S, is_json_api=True
    )
    next(trying)
    try:
        for answer in answers:
            step = trying.send(answer)
            while isinstance(step, Wait | Pause):
                step = next(trying)
    except StopIteration as done:
        return done.value
    return None


def test_a_refusal_of_the_json_api_ends_at_once_with_its_errors():
    outcome = bulk_steps(BAD_MEMBERS)

    assert outcome.errors == (
        ErrorObject("invalid", "/data/7", "Invalid email a@b.co"),
        ErrorObject("http-400", "", "Invalid input."),
    )
    assert outcome.detail == "the answer was 400 at /data/7"
    assert "a@b.co" not in repr(outcome)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"errors":[]}', b'{"errors":{}}', b"[1]"]
)
def test_what_is_not_klaviyos_own_refusal_refuses_nothing(body):
    assert bulk_steps(*[Reply(status=400, body=body)] * 7) is None
    assert bulk_steps(*[Reply(status=400, body=body)] * 8) == Unavailable(
        "it answered 400 with a body that lists no errors", "400"
    )


def test_413_of_the_json_api_ends_at_once_without_errors_too():
    assert bulk_steps(Reply(status=413)) == Refused("http-413", 413, "the answer was 413")


def test_a_long_pointer_is_shown():
    pointer = (
        "/data/attributes/events-bulk-create/data/999/attributes/events/data/0/attributes/metric"
        "/data/attributes/name"
    )
    body = json.dumps({"errors": [{"code": "invalid", "source": {"pointer": pointer}}]}).encode()

    assert bulk_steps(Reply(status=400, body=body)).detail == f"the answer was 400 at {pointer}"
