"""Orders that are left out because an empty cell leaves a ``where`` neither true nor false."""

from collections import Counter
from dataclasses import replace

import pytest

from tests import mapped as memory
from tests.mapped import BOUNDS, landed

TIME = {"value": "2020-01-01T00:00:00Z"}


def event(metric, where=None, per="order"):
    number = "-{line}" if per == "line" else ""
    found = {"event": metric, "per": per, "time": TIME}
    if where is not None:
        found["where"] = where
    return {**found, "properties": {"$event_id": f"{{No}}{number}"}}


def shop(*events, **source):
    return {
        "name": "shop",
        "source": source,
        "profiles": "none",
        "customer_properties": {"$id": "No"},
        "events": list(events),
    }


TYPES = {"Refund": "money", "Pieces": "integer"}


def mapped(schema, rows, bounds=BOUNDS):
    columns = {name: kind for name, kind in TYPES.items() if name in rows}
    return memory.mapped({**schema, "columns": columns}, rows, bounds)


PLACED = event("Placed Order", "Status <> 'cancelled'")
CANCELLED = event("Cancelled Order", "Status = 'cancelled'")


def test_an_empty_cell_is_counted_apart_from_a_false_condition_and_a_blank_row():
    rows = {"No": ["1", "2", "3", ""], "Status": ["paid", "cancelled", "", ""]}
    found = mapped(shop(PLACED), rows)
    assert list(landed(found)) == ["1"]
    counts = found.counts
    assert (counts.rows_left_out, counts.rows_blank, counts.rows_undecided) == (3, 1, 1)
    assert counts.undecided == {("Placed Order", "Status"): 1}
    assert [(row["row"], row["reason"], row["column"]) for row in found.undecided.to_pylist()] == [
        (3, "undecided", "Status")
    ]


@pytest.mark.parametrize(
    ("where", "status", "expected"),
    [
        pytest.param("Status = 'paid' or Refund > 0", "paid", {}, id="true whatever is empty"),
        pytest.param("Status = 'paid' and Refund > 0", "open", {}, id="false whatever is empty"),
        pytest.param("coalesce(Refund, 0) > 0", "paid", {}, id="the schema says what empty means"),
        pytest.param("Refund is not null", "paid", {}, id="it asks whether the cell is empty"),
        pytest.param("Refund > 0", "paid", {"Refund": 1}, id="its only cell is empty"),
        pytest.param("Refund > 0 and Status = Also", "paid", {"Refund, Also": 1}, id="two cells"),
        pytest.param("nullif(Status, 'x') = 'y'", "x", {"Status": 1}, id="no cell is empty"),
    ],
)
def test_only_an_outcome_that_is_unknown_counts(where, status, expected):
    rows = {"No": ["1"], "Status": [status], "Refund": [""], "Also": [""]}
    counts = mapped(shop(event("Seen", where)), rows).counts
    assert counts.undecided == {("Seen", names): n for names, n in expected.items()}
    assert counts.rows_undecided == sum(expected.values())


def test_an_order_is_counted_once_under_the_first_of_its_events():
    counts = mapped(shop(PLACED, CANCELLED), {"No": ["1", "2"], "Status": ["", ""]}).counts
    assert counts.undecided == {("Placed Order", "Status"): 2}
    assert (counts.rows_undecided, counts.undecided_events) == (2, {})


def test_an_accepted_order_may_lack_an_event():
    rows = {"No": ["1", "2"], "Status": ["paid", ""]}
    found = mapped(shop(event("Seen"), PLACED), rows)
    assert found.counts.orders_accepted == 2
    assert (found.counts.undecided, found.counts.rows_undecided) == ({}, 0)
    assert found.counts.undecided_events == {("Placed Order", "Status"): 1}
    assert found.undecided.num_rows == 0


def test_all_rows_of_an_order_are_listed_where_a_line_is_unknown():
    lines = event("Ordered Product", "Pieces > 0", per="line")
    rows = {"No": ["1", "2", "1", "2"], "Pieces": ["0", "1", "", ""]}
    found = mapped(shop(lines, order="No", line=["Pieces"]), rows)
    assert list(landed(found)) == ["2-1"]
    assert found.counts.undecided == {("Ordered Product", "Pieces"): 1}
    assert found.counts.undecided_events == {("Ordered Product", "Pieces"): 1}
    assert [row["row"] for row in found.undecided.to_pylist()] == [1, 3]


def test_a_column_that_the_export_may_lack_leaves_nothing_undecided():
    where = event("Seen", "Other = 'x'")
    found = mapped(shop(where, optional=["Other"]), {"No": ["1"]})
    assert (found.counts.rows_left_out, found.counts.rows_undecided) == (1, 0)


def test_a_reject_and_an_event_after_until_are_not_undecided():
    assert mapped(shop(PLACED), {"No": ["1"], "Status": [""]}).counts.rows_undecided == 1
    late = replace(BOUNDS, until_s=1_500_000_000)
    found = mapped(shop(PLACED), {"No": ["1"], "Status": [""]}, late)
    assert (found.counts.rows_left_out, found.counts.rows_undecided) == (1, 0)
    wrong = event("Seen", "Refund > 0 and Status = 'paid'")
    found = mapped(shop(wrong), {"No": ["1"], "Refund": ["x"], "Status": [""]})
    assert (found.counts.orders_rejected, found.counts.undecided) == (1, Counter())
