"""Exports of other years and shops: with fewer columns the same orders come of them."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import Platform, events, mapped


def read(name: str, file: int = 0) -> tuple[list[str], list[list[str]]]:
    with Platform(name).exports[file].open(encoding="utf-8-sig", newline="") as text:
        header, *rows = csv.reader(text)
    return header, rows


def write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    path.write_text(text.getvalue(), "utf-8", newline="")
    return path


def without(name: str, columns: set[str], path: Path) -> Path:
    header, rows = read(name)
    assert columns <= set(header)
    kept = [at for at, column in enumerate(header) if column not in columns]
    return write(path, [header[at] for at in kept], [[row[at] for at in kept] for row in rows])


def planned(name: str, path: Path, state: Path) -> dict[str, Any]:
    platform = Platform(name)
    return mapped(platform.schema, [path], state, **{"profiles": "newest", **platform.options})


def orders(found: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """What each Placed Order says of when, who and how much."""
    return {
        event["properties"]["$event_id"]: (
            event["time"],
            event["customer_properties"].get("$email"),
            event["properties"]["$value"],
        )
        for event in events(found, "Placed Order")
    }


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("magento2_orders", {"Total Refunded", "Customer Group", "Purchase Point"}),
        ("bigcommerce_orders", {"Refund Amount", "Channel Name", "Shipping Phone"}),
        ("squarespace_orders", {"Amount Refunded", "Discount Code", "Lineitem variant"}),
        ("wix_orders", {"Refunded amount", "Quantity refunded", "Coupon code"}),
    ],
)
def test_a_column_that_is_missing_takes_only_what_it_fills(
    name: str, columns: set[str], tmp_path: Path
):
    path = without(name, columns, tmp_path / "export.csv")
    found, expected = planned(name, path, tmp_path / "state"), Platform(name).expected
    assert orders(found) == orders(expected)
    assert found["rejects"] == expected["rejects"]
    assert not events(found, "Refunded Order")
    assert events(expected, "Refunded Order")


def test_wix_may_call_the_second_address_by_its_own_name(tmp_path: Path):
    """In some exports Billing country ends the doubled names; the state and city still double."""
    header, rows = read("wix_orders")
    second = [at for at, name in enumerate(header) if name == "Delivery country"][1]
    header[second] = "Billing country"
    path = write(tmp_path / "export.csv", header, rows)
    found = planned("wix_orders", path, tmp_path / "state")
    assert orders(found) == orders(Platform("wix_orders").expected)
    first, *_ = events(found, "Placed Order")
    assert first["properties"]["BillingAddress"]["City"] == "Hamburg"
    assert first["properties"]["ShippingAddress"]["CountryCode"] == "DE"


def test_square_counts_the_lines_of_a_sale_whatever_stands_above_it(tmp_path: Path):
    """A later export begins with refunds that this one does not have yet."""
    header, rows = read("square_items", 1)
    kind = header.index("Event Type")
    sales = [row for row in rows if row[kind] == "Payment"]
    path = write(tmp_path / "export.csv", header, sales)
    before = events(planned("square_items", path, tmp_path / "state"), "Ordered Product")
    after = events(Platform("square_items").expected, "Ordered Product")
    later = [event for event in after if event["time"] >= "2026"]
    assert [event["properties"] for event in before] == [event["properties"] for event in later]


def test_a_warehouse_table_without_line_items_makes_no_ordered_product(tmp_path: Path):
    header = ["order_id", "ordered_at", "order_total", "customer_email"]
    rows = [
        ["1", "2024-03-01 10:00:00Z", "12.5", "ann@post.example"],
        ["2", "2024-03-02 10:00:00Z", "3.00", "bo@post.example"],
    ]
    path = write(tmp_path / "export.csv", header, rows)
    found = planned("orders", path, tmp_path / "state")
    assert [(event["event"], event["properties"]) for event in events(found)] == [
        ("Placed Order", {"OrderId": "1", "$event_id": "1", "$value": 12.5}),
        ("Placed Order", {"OrderId": "2", "$event_id": "2", "$value": 3}),
    ]
