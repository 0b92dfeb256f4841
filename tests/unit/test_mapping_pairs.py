"""Cells of key:value pairs as plugins of WooCommerce write them."""

import pandas as pd
import pytest

import backfill as bf

PAIRS = """
name: shop
source: {order: No}
columns:
  Cell: {pairs: {lines: ";", between: "|", sign: ":"}}
customer_properties: {$email: Mail}
events:
  - event: Ordered Product
    per: line
    time: {value: "2025-01-01T00:00:00Z"}
    properties: {$event_id: "{No}-{line}", Name: "Cell[].name", Note: "Cell[].MEMBER"}
"""


def lines(cell, member="sku", text=PAIRS):
    schema = bf.load_schema(text.replace("MEMBER", member))
    frame = pd.DataFrame([{"No": "1", "Mail": "a@tea.example", "Cell": cell}])
    found = bf.preview(schema, frame)
    told = [payload["properties"] for payload in found.events["payload"]]
    rejects = found.orders["reason"].dropna().tolist()
    return [(one.get("Name"), one.get("Note")) for one in told], rejects


def test_a_backslash_takes_a_sign_s_meaning_away():
    cell = r"name:Tea\: green\; 100 g \| tin|sku:T;name:C:\cups|sku:C"
    assert lines(cell) == ([("Tea: green; 100 g | tin", "T"), (r"C:\cups", "C")], [])


def test_a_key_that_stands_twice_matters_where_it_is_asked_for():
    cell = "name:Tea|sku:T|meta:size:L|meta:colour:red"
    assert lines(cell) == ([("Tea", "T")], [])
    assert lines(cell, member="meta") == ([], ["not_pairs"])


KEYS = PAIRS.replace('sign: ":"}', 'sign: ":", keys: [name, sku, n]}')


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        pytest.param("name:Tea | 100 g|sku:T|n:1", [("Tea | 100 g", "T")], id="the sign between"),
        pytest.param("name:Tea | Size: L|sku:T|n:1", [("Tea | Size: L", "T")], id="a key's look"),
        pytest.param(
            "name:Tea; black|sku:T|n:1;name:Cup|sku:C|n:1",
            [("Tea; black", "T"), ("Cup", "C")],
            id="the sign between lines",
        ),
        pytest.param("name:C:\\|sku:T|n:1", [("C:\\", "T")], id="a backslash"),
        pytest.param("name:Tea|sku:T|n:1|¿Size?:L|a|b", [("Tea", "T")], id="what stands behind"),
        pytest.param("sku:T|name:Tea", [("Tea", "T")], id="keys in another order"),
    ],
)
def test_keys_that_every_line_begins_with_leave_the_signs_to_their_values(cell, found):
    assert lines(cell, text=KEYS) == (found, [])


def test_a_value_behind_the_keys_that_holds_the_sign_is_unfit_where_it_is_asked_for():
    cell = "name:Tea|sku:T|n:1|note:one|two"
    assert lines(cell, member="note", text=KEYS) == ([], ["not_pairs"])
