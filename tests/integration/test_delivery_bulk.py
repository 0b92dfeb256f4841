"""Deliveries by Bulk Create Events into the sandbox, with what it refuses, drops and repeats."""

import asyncio
import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pyarrow as pa
import pytest

from backfill import event, limits
from backfill.delivery.delivery import DeliveryOptions
from backfill.delivery.refusals import refusals_file
from backfill.delivery.run import deliver
from backfill.errors import DeniedError, ScopeError, StoppedByUserError, StoppedError
from backfill.ledger.ledger import Ledger, Target
from backfill.sandbox import Behaviour, Faults, Sandbox
from backfill.transport.exchange import Clocks
from backfill.transport.pace import windows_of
from backfill.wire.bulk import Bulk
from backfill.wire.events import Events

pytestmark = pytest.mark.slow

KEY = "pk_LOCAL1_0123456789abcdef"
SCHEMA = pa.schema([*event.EVENTS, pa.field("carries", pa.bool_())])
BAD_CURRENCY = "ZZZ"
BAD_PHONE = "+10"


def order(number, **more):
    return {
        "key": event.key("Placed Order", str(number)),
        "person": event.person("email", f"ada{number}@shop.dk"),
        "metric": "Placed Order",
        "event_id": str(number),
        "time": 1_500_000_000 + number,
        "value": Decimal(number) / 4,
        "currency": "EUR",
        "email": f"ada{number}@shop.dk",
        "properties": '{"Colour":"red"}',
        "content": number.to_bytes(8, "big"),
        "size": 400,
        "attributes_size": 40,
        "file": 0,
        "row": number,
        "carries": True,
    } | more


def orders(count, bad=(), **more):
    rows = [order(number) for number in range(count)]
    for number in bad:
        rows[number] |= more or {"currency": BAD_CURRENCY}
    return pa.Table.from_pylist(rows, schema=SCHEMA).to_batches(max_chunksize=700)


def quick(**more):
    """Without a wait of ours: what has to be told by the server is told by it."""
    now = time.time()
    clock = more.pop("clock", None) or Clock(now)
    return DeliveryOptions(
        windows=more.pop("windows", ()),
        fallback_windows=more.pop("fallback_windows", ()),
        clocks=Clocks(monotonic=clock, wall=clock, sleep=clock.sleep, jitter=lambda: 0.0),
        **more,
    )


class Clock:
    """A clock that goes on when somebody sleeps."""

    def __init__(self, now_s):
        self.now_s = now_s

    def __call__(self):
        return self.now_s

    async def sleep(self, wait_s):
        self.now_s += wait_s
        await asyncio.sleep(0.001)  # the sandbox is in this process, and has to answer


@pytest.fixture
def send(tmp_path):
    def send(sandbox, pending, *, ledger="ledger", key=KEY, options=None, **more):
        with (
            Ledger.open(tmp_path / ledger, Target(sandbox.url, "LOCAL1")) as kept,
            refusals_file(tmp_path / (ledger + "-refusals.jsonl")) as write_refusal,
        ):
            return deliver(
                pending,
                wire=more.pop("wire", None) or Bulk(key),
                fallback=more.pop("fallback", Events(key)),
                url=sandbox.url,
                ledger=kept,
                run_id="r1",
                on_refusal=write_refusal,
                options=options or quick(),
                **more,
            )

    send.refusals = lambda: [
        json.loads(line) for line in (tmp_path / "ledger-refusals.jsonl").read_text().splitlines()
    ]
    send.recorded = lambda sandbox, ledger="ledger": recorded(tmp_path / ledger, sandbox)
    return send


def recorded(path, sandbox):
    with Ledger.open(path, Target(sandbox.url, "LOCAL1")) as ledger:
        return Counter(key for batch in ledger.delivered() for key in batch["key"].to_pylist())


def keys(numbers):
    return Counter(event.key("Placed Order", str(number)) for number in numbers)


def landed(sandbox):
    return Counter(int(one["properties"]["$event_id"]) for one in sandbox.events())


SCATTERED = {1: {613}, 37: set(range(5, 1_000, 27)), 1_000: set(range(1_000))}


@pytest.mark.parametrize(
    ("bad", "pointers", "most"),
    [
        pytest.param(1, "all", 2, id="one bad, named"),
        pytest.param(1, "none", 9 + 63, id="one bad, not named"),
        pytest.param(37, "all", 3, id="37 bad, 20 of them named at once"),
        pytest.param(37, "first", 38, id="37 bad, one of them named at a time"),
        pytest.param(37, "none", 31 + 1_000, id="37 bad, not named"),
        pytest.param(1_000, "all", 50, id="all bad, 20 of them named at once"),
        pytest.param(1_000, "none", 31 + 1_000, id="all bad, not named"),
    ],
)
def test_exactly_the_bad_members_of_a_thousand_are_refused(send, bad, pointers, most):
    wrong = SCATTERED[bad]
    assert len(wrong) == bad
    with Sandbox(behaviour=Behaviour(pointers=pointers)) as sandbox:
        delivery = send(sandbox, orders(1_000, wrong))

        good = set(range(1_000)) - wrong
        assert landed(sandbox) == Counter(good)
        assert send.recorded(sandbox) == keys(good)
    assert (delivery.delivered, delivery.refused, delivery.ended) == (len(good), bad, None)
    assert delivery.requests <= most
    refusals = send.refusals()
    assert Counter(bytes.fromhex(one["key"]) for one in refusals) == keys(wrong)
    assert {(one["metric"], one["status"], one["code"]) for one in refusals} == {
        ("Placed Order", 400, "invalid")
    }
    if pointers != "none":
        assert refusals[0]["detail"] == "value_currency must be a code of ISO 4217, as in USD."


def test_what_was_refused_is_sent_again_by_the_next_run(send):
    with Sandbox() as sandbox:
        send(sandbox, orders(50, {7}))
        mended = orders(50)[0].slice(7, 1)
        delivery = send(sandbox, [mended])

        assert landed(sandbox) == Counter(range(50))
        assert send.recorded(sandbox) == keys(range(50))
    assert (delivery.delivered, delivery.refused) == (1, 0)


@pytest.mark.parametrize("wire", ["bulk", "events"])
def test_a_phone_number_that_is_not_taken_is_left_out_where_an_email_stands(send, wire):
    bad = {3, 44}
    pending = orders(100, bad, phone_number=BAD_PHONE)
    lonely = order(100, email=None, phone_number=BAD_PHONE)
    pending.append(pa.RecordBatch.from_pylist([lonely], schema=SCHEMA))
    ways = {"wire": Bulk(KEY)} if wire == "bulk" else {"wire": Events(KEY), "fallback": None}
    with Sandbox() as sandbox:
        delivery = send(sandbox, pending, **ways)

        assert landed(sandbox) == Counter(range(100))
        assert send.recorded(sandbox) == keys(range(100))
        people = sandbox.profiles()
    assert (delivery.delivered, delivery.refused) == (100, 1)
    # Create Event leaves it out by itself: docs/klaviyo.md, "Phone numbers".
    assert delivery.phones_dropped == (2 if wire == "bulk" else 0)
    assert BAD_PHONE not in str(people)
    assert [one["key"] for one in send.refusals()] == [lonely["key"].hex()]


@pytest.mark.parametrize("repeats", ["discard", "refuse"])
@pytest.mark.parametrize("pointers", ["all", "first", "none"])
@pytest.mark.parametrize("answer", ["drop", "half"])
def test_a_batch_whose_answer_never_came_is_delivered_in_the_end(send, repeats, pointers, answer):
    faults = Faults.of({"faults": [{"at": [1, 3], "answer": answer}]})
    with Sandbox(behaviour=Behaviour(repeats=repeats, pointers=pointers), faults=faults) as sandbox:
        delivery = send(sandbox, orders(3_000))

        assert landed(sandbox) == Counter(range(3_000))
        assert send.recorded(sandbox) == keys(range(3_000))
    assert (delivery.delivered, delivery.refused, delivery.ended) == (3_000, 0, None)
    assert send.refusals() == []
    if repeats == "discard":
        assert (delivery.requests, delivery.by_fallback) == (5, 0)
    else:
        assert delivery.by_fallback == 2_000


@pytest.mark.parametrize("repeats", ["discard", "refuse"])
@pytest.mark.parametrize("pointers", ["all", "first", "none"])
def test_what_a_killed_run_had_sent_is_no_refusal(send, repeats, pointers):
    with Sandbox(behaviour=Behaviour(repeats=repeats, pointers=pointers)) as sandbox:
        send(sandbox, orders(1_500)[:2], ledger="lost")
        delivery = send(sandbox, orders(2_500, {2_100}))

        assert landed(sandbox) == Counter(set(range(2_500)) - {2_100})
        assert send.recorded(sandbox) == keys(set(range(2_500)) - {2_100})
    assert (delivery.delivered, delivery.refused, delivery.ended) == (2_499, 1, None)
    # To find out, few of the bulk endpoint's requests are spent, which are the scarce ones.
    assert delivery.requests - delivery.by_fallback <= 2 * 31 + 4


def test_a_request_that_is_too_large_goes_in_halves(send):
    text = json.dumps({"Text": "x" * 9_000})
    rows = [order(number, properties=text, size=9_500) for number in range(1_000)]
    pending = pa.Table.from_pylist(rows, schema=SCHEMA).to_batches()
    with Sandbox() as sandbox:
        delivery = send(sandbox, pending, wire=Bulk(KEY, max_bytes=20_000_000))

        assert landed(sandbox) == Counter(range(1_000))
    assert (delivery.delivered, delivery.requests, delivery.ended) == (1_000, 3, None)


@pytest.mark.parametrize(
    ("sandbox", "key", "kind", "text"),
    [
        pytest.param(
            Sandbox,
            "not-a-key",
            DeniedError,
            r"is 401 for POST /api/event-bulk-create-jobs: .* KLAVIYO_PRIVATE_KEY; .* pk_",
            id="a key that nobody knows",
        ),
        pytest.param(
            lambda: Sandbox(behaviour=Behaviour(scopes=["events:read"])),
            KEY,
            ScopeError,
            r"the answer is 403 .* KLAVIYO_PRIVATE_KEY lacks the scope events:write; make one",
            id="a key that may only read",
        ),
    ],
)
def test_a_denial_names_the_key_and_the_scope(send, sandbox, key, kind, text):
    with sandbox() as running:
        delivery = send(running, orders(10), key=key)

    assert type(delivery.ended) is kind
    with pytest.raises(kind, match=text):
        raise delivery.ended
    assert key not in str(delivery.ended)
    assert delivery.delivered == 0


def test_what_klaviyo_says_stands_in_the_refusals_alone(send, caplog, capfd):
    with Sandbox() as sandbox:
        delivery = send(sandbox, orders(3, {1}))

    assert "ISO 4217" in send.refusals()[0]["detail"]
    assert "ISO 4217" not in str(delivery) + caplog.text + "".join(capfd.readouterr())


def test_50_000_events_against_two_and_a_half_requests_a_second(send):
    clock = Clock(time.time())
    options = quick(clock=clock)
    with Sandbox(rate_limits=True, clock=clock) as sandbox:
        delivery = send(sandbox, orders(50_000), options=options)

        counts = sandbox.stats()
        assert landed(sandbox) == Counter(range(50_000))
        assert send.recorded(sandbox) == keys(range(50_000))
    assert (delivery.delivered, delivery.refused, delivery.ended) == (50_000, 0, None)
    assert delivery.requests > 50
    assert delivery.paused_s > 0
    assert counts["limited"] == delivery.requests - 50


def test_with_its_pace_nothing_is_turned_away_and_the_allowance_is_told(send):
    clock = Clock(time.time())
    options = quick(clock=clock, windows=windows_of(limits.BULK_RATES))
    with Sandbox(rate_limits=True, clock=clock) as sandbox:
        delivery = send(sandbox, orders(20_000), options=options)

        limited = sandbox.stats()["limited"]
    # How many requests that took is not said: a busy machine answers some too late.
    assert (delivery.delivered, limited, delivery.paused_s) == (20_000, 0, 0.0)
    assert delivery.rate_limit.limit == 150
    assert 0 <= delivery.rate_limit.remaining < 150
    assert 0 <= delivery.rate_limit.reset_s <= 60


def test_a_stop_while_events_are_sought_loses_none(send):
    stop = threading.Event()
    pending = orders(1_000, {9})

    class Halting(Events):
        __slots__ = ()

        def requests(self, events):
            stop.set()
            yield from super().requests(events)

    with Sandbox(behaviour=Behaviour(pointers="none")) as sandbox:
        delivery = send(sandbox, pending, fallback=Halting(KEY), stop=stop)

        so_far = send.recorded(sandbox)
        assert isinstance(delivery.ended, StoppedByUserError)
        assert set(so_far.values()) == {1}
        assert delivery.delivered == len(so_far) < 1_000
        left = [
            batch.filter(pa.array([key not in so_far for key in batch["key"].to_pylist()]))
            for batch in pending
        ]
        send(sandbox, left)
        assert landed(sandbox) == Counter(set(range(1_000)) - {9})


def test_a_server_that_stays_broken_stops_the_run_and_refuses_nothing(send):
    faults = Faults.of({"faults": [{"from": 1, "answer": "502"}]})
    with Sandbox(faults=faults) as sandbox:
        delivery = send(sandbox, orders(2_000))

    assert (delivery.delivered, delivery.refused) == (0, 0)
    assert isinstance(delivery.ended, StoppedError)


def test_nearly_all_that_klaviyo_allows_is_used_over_three_minutes(send):
    """By bulk and one by one at the same time, each with its own account."""
    stop = threading.Event()

    def used(name, wire, rates, per_min):
        slow = Faults.of({"faults": [{"rate": 1.0, "answer": "slow", "seconds": 0.2}]})
        options = DeliveryOptions(windows=windows_of(rates), concurrency=32)
        more = {"ledger": name, "wire": wire, "fallback": None, "options": options, "stop": stop}
        with Sandbox(rate_limits=True, faults=slow) as sandbox:
            delivery = send(sandbox, orders(4 * per_min), **more)
            return delivery, sandbox.stats()["limited"], 3 * per_min

    runs = [
        ("bulk", Bulk(KEY, max_events=1), limits.BULK_RATES, 150),
        ("events", Events(KEY), limits.EVENTS_RATES, 3_500),
    ]
    ending = threading.Timer(180.0, stop.set)
    ending.start()
    with ThreadPoolExecutor(len(runs)) as threads:
        found = list(threads.map(used, *zip(*runs, strict=True)))
    ending.cancel()

    for delivery, limited, allowed in found:
        assert isinstance(delivery.ended, StoppedByUserError)
        assert delivery.delivered >= 0.98 * allowed
        assert limited == 0
