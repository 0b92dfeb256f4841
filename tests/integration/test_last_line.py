"""An export that is cut inside its last cell: a cut amount is an amount too."""

import pytest

from tests.conftest import Said, Tool

pytestmark = pytest.mark.slow

SHOP = """
name: shop
source: {order: Order, line: [SKU, Price]%s}
columns: {Price: money}
customer_properties: {$email: Email}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{Order}", $value: {sum: Price}}
"""
ROWS = [f"{at},p{at}@shop.example,2024-03-01T10:00:00Z,tea,{at}00.19\n" for at in (1, 2, 3, 4, 4)]
WHOLE = "Order,Email,At,SKU,Price\n" + "".join(ROWS)


def planned(tool: Tool, text: str, source: str = "") -> Said:
    (tool.folder / "shop.yaml").write_text(SHOP % source)
    (tool.folder / "orders.csv").write_text(text)
    return tool("plan", "shop.yaml", "orders.csv", "--json")


def test_an_order_waits_where_earlier_files_ended_their_last_line(tool: Tool):
    first = planned(tool, WHOLE[:-4])
    assert (first.code, first.summary["events"]) == (0, 4)
    assert "note: orders.csv: is it cut? Its last row, 6, has no line end" in first.err
    said = planned(tool, WHOLE, ", last_line: whole")
    assert said.summary["last_lines_end"] is True
    for text in (WHOLE[:-4], WHOLE.rstrip("\n")):
        said = planned(tool, text)
        assert said.summary["reasons"] == {"last_line_unfinished": 1}
        assert (said.code, said.summary["orders"], said.summary["events"]) == (1, 4, 3)
        assert "the order is on a file's last line, which has no line end" in said.err
    path = max((tool.folder / ".backfill").rglob("rejects.csv"))
    assert len(path.read_text().splitlines()) == 3
    # a person mends the file with an editor that writes no line end
    (tool.folder / "mended.csv").write_text(path.read_text().rstrip("\r\n"))
    said = tool("plan", "shop.yaml", "mended.csv", "--json")
    assert (said.summary["rejected"], said.summary["events"]) == (0, 1)


def test_the_schema_says_that_the_last_line_is_whole(tool: Tool):
    planned(tool, WHOLE)
    said = planned(tool, WHOLE[:-4], ", last_line: whole")
    assert (said.summary["rejected"], said.summary["last_lines_end"]) == (0, False)
    assert "is it cut?" not in said.err


def test_an_order_that_is_a_reject_already_is_counted_once(tool: Tool):
    planned(tool, WHOLE)
    said = planned(tool, WHOLE[:-7] + "x")
    assert said.summary["reasons"] == {"not_money": 1}
