"""Whole deliveries against a real server on this machine, which answers as a test says."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from decimal import Decimal
from urllib.parse import parse_qs

import pyarrow as pa
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill import event
from backfill.delivery.delivery import DeliveryOptions
from backfill.delivery.run import deliver
from backfill.errors import DeniedError, StoppedByUserError, StoppedError, UsageError
from backfill.ledger.ledger import Ledger, Target
from backfill.transport.exchange import Clocks
from backfill.transport.pace import Window
from backfill.transport.retry import RetryPolicy
from backfill.wire.track import Track

TOKEN = "aB3xYz"


class Server:
    """Answers what ``answer(event_id, times_seen)`` gives, and keeps what it was sent."""

    def __init__(self, answer):
        self.answer = answer
        self.seen = Counter()
        self.body_bytes = 0
        self.url = ""
        self.sleeping = []

    async def handle(self, request):
        body = await request.read()
        self.body_bytes += len(body)
        sent = parse_qs(body.decode()).get("data")
        event_id = json.loads(sent[0])["properties"]["$event_id"] if sent else ""
        self.seen[event_id] += 1
        answer = self.answer(event_id, self.seen[event_id])
        if asyncio.iscoroutine(answer):
            self.sleeping.append(asyncio.current_task())
            await answer
        if answer is None:
            request.transport.abort()
            return web.Response()
        return answer

    def stop_answering(self):
        for task in self.sleeping:
            task.get_loop().call_soon_threadsafe(task.cancel)


@contextmanager
def serving(answer=lambda *_: web.Response(text="1")):
    server = Server(answer)
    loop = asyncio.new_event_loop()
    app = web.Application(client_max_size=2_000_000)
    app.router.add_route("*", "/api/track", server.handle)
    runner = web.AppRunner(app, access_log=None)

    async def begin():
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server.url = asyncio.run_coroutine_threadsafe(begin(), loop).result()
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def orders(first, last):
    rows = [
        {
            "key": event.key("Placed Order", str(number)),
            "person": event.person("email", "ada@shop.dk"),
            "metric": "Placed Order",
            "event_id": str(number),
            "time": 1_500_000_000 + number,
            "value": Decimal("32.6"),
            "email": "ada@shop.dk",
            "content": number.to_bytes(8, "big"),
            "size": 0,
            "attributes_size": 0,
            "file": 0,
            "row": number,
            "carries": number == last - 1,
        }
        for number in range(first, last)
    ]
    schema = pa.schema([*event.EVENTS, pa.field("carries", pa.bool_())])
    table = pa.Table.from_pylist(rows, schema=schema)
    for name, counted in zip(
        ("size", "attributes_size"), Track().measure(table).columns, strict=True
    ):
        place = schema.get_field_index(name)
        table = table.set_column(place, schema.field(place), counted)
    return table.to_batches(max_chunksize=40)


class FakeClock:
    """A clock that goes on when somebody sleeps."""

    def __init__(self):
        self.now_s = 1_000_000.0
        self.slept_s = []

    def __call__(self):
        return self.now_s

    async def sleep(self, wait_s):
        self.slept_s.append(wait_s)
        self.now_s += wait_s
        await asyncio.sleep(0.001)  # the sandbox is in this process, and has to answer

    def clocks(self):
        return Clocks(monotonic=self, wall=self, sleep=self.sleep, jitter=lambda: 1.0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "ledger.sqlite"


def run(path, server, pending, *, on_refusal=None, url=None, **more):
    options = more.pop("options", None) or DeliveryOptions(windows=(), clocks=FakeClock().clocks())
    with Ledger.open(path, Target(server.url, TOKEN)) as ledger:
        return deliver(
            pending,
            wire=Track(TOKEN),
            url=url or server.url,
            ledger=ledger,
            run_id="r1",
            on_refusal=on_refusal or (lambda refusal: pytest.fail(str(refusal))),
            options=options,
            **more,
        )


def recorded(path, server):
    with Ledger.open(path, Target(server.url, TOKEN)) as ledger:
        return [key for batch in ledger.delivered() for key in batch["key"].to_pylist()]


def keys(*numbers):
    return [event.key("Placed Order", str(number)) for number in numbers]


def pending_of(path, server, batches):
    landed = set(recorded(path, server))
    for batch in batches:
        wanted = [key not in landed for key in batch["key"].to_pylist()]
        yield batch.filter(pa.array(wanted))


def test_every_event_is_delivered_once_and_recorded(path):
    reports = []
    with serving() as server:
        delivery = run(path, server, orders(0, 1_000), on_progress=reports.append)

        assert Counter(recorded(path, server)) == Counter(keys(*range(1_000)))
        with Ledger.open(path, Target(server.url, TOKEN)) as ledger:
            carried = [key for batch in ledger.carried() for key in batch["key"].to_pylist()]

    assert carried == keys(999)
    assert set(server.seen.values()) == {1}
    assert (delivery.delivered, delivery.requests, delivery.refused) == (1_000, 1_000, 0)
    assert delivery.body_bytes == server.body_bytes
    assert (delivery.unrecorded, delivery.ended) == (0, None)
    assert reports[-1] == delivery


def test_nothing_pending_is_nothing_sent(path):
    with serving() as server:
        delivery = run(path, server, [])

    assert (delivery.delivered, delivery.requests, delivery.ended) == (0, 0, None)


def test_it_works_inside_a_running_event_loop(path):
    async def notebook():
        return run(path, server, orders(0, 5))

    with serving() as server:
        assert asyncio.run(notebook()).delivered == 5


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda: None, id="the connection is reset"),
        pytest.param(lambda: web.Response(status=500), id="500"),
        pytest.param(lambda: web.Response(text="<html>"), id="a page with 200"),
        pytest.param(lambda: web.Response(status=403, text="<html>"), id="a gateway's 403"),
        pytest.param(
            lambda: web.Response(status=429, headers={"Retry-After": "2"}), id="throttled"
        ),
        pytest.param(lambda: web.Response(status=400, text="{}"), id="a 400 that passes"),
    ],
)
def test_a_fault_that_passes_loses_nothing(path, fault):
    def answer(event_id, times):
        return fault() if int(event_id) % 3 == 0 and times <= 2 else web.Response(text="1")

    with serving(answer) as server:
        delivery = run(path, server, orders(0, 60))

        assert Counter(recorded(path, server)) == Counter(keys(*range(60)))
    assert (delivery.delivered, delivery.requests) == (60, 100)


def test_a_refusal_is_written_down_and_the_rest_goes_on(path):
    refusals = []
    with serving(lambda event_id, _: web.Response(text="0" if event_id == "7" else "1")) as server:
        delivery = run(path, server, orders(0, 20), on_refusal=refusals.append)

        assert set(recorded(path, server)) == set(keys(*range(20))) - set(keys(7))
    assert (delivery.delivered, delivery.refused, delivery.ended) == (19, 1, None)
    assert [(one.key, one.metric, one.status, one.code) for one in refusals] == [
        (keys(7)[0].hex(), "Placed Order", 200, "answered-no")
    ]


def test_a_refusal_that_cannot_be_written_stops_the_run(path):
    def refuse(_):
        raise StoppedError("refusals cannot be written")

    options = DeliveryOptions(concurrency=1, windows=(), clocks=FakeClock().clocks())
    with serving(lambda event_id, _: web.Response(text="0" if event_id == "7" else "1")) as server:
        delivery = run(path, server, orders(0, 20), on_refusal=refuse, options=options)

        assert recorded(path, server) == keys(*range(7))
    assert str(delivery.ended) == "refusals cannot be written"
    assert delivery.delivered == 7


def test_of_two_reasons_to_stop_the_first_one_is_given(path):
    reasons = []

    def refuse(_):
        reasons.append(StoppedError(f"reason {len(reasons)}"))
        raise reasons[-1]

    options = DeliveryOptions(concurrency=2, windows=(), clocks=FakeClock().clocks())
    with serving(lambda *_: web.Response(text="0")) as server:
        delivery = run(path, server, orders(0, 2), on_refusal=refuse, options=options)

    assert len(reasons) == 2
    assert delivery.ended is reasons[0]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        pytest.param(401, "does not accept this key", id="401 is about the key"),
        pytest.param(404, "retired the Track API", id="404 tells of the end of Track"),
        pytest.param(410, "retired the Track API", id="410 tells of the end of Track"),
        pytest.param(302, "redirects are not followed", id="a redirect is not followed"),
    ],
)
def test_a_denial_ends_the_run_and_keeps_what_was_delivered(path, status, text):
    def answer(*_):
        if server.seen["7"]:
            return web.Response(status=status, headers={"Location": "/elsewhere"})
        return web.Response(text="1")

    options = DeliveryOptions(concurrency=1, windows=(), clocks=FakeClock().clocks())
    with serving(answer) as server:
        delivery = run(path, server, orders(0, 20), options=options)

        assert recorded(path, server) == keys(*range(7))
    assert isinstance(delivery.ended, DeniedError)
    assert text in str(delivery.ended)
    assert (delivery.delivered, delivery.refused, delivery.requests) == (7, 0, 9)


def test_lasting_silence_stops_the_run_and_the_same_command_goes_on(path):
    broken = True
    with serving(
        lambda event_id, _: None if broken and int(event_id) > 6 else web.Response(text="1")
    ) as server:
        fake = FakeClock()
        options = DeliveryOptions(concurrency=1, windows=(), clocks=fake.clocks())
        delivery = run(path, server, orders(0, 20), options=options)

        assert isinstance(delivery.ended, StoppedError)
        assert str(delivery.ended).startswith("127.0.0.1:")
        assert "the connection broke (ConnectionAbortedError)" in str(delivery.ended)
        assert "run the same command to go on" in str(delivery.ended)
        assert fake.slept_s == [1, 2, 4, 8, 16, 32, 60, *[1, 2] * 12]
        assert (delivery.delivered, delivery.refused, delivery.by_gateway) == (7, 0, 0)

        broken = False
        assert run(path, server, pending_of(path, server, orders(0, 20))).delivered == 13
        assert Counter(recorded(path, server)) == Counter(keys(*range(20)))


@pytest.mark.parametrize("concurrency", [1, 5])
def test_an_event_that_a_gateway_keeps_out_keeps_no_other_out(path, concurrency):
    with serving(lambda event_id, _: None if event_id == "7" else web.Response(text="1")) as server:
        refused = []
        fake = FakeClock()
        options = DeliveryOptions(concurrency=concurrency, windows=(), clocks=fake.clocks())
        delivery = run(path, server, orders(0, 20), options=options, on_refusal=refused.append)

    assert delivery.ended is None
    assert (delivery.delivered, delivery.refused, delivery.by_gateway) == (19, 1, 1)
    assert [(one.code, one.status) for one in refused] == [("gateway_no_answer", None)]
    assert server.seen["7"] > 8


def test_a_run_that_stops_waits_for_no_mute_server(path, monkeypatch):
    monkeypatch.setattr("backfill.delivery.run._LAST_ANSWERS_S", 0.2)
    came, stop = threading.Event(), threading.Event()

    def answer(*_):
        came.set()
        return asyncio.sleep(60)

    with serving(answer) as server:
        stopper = threading.Thread(target=lambda: (came.wait(), stop.set()))
        stopper.start()
        delivery = run(path, server, orders(0, 20), options=DeliveryOptions(), stop=stop)
        stopper.join()
        server.stop_answering()

    assert isinstance(delivery.ended, StoppedByUserError)
    assert delivery.delivered == 0


def test_a_throttled_answer_holds_up_all_requests(path):
    fake = FakeClock()
    seen_at = {}

    def answer(event_id, times):
        seen_at[event_id, times] = fake.now_s
        if event_id == "3" and times == 1:
            return web.Response(status=429, headers={"Retry-After": "30"})
        return web.Response(text="1")

    with serving(answer) as server:
        options = DeliveryOptions(concurrency=1, windows=(), clocks=fake.clocks())
        delivery = run(path, server, orders(0, 10), options=options)

    assert seen_at["3", 2] - seen_at["3", 1] == 30.0
    assert delivery.paused_s == 30.0


def test_the_pace_is_kept(path):
    fake = FakeClock()
    starts = []

    def answer(*_):
        starts.append(fake.now_s)
        return web.Response(text="1")

    with serving(answer) as server:
        options = DeliveryOptions(
            concurrency=1, windows=(Window(10, 1.0), Window(25, 60.0)), clocks=fake.clocks()
        )
        run(path, server, orders(0, 60), options=options)

    assert max(Counter(starts).values()) == 10
    assert [round(at - starts[0]) for at in (starts[24], starts[25], starts[50])] == [2, 60, 120]


def test_a_stop_finishes_what_is_in_flight_and_writes_the_ledger(path):
    stop = threading.Event()

    def answer(event_id, _):
        if event_id == "50":
            stop.set()
        return web.Response(text="1")

    with serving(answer) as server:
        delivery = run(path, server, orders(0, 5_000), stop=stop)

        assert delivery.delivered == sum(server.seen.values()) < 5_000
        assert set(recorded(path, server)) == set(keys(*server.seen))
    assert isinstance(delivery.ended, StoppedError)
    assert "run the same command to go on" in str(delivery.ended)


@pytest.mark.parametrize(
    "throttled",
    [
        pytest.param(web.HTTPTooManyRequests, id="while all wait for a 429"),
        pytest.param(web.HTTPInternalServerError, id="while each waits to try again"),
    ],
)
def test_a_stop_ends_a_long_wait_at_once(path, throttled):
    stop = threading.Event()

    def answer(*_):
        stop.set()
        return throttled(headers={"Retry-After": "3000"})

    with serving(answer) as server:
        options = DeliveryOptions(
            windows=(), retry_policy=RetryPolicy(first_wait_s=3000, longest_wait_s=3000)
        )
        began_s = time.monotonic()
        delivery = run(path, server, orders(0, 50), stop=stop, options=options)

    assert time.monotonic() - began_s < 20
    assert delivery.delivered == 0
    assert delivery.requests <= options.concurrency, "after the stop nothing new starts"


def test_what_fails_in_the_plan_is_raised_after_the_ledger_was_written(path):
    def pending():
        yield from orders(0, 40)
        raise ValueError("the plan is gone")

    with serving() as server:
        with pytest.raises(ValueError, match="the plan is gone"):
            run(path, server, pending())

        assert set(recorded(path, server)) == set(keys(*server.seen))


def test_what_fails_in_a_report_is_raised_after_the_ledger_was_written(path):
    def on_progress(_):
        raise ValueError("no terminal")

    with serving() as server:
        with pytest.raises(ValueError, match="no terminal"):
            run(path, server, orders(0, 1_000), on_progress=on_progress)

        assert set(recorded(path, server)) == set(keys(*server.seen))


def test_a_url_that_may_not_be_posted_to_sends_nothing(path):
    with serving() as server, pytest.raises(UsageError, match="is not encrypted"):
        run(path, server, orders(0, 5), url="http://a.klaviyo.com")


class BrokenLedger:
    """Takes some rows, and then has no room."""

    def __init__(self, taken):
        self.taken = taken
        self.rows = []

    def record(self, landed, **_):
        if len(self.rows) == self.taken:
            raise StoppedError("the ledger cannot be written (database or disk is full)")
        self.rows.append(landed)


def test_when_the_ledger_is_full_nothing_more_is_sent():
    ledger = BrokenLedger(2)
    with serving() as server:
        delivery = deliver(
            orders(0, 20_000),
            wire=Track(TOKEN),
            url=server.url,
            ledger=ledger,
            run_id="r1",
            on_refusal=lambda refusal: pytest.fail(str(refusal)),
            options=DeliveryOptions(windows=()),
        )

    written = sum(len(landed) for landed in ledger.rows)
    assert isinstance(delivery.ended, StoppedError)
    assert "disk is full" in str(delivery.ended)
    assert written + delivery.unrecorded == delivery.delivered == sum(server.seen.values())
    assert delivery.unrecorded < 5_000


@settings(max_examples=15)
@given(
    events=st.integers(1, 300),
    stops=st.lists(st.integers(0, 300), max_size=3),
    concurrency=st.integers(1, 16),
)
def test_run_stop_and_resume_deliver_each_event_once(tmp_path_factory, events, stops, concurrency):
    path = tmp_path_factory.mktemp("resume") / "ledger.sqlite"
    stop = threading.Event()
    stop_after = 0

    def answer(*_):
        if sum(server.seen.values()) >= stop_after:
            stop.set()
        return web.Response(text="1")

    with serving(answer) as server:
        options = DeliveryOptions(concurrency=concurrency, windows=(), clocks=FakeClock().clocks())
        for stop_after in [*sorted(stops), 10_000]:  # noqa: B007 - answer reads it
            stop.clear()
            run(
                path,
                server,
                pending_of(path, server, orders(0, events)),
                stop=stop,
                options=options,
            )

        assert Counter(recorded(path, server)) == Counter(keys(*range(events)))
        assert set(server.seen.values()) == {1}


KILLED = """
import sys, pickle
from pathlib import Path
sys.path[:0] = [{root!r}, {here!r}]
from test_delivery_run import *
path, url = Path({path!r}), {url!r}
with Ledger.open(path, Target(url, TOKEN)) as ledger:
    deliver(orders(0, 3000), wire=Track(TOKEN), url=url, ledger=ledger, run_id="r1",
            on_refusal=print, options=DeliveryOptions(windows=()))
"""


def test_a_killed_run_goes_on_and_loses_nothing(path, request):
    kill = threading.Event()

    def answer(*_):
        if sum(server.seen.values()) == 1_500:
            kill.set()
        return web.Response(text="1")

    with serving(answer) as server:
        script = KILLED.format(
            root=str(request.config.rootpath),
            here=str(request.path.parent),
            path=str(path),
            url=server.url,
        )
        process = subprocess.Popen([sys.executable, "-c", script])
        assert kill.wait(30)
        process.kill()
        process.wait()

        before = recorded(path, server)
        assert 0 < len(before) < 3_000
        assert set(before) <= set(keys(*server.seen))

        run(path, server, pending_of(path, server, orders(0, 3_000)))
        assert set(recorded(path, server)) == set(keys(*range(3_000)))
        assert len(recorded(path, server)) == 3_000
    assert set(server.seen) == {str(number) for number in range(3_000)}
