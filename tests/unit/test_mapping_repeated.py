"""An order that stands twice in one file, as where exports were put together."""

import pytest

from tests.mapped import mapped, rejects, schema_of

COLUMNS = ("Order", "Total", "Paid at", "Mail", "Item")
SHOP = schema_of(
    {"$value": "Total", "Paid": "Paid at", "Mail": "Mail", "Items": {"each": "Item"}},
    columns={"Total": "money"},
    source={"order": "Order", "line": ["Item"]},
)


def found(*rows):
    cells = [[None if cell == "-" else cell for cell in row.split()] for row in rows]
    columns = [list(column) for column in zip(*cells, strict=True)]
    return mapped(SHOP, dict(zip(COLUMNS, columns, strict=True)))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(
            ("1 9 may a@x tea", "1 - - - cup", "2 5 may b@x pot", "1 9 may a@x tea", "1 - - - cup"),
            id="all of it once more",
        ),
        pytest.param(
            ("1 9 - a@x tea", "2 5 may b@x pot", "1 9 may a@x tea"), id="it was paid in between"
        ),
        pytest.param(
            ("1 9 may a@x tea", "2 5 may b@x pot", "1 8 may a@x tea"), id="its total has changed"
        ),
        pytest.param(
            ("1 9 may a@x tea", "1 - - - cup", "2 5 may b@x pot", "1 - - - cup"),
            id="the second export begins in the middle of it",
        ),
    ],
)
def test_an_order_that_stands_twice_in_a_file_is_a_reject(rows):
    got = found(*rows)
    assert set(rejects(got).values()) == {"repeated_in_file "}
    assert [event["event_id"] for event in got.events.to_pylist()] == ["2"]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(
            ("1 9 may a@x tea", "1 - - - tea", "2 5 may b@x pot"), id="equal lines side by side"
        ),
        pytest.param(
            ("1 9 may a@x cup", "2 5 may b@x pot", "1 - - - tea"), id="sorted by its lines"
        ),
        pytest.param(
            ("1 - - a@x tea", "2 5 may b@x pot", "1 9 may a@x tea"),
            id="sorted by the total, which the first line alone has",
        ),
    ],
)
def test_lines_that_stand_apart_are_one_order(rows):
    assert rejects(found(*rows)) == {}


def test_where_a_row_is_an_order_a_second_one_with_its_lines_is_a_reject():
    shop = schema_of(
        {"Items": {"each": "Items[]"}, "Status": "Status"},
        columns={"Items": {"list": ";"}},
        source={"order": "Order"},
    )
    rows = {"Order": ["1", "1", "2"], "Items": ["a;b", "a;b", "a;b"], "Status": ["new", "paid", ""]}
    assert set(rejects(mapped(shop, rows)).values()) == {"repeated_in_file "}
    rows["Items"][1] = "c"
    assert rejects(mapped(shop, rows)) == {}
