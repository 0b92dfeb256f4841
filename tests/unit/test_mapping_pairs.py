"""Cells of key:value pairs as plugins of WooCommerce write them."""

import pandas as pd

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


def lines(cell, member="sku"):
    schema = bf.load_schema(PAIRS.replace("MEMBER", member))
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
