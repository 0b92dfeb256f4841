"""What samples of shops' exports are worth, added up by other means than the schemas'."""

import csv
import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal

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


def rows_by_order(name: str, key: str) -> dict[str, list[dict[str, str]]]:
    """The rows of all CSV files of a sample by their order, as its first cell names it."""
    sep = {"prestashop_orders": ";", "amazon_orders": "\t"}.get(name, ",")
    found: dict[str, list[dict[str, str]]] = {}
    for path in Platform(name).exports:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                if name == "ebay_orders":
                    next(file)
                for row in csv.DictReader(file, restval="", delimiter=sep):
                    found.setdefault(row[key].removeprefix("=").strip(" '\"\t"), []).append(row)
    return found


def amount(cell: str) -> Decimal:
    found = Decimal(re.sub(r"[^0-9.-]", "", cell) or "0")
    return -found if cell.startswith("(") else found


def cents(number: Decimal) -> Decimal:
    """Rounded once, half away from zero."""
    return number.quantize(Decimal("0.01"), ROUND_HALF_UP)


def cell_of(column: str):
    """The order's one amount: the first that is not empty."""
    return lambda rows: next((amount(row[column]) for row in rows if row[column].strip()), None)


def refunded_by_magento(rows):
    """What was given back stands in the customer's currency; the rest is in the shop's."""
    [row] = rows
    base, purchased = amount(row["Grand Total (Base)"]), amount(row["Grand Total (Purchased)"])
    given_back = amount(row["Total Refunded"])
    return given_back * base / purchased


def square(kind: str, sign: int):
    def total(rows):
        own = [row for row in rows if row["Event Type"] == kind]
        return sign * sum(
            (amount(row["Net Sales"]) + amount(row["Tax"]) for row in own), Decimal(0)
        )

    return total


def bought_of(quantity: str, price: str):
    """The order's rows that hold a quantity, each times its price."""
    return lambda rows: sum(
        (Decimal(row[quantity]) * amount(row[price]) for row in rows if row[quantity]), Decimal(0)
    )


def sum_of(column: str, sign: int = 1):
    """The amounts of all the order's rows."""
    return lambda rows: sign * sum((amount(row[column]) for row in rows), Decimal(0))


def refunded_by_gumroad(rows):
    [row] = rows
    whole = row["Fully Refunded?"] == "1"
    return amount(row["Sale Price ($)"] if whole else row["Partial Refund ($)"])


def worth_of_amazon(rows):
    priced = sum(
        (amount(row["item-price"]) + amount(row["shipping-price"]) for row in rows), Decimal(0)
    )
    less = ("item-promotion-discount", "ship-promotion-discount")
    return priced - sum((abs(amount(row[column])) for row in rows for column in less), Decimal(0))


def matrixify(column: str, kind: str, worth: str):
    """What the order's rows of one kind add up to, whichever sign a refund has."""
    return lambda rows: sum(
        (abs(amount(row[worth])) for row in rows if row[column] == kind), Decimal(0)
    )


SHOP = "Transaction: Shop Currency Amount"
ADVANCED = "woocommerce_advanced_export"

WORTH = [
    ("magento2_orders", "ID", "Placed Order", cell_of("Grand Total (Base)")),
    ("magento2_orders", "ID", "Refunded Order", refunded_by_magento),
    ("bigcommerce_orders", "Order ID", "Placed Order", cell_of("Order Total (inc tax)")),
    ("bigcommerce_orders", "Order ID", "Refunded Order", cell_of("Refund Amount")),
    ("squarespace_orders", "Order ID", "Placed Order", cell_of("Total")),
    ("squarespace_orders", "Order ID", "Refunded Order", cell_of("Amount Refunded")),
    ("wix_orders", "Order number", "Placed Order", cell_of("Total")),
    ("wix_orders", "Order number", "Refunded Order", cell_of("Refunded amount")),
    ("stripe_payments", "id", "Placed Order", cell_of("Amount")),
    ("stripe_payments", "id", "Refunded Order", cell_of("Amount Refunded")),
    ("square_items", "Transaction ID", "Placed Order", square("Payment", 1)),
    ("square_items", "Transaction ID", "Refunded Order", square("Refund", -1)),
    ("order_lines", "order_id", "Placed Order", bought_of("quantity", "price")),
    ("gumroad_sales", "Purchase ID", "Placed Order", cell_of("Sale Price ($)")),
    ("gumroad_sales", "Purchase ID", "Ordered Product", cell_of("Sale Price ($)")),
    ("gumroad_sales", "Purchase ID", "Refunded Order", refunded_by_gumroad),
    (ADVANCED, "Order Number", "Placed Order", cell_of("Order Total Amount")),
    (ADVANCED, "Order Number", "Ordered Product", bought_of("Quantity", "Item Cost")),
    (ADVANCED, "Order Number", "Refunded Order", cell_of("Order Refund Amount")),
    ("prestashop_orders", "id_order", "Placed Order", cell_of("total_paid_tax_incl")),
    ("prestashop_orders", "id_order", "Ordered Product", sum_of("total_price_tax_incl")),
    ("amazon_orders", "order-id", "Placed Order", worth_of_amazon),
    ("amazon_orders", "order-id", "Ordered Product", sum_of("item-price")),
    ("matrixify_orders", "ID", "Placed Order", cell_of("Price: Total")),
    (
        "matrixify_orders",
        "ID",
        "Ordered Product",
        matrixify("Line: Type", "Line Item", "Line: Total"),
    ),
    ("matrixify_orders", "ID", "Refunded Order", matrixify("Transaction: Kind", "refund", SHOP)),
    ("ebay_orders", "Order Number", "Placed Order", cell_of("Total Price")),
    ("etsy_orders", "Order ID", "Placed Order", cell_of("Order Total")),
    ("etsy_order_items", "Order ID", "Ordered Product", sum_of("Item Total")),
    ("tiktok_shop_orders", "Order ID", "Placed Order", cell_of("Order Amount")),
    ("tiktok_shop_orders", "Order ID", "Ordered Product", sum_of("SKU Subtotal After Discount")),
    ("tiktok_shop_orders", "Order ID", "Refunded Order", cell_of("Order Refund Amount")),
    ("paypal_activity", "Transaction ID", "Placed Order", cell_of("Gross")),
    ("paypal_activity", "Reference Txn ID", "Refunded Order", sum_of("Gross", -1)),
]


@pytest.mark.parametrize(
    ("name", "key", "metric", "worth"), WORTH, ids=[f"{one[0]}-{one[2]}" for one in WORTH]
)
def test_what_an_order_and_its_refund_are_worth(name, key, metric, worth):
    rows = rows_by_order(name, key)
    found = sent(name, metric)
    assert found
    assert found == {order: cents(worth(rows[order])) for order in found}


def test_squarespace_s_total_is_made_of_its_parts():
    """A sample whose amounts did not add up would prove nothing."""
    name = "squarespace_orders"
    rows = rows_by_order(name, "Order ID")
    for order in sent(name, "Placed Order"):
        subtotal, shipping, taxes, discount, total = (
            cell_of(column)(rows[order]) or Decimal(0)
            for column in ("Subtotal", "Shipping", "Taxes", "Discount Amount", "Total")
        )
        assert subtotal + shipping + taxes - discount == total, order


@pytest.mark.parametrize(
    ("metric", "column"), [("Placed Order", "amount"), ("Refunded Order", "amount_refunded")]
)
def test_charges_of_stripe_are_counts_of_minor_units(metric, column):
    units = {"usd": 100, "jpy": 1, "kwd": 1000, "isk": 100}
    [path] = Platform("stripe_charges").exports
    with path.open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    found = sent("stripe_charges", metric)
    assert set(found) == {
        name
        for name, row in rows.items()
        if row["status"] == "succeeded"
        and row["captured"] == row["livemode"] == "true"
        and row["receipt_email"]
        and row[column] != "0"
    }
    for name, value in found.items():
        assert value * units[rows[name]["currency"]] == int(rows[name][column])


def test_gumroad_s_totals_are_those_of_its_rows():
    """The sample's last row adds up what stands above it, and makes no event."""
    rows = rows_by_order("gumroad_sales", "Purchase ID")
    [totals] = rows.pop("Totals")
    sales = sum((amount(row["Sale Price ($)"]) for [row] in rows.values()), Decimal(0))
    assert amount(totals["Sale Price ($)"]) == sales
    assert "Totals" not in sent("gumroad_sales", "Placed Order")


@pytest.mark.parametrize(
    ("name", "key", "unpaid"),
    [
        ("gumroad_sales", "Purchase ID", {"p4D==", "p6F=="}),
        (ADVANCED, "Order Number", {"1006", "1007", "1008"}),
        ("prestashop_orders", "id_order", {"9", "10", "13"}),
        ("ebay_orders", "Sales Record Number", {"103"}),
        ("etsy_orders", "Order ID", {"3004"}),
        ("matrixify_orders", "ID", {"6489142231357", "6489142231358"}),
        ("tiktok_shop_orders", "Order ID", {"584697260225955024", "584697260225955025"}),
        ("paypal_activity", "Transaction ID", {"1AC", "5AB", "6AB", "7AB", "8AB", "10AB", "12AB"}),
    ],
)
def test_what_was_never_paid_makes_no_event(name, key, unpaid):
    assert unpaid <= rows_by_order(name, key).keys()
    assert not unpaid & {
        event["properties"]["OrderId"] for event in events(Platform(name).expected)
    }
