"""Exports that overlap, in any order, on any day: each order once, people as the newest says."""

import csv
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest

import backfill as bf
from backfill.sandbox import Sandbox

pytestmark = pytest.mark.slow

SCHEMA = """\
name: shop
source:
  order: Order
  line: [Item, Quantity, Price]
columns: {Ordered: time, Quantity: integer, Price: money, Refunded: money}
profiles: newest
customer_properties:
  $email: Email
  $phone_number: {column: Phone, as: {phone: {region: DE}}}
  $first_name: {column: Name, take: first_name}
  $city: City
events:
  - event: Placed Order
    time: Ordered
    properties:
      $event_id: "{Order}"
      $value: {sum: "Quantity * Price"}
      Items: {each: {Name: Item, Quantity: Quantity}}
  - event: Ordered Product
    per: line
    time: Ordered
    properties: {$event_id: "{Order}-{line}", $value: {sql: "Quantity * Price"}, Name: Item}
  - event: Refunded Order
    where: Refunded > 0
    time: Ordered
    properties: {$event_id: "{Order}", $value: Refunded}
"""
COLUMNS = (
    *("Order", "Ordered", "Email", "Phone", "Name", "City"),
    *("Item", "Quantity", "Price", "Refunded"),
)
PEOPLE = 25


def orders(seed: int = 5) -> dict[int, list[dict[str, Any]]]:
    """A hundred orders; their times are in no order, and some people have a phone number alone."""
    draw = random.Random(seed)
    found = {}
    for number in range(100):
        who = draw.randrange(PEOPLE)
        month, day = draw.randrange(1, 13), draw.randrange(1, 28)
        order = {
            "Order": f"#{1000 + number}",
            "Ordered": f"2024-{month:02}-{day:02}T10:00:{who:02}Z",
            "Email": f"p{who}@shop.example" if who % 5 else "",
            "Phone": f"030 1234{500 + who}",
            "Name": f"Ada{number} Example",
            "City": draw.choice(["Ulm", "Bern", ""]),
            "Refunded": "",
        }
        lines = [
            {"Item": f"Tea {line}", "Quantity": draw.randrange(1, 4), "Price": f"{line}.50"}
            for line in range(draw.randrange(1, 4))
        ]
        found[number] = [order | line for line in lines]
    return found


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(found: dict[int, list[dict[str, Any]]], numbers: range) -> list[dict[str, Any]]:
    return [row for number in numbers for row in found[number]]


def landed(state: Path, *steps: list[Path], schema: str = SCHEMA, **how: Any) -> list[Any]:
    """What stands in a local Klaviyo after a run for each of ``steps``, each a list of files."""
    with Sandbox() as sandbox:
        for files in steps:
            how = {"url": sandbox.url, "key": "SHOP01", "rate": "none", "max_rejects": 0} | how
            report = bf.run(schema, files, state=state, **how)
            assert report.error is None
            assert report.summary.rejected == 0
        stats = sandbox.stats()
        assert stats["merged"] == stats["discarded"] == 0
        for one in (events := sandbox.events()):
            one["profile"].pop("id", None)
        profiles = [{k: v for k, v in one.items() if k != "id"} for one in sandbox.profiles()]
    return [
        sorted(json.dumps(one, sort_keys=True) for one in every) for every in (events, profiles)
    ]


@pytest.fixture
def halves(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The whole export, and two that overlap in forty orders."""
    found = orders()
    return (
        written(tmp_path / "whole.csv", rows_of(found, range(100))),
        written(tmp_path / "old.csv", rows_of(found, range(70))),
        written(tmp_path / "new.csv", rows_of(found, range(30, 100))),
    )


def test_either_order_and_a_day_later_leave_the_same(tmp_path: Path, halves: tuple[Path, ...]):
    whole, old, new = halves
    expected = landed(tmp_path / "0", [whole])
    assert len(expected[1]) == PEOPLE
    for at, steps in enumerate(
        ([[old, new]], [[new, old]], [[old], [new]], [[new], [old]], [[old], [old, new]]), start=1
    ):
        found = landed(tmp_path / str(at), *steps)
        assert found[0] == expected[0], steps
        # what the first day did not know cannot be unsaid; whoever is newest stands in the end
        if len(steps) == 1:
            assert found[1] == expected[1], steps


def names(profiles: list[str]) -> dict[str, str]:
    found = map(json.loads, profiles)
    return {
        one.get("email") or one["phone_number"]: one["attributes"]["$first_name"] for one in found
    }


def test_any_order_of_files_and_any_concurrency_leave_the_same_profiles(tmp_path: Path):
    found = orders(seed=9)
    parts = [
        written(tmp_path / f"{at}.csv", rows_of(found, range(at * 25, at * 25 + 25)))
        for at in range(4)
    ]
    expected = landed(tmp_path / "whole", parts, concurrency=1)
    draw = random.Random(1)
    for at, files in enumerate(draw.sample(list(itertools.permutations(parts)), 6)):
        again = landed(tmp_path / f"s{at}", list(files), concurrency=draw.choice([2, 16]))
        assert again == expected
    for at, files in enumerate(draw.sample(list(itertools.permutations(parts)), 4)):
        # a file a day: an old order that comes late changes nothing of what a newer one said
        again = landed(tmp_path / f"d{at}", *([file] for file in files))
        assert names(again[1]) == names(expected[1])


def test_an_order_that_changed_is_decided_by_across_files(tmp_path: Path):
    found = orders()
    paid = written(tmp_path / "1-paid.csv", rows_of(found, range(3)))
    for row in found[1]:
        row["Refunded"] = "1.50"
    refunded = written(tmp_path / "2-refunded.csv", rows_of(found, range(1, 3)))

    plan = bf.plan(SCHEMA, [paid, refunded], state=tmp_path / "s", key="SHOP01")
    assert dict(plan.summary.reasons) == {"differs_across_files": 1}
    assert plan.summary.orders == 3
    for which, refunds in (("first", 0), ("last", 1)):
        schema = SCHEMA.replace("  order: Order\n", f"  order: Order\n  across_files: {which}\n")
        plan = bf.plan(schema, [paid, refunded], state=tmp_path / "s", key="SHOP01")
        assert plan.summary.rejected == 0
        told = {metric.metric: metric.events for metric in plan.summary.metrics}
        assert told.get("Refunded Order", 0) == refunds
        assert told["Placed Order"] == 3
    # a day later the refund is an event of its own, and the order that changed is named
    with Sandbox() as sandbox:
        how = {"url": sandbox.url, "key": "SHOP01", "rate": "none", "state": tmp_path / "t"}
        bf.run(SCHEMA, [paid], **how)
        report = bf.run(SCHEMA, [refunded], **how)
        assert report.summary.delivered == 1
        assert sandbox.stats()["metrics"]["Refunded Order"] == 1


def test_two_shops_whose_orders_have_one_name_are_told_apart_by_the_file_s_name(tmp_path: Path):
    first, second = orders(seed=1), orders(seed=2)
    eu = written(tmp_path / "orders-eu.csv", rows_of(first, range(10)))
    us = written(tmp_path / "orders-us.csv", rows_of(second, range(10)))

    plan = bf.plan(SCHEMA, [eu, us], state=tmp_path / "s", key="SHOP01")
    assert dict(plan.summary.reasons) == {"differs_across_files": 10}
    schema = SCHEMA.replace("order: Order", "order: [shop, Order]").replace(
        "columns: {", 'columns: {shop: {file_name: "orders-(..)"}, '
    )
    schema = schema.replace('"{Order}"', '"{shop}-{Order}"').replace(
        '"{Order}-{line}"', '"{shop}-{Order}-{line}"'
    )
    found = [
        landed(tmp_path / str(at), files, schema=schema)
        for at, files in enumerate(([eu, us], [us, eu]))
    ]
    assert found[0] == found[1]
    events = [json.loads(one) for one in found[0][0]]
    placed = [one["event_id"] for one in events if one["metric"] == "Placed Order"]
    assert sorted(placed) == sorted(
        f"{shop}-#{1000 + at}" for shop in ("eu", "us") for at in range(10)
    )
