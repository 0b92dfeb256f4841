"""What samples of shops' exports are worth, added up by other means than the schemas'."""

import re
from collections.abc import Iterator
from decimal import Decimal

import pandas as pd
import pytest

from tests.platforms import Platform, events


def raw(name: str, sep: str = ",", encoding: str = "utf-8-sig") -> pd.DataFrame:
    """The export's cells as text; ``row`` counts as rejects do, the header being 1."""
    [path] = Platform(name).exports
    frame = pd.read_csv(path, sep=sep, encoding=encoding, dtype=str, keep_default_na=False)
    return frame.assign(row=range(2, len(frame) + 2))


def accepted(name: str, frame: pd.DataFrame, order: str) -> pd.DataFrame:
    """All rows of the orders that the sample's expected.json accepts."""
    first = {found["row"] for found in Platform(name).expected["orders"]}
    return frame[frame[order].isin(set(frame[order][frame["row"].isin(first)]))]


def sent(name: str, metric: str) -> dict[str, Decimal]:
    """The value of each order's events of one metric."""
    found: dict[str, Decimal] = {}
    for event in events(Platform(name).expected, metric):
        order = event["properties"]["OrderId"]
        found[order] = found.get(order, Decimal(0)) + exact(event["properties"]["$value"])
    return found


def exact(number: object) -> Decimal:
    return Decimal(str(number))


def amounts(frame: pd.DataFrame, order: str, column: str) -> dict[str, Decimal]:
    """An amount that stands once an order, where it is not nothing."""
    rows = frame[frame[column].ne("")]
    found = dict(zip(rows[order], map(Decimal, rows[column]), strict=True))
    return {name: amount for name, amount in found.items() if amount}


def lines(frame: pd.DataFrame, order: str, quantity: str, price: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for row in frame[frame[price].ne("")].to_dict("records"):
        worth = Decimal(row[quantity]) * Decimal(row[price])
        found[row[order]] = found.get(row[order], Decimal(0)) + worth
    return found


def test_shopify():
    name = "shopify_orders"
    frame = accepted(name, raw(name), "Name")
    frame = frame.assign(Id=frame["Id"].replace("", None).groupby(frame["Name"]).transform("first"))
    assert sent(name, "Placed Order") == amounts(frame, "Id", "Total")
    assert sent(name, "Refunded Order") == amounts(frame, "Id", "Refunded Amount")
    bought = lines(frame, "Id", "Lineitem quantity", "Lineitem price")
    assert sent(name, "Ordered Product") == bought
    discounts = amounts(frame, "Id", "Discount Amount")
    for order, subtotal in amounts(frame, "Id", "Subtotal").items():
        assert subtotal == bought[order] - discounts.get(order, Decimal(0))


def members(cell: str) -> dict[str, str]:
    return dict(part.split(":", 1) for part in re.split(r"(?<!\\)\|(?=\w+:)", cell))


def webtoffee_items(frame: pd.DataFrame) -> Iterator[tuple[str, Decimal]]:
    for row in frame.to_dict("records"):
        for column, cell in row.items():
            if str(column).startswith("line_item_") and cell.startswith("name:"):
                yield row["order_id"], Decimal(members(cell)["sub_total"])


def flat_items(frame: pd.DataFrame) -> Iterator[tuple[str, Decimal]]:
    for row in frame.to_dict("records"):
        for cell in filter(None, re.split(r"(?<!\\);", row["line_items"])):
            yield row["order_id"], Decimal(members(cell)["subtotal"])


@pytest.mark.parametrize(
    ("name", "items", "refunds"),
    [
        ("woocommerce_webtoffee", webtoffee_items, "refund_items"),
        ("woocommerce_flat", flat_items, "refunds"),
    ],
)
def test_woocommerce(name, items, refunds):
    frame = accepted(name, raw(name), "order_id")
    assert sent(name, "Placed Order") == amounts(frame, "order_id", "order_total")
    bought: dict[str, Decimal] = {}
    for order, worth in items(frame):
        bought[order] = bought.get(order, Decimal(0)) + worth
    assert sent(name, "Ordered Product") == bought
    refunded = {
        row["order_id"]: sum(map(Decimal, re.findall(r"amount:([0-9.]+)", row[refunds])))
        for row in frame.to_dict("records")
        if row[refunds]
    }
    assert refunded
    assert sent(name, "Refunded Order") == refunded
    cancelled = frame[frame["status"].eq("cancelled")]
    assert sent(name, "Cancelled Order") == amounts(cancelled, "order_id", "order_total")


def test_tiendanube():
    name, order = "tiendanube_ventas", "Número de orden"
    frame = accepted(name, raw(name, ";", "latin-1"), order)
    totals = amounts(frame, order, "Total")
    assert sent(name, "Placed Order") == totals
    bought = lines(frame, order, "Cantidad del producto", "Precio del producto")
    assert sent(name, "Ordered Product") == bought == amounts(frame, order, "Subtotal de productos")
    given_back = frame[frame["Estado del pago"].eq("Reembolsado")]
    assert sent(name, "Refunded Order") == amounts(given_back, order, "Total")
    discounts, shipping = (amounts(frame, order, part) for part in ("Descuento", "Costo de envío"))
    for number, total in totals.items():
        less, more = discounts.get(number, Decimal(0)), shipping.get(number, Decimal(0))
        assert total == bought[number] - less + more


@pytest.mark.parametrize(
    "name", ["shopify_orders", "woocommerce_webtoffee", "woocommerce_flat", "tiendanube_ventas"]
)
def test_an_order_s_lines_are_worth_what_its_ordered_products_are(name):
    found = Platform(name).expected
    listed = {
        event["properties"]["OrderId"]: sum(
            exact(item["RowTotal"]) for item in event["properties"].get("Items", [])
        )
        for event in events(found, "Placed Order")
    }
    ordered = sent(name, "Ordered Product")
    assert {order: worth for order, worth in listed.items() if worth} == ordered
