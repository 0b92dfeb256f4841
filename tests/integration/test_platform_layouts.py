"""Exports of other years and shops: with fewer columns the same orders come of them."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from tests.platforms import Platform, events, mapped

pytestmark = pytest.mark.slow


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


def edited(name: str, edits: dict[str, dict[str, str]], key: str, path: Path) -> Path:
    """The sample with other cells: by the order's cell in column ``key``, then by column."""
    header, rows = read(name)
    for row in rows:
        for column, cell in edits.get(row[header.index(key)], {}).items():
            row[header.index(column)] = cell
    return write(path, header, rows)


@pytest.mark.parametrize(
    ("name", "key", "order", "quantity"),
    [
        ("shopify_orders", "Name", "#1001", "Lineitem quantity"),
        ("squarespace_orders", "Order ID", "4", "Lineitem quantity"),
        ("wix_orders", "Order number", "10002", "Qty"),
    ],
)
def test_a_line_of_no_pieces_was_not_bought(
    name: str, key: str, order: str, quantity: str, tmp_path: Path
):
    path = edited(name, {order: {quantity: "0"}}, key, tmp_path / "export.csv")
    found, expected = planned(name, path, tmp_path / "state"), Platform(name).expected
    assert orders(found) == orders(expected)
    bought = {event["properties"]["$event_id"] for event in events(found, "Ordered Product")}
    before = {event["properties"]["$event_id"] for event in events(expected, "Ordered Product")}
    assert bought < before
    emptied = [
        event["properties"]["$event_id"].split("-")[0]
        for event in events(found, "Placed Order")
        if all(item["Quantity"] == 0 for item in event["properties"]["Items"])
    ]
    assert {id_.split("-")[0] for id_ in before - bought} == set(emptied)


def test_a_stripe_authorization_that_was_let_go_is_no_refund(tmp_path: Path):
    name = "stripe_payments"
    [refund, *_] = events(Platform(name).expected, "Refunded Order")
    payment = refund["properties"]["OrderId"]
    path = edited(name, {payment: {"Captured": "false"}}, "id", tmp_path / "export.csv")
    found = planned(name, path, tmp_path / "state")
    assert not [event for event in events(found) if event["properties"]["OrderId"] == payment]


@pytest.mark.parametrize(
    ("name", "key", "status"),
    [("magento2_orders", "ID", "Status"), ("bigcommerce_orders", "Order ID", "Order Status")],
)
def test_an_order_without_a_status_was_placed(name: str, key: str, status: str, tmp_path: Path):
    expected = orders(Platform(name).expected)
    placed = next(iter(expected))
    path = edited(name, {placed: {status: ""}}, key, tmp_path / "export.csv")
    assert orders(planned(name, path, tmp_path / "state")) == expected


@pytest.mark.parametrize("missing", ["woocommerce_webtoffee", "woocommerce_flat"])
def test_woocommerce_s_status_refunded_means_the_whole_order(missing: str, tmp_path: Path):
    [order, *_] = orders(Platform(missing).expected)
    header, rows = read(missing)
    gone = {"refund_items", "refunds", "refunded_total"}
    kept = [at for at, column in enumerate(header) if column not in gone]
    for row in rows:
        if row[header.index("order_id")] == order:
            row[header.index("status")] = "refunded"
    path = write(
        tmp_path / "export.csv",
        [header[at] for at in kept],
        [[row[at] for at in kept] for row in rows],
    )
    found = planned(missing, path, tmp_path / "state")
    [refund] = [
        event
        for event in events(found, "Refunded Order")
        if event["properties"]["$event_id"].startswith(f"{order}-")
    ]
    assert (refund["time"], refund["properties"]["$value"]) == orders(found)[order][::2]


def test_woocommerce_sells_by_weight_too(tmp_path: Path):
    header, rows = read("woocommerce_flat")
    cell = header.index("line_items")
    rows[0][cell] = rows[0][cell].replace("|quantity:1|", "|quantity:1.5|")
    path = write(tmp_path / "export.csv", header, rows)
    found = planned("woocommerce_flat", path, tmp_path / "state")
    assert 1.5 in [
        event["properties"].get("Quantity") for event in events(found, "Ordered Product")
    ]


def test_tiendanube_s_cancelled_order_needs_no_time_of_its_cancellation(tmp_path: Path):
    name = "tiendanube_ventas"
    with Platform(name).exports[0].open(encoding="iso-8859-1", newline="") as text:
        header, *rows = csv.reader(text, delimiter=";")
    at = {column: header.index(column) for column in ("Número de orden", "Estado de la orden")}
    order = next(iter(orders(Platform(name).expected)))
    for row in rows:
        if row[at["Número de orden"]] == order and row[at["Estado de la orden"]]:
            row[at["Estado de la orden"]] = "Cancelada"
    path = write(tmp_path / "export.csv", header, rows)
    found = planned(name, path, tmp_path / "state")
    [cancelled] = [
        event
        for event in events(found, "Cancelled Order")
        if event["properties"]["$event_id"] == order
    ]
    assert (cancelled["time"], cancelled["properties"]["$value"]) == orders(found)[order][::2]


def test_wix_may_write_a_narrow_blank_before_am_and_pm(tmp_path: Path):
    header, rows = read("wix_orders")
    at = header.index("Time")
    for row in rows:
        row[at] = row[at].replace(" ", "\N{NARROW NO-BREAK SPACE}")
    path = write(tmp_path / "export.csv", header, rows)
    found = planned("wix_orders", path, tmp_path / "state")
    assert orders(found) == orders(Platform("wix_orders").expected)


def test_what_is_left_of_an_item_is_not_what_was_ordered(tmp_path: Path):
    """Without Quantity, the orders with a refund make no Ordered Product."""
    name = "woocommerce_advanced_export"
    path = without(name, {"Quantity", "Currency"}, tmp_path / "export.csv")
    found, expected = planned(name, path, tmp_path / "state"), Platform(name).expected
    assert orders(found) == orders(expected)
    refunded = {event["properties"]["OrderId"] for event in events(expected, "Refunded Order")}
    bought = {event["properties"]["OrderId"] for event in events(found, "Ordered Product")}
    assert bought == set(orders(expected)) - refunded


def test_an_order_that_was_cancelled_before_anyone_paid_was_not_placed(tmp_path: Path):
    name = "woocommerce_advanced_export"
    path = without(name, {"Paid Date"}, tmp_path / "export.csv")
    found = planned(name, path, tmp_path / "state")
    assert not events(found, "Cancelled Order")
    assert orders(found).keys() == orders(Platform(name).expected).keys() - {"1009"}
