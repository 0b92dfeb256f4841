"""verify against the sandbox, over the socket: what was delivered, what was lost, what mends it."""

import random
import re
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from backfill.account.metrics import metric_statuses
from backfill.account.reader import Reader
from backfill.account.verify import verify
from backfill.account.visibility import Visibility
from backfill.delivery.delivery import DeliveryOptions
from backfill.delivery.refusals import refusals_file
from backfill.delivery.run import deliver
from backfill.errors import ScopeError
from backfill.ledger.ledger import Ledger, Target
from backfill.mapping.program import Bounds
from backfill.planning.judgement import Known
from backfill.planning.make_plan import make_plan
from backfill.report import verify as words
from backfill.report.account import metric_lines
from backfill.sandbox import Behaviour, Sandbox
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame
from backfill.transport.exchange import Clocks
from backfill.wire.bulk import Bulk
from backfill.wire.events import Events
from backfill.wire.track import Track

pytestmark = pytest.mark.slow

ACCOUNT = "aB3xYz"
KEY = f"pk_{ACCOUNT}_0123456789abcdef"
LATER = Visibility(now=lambda: time.time() + 86_400)
"""What is not there is lost, and not only hidden."""
SCHEMA = """
name: shop
columns: {Total: money}
customer_properties: {$email: Email}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}", $value: Total}
  - event: Cancelled Order
    where: Status = 'cancelled'
    time: At
    properties: {$event_id: "{No}", $value: Total}
"""
WIRES = {"track": lambda: Track(ACCOUNT), "bulk": lambda: Bulk(KEY), "events": lambda: Events(KEY)}


def orders_of(count, days, seed=7):
    """Orders at random times, one in ten cancelled, and one at each edge of a day."""
    random_ = random.Random(seed)
    first = datetime(2019, 7, 1, tzinfo=UTC)
    edges = [first, first + timedelta(days=1), first + timedelta(days=1, seconds=-1)]
    times = edges + [
        first + timedelta(seconds=random_.randrange(86_400 * days)) for _ in range(count - 3)
    ]
    return [
        {
            "No": f"#{number}",
            "At": at.isoformat(),
            "Total": f"{random_.randrange(100, 99_999) / 100}",
            "Status": "cancelled" if number % 10 == 0 else "",
            "Email": f"p{number % 50}@shop.example",
        }
        for number, at in enumerate(times)
    ]


class Shop:
    """One export, one ledger, one account of a sandbox."""

    def __init__(self, folder, sandbox, orders, api="track"):
        self.folder, self.sandbox, self.orders, self.api = folder, sandbox, orders, api

    @contextmanager
    def planned(self):
        target = Target(self.sandbox.url, ACCOUNT)
        with Ledger.open(self.folder / "ledger.sqlite", target) as ledger:
            export = Export([Frame(pa.Table.from_pylist(self.orders))])
            plan = make_plan(
                bind(load_schema(SCHEMA), export.columns),
                export,
                self.folder / f"plan-{len(list(self.folder.iterdir()))}",
                profiles="none",
                bounds=Bounds(1_000_000_000, 1_900_000_000),
                limits=WIRES[self.api](),
                known=Known(ledger.delivered(), ledger.carried()),
            )
            yield plan, ledger

    def run(self):
        path = self.folder / "refusals.jsonl"
        with self.planned() as (plan, ledger), refusals_file(path) as write_refusal:
            delivery = deliver(
                plan.pending(),
                wire=WIRES[self.api](),
                url=self.sandbox.url,
                ledger=ledger,
                run_id=f"r{len(list(self.folder.iterdir()))}",
                on_refusal=write_refusal,
                options=DeliveryOptions(windows=(), clocks=Clocks(jitter=lambda: 0.0)),
                fallback=Events(KEY) if self.api == "bulk" else None,
            )
        assert (delivery.refused, delivery.ended) == (0, None)
        return delivery.delivered

    def verify(self, **options):
        with self.planned() as (plan, ledger), Reader(self.sandbox.url, KEY) as reader:
            files = ("orders.csv",)
            return verify(plan, reader, ledger, files=files, **{"visibility": LATER} | options)

    def at(self, numbers):
        """Metric and day of the events of some orders."""
        found = set()
        for order in self.orders:
            if order["No"] in numbers:
                found.add(("Placed Order", order["At"][:10]))
                if order["Status"]:
                    found.add(("Cancelled Order", order["At"][:10]))
        return found


@pytest.mark.parametrize(("api", "days"), [("track", 900), ("bulk", 300)])
def test_37_lost_events_are_named_and_a_resend_mends_it(tmp_path, sandbox, api, days):
    shop = Shop(tmp_path, sandbox, orders_of(400, days), api)
    assert shop.run() == 440
    whole = shop.verify()
    assert [line.partition(":")[2] for line in words.lines(whole)] == [
        " 40 delivered, 40 found",
        " 400 delivered, 400 found",
    ]

    # of the orders that are not cancelled, so that one id is one event
    gone = random.Random(37).sample([f"#{n}" for n in range(400) if n % 10], 37)
    assert sandbox.lose(gone) == 37
    found = shop.verify()
    assert (found.delivered, found.missing, found.unexpected) == (440, 37, 0)
    named = {(day.metric, day.day.isoformat()) for day in found.days if not day.is_whole}
    assert named == shop.at(gone)
    rows = {row for day in found.days for _, row in day.places}
    assert rows == {int(number[1:]) + 1 for number in gone}
    assert shop.run() == 0

    assert shop.verify(resend=True).struck == 37
    assert shop.run() == 37
    mended = shop.verify()
    assert (mended.delivered, mended.missing, mended.unexpected) == (440, 0, 0)
    assert all(day.is_whole for day in mended.days)
    assert len(sandbox.events(token=ACCOUNT)) == 440


def test_one_id_lost_in_two_metrics_is_missing_in_both(tmp_path, sandbox):
    shop = Shop(tmp_path, sandbox, orders_of(30, days=10), "events")
    shop.run()
    assert sandbox.lose(["#10"]) == 2
    found = shop.verify()
    named = {(day.metric, day.day.isoformat()) for day in found.days if day.missing}
    assert (found.missing, named) == (2, shop.at({"#10"}))


def test_what_klaviyo_does_not_show_yet_is_not_struck_and_nothing_is_sent_twice(tmp_path):
    now = [time.time()]
    visibility = Visibility(now=lambda: now[0])
    with Sandbox(behaviour=Behaviour(visible_after_s=120), clock=lambda: now[0]) as sandbox:
        shop = Shop(tmp_path, sandbox, orders_of(20, days=5))
        assert shop.run() == 22
        now[0] += 60
        young = shop.verify(visibility=visibility, resend=True)
        assert (young.not_visible, young.missing, young.struck) == (22, 0, 0)
        assert shop.run() == 0
        now[0] += 61
        there = shop.verify(visibility=visibility, resend=True)
        assert (there.found, there.struck) == (22, 0)
        assert sandbox.stats()["received"] == 22


def test_waiting_ends_when_the_sandbox_shows_the_events(tmp_path):
    now = [time.time()]
    told = []

    def sleep(seconds):
        now[0] += seconds

    visibility = Visibility(waits=True, now=lambda: now[0], sleep=sleep, tell=told.append)
    with Sandbox(behaviour=Behaviour(visible_after_s=130), clock=lambda: now[0]) as sandbox:
        shop = Shop(tmp_path, sandbox, orders_of(20, days=5), "bulk")
        shop.run()
        began = now[0] = time.time()
        assert sandbox.lose(["#1"]) == 1
        found = shop.verify(visibility=visibility, resend=True)
    assert (found.found, found.not_visible, found.missing, found.struck) == (21, 0, 1, 1)
    assert 580 < now[0] - began <= 600
    assert len(told) == 10
    assert "21 events" not in told[0]
    assert told[-1].startswith("waiting for Klaviyo to show 1 event ")


def test_what_the_shop_sends_itself_is_unexpected(tmp_path, sandbox):
    orders = orders_of(20, days=3)
    shop = Shop(tmp_path, sandbox, orders)
    shop.run()
    live = Shop(tmp_path / "live", sandbox, [{**orders[0], "No": "live-1"}])
    live.folder.mkdir()
    live.run()
    found = shop.verify()
    assert (found.missing, found.unexpected) == (0, 1 + bool(orders[0]["Status"]))
    assert "1 unexpected" in "\n".join(words.lines(found))


def test_a_day_of_more_than_one_page_is_read_to_its_end(tmp_path, sandbox):
    orders = [{**one, "At": "2020-05-05T12:00:00+00:00"} for one in orders_of(2_300, days=1)]
    shop = Shop(tmp_path, sandbox, orders, "bulk")
    assert shop.run() == 2_530
    assert sandbox.lose(["#1", "#2299"]) == 2
    found = shop.verify()
    assert (found.found, found.missing, found.unexpected) == (2_528, 2, 0)
    [day] = [day for day in found.days if day.missing]
    assert day.places == ((0, 2), (0, 2_300))


def test_ids_that_klaviyo_shows_are_those_of_the_plan(tmp_path, sandbox):
    """Read whole, without the sums' help: every event's key is known, whatever its id holds."""
    orders = orders_of(40, days=2)
    for at, order in enumerate(orders):
        order["No"] = ["007", "1e5", "é-ü ß", '"quoted"', "12345678901234567890"][at % 5] + f"{at}"
    shop = Shop(tmp_path, sandbox, orders, "bulk")
    shop.run()
    sandbox.lose(
        one["event_id"]
        for one in sandbox.events(token=ACCOUNT)
        if one["event_id"].startswith("007")
    )
    found = shop.verify()
    assert found.unexpected == 0
    lost = sum(1 + bool(order["Status"]) for order in orders if order["No"].startswith("007"))
    assert found.missing == lost


def test_a_key_that_may_not_read_is_told_which_scope_it_lacks(tmp_path):
    with Sandbox(behaviour=Behaviour(scopes=["events:write"])) as sandbox:
        shop = Shop(tmp_path, sandbox, orders_of(5, days=2))
        shop.run()
        with pytest.raises(ScopeError, match="lacks the scope metrics:read"):
            shop.verify()


def test_the_flows_that_hang_on_a_metric_are_told_before_a_live_run(tmp_path):
    flows = {"Placed Order": [("Thank you", "live"), ("Later", "draft")]}
    with Sandbox(behaviour=Behaviour(flows=flows)) as sandbox, Reader(sandbox.url, KEY) as reader:
        Shop(tmp_path, sandbox, orders_of(12, days=2)).run()
        told = list(metric_lines(metric_statuses(["Placed Order", "Refunded Order"], reader)))
    assert told == [
        '"Placed Order": the account has it from the API; 1 live flow hangs on it: "Thank you"',
        '"Refunded Order": the first event makes this metric',
    ]


@pytest.mark.parametrize(
    ("scopes", "line"),
    [
        (["events:write"], "not looked at: the account's metrics and flows: .*metrics:read"),
        (["events:write", "metrics:read"], "not looked at: the flows .* the scope flows:read"),
    ],
)
def test_without_the_scope_the_run_is_told_what_was_not_looked_at(tmp_path, scopes, line):
    with Sandbox(behaviour=Behaviour(scopes=scopes)) as sandbox, Reader(sandbox.url, KEY) as reader:
        Shop(tmp_path, sandbox, orders_of(12, days=2)).run()
        told = list(metric_lines(metric_statuses(["Placed Order"], reader)))
    assert re.fullmatch(line, told[-1])
