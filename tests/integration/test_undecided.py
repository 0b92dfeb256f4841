"""Orders that an empty cell leaves out: told apart from the others, and listed to be filled in."""

import csv

from tests.conftest import Tool

SHOP = """
name: shop
customer_properties: {$email: Email}
events:
  - event: Placed Order
    where: Status <> 'cancelled'
    time: At
    properties: {$event_id: "{Order}"}
"""
EXPORT = """Order,Email,Status,At
1,ada@shop.example,paid,2024-03-01T10:00:00Z
2,bo@shop.example,cancelled,2024-03-01T11:00:00Z
3,cy@shop.example,,2024-03-01T12:00:00Z
,,,
"""


def test_a_plan_lists_what_an_empty_cell_leaves_out(tool: Tool):
    (tool.folder / "shop.yaml").write_text(SHOP)
    (tool.folder / "orders.csv").write_text(EXPORT)
    said = tool("plan", "shop.yaml", "orders.csv", "--json")
    assert said.code == 0
    assert "4 rows, 3 left out (1 blank, 1 undecided)" in said.err
    assert (
        'note: 1 order left out as undecided: "Status" is empty, so where of "Placed Order" is '
        "neither true nor false (undecided.csv has the rows; coalesce in where decides)" in said.err
    )
    assert said.summary["undecided"] == {"Placed Order": {"Status": 1}}
    [path] = (tool.folder / ".backfill").rglob("undecided.csv")
    assert f"undecided: {path.relative_to(tool.folder)}" in said.err
    with path.open(encoding="utf-8", newline="") as file:
        [_, row] = csv.reader(file)
    assert row[:4] == ["undecided", "Status", "orders.csv", "4"]
    filled = path.read_text().replace("cy@shop.example,,", "cy@shop.example,paid,")
    (tool.folder / "filled.csv").write_text(filled)
    again = tool("plan", "shop.yaml", "filled.csv", "--json")
    assert (again.summary["events"], again.summary["rows_left_out"]) == (1, 0)
