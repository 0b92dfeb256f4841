"""A preview shows the orders that a plan has: which rows are one order is one rule for both."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from backfill.mapping.program import Bounds
from backfill.planning.judgement import Known
from backfill.planning.make_plan import make_plan
from backfill.planning.preview import preview_orders
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame
from backfill.wire.track import Track

BOUNDS = Bounds(1_000_000_000, int(datetime(2030, 1, 1, tzinfo=UTC).timestamp()))
SCHEMA = {
    "name": "shop",
    "source": {"order": ["Shop", "No"], "line": ["Item"], "null_values": ["-", "NULL"]},
    "profiles": "none",
    "customer_properties": {"$email": {"value": "ada@shop.example"}},
    "events": [
        {
            "event": "Placed Order",
            "time": {"value": "2020-01-01T00:00:00Z"},
            "properties": {"$event_id": "{No}", "Items": {"each": "Item"}},
        }
    ],
}


def both(tmp_path, rows, limit):
    """The rows of each order, as the plan has them and as the preview shows them."""
    shop, number = zip(*rows, strict=True)
    items = [str(at) for at in range(len(rows))]
    table = pa.table({"Shop": list(shop), "No": list(number), "Item": items})
    bound = bind(load_schema(json.dumps(SCHEMA) + "\n"), table.column_names)
    plan = make_plan(
        bound,
        Export([Frame(table)]),
        tmp_path / "plan",
        profiles="none",
        bounds=BOUNDS,
        limits=Track(),
        known=Known(),
    )
    planned = [
        json.loads(event)["Items"]
        for batch in plan.pending()
        for event in batch["properties"].to_pylist()
    ]
    shown = preview_orders(
        bound, Export([Frame(table)]), profiles="none", bounds=BOUNDS, limit=limit
    )
    previewed = [
        json.loads(payload)["properties"]["Items"] for order in shown for payload in order.payloads
    ]
    rejected = sum(order.reason is not None and order.reason != "" for order in shown)
    return sorted(planned), sorted(previewed), rejected


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([("a", '="0012"'), ("a", "0012")], id="a spreadsheet's formula"),
        pytest.param([("a", "'0012"), ("a", "0012")], id="a spreadsheet's apostrophe"),
        pytest.param([("a", " 12 "), ("a", "12")], id="blanks"),
        pytest.param([("-", "12"), ("", "12"), ("NULL", "12")], id="words for nothing"),
        pytest.param([("a\x1fb", "c"), ("a", "b\x1fc")], id="our separator in two cells"),
        pytest.param([("1:a", "b"), ("1", "a:b"), ("1:a", "b")], id="colons in cells"),
    ],
)
def test_the_rows_of_an_order_are_the_same_in_both(tmp_path, rows):
    planned, previewed, _ = both(tmp_path, rows, limit=10)
    assert planned == previewed
    first = both(tmp_path / "first", rows, limit=1)[1]
    assert first == [next(items for items in planned if "0" in items)]


def test_rows_without_an_order_are_orders_of_their_own(tmp_path):
    rows = [("-", ""), ("", "NULL"), ("a", "1"), ("", "")]
    planned, previewed, rejected = both(tmp_path, rows, limit=10)
    assert (planned, previewed, rejected) == ([["2"]], [["2"]], 3)
    assert both(tmp_path / "first", rows, limit=2)[2] == 2
