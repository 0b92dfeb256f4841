"""The ledger held against an account that a table in memory plays."""

import functools
import itertools
import operator
import random
import re
import threading
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backfill import event
from backfill.account import aggregates, verify
from backfill.account.account import Account as AccountOfRun
from backfill.account.metrics import metric_statuses
from backfill.account.visibility import Visibility, parse_delay, spoken
from backfill.errors import DeniedError, ScopeError, StoppedByUserError, StoppedError, UsageError
from backfill.ledger.ledger import DeliveredBatch, Ledger, Target
from backfill.mapping.program import Bounds
from backfill.planning.judgement import Known
from backfill.planning.make_plan import make_plan
from backfill.report import verify as words
from backfill.report.account import metric_lines
from backfill.running.verification import verify_run, wants_verification
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame
from backfill.wire import apis
from backfill.wire.track import Track

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
    properties: {$event_id: "{No}"}
"""
NOW_S = 1_790_000_000
LONG_AGO_S = NOW_S - 86_400
AT_ONCE = Visibility(now=lambda: NOW_S)
JANUARY = "2020-01-01T12:00:00Z"


def order(number, at=JANUARY, total="10.00", status=""):
    email = f"p{number}@shop.example"
    return {"No": str(number), "At": at, "Total": total, "Status": status, "Email": email}


def second(text):
    return int(datetime.fromisoformat(text).timestamp())


class Account:
    """A ``Reader`` of what is in its lists."""

    def __init__(self):
        self.metrics = {}
        self.events = []
        self.flows = {}
        self.asked = []
        self.denied = ()
        self.page = 3

    def metric(self, name, integration="API", created="2020-01-01T00:00:00+00:00"):
        found = f"M{len(self.metrics)}"
        self.metrics[found] = {
            "name": name,
            "created": created,
            "integration": {"object": "integration", "id": "i", "name": integration},
        }
        return found

    def take(self, metric, event_id, at, value=10.0):
        properties = {"$value": value} | ({} if event_id is None else {"$event_id": event_id})
        self.events.append((metric, second(at), properties))

    def get(self, path):
        self._ask(path)
        flows = self.flows[path.split("/")[3]]
        return {"data": [{"id": "F", "type": "flow", "attributes": flow} for flow in flows]}

    def pages(self, path, query=None):
        self._ask(path)
        if path == "/api/metrics":
            for found, attributes in self.metrics.items():
                yield {"data": [{"type": "metric", "id": found, "attributes": attributes}]}
            return
        pattern = (
            r'and\(equals\(metric_id,"(\w+)"\),greater-or-equal\(datetime,(\S+Z)\),'
            r"less-than\(datetime,(\S+Z)\)\)"
        )
        metric, first, end = re.fullmatch(pattern, query["filter"]).groups()
        assert query["page[size]"] == "1000"
        here = [
            {"attributes": {"timestamp": at, "event_properties": properties}}
            for found, at, properties in self.events
            if found == metric and second(first) <= at < second(end)
        ]
        for start in range(0, len(here) or 1, self.page):
            self.asked.append("page")
            yield {"data": here[start : start + self.page]}

    def post(self, path, body):
        self._ask(path)
        asked = body["data"]["attributes"]
        texts = [re.search(r"datetime,(.*)\)", text)[1] for text in asked["filter"]]
        first, end = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts)
        days = [first + timedelta(at) for at in range((end - first).days)]
        assert len(days) <= 365
        assert (asked["timezone"], asked["interval"]) == ("UTC", "day")
        rows = [
            [
                properties.get("$value", 0)
                for found, at, properties in self.events
                if found == asked["metric_id"] and day.timestamp() <= at < day.timestamp() + 86_400
            ]
            for day in days
        ]
        measured = {"count": [float(len(row)) for row in rows], "sum_value": list(map(sum, rows))}
        attributes = {
            "dates": [day.isoformat() for day in days],
            "data": [{"dimensions": [], "measurements": measured}],
        }
        return {"data": {"type": "metric-aggregate", "attributes": attributes}}

    def _ask(self, path):
        self.asked.append(path)
        if any(part in path for part in self.denied):
            raise ScopeError(f"the answer is 403 for {path}")


def plan_of(folder, orders, known, schema=SCHEMA):
    table = pa.Table.from_pylist(orders or [order(0)]).slice(0, len(orders))
    export = Export([Frame(table)])
    return make_plan(
        bind(load_schema(schema), export.columns),
        export,
        folder / f"plan-{len(list(folder.iterdir()))}",
        profiles="none",
        bounds=Bounds(1_000_000_000, NOW_S),
        limits=Track(),
        known=known,
    )


@contextmanager
def ledger_in(folder):
    with Ledger.open(folder / "ledger.sqlite", Target("http://127.0.0.1:1", "aB3xYz")) as ledger:
        yield ledger


def delivered(ledger, plan, *, time_s=LONG_AGO_S, run_id="r1"):
    """Write all of a plan into the ledger, as a run does when Klaviyo has said yes."""
    for batch in plan.pending():
        keys, contents = b"".join(batch["key"].to_pylist()), b"".join(batch["content"].to_pylist())
        ledger.record(
            DeliveredBatch(keys, contents, b"", frozenset(batch["metric"].to_pylist())),
            run_id=run_id,
            time_s=time_s,
        )


def deliver(folder, orders, account, *, time_s=LONG_AGO_S, but=()):
    """A run: everything is in the ledger, and, ``but`` for some ids, in the account."""
    ids = {}
    with ledger_in(folder) as ledger:
        plan = plan_of(folder, orders, Known(ledger.delivered()))
        delivered(ledger, plan, time_s=time_s)
    for path in plan.parts:
        for one in pq.read_table(path).to_pylist():
            name = one["metric"]
            if name not in ids:
                known = [at for at, found in account.metrics.items() if found["name"] == name]
                ids[name] = known[0] if known else account.metric(name)
            if one["event_id"] not in but:
                at = datetime.fromtimestamp(one["time"], UTC).isoformat()
                account.take(ids[name], one["event_id"], at, value=float(one["value"] or 0))


def verified(folder, orders, account, **options):
    with ledger_in(folder) as ledger:
        plan = plan_of(folder, orders, Known(ledger.delivered()))
        files = ("orders.csv",)
        options.setdefault("visibility", AT_ONCE)
        found = verify.verify(plan, account, ledger, files=files, **options)
    assert found.delivered == found.found + found.not_visible + found.missing
    return found


def odd(found):
    return {(day.metric, day.day.isoformat()) for day in found.days if not day.is_whole}


def test_what_is_whole_is_one_line_a_metric_and_no_event_is_read(tmp_path):
    orders = [order(n, f"2020-01-{n:02}T12:00:00Z") for n in range(1, 29)]
    orders[3]["Status"] = "cancelled"
    account = Account()
    deliver(tmp_path, orders, account)
    found = verified(tmp_path, orders, account)
    assert list(words.lines(found)) == [
        "Cancelled Order  2020-01-04: 1 delivered, 1 found",
        "Placed Order     2020-01-01 … 2020-01-28: 28 delivered, 28 found",
    ]
    assert account.asked == ["/api/metrics", *["/api/metric-aggregates"] * 2]
    assert (found.missing, found.unexpected, found.struck, odd(found)) == (0, 0, 0, set())


def test_missing_events_are_named_by_metric_day_and_row(tmp_path):
    orders = [order(n, f"2020-01-{n % 5 + 1:02}T12:00:00Z") for n in range(40)]
    account = Account()
    deliver(tmp_path, orders, account, but={"7", "12", "20"})
    found = verified(tmp_path, orders, account)
    assert {(day.day.day, day.missing, day.places) for day in found.days if day.missing} == {
        (3, 2, ((0, 8), (0, 13))),
        (1, 1, ((0, 21),)),
    }
    assert list(words.lines(found)) == [
        "Placed Order  2020-01-01 … 2020-01-05: 40 delivered, 37 found, 3 missing",
        "    2020-01-01: 8 delivered, 7 found, 1 missing (orders.csv row 21)",
        "    2020-01-03: 8 delivered, 6 found, 2 missing (orders.csv rows 8, 13)",
        "3 events missing; --resend lets the next run send them again",
    ]


def test_resend_strikes_what_is_missing_and_no_more(tmp_path):
    orders = [order(n) for n in range(20)]
    account = Account()
    deliver(tmp_path, orders, account, but={"3", "4"})
    found = verified(tmp_path, orders, account, resend=True)
    assert (found.missing, found.struck) == (2, 2)
    assert list(words.lines(found))[-1] == (
        "2 events struck from the ledger: the next run sends them again"
    )
    with ledger_in(tmp_path) as ledger:
        left = {key for batch in ledger.delivered() for key in batch["key"].to_pylist()}
    gone = {event.key("Placed Order", number) for number in ("3", "4")}
    assert left == {event.key("Placed Order", str(n)) for n in range(20)} - gone
    deliver(tmp_path, orders, account)
    again = verified(tmp_path, orders, account)
    # the account of this test takes all a second time, where Klaviyo keeps the first of each
    assert (again.missing, again.not_sent) == (0, 0)


def test_without_resend_the_ledger_stays_as_it_is(tmp_path):
    account = Account()
    deliver(tmp_path, [order(1), order(2)], account, but={"2"})
    assert verified(tmp_path, [order(1), order(2)], account).missing == 1
    assert verified(tmp_path, [order(1), order(2)], account).missing == 1


def test_what_the_shop_sent_itself_is_unexpected_and_hides_nothing(tmp_path):
    orders = [order(n) for n in range(10)]
    account = Account()
    deliver(tmp_path, orders, account, but={"5"})
    account.take("M0", "of-the-shop", JANUARY)
    found = verified(tmp_path, orders, account)
    # ten events and the same sum: what tells is the value, or here nothing
    assert (found.missing, found.unexpected) == (0, 0)
    account.take("M0", None, JANUARY)
    found = verified(tmp_path, orders, account)
    assert (found.missing, found.unexpected) == (1, 2)
    assert "9 found, 1 missing, 2 unexpected (orders.csv row 6)" in "\n".join(words.lines(found))


def test_one_swapped_for_another_is_told_by_the_sum_of_values(tmp_path):
    orders = [order(n, total=f"{n}.50") for n in range(10)]
    account = Account()
    deliver(tmp_path, orders, account, but={"5"})
    account.take("M0", "of-the-shop", JANUARY, value=99)
    found = verified(tmp_path, orders, account)
    assert (found.missing, found.unexpected) == (1, 1)


def test_an_id_that_stands_there_twice_is_found_once(tmp_path):
    account = Account()
    deliver(tmp_path, [order(1), order(2)], account, but={"2"})
    account.take("M0", "1", JANUARY)
    account.take("M0", "1", JANUARY)
    found = verified(tmp_path, [order(1), order(2)], account)
    assert (found.found, found.missing, found.unexpected) == (1, 1, 2)


def test_an_id_that_comes_back_as_a_number_is_known(tmp_path):
    account = Account()
    deliver(tmp_path, [order(1), order(2)], account, but={"2"})
    account.take("M0", 2, JANUARY, value=1)
    found = verified(tmp_path, [order(1), order(2)], account)
    assert (found.missing, found.unexpected) == (0, 0)
    [day] = found.days
    assert (day.values_differ, day.value, day.value_there) == (True, "20", "11")


def test_other_values_are_told_and_are_no_fault(tmp_path):
    account = Account()
    deliver(tmp_path, [order(1), order(2)], account)
    changed = [order(1), order(2, total="30.00")]
    found = verified(tmp_path, changed, account)
    assert (found.missing, found.unexpected) == (0, 0)
    assert any("add up to 20, those of the export to 40" in line for line in words.lines(found))


def test_floats_may_add_up_a_little_otherwise(tmp_path):
    orders = [order(n, total="0.10") for n in range(30)]
    account = Account()
    deliver(tmp_path, orders, account)
    values = [properties["$value"] for _, _, properties in account.events]
    assert functools.reduce(operator.add, values) != 3  # sum() of Python 3.12 makes up for it
    assert odd(verified(tmp_path, orders, account)) == set()


@pytest.mark.parametrize(
    "at",
    [
        pytest.param("2020-01-01T23:30:00Z", id="the same day"),
        pytest.param("2020-01-02T00:00:00Z", id="the day after"),
        pytest.param("2019-12-31T23:59:59Z", id="the day before"),
    ],
)
def test_an_event_under_another_day_is_found_and_told(tmp_path, at):
    account = Account()
    deliver(tmp_path, [order(1), order(2)], account, but={"2"})
    account.take("M0", "2", at, value=10 if at.startswith("2020-01-01") else 11)
    found = verified(tmp_path, [order(1), order(2)], account)
    assert (found.missing, found.unexpected) == (0, 0)
    moved = not at.startswith("2020-01-01")
    assert [(day.elsewhere, day.places) for day in found.days] == [(int(moved), ())]
    told = any("1 found under another day" in line for line in words.lines(found))
    assert told == moved


def test_a_day_that_was_whole_by_its_sums_is_told_by_ids_where_it_was_read(tmp_path):
    orders = [order(1), order(2), order(3, "2020-01-02T12:00:00Z")]
    account = Account()
    deliver(tmp_path, orders, account, but={"2", "3"})
    account.take("M0", "of-the-shop", "2020-01-02T12:00:00Z")
    found = verified(tmp_path, orders, account)
    assert [(day.missing, day.unexpected) for day in found.days] == [(1, 0), (1, 1)]


def test_an_order_is_named_once_however_many_lines_of_it_are_missing(tmp_path):
    schema = """
name: lines
source: {order: No, line: [Total]}
columns: {Total: money}
customer_properties: {$email: Email}
events:
  - event: Ordered Product
    per: line
    time: At
    properties: {$event_id: "{No}-{line}", $value: Total}
"""
    rows = [order(n) for n in range(3) for _ in range(12)]
    with ledger_in(tmp_path) as ledger:
        delivered(ledger, plan_of(tmp_path, rows, Known(), schema))
        plan = plan_of(tmp_path, rows, Known(ledger.delivered()), schema)
        old = Visibility(now=lambda: NOW_S)
        found = verify.verify(plan, Account(), ledger, files=("a",), visibility=old)
    assert [(day.missing, day.places) for day in found.days] == [(36, ((0, 1), (0, 13), (0, 25)))]
    assert next(iter(words.as_dict(found)["days"]))["rows"][2] == {"file": "a", "row": 25}


def test_only_the_first_missing_orders_are_named(tmp_path):
    orders = [order(n) for n in range(12)]
    account = Account()
    deliver(tmp_path, orders, account, but={str(n) for n in range(12)})
    (day,) = verified(tmp_path, orders, account).days
    assert (day.missing, day.places) == (12, tuple((0, row) for row in range(1, 11)))


def test_what_is_in_the_ledger_twice_is_one_event(tmp_path):
    account = Account()
    deliver(tmp_path, [order(1)], account)
    with ledger_in(tmp_path) as ledger:
        delivered(ledger, plan_of(tmp_path, [order(1)], Known()))
    assert verified(tmp_path, [order(1)], account).not_in_export == 0


def test_a_plan_of_many_batches_is_taken_with_each_events_own_verdict(tmp_path):
    orders = [order(n) for n in range(70_000)]
    half = random.Random(5).sample(orders, 35_000)
    keys = b"".join(event.key("Placed Order", one["No"]) for one in half)
    account = Account()
    account.page = 1_000
    account.metric("Placed Order")
    with ledger_in(tmp_path) as ledger:
        landed_ = DeliveredBatch(keys, b"\0" * (len(keys) // 2), b"", frozenset({"Placed Order"}))
        ledger.record(landed_, run_id="r1", time_s=LONG_AGO_S)
    for one in half[1:]:
        account.take("M0", one["No"], JANUARY)
    found = verified(tmp_path, orders, account)
    assert (found.delivered, found.missing, found.unexpected) == (35_000, 1, 0)
    assert (found.not_sent, found.not_in_export) == (35_000, 0)


def test_midnight_of_utc_parts_the_days(tmp_path):
    times = ["2020-01-01T23:59:59Z", "2020-01-02T00:00:00Z", "2020-01-02T23:59:59Z"]
    orders = [order(n, at) for n, at in enumerate(times)]
    account = Account()
    deliver(tmp_path, orders, account)
    found = verified(tmp_path, orders, account)
    assert [(day.day.isoformat(), day.delivered) for day in found.days] == [
        ("2020-01-01", 1),
        ("2020-01-02", 2),
    ]
    assert odd(found) == set()
    account.events.pop()
    assert odd(verified(tmp_path, orders, account)) == {("Placed Order", "2020-01-02")}


def test_a_plan_over_many_years_asks_a_year_at_a_time(tmp_path):
    orders = [
        order(f"{year}-{month}", f"{year}-{month:02}-15T12:00:00Z")
        for year in range(2003, 2013)
        for month in (1, 7)
    ]
    account = Account()
    deliver(tmp_path, orders, account, but={"2005-7"})
    found = verified(tmp_path, orders, account)
    assert odd(found) == {("Placed Order", "2005-07-15")}
    assert account.asked.count("/api/metric-aggregates") == 10
    assert account.asked.count("/api/events") == 1


def test_a_metric_that_the_account_lacks_is_missing_as_a_whole(tmp_path):
    account = Account()
    deliver(tmp_path, [order(1), order(2, "2020-01-03T00:00:00Z")], account)
    account.metrics.clear()
    account.metric("Placed Order", "Shopify")
    found = verified(tmp_path, [order(1), order(2, "2020-01-03T00:00:00Z")], account)
    assert (found.found, found.missing) == (0, 2)
    assert list(words.lines(found))[:3] == [
        "Placed Order  2020-01-01 … 2020-01-03: 2 delivered, 0 found, 2 missing",
        "    the account has no metric of this name from the API",
        'note: Shopify has a metric "Placed Order" too; it is another metric, and verify does not '
        "look at it",
    ]
    assert account.asked == ["/api/metrics"]


def test_of_metrics_of_one_name_the_oldest_of_the_api_is_ours(tmp_path):
    account = Account()
    account.metric("Placed Order", created="2024-01-01T00:00:00+00:00")
    account.metric("Placed Order", "Shopify", created="2019-01-01T00:00:00+00:00")
    account.metric("Placed Order", created="2023-01-01T00:00:00+00:00")
    deliver(tmp_path, [order(1)], account)
    assert verified(tmp_path, [order(1)], account).missing == 1
    account.events = [("M2", at, properties) for _, at, properties in account.events]
    found = verified(tmp_path, [order(1)], account)
    assert found.missing == 0
    assert 'note: the API has 2 metrics of the name "Placed Order"' in "\n".join(words.lines(found))


def test_where_nothing_was_delivered_nothing_is_asked(tmp_path):
    account = Account()
    found = verified(tmp_path, [order(1)], account)
    assert (found.delivered, found.not_sent, account.asked) == (0, 1, [])
    assert list(words.lines(found)) == [
        "nothing of this export is in the ledger: there is nothing to verify",
        "note: 1 event of this export not delivered yet: run sends them",
    ]


def test_what_the_export_no_longer_has_is_counted_and_not_unexpected(tmp_path):
    orders = [order(n) for n in range(9)]
    account = Account()
    deliver(tmp_path, orders, account, but={"1"})
    found = verified(tmp_path, orders[:4], account)
    assert (found.delivered, found.missing, found.unexpected) == (4, 1, 0)
    assert found.not_in_export == 5
    text = "\n".join(words.lines(found))
    assert "note: 5 events of the ledger not in this export: not looked at" in text


@pytest.mark.parametrize(("ago_s", "told"), [(60, True), (601, False)])
def test_events_of_the_last_minutes_may_not_be_visible_yet(tmp_path, ago_s, told):
    account = Account()
    deliver(tmp_path, [order(1), order(2)], account, time_s=NOW_S - ago_s, but={"2"})
    found = verified(tmp_path, [order(1), order(2)], account)
    assert (found.not_visible, found.missing) == ((1, 0) if told else (0, 1))
    text = "\n".join(words.lines(found))
    assert ("1 event delivered less than 10 min ago and not visible yet" in text) == told


def test_what_may_only_be_hidden_is_never_struck(tmp_path):
    """One order was lost a day ago, one was delivered a minute ago; each in both metrics."""
    orders = [order(1, status="cancelled"), order(2, status="cancelled"), order(3)]
    account = Account()
    deliver(tmp_path, orders[:1], account, but={"1"})
    deliver(tmp_path, orders, account, time_s=NOW_S - 60, but={"1", "2"})
    found = verified(tmp_path, orders, account, resend=True)
    assert (found.found, found.not_visible, found.missing, found.struck) == (1, 2, 2, 2)
    assert list(words.lines(found)) == [
        "Cancelled Order  2020-01-01: 2 delivered, 0 found, 1 not visible yet, 1 missing",
        "    2020-01-01: 2 delivered, 0 found, 1 not visible yet, 1 missing (orders.csv row 1)",
        "Placed Order     2020-01-01: 3 delivered, 1 found, 1 not visible yet, 1 missing",
        "    2020-01-01: 3 delivered, 1 found, 1 not visible yet, 1 missing (orders.csv row 1)",
        "note: 2 events delivered less than 10 min ago and not visible yet: Klaviyo may show what "
        "it took some minutes later, so the ledger keeps them; verify again, or with --wait",
        "2 events struck from the ledger: the next run sends them again",
    ]
    assert len(words.as_dict(found)["days"]) == 2
    again = verified(tmp_path, orders, account, resend=True)
    assert (again.delivered, again.not_visible, again.missing, again.struck) == (3, 2, 0, 0)


def test_an_event_that_was_sent_again_is_as_young_as_its_last_delivery(tmp_path):
    account = Account()
    deliver(tmp_path, [order(1)], account, but={"1"})
    with ledger_in(tmp_path) as ledger:
        delivered(ledger, plan_of(tmp_path, [order(1)], Known()), time_s=NOW_S - 5)
    found = verified(tmp_path, [order(1)], account, resend=True)
    assert (found.not_visible, found.missing, found.struck) == (1, 0, 0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), (" 1h ", 3600), ("24h", 86_400), ("0s", 0)]
)
def test_a_visibility_delay_is_a_number_with_its_unit(text, seconds):
    assert parse_delay(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "10 m", "-1m", "1.5h", "25h", "99999999h", "m", "\uff11m"]
)
def test_another_visibility_delay_is_one_sentence(text):
    with pytest.raises(UsageError, match=r"--visibility-delay .* such as 90s, 10m or 1h"):
        parse_delay(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(600, "10 min"), (570.4, "9 min 30 s"), (45, "45 s"), (0, "0 s")]
)
def test_a_delay_is_spoken_in_minutes_and_seconds(seconds, text):
    assert spoken(seconds) == text


# after a run --------------------------------------------------------------------------------------


def run_verified(folder, orders, account, *, but=(), beside=(), **options):
    """A run of what the ledger lacks, and what it says of the account afterwards."""
    with ledger_in(folder) as ledger:
        plan = plan_of(folder, orders, Known(ledger.delivered()))
        ids = {found["name"]: at for at, found in account.metrics.items()}
        delivered(ledger, plan, time_s=options.pop("time_s", LONG_AGO_S), run_id="r2")
        for one in pa.Table.from_batches(plan.pending()).to_pylist():
            if one["event_id"] not in but:
                at = datetime.fromtimestamp(one["time"], UTC).isoformat()
                account.take(ids[one["metric"]], one["event_id"], at, float(one["value"] or 0))
        for event_id, value in beside:
            account.take("M0", event_id, JANUARY, value)
        account.asked.clear()
        return verify_run(
            plan,
            account,
            ledger,
            files=("orders.csv",),
            run_id="r2",
            visibility=options.pop("visibility", AT_ONCE),
        )


def test_a_run_is_held_against_its_own_events_and_earlier_ones_need_no_reading(tmp_path):
    account = Account()
    deliver(tmp_path, [order(n) for n in range(5)], account)
    found = run_verified(tmp_path, [order(n) for n in range(8)], account).verified
    assert (found.delivered, found.found, found.unexpected, found.missing) == (3, 3, 0, 0)
    assert account.asked == ["/api/metrics", "/api/metric-aggregates"]
    assert list(words.run_notes(found)) == []


def test_what_a_run_lost_is_named_by_day_and_row_and_earlier_losses_are_not_its_own(tmp_path):
    account = Account()
    deliver(tmp_path, [order(n) for n in range(5)], account, but={"4"})
    orders = [order(n) for n in range(8)]
    found = run_verified(tmp_path, orders, account, but={"6"}).verified
    assert (found.delivered, found.found, found.missing) == (3, 2, 1)
    assert list(words.run_notes(found)) == [
        'account, "Placed Order" 2020-01-01: 3 delivered, 2 found, 1 missing (orders.csv row 7)',
        "1 event delivered and missing in the account: backfill verify --resend lets the next run "
        "send them again",
    ]


def test_events_of_another_integration_do_not_stand_in_for_those_of_the_run(tmp_path):
    account = Account()
    account.metric("Placed Order")
    orders = [order(n) for n in range(4)]
    beside = [("theirs-1", 10.0), ("theirs-2", 99.0)]
    found = run_verified(tmp_path, orders, account, but={"2"}, beside=beside).verified
    assert (found.found, found.missing, found.unexpected) == (3, 1, 2)
    assert (
        "2 events of these metrics and days in the account that the ledger does not know: another "
        "integration or the shop itself sent them"
    ) in words.run_notes(found)


def test_an_event_that_was_in_the_account_before_the_run_is_found_once(tmp_path):
    """Klaviyo keeps one of an id, whoever sent it first."""
    account = Account()
    account.metric("Placed Order")
    account.take("M0", "1", JANUARY)
    found = run_verified(tmp_path, [order(1), order(2)], account, but={"1"}).verified
    assert (found.delivered, found.found, found.unexpected, found.missing) == (2, 2, 0, 0)


@pytest.mark.parametrize(
    ("beside", "time_s", "counts"),
    [
        pytest.param([], LONG_AGO_S, (3, 0, 1, 0), id="too few are missing"),
        pytest.param([], NOW_S - 5, (3, 1, 0, 0), id="or not visible yet"),
        pytest.param([("theirs", 7.0)] * 2, LONG_AGO_S, (4, 0, 0, 1), id="too many prove nothing"),
    ],
)
def test_a_key_that_may_not_read_events_compares_by_count_and_says_so(
    tmp_path, beside, time_s, counts
):
    account = Account()
    account.metric("Placed Order")
    account.denied = ("/api/events",)
    orders = [order(n) for n in range(4)]
    options = {"but": {"2"}, "beside": beside, "time_s": time_s}
    found = run_verified(tmp_path, orders, account, **options).verified
    assert (found.found, found.not_visible, found.missing, found.unexpected) == counts
    assert "so counts alone were compared" in "\n".join(words.run_notes(found))


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ScopeError("lacks the scope metrics:read"), "lacks the scope metrics:read"),
        (StoppedError("gives no answer"), "gives no answer"),
        (StoppedByUserError("stopped as asked; run again"), "stopped as asked"),
        (KeyboardInterrupt(), "stopped as asked"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
    ],
)
def test_what_the_account_does_not_answer_changes_nothing_of_a_delivery(tmp_path, error, why):
    class Silent(Account):
        def _ask(self, _):
            raise error

    answer = run_verified(tmp_path, [order(1)], Silent(), but={"1"})
    assert (answer.verified, answer.why_not) == (None, why)


@pytest.mark.parametrize(
    ("url", "api", "asked", "wants"),
    [
        ("https://a.klaviyo.com", apis.BULK, None, True),
        ("https://a.klaviyo.com", apis.EVENTS, None, True),
        ("https://a.klaviyo.com", apis.BULK, False, False),
        ("https://a.klaviyo.com", apis.TRACK, None, False),
        ("http://127.0.0.1:1", apis.BULK, None, False),
        ("http://127.0.0.1:1", apis.BULK, True, True),
        ("http://127.0.0.1:1", apis.TRACK, False, False),
    ],
)
def test_a_live_account_is_asked_with_a_key_that_may_read(url, api, asked, wants):
    assert wants_verification(AccountOfRun(url, "k", api), asked) == wants


def test_a_public_key_cannot_verify():
    with pytest.raises(UsageError, match=r"^--verify needs a private key"):
        wants_verification(AccountOfRun("https://a.klaviyo.com", "k", apis.TRACK), asked=True)


# waiting -----------------------------------------------------------------------------------------


class Waited:
    """A clock that sleeping moves on, and what happens meanwhile."""

    def __init__(self, delay_s=600):
        self.now_s = float(NOW_S)
        self.told = []
        self.stop = threading.Event()
        self.then = {}
        self.visibility = Visibility(
            delay_s=delay_s,
            waits=True,
            stop=self.stop,
            tell=self.told.append,
            now=lambda: self.now_s,
            sleep=self.sleep,
        )

    def at(self, after_s, deed):
        self.then[NOW_S + after_s] = deed

    def sleep(self, seconds):
        self.now_s += seconds
        for at in [at for at in self.then if at <= self.now_s]:
            self.then.pop(at)()


def test_waiting_ends_when_all_is_visible_and_is_told_every_minute(tmp_path):
    orders = [order(n) for n in range(4)]
    account, waited = Account(), Waited()
    deliver(tmp_path, orders, account, time_s=NOW_S, but={"2", "3"})
    # the shop's own event must not be taken for ours
    waited.at(50, lambda: account.take("M0", "of-the-shop", JANUARY, 99))
    waited.at(100, lambda: account.take("M0", "2", JANUARY))
    waited.at(150, lambda: account.take("M0", "3", JANUARY))
    found = verified(tmp_path, orders, account, visibility=waited.visibility, resend=True)
    assert (found.found, found.unexpected, found.struck) == (4, 1, 0)
    assert 150 <= waited.now_s - NOW_S < 190
    assert waited.told == [
        "waiting for Klaviyo to show 2 events delivered less than 10 min ago: at most 10 min more; "
        "Ctrl-C ends the waiting",
        "waiting for Klaviyo to show 1 event delivered less than 10 min ago: at most 9 min more; "
        "Ctrl-C ends the waiting",
        "waiting for Klaviyo to show 1 event delivered less than 10 min ago: at most 8 min more; "
        "Ctrl-C ends the waiting",
    ]
    # while nothing new is there, ids are not read again
    assert account.asked.count("/api/events") == 3


def test_what_is_not_there_when_the_delay_is_over_is_missing(tmp_path):
    account, waited = Account(), Waited(delay_s=120)
    deliver(tmp_path, [order(1), order(2)], account, time_s=NOW_S - 30, but={"2"})
    found = verified(
        tmp_path, [order(1), order(2)], account, visibility=waited.visibility, resend=True
    )
    assert (found.not_visible, found.missing, found.struck) == (0, 1, 1)
    assert waited.now_s - NOW_S == 90


def test_a_metric_that_is_hidden_with_its_events_is_waited_for(tmp_path):
    account, waited = Account(), Waited()
    deliver(tmp_path, [order(1)], account, time_s=NOW_S)
    hidden = dict(account.metrics)
    account.metrics.clear()
    waited.at(20, lambda: account.metrics.update(hidden))
    found = verified(tmp_path, [order(1)], account, visibility=waited.visibility)
    assert (found.found, found.missing, found.not_visible) == (1, 0, 0)


def test_a_signal_ends_the_waiting_and_strikes_nothing(tmp_path):
    orders = [order(n) for n in range(3)]
    account, waited = Account(), Waited()
    deliver(tmp_path, orders[:1], account, but={"0"})
    deliver(tmp_path, orders, account, time_s=NOW_S, but={"0", "2"})
    waited.at(1, waited.stop.set)
    found = verified(tmp_path, orders, account, visibility=waited.visibility, resend=True)
    assert (found.not_visible, found.missing, found.struck) == (1, 1, 0)
    assert waited.now_s - NOW_S < 10


def test_a_signal_in_the_middle_of_a_question_ends_the_waiting(tmp_path):
    account, waited = Account(), Waited()
    deliver(tmp_path, [order(1)], account, time_s=NOW_S, but={"1"})

    def post(*_):
        raise StoppedByUserError("stopped as asked")

    waited.at(1, lambda: setattr(account, "post", post))
    found = verified(tmp_path, [order(1)], account, visibility=waited.visibility)
    assert (found.not_visible, found.missing) == (1, 0)


def test_a_clock_that_was_set_back_makes_no_longer_wait_and_nothing_is_struck(tmp_path):
    account, waited = Account(), Waited()
    deliver(tmp_path, [order(1)], account, time_s=NOW_S + 86_400, but={"1"})
    found = verified(tmp_path, [order(1)], account, visibility=waited.visibility, resend=True)
    assert (found.not_visible, found.struck, waited.now_s - NOW_S) == (1, 0, 600)


def test_whoever_listens_may_stop_it(tmp_path):
    def stop(_):
        raise StoppedByUserError("stopped as asked")

    account = Account()
    deliver(tmp_path, [order(1)], account, but={"1"})
    with pytest.raises(StoppedByUserError, match="stopped as asked"):
        verified(tmp_path, [order(1)], account, on_events=stop)


def test_an_answer_of_another_shape_is_one_sentence(tmp_path):
    account = Account()
    deliver(tmp_path, [order(1)], account)
    account.post = lambda *_: {"data": []}
    with pytest.raises(
        DeniedError, match=r"/api/metric-aggregates: the answer is not in the shape"
    ):
        verified(tmp_path, [order(1)], account)


def test_days_without_end_are_cut_for_people_and_whole_as_json(tmp_path):
    first = datetime(2020, 1, 1, 12, tzinfo=UTC)
    orders = [order(n, (first + timedelta(2 * n)).isoformat()) for n in range(90)]
    account = Account()
    deliver(tmp_path, orders, account, but={str(n) for n in range(0, 90, 1)})
    found = verified(tmp_path, orders, account)
    text = list(words.lines(found))
    assert len(text) == 1 + 40 + 1 + 1
    assert text[41] == (
        "    and 50 days more (50 delivered, 0 found, 50 missing); --json has them all"
    )
    said = words.as_dict(found)
    assert len(said["days"]) == 90
    assert said["days"][0]["rows"] == [{"file": "orders.csv", "row": 1}]
    # in the days between them nothing landed, so one question is enough
    assert account.asked.count("/api/events") == 1


def test_it_finds_exactly_what_was_taken_away(tmp_path):
    random_ = random.Random(4)
    first = datetime(2018, 6, 1, tzinfo=UTC)
    orders = [
        order(n, (first + timedelta(seconds=random_.randrange(86_400 * 600))).isoformat(), "1.25")
        for n in range(700)
    ]
    gone = {str(n) for n in random_.sample(range(700), 37)}
    account = Account()
    deliver(tmp_path, orders, account, but=gone)
    found = verified(tmp_path, orders, account, resend=True)
    rows = {row for day in found.days for _, row in day.places}
    assert rows == {int(number) + 1 for number in gone}
    assert (found.missing, found.struck, found.unexpected) == (37, 37, 0)


# sums and spans ----------------------------------------------------------------------------------


def days(*texts):
    return [date.fromisoformat(text) for text in texts]


def test_windows_hold_all_days_in_as_few_questions_as_can_be():
    random_ = random.Random(3)
    wanted = {date(2010, 1, 1) + timedelta(random_.randrange(4_000)) for _ in range(300)}
    found = aggregates.query_spans(wanted)
    held = [day for day in wanted for span in found if span.first <= day < span.end]
    assert sorted(held) == sorted(wanted)
    assert all((span.end - span.first).days <= 365 for span in found)
    assert all(
        (after.first - before.first).days >= 365 for before, after in itertools.pairwise(found)
    )
    assert aggregates.query_spans([]) == []


@pytest.mark.parametrize(
    ("between", "count"),
    [
        pytest.param(aggregates.Tally(), 1, id="nothing landed between them"),
        pytest.param(aggregates.Tally(1), 2, id="something did"),
        pytest.param(None, 2, id="nobody asked"),
    ],
)
def test_days_apart_are_read_together_where_nothing_is_between(between, count):
    said = {} if between is None else {date(2020, 1, 2): between}
    found = verify.read_spans(days("2020-01-01", "2020-01-03"), said)
    assert len(found) == count


def test_a_days_rows_are_added_whatever_they_are_divided_by():
    class Divided(Account):
        def post(self, path, body):
            answer = super().post(path, body)
            attributes = answer["data"]["attributes"]
            attributes["data"] = attributes["data"] * 2
            return answer

    account = Divided()
    account.take(account.metric("Placed Order"), "1", JANUARY, value=2.5)
    found = aggregates.tallies(account, "M0", days("2020-01-01"))
    assert found == {date(2020, 1, 1): aggregates.Tally(2, 5.0)}


# the account's metrics ---------------------------------------------------------------------------


def said_of(account, *names):
    return list(metric_lines(metric_statuses(names, account)))


def test_before_a_live_run_flows_and_metrics_of_the_same_name_are_told():
    account = Account()
    ours = account.metric("Placed Order")
    account.metric("Placed Order", "Shopify")
    account.flows = {
        ours: [
            {"name": "Thank\x1b[2Jyou", "status": "live", "archived": False},
            {"name": "Draft", "status": "draft", "archived": False},
            {"name": "Old", "status": "live", "archived": True},
        ]
    }
    assert said_of(account, "Placed Order", "Ordered Product") == [
        '"Placed Order": the account has it from the API; Shopify has one of the same name, which '
        "stays a metric of its own beside it; 1 live flow hangs on it: "
        '"Thank\\u001b[2Jyou"',
        '"Ordered Product": the first event makes this metric',
    ]


@pytest.mark.parametrize(
    ("denied", "line"),
    [
        ("/api/metrics", "not looked at: the account's metrics and flows: .*scope metrics:read"),
        ("flow-triggers", "not looked at: the flows that metrics start: .*scope flows:read"),
    ],
)
def test_what_the_key_may_not_read_is_told(denied, line):
    account = Account()
    account.metric("Placed Order")
    account.denied = (denied,)
    assert re.fullmatch(line, said_of(account, "Placed Order")[-1])


def test_flows_are_asked_for_in_few_requests():
    account = Account()
    names = [f"Metric {n}" for n in range(40)]
    account.flows = {account.metric(name): [] for name in names}
    lines = said_of(account, *names)
    assert len(account.asked) == 1 + 25
    assert lines[-1] == "not looked at: the flows of 15 more metrics: too many to ask for"
    assert lines[0].endswith("no live flow hangs on it")


def test_a_sum_is_exact_in_words():
    assert verify._exact(Decimal("26691.100000")) == "26691.1"
    assert verify._exact(Decimal("100.000000")) == "100"
