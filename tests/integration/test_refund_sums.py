"""Refunds that grow between nights: each event is worth what is new, whatever happens between."""

import signal

import pandas as pd
import pytest

import backfill as bf
from backfill.sandbox import Faults, Sandbox
from tests.conftest import Tool
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

SCHEMA = """
name: refunds
source: {order: Order}
columns: {Refunded: money}
profiles: none
customer_properties: {$email: Email}
events:
  - event: Refunded Order
    time: At
    where: Refunded > 0
    refunds: difference
    properties: {$event_id: "{Order}", $value: Refunded, Total refunded: Refunded}
"""
ONCE = SCHEMA.replace("    refunds: difference\n", "")


def night(**refunded):
    """An export: each order's sum of refunds."""
    rows = [
        (order, f"{order}@shop.example", "2024-05-01T10:00:00Z", amount)
        for order, amount in refunded.items()
    ]
    return pd.DataFrame(rows, columns=["Order", "Email", "At", "Refunded"])


@pytest.fixture
def shop(tmp_path):
    with Sandbox() as sandbox:
        yield Shop(sandbox, tmp_path / "state")


class Shop:
    def __init__(self, sandbox, state):
        self.sandbox, self.state = sandbox, state

    def run(self, schema=SCHEMA, *, limit=None, new_ids=False, **refunded):
        return bf.run(
            schema,
            night(**refunded),
            url=self.sandbox.url,
            state=self.state,
            limit=limit,
            new_ids=new_ids,
        )

    def values(self):
        """What Klaviyo has, by id."""
        return {one["event_id"]: one["value"] for one in self.sandbox.events()}


def test_each_night_sends_what_is_new(shop):
    for ann, bob in [("30", "0"), ("30", "5.5"), ("50", "5.5"), ("50", "5.5"), ("50.25", "10")]:
        report = shop.run(ann=ann, bob=bob)
        assert report.summary.rejected == report.summary.changed_orders == 0
    assert shop.values() == {
        "ann-30": 30,
        "ann-50": 20,
        "ann-50.25": 0.25,
        "bob-5.5": 5.5,
        "bob-10": 4.5,
    }
    assert (report.summary.events, report.summary.delivered) == (2, 2)


def test_an_older_export_sends_nothing_and_a_smaller_sum_is_a_reject(shop):
    shop.run(ann="30")
    shop.run(ann="50")
    older = shop.run(ann="30")
    assert (older.summary.already, older.summary.left, older.summary.changed_orders) == (1, 0, 0)
    smaller = shop.run(ann="40")
    assert smaller.summary.reasons == {"refund_below_delivered": 1}
    assert shop.values() == {"ann-30": 30, "ann-50": 20}


def test_what_was_not_sent_is_not_taken_off(shop):
    shop.run(limit=1, ann="30", bob="7")
    [sent] = shop.values()
    shop.run(ann="50", bob="9")
    assert sum(shop.values().values()) == 59
    assert len(shop.values()) == 3
    assert sent in shop.values()


def test_several_sums_of_one_order_in_a_plan_are_rejects(shop):
    rows = pd.concat([night(ann="30", bob="1"), night(ann="50")])
    rows["Row"] = [str(at) for at in range(len(rows))]
    schema = SCHEMA.replace("order: Order", "order: Row")
    report = bf.run(schema, rows, url=shop.sandbox.url, state=shop.state)
    assert report.summary.reasons == {"several_refund_sums": 2}
    assert shop.values() == {"bob-1": 1}


def test_the_same_sum_twice_is_one_event(shop):
    rows = pd.concat([night(ann="30"), night(ann="30")])
    rows["Row"] = ["1", "2"]
    report = bf.run(
        SCHEMA.replace("order: Order", "order: Row"),
        rows,
        url=shop.sandbox.url,
        state=shop.state,
    )
    assert (report.summary.repeats, report.summary.rejected) == (1, 0)
    assert shop.values() == {"ann-30": 30}


def test_ids_that_begin_to_end_in_a_sum_stop_the_run(shop):
    shop.run(ONCE, ann="30")
    with pytest.raises(bf.GateError, match="id"):
        shop.run(ann="30")
    assert shop.values() == {"ann": 30}


def test_once_keeps_the_first_sum(shop):
    shop.run(ONCE, ann="30")
    report = shop.run(ONCE, ann="50")
    assert report.summary.changed_orders == 1
    assert shop.values() == {"ann": 30}


def test_a_plan_without_a_ledger_shows_the_whole_sum(tmp_path):
    report = bf.plan(SCHEMA, night(ann="30"), state=tmp_path / "state")
    assert report.summary.metrics[0].value == "30"


def test_a_killed_run_leaves_the_sum_in_doubt_until_its_export_ran_again(tmp_path):
    """Klaviyo has the event, and the ledger does not: the next sum's difference is not known."""
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    exports = []
    for amount in ("30", "50"):
        exports.append(tmp_path / f"night_{amount}.csv")
        night(ann=amount).to_csv(exports[-1], index=False)
    first, second = exports
    faults = Faults.of({"faults": [{"at": [1], "answer": "slow", "seconds": 60}]})
    with Sandbox(faults=faults) as sandbox:
        tool = Tool(tmp_path)
        options = ("--url", sandbox.url, "--state", tmp_path / "state")
        process = tool.start("run", "schema.yaml", first, *options)
        wait_until(lambda: sandbox.stats()["recorded"] == 1, "the event")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        grown = tool("run", "schema.yaml", second, *options, "--json")
        assert grown.summary["reasons"] == {"refund_in_doubt": 1}
        assert tool("run", "schema.yaml", first, *options, "--json").summary["delivered"] == 1
        assert tool("run", "schema.yaml", second, *options, "--json").summary["delivered"] == 1
        values = {one["event_id"]: one["value"] for one in sandbox.events()}
    assert values == {"ann-30": 30, "ann-50": 20}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SCHEMA.replace(", $value: Refunded", ""), "difference needs $event_id and $value"),
        (SCHEMA.replace('$event_id: "{Order}", ', ""), "difference needs $event_id and $value"),
        (SCHEMA.replace("difference", "each"), "each needs the refund's own id in $event_id"),
    ],
)
def test_a_schema_says_what_its_refunds_lack(text, problem):
    with pytest.raises(bf.SchemaError) as raised:
        bf.load_schema(text)
    assert problem in str(raised.value)


def test_each_refund_of_an_order_is_an_event(shop):
    schema = """
name: refunds
source: {order: Order, line: [Refund *]}
columns: {Refund amount: money, Refund at: time}
profiles: none
customer_properties: {$email: Email}
events:
  - event: Refunded Order
    per: line
    refunds: each
    where: '"Refund amount" > 0'
    time: Refund at
    properties: {$event_id: "{Order}-{Refund id}", $value: Refund amount}
"""
    rows = pd.DataFrame(
        [
            ("1", "ann@shop.example", "r1", "2024-05-01T10:00:00Z", "10"),
            ("1", "ann@shop.example", "r2", "2024-05-09T10:00:00Z", "2.5"),
        ],
        columns=["Order", "Email", "Refund id", "Refund at", "Refund amount"],
    )
    for rows_of_night in (rows[:1], rows):
        bf.run(schema, rows_of_night, url=shop.sandbox.url, state=shop.state)
    assert shop.values() == {"1-r1": 10, "1-r2": 2.5}
