"""One event that a gateway keeps out, in every way that gateways have, keeps no other one out."""

import json
from collections import Counter

import pyarrow as pa
import pytest

from backfill import event
from backfill.delivery.refusals import refusals_file
from backfill.delivery.run import deliver
from backfill.errors import DeniedError, StoppedError
from backfill.ledger.ledger import Ledger, Target
from backfill.sandbox import Faults, Sandbox
from backfill.wire.bulk import Bulk
from backfill.wire.events import Events
from backfill.wire.track import Track
from tests.integration.test_delivery_bulk import KEY, order, orders, quick

pytestmark = pytest.mark.slow

ACCOUNT = "LOCAL1"
COUNT = {"bulk": 2_500, "events": 1_000, "track": 1_000}
POISON = {1: {613}, 3: {0, 613, 999}}
WAYS = {
    "500": {"answer": 500},
    "502": {"answer": 502},
    "503": {"answer": 503, "retry_after": 0},
    "503 after a second": {"answer": 503},
    "403": {"answer": 403},
    "400": {"answer": 400},
    "406": {"answer": 406},
    "404": {"answer": 404},
    "302": {"answer": 302},
    "reset": {"answer": "reset"},
    "early": {"answer": "early"},
}


ENDS = (StoppedError, DeniedError)
"""With exit code 3; or with 5 where the answer, a 302 or 404, speaks of the endpoint."""


class Delivering:
    """One ledger, and one account, which has a sandbox after another."""

    def __init__(self, folder, api):
        self.folder = folder
        self.api = api
        self.ledger = folder / "ledger.sqlite"
        self.refusals = folder / "refusals.jsonl"

    def run(self, sandbox, pending, *, concurrency=16):
        wire = {"bulk": Bulk(KEY), "events": Events(KEY), "track": Track(ACCOUNT)}[self.api]
        self.refusals.unlink(missing_ok=True)
        target = Target("https://a.klaviyo.com", ACCOUNT)
        with Ledger.open(self.ledger, target) as ledger, refusals_file(self.refusals) as refuse:
            return deliver(
                pending,
                wire=wire,
                fallback=Events(KEY) if self.api == "bulk" else None,
                url=sandbox.url,
                ledger=ledger,
                run_id="r1",
                on_refusal=refuse,
                options=quick(concurrency=concurrency),
            )

    def held(self):
        with Ledger.open(self.ledger, Target("https://a.klaviyo.com", ACCOUNT)) as ledger:
            return Counter(key for one in ledger.delivered() for key in one["key"].to_pylist())

    def refused(self):
        return [json.loads(line) for line in self.refusals.read_text().splitlines()]


def poisoned(numbers, rule):
    return [{"contains": f'"ada{number}@shop.dk"', **rule} for number in numbers]


def scripted(rules):
    return Sandbox(faults=Faults.of({"faults": rules}))


def keys(numbers):
    return Counter(event.key("Placed Order", str(number)) for number in numbers)


def landed(sandbox):
    return Counter(int(one["properties"]["$event_id"]) for one in sandbox.events())


def batches(numbers):
    return pa.Table.from_pylist(
        [order(number) for number in numbers], schema=orders(1)[0].schema
    ).to_batches(max_chunksize=700)


@pytest.mark.parametrize(
    ("way", "count", "concurrency"),
    [(way, 1, 16) for way in WAYS]
    + [(way, 3, 1) for way in ("500", "503 after a second", "404", "reset")],
)
@pytest.mark.parametrize("api", COUNT)
def test_only_the_poisoned_events_are_refused_and_go_through_once_healed(
    tmp_path, api, way, count, concurrency
):
    poison, every = POISON[count], range(COUNT[api])
    good = set(every) - poison
    delivering = Delivering(tmp_path, api)
    with scripted(poisoned(poison, WAYS[way])) as sandbox:
        delivery = delivering.run(sandbox, orders(COUNT[api]), concurrency=concurrency)

        assert landed(sandbox) == Counter(good)
        assert (delivery.delivered, delivery.refused, delivery.ended) == (len(good), count, None)
        assert delivery.by_gateway == count
        assert delivering.held() == keys(good)
        refused = delivering.refused()
        assert Counter(bytes.fromhex(one["key"]) for one in refused) == keys(poison)
        silent = way in ("reset", "early")
        code = "gateway_no_answer" if silent else f"gateway_{WAYS[way]['answer']}"
        assert {one["code"] for one in refused} == {code}

        again = delivering.run(sandbox, batches(sorted(poison)), concurrency=concurrency)
        assert (again.delivered, again.refused, again.ended) == (0, count, None)

    with Sandbox() as healed:
        delivery = delivering.run(healed, batches(sorted(poison)), concurrency=concurrency)

        assert landed(healed) == Counter(poison)
    assert (delivery.delivered, delivery.refused, delivery.ended) == (count, 0, None)
    assert delivering.held() == keys(every)
    assert delivering.refused() == []


@pytest.mark.parametrize("concurrency", [16])
@pytest.mark.parametrize("way", [way for way in WAYS if way != "503 after a second"])
@pytest.mark.parametrize("api", COUNT)
def test_an_outage_stops_the_run_and_refuses_nothing(tmp_path, api, way, concurrency):
    delivering = Delivering(tmp_path, api)
    with scripted([{"from": 1, **WAYS[way]}]) as sandbox:
        delivery = delivering.run(sandbox, orders(COUNT[api]), concurrency=concurrency)

        assert landed(sandbox) == Counter()
    assert (delivery.delivered, delivery.refused) == (0, 0)
    assert isinstance(delivery.ended, ENDS)
    assert delivering.refused() == []


@pytest.mark.parametrize("way", ["500", "403", "404", "reset"])
@pytest.mark.parametrize("api", COUNT)
def test_an_outage_that_begins_later_stops_the_run_and_refuses_nothing(tmp_path, api, way):
    delivering = Delivering(tmp_path, api)
    first = 2 if api == "bulk" else 500
    with scripted([{"from": first, **WAYS[way]}]) as sandbox:
        delivery = delivering.run(sandbox, orders(COUNT[api]), concurrency=4)

        taken = landed(sandbox)
        assert delivering.held() == keys(taken)
    assert 0 < delivery.delivered < COUNT[api]
    assert delivery.refused == 0
    assert isinstance(delivery.ended, ENDS)
