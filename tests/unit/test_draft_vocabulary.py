"""What a header says its column is, in the languages that exports come in."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from backfill.draft import vocabulary
from backfill.draft.vocabulary import NAMES, ROLES, Topic, normal, rank

LISTS = tomllib.loads(Path(vocabulary.__file__).with_suffix(".toml").read_text("utf-8"))


def sure(header):
    """The roles that a header names most surely."""
    ranks = {role: found for role in NAMES if (found := rank(role, header)) is not None}
    best = min(ranks.values(), default=None)
    return {role for role, found in ranks.items() if found == best}


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("SalesOrderNumber", "order"),
        ("order_id", "order"),
        ("Order #", "order"),
        ("InvoiceNo", "order"),
        ("ORDERNUMBER", "order"),
        ("Bestellnummer", "order"),
        ("Número de orden", "order"),
        ("N° de commande", "order"),
        ("o_orderkey", "order"),
        ("SalesOrderLineNumber", "line_id"),
        ("ORDERLINENUMBER", "line_id"),
        ("CustomerID", "customer"),
        ("user_id", "customer"),
        ("Kundennummer", "customer"),
        ("Vorname", "first_name"),
        ("Teléfono", "phone"),
        ("Order Date", "ordered"),
        ("Created (UTC)", "ordered"),
        ("Fecha", "ordered"),
        ("Bestelldatum", "ordered"),
        ("OrderQty", "quantity"),
        ("Cantidad del producto", "quantity"),
        ("Menge", "quantity"),
        ("UnitPrice", "price"),
        ("Einzelpreis", "price"),
        ("LineItemTotal", "row_total"),
        ("StockCode", "sku"),
        ("Lineitem sku", "sku"),
        ("Nombre del producto", "product"),
        ("Grand Total", "total"),
        ("Gesamtbetrag", "total"),
        ("Currency", "currency"),
        ("Währung", "currency"),
        ("Time Zone", "zone"),
        ("First Name (Billing)", "first_name"),
        ("Postcode (Billing)", "zip"),
        ("Ship Zipcode", "zip"),
        ("Order Refund Amount", "refund"),
        ("Item Cost", "price"),
        ("price.amount", "price"),
    ],
)
def test_a_header_names_its_role(header, role):
    assert role in sure(header)


@pytest.mark.parametrize(
    ("header", "role"),
    [
        ("Order line", "order"),
        ("Updated at", "ordered"),
        ("Date of birth", "ordered"),
        ("Customer group", "customer"),
        ("Total tax", "total"),
        ("Outstanding total", "total"),
        ("Lineitem compare at price", "price"),
        ("Refunded quantity", "quantity"),
        ("Product id", "product"),
        ("File name", "name"),
    ],
)
def test_a_header_does_not_name_what_it_only_sounds_like(header, role):
    assert rank(role, header) is None


def test_an_orders_total_is_surer_than_its_amount():
    assert rank("total", "Order Total") < rank("total", "Order Value")


def test_headers_of_one_meaning_have_one_form():
    forms = {normal(header) for header in ("SalesOrderID", "sales_order_id", "Sales Order ID:")}
    assert forms == {"sales order id"}


def test_each_list_of_the_file_is_used():
    assert set(LISTS["names"]) == set(ROLES)
    assert set(LISTS["exclusions"]) <= set(ROLES)
    assert set(LISTS["topics"]) == set(get_args(Topic))
    assert {role for names in LISTS["klaviyo"].values() for role in names.values()} <= set(ROLES)
    used = set(re.findall("<([a-z_0-9]+)>", str(LISTS)))
    assert used == set(LISTS["words"])
