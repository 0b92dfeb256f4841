"""Rows that are equal in every column: two of one product, or a join that doubled an export."""

import pytest

from backfill.sandbox import Sandbox
from tests.conftest import Said, Tool

pytestmark = pytest.mark.slow

SHOP = """
name: shop
source: {order: Order, line: [SKU, Price]}
columns: {Price: money}
customer_properties: {$email: Email}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{Order}", $value: {sum: Price}}
  - event: Ordered Product
    per: line
    time: At
    properties: {$event_id: "{Order}-{line}", $value: Price, SKU: SKU}
"""
HEADER = "Order,Email,At,SKU,Price,Note\n"


def lines(order: int, *skus: str) -> list[str]:
    """The rows of an order; what follows a colon tells a product's rows apart."""
    return [
        f"{order},p{order}@shop.example,2024-03-01T10:00:00Z,{sku.partition(':')[0]},10.00,"
        f"{sku.partition(':')[2]}\n"
        for sku in skus
    ]


def rows_of(orders: int, *skus: str) -> list[str]:
    return [row for order in range(1, orders + 1) for row in lines(order, *skus)]


def planned(tool: Tool, rows: list[str], shop: str = SHOP) -> Said:
    (tool.folder / "shop.yaml").write_text(shop)
    (tool.folder / "orders.csv").write_text(HEADER + "".join(rows))
    return tool("plan", "shop.yaml", "orders.csv", "--json")


ONCE = rows_of(10, "tea", "cup")


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([row for row in ONCE for _ in range(2)], id="copies side by side"),
        pytest.param(rows_of(10, "tea", "cup", "tea", "cup"), id="a join within the order"),
        pytest.param(sorted(ONCE * 3), id="three of each"),
        pytest.param([*ONCE, *rows_of(3, "tea")], id="copies of some rows"),
    ],
)
def test_doubled_rows_are_told_with_their_share(tool: Tool, rows: list[str]):
    said = planned(tool, sorted(rows))
    orders = said.summary["equal_rows"]
    assert orders in (3, 10)
    assert f"note: {orders} orders of 10 with rows that are equal in every column" in said.err


def test_doubled_rows_stop_a_run_that_nobody_confirms(tool: Tool, sandbox: Sandbox):
    planned(tool, sorted(ONCE * 2))
    command = ("run", "shop.yaml", "orders.csv", "--url", sandbox.url)
    said = tool(*command)
    assert said.code == 4
    assert (
        "10 of 10 orders (100%) have rows that are equal in every column, and each would count as "
        "a line, as after a join that doubled the rows; export them without copies, or pass "
        "--equal-rows if each row is a line of its own; nothing was sent" in said.err
    )
    assert sandbox.stats()["received"] == 0
    assert tool(*command, "--equal-rows").code == 0
    assert sandbox.stats()["recorded"] == 50


def test_doubled_rows_whose_ids_clash_are_told_so_too(tool: Tool, sandbox: Sandbox):
    planned(tool, sorted(ONCE * 2), SHOP.replace("{line}", "{SKU}"))
    said = tool("run", "shop.yaml", "orders.csv", "--url", sandbox.url)
    assert said.code == 4
    assert "10 of 10 orders (100%) have rows that are equal in every column" in said.err


@pytest.mark.parametrize(
    ("rows", "shop"),
    [
        pytest.param([*ONCE, *lines(11, "tea", "tea")], SHOP, id="an order with two of one kind"),
        pytest.param(lines(1, "tea", "tea"), SHOP, id="the only order"),
        pytest.param(rows_of(10, "tea:a", "tea:b"), SHOP, id="an unused column tells them apart"),
        pytest.param(
            sorted(ONCE * 2),
            SHOP[: SHOP.index("  - event: Ordered")].replace("{sum: Price}", "{value: 20}"),
            id="no event counts rows",
        ),
    ],
)
def test_ordinary_rows_are_ordinary(tool: Tool, sandbox: Sandbox, rows: list[str], shop: str):
    said = planned(tool, rows, shop)
    assert said.summary["equal_rows"] == 0
    assert "equal in every column" not in said.err
    assert tool("run", "shop.yaml", "orders.csv", "--url", sandbox.url).code == 0


def test_an_export_that_is_named_twice_has_no_doubled_rows(tool: Tool):
    planned(tool, ONCE)
    (tool.folder / "again.csv").write_text((tool.folder / "orders.csv").read_text())
    said = tool("plan", "shop.yaml", "orders.csv", "again.csv", "--json")
    assert (said.summary["equal_rows"], said.summary["events"]) == (0, 30)
