"""A format with day and month the wrong way round reads half of an export, and that half wrong."""

import pytest

from backfill.sandbox import Sandbox
from tests.conftest import Tool
from tests.mapped import landed, mapped, rejects, schema_of

pytestmark = pytest.mark.slow

SCHEMA = """\
name: shop
source: {order: No, timezone: Europe/Madrid}
customer_properties: {$email: Mail}
events:
  - event: Placed Order
    time: {column: At, as: {time: "%d/%m/%Y"}}
    properties: {$event_id: "{No}"}
"""


def days(form: str, *cells: str):
    schema = schema_of({}, time={"column": "At", "as": {"time": form}}, source={"timezone": "UTC"})
    return mapped(schema, {"Order": [str(at) for at in range(len(cells))], "At": list(cells)})


@pytest.mark.parametrize(
    ("form", "cell", "reason"),
    [
        ("%d/%m/%Y", "12/25/2023", "day_for_month"),
        ("%m/%d/%Y", "25/12/2023", "day_for_month"),
        ("%-m-%-d-%y", "25-1-23", "day_for_month"),
        ("%d/%m/%Y", "32/13/2023", "not_a_time"),
        ("%d/%m/%Y", "2023-12-25", "not_a_time"),
        ("%Y-%m-%d", "2023-25-12", "not_a_time"),
        ("%b %d, %Y", "25 Dec, 2023", "not_a_time"),
    ],
)
def test_a_time_that_fits_only_the_other_way_round_is_told_so(form: str, cell: str, reason: str):
    found = days(form, cell)
    assert landed(found) == {}
    assert rejects(found) == {1: f"{reason} At"}


def test_one_such_time_keeps_all_others_from_being_sent(tool: Tool):
    rows = "".join(f"{at},p{at}@shop.example,{at:02}/05/2023\n" for at in range(1, 13))
    (tool.folder / "s.yaml").write_text(SCHEMA)
    (tool.folder / "e.csv").write_text(f"No,Mail,At\n{rows}13,q@shop.example,05/13/2023\n")
    with Sandbox() as sandbox:
        said = tool("run", "s.yaml", "e.csv", "--url", sandbox.url)
        assert said.code == 4
        assert "1 orders have a time that fits only with day and month the other way" in said.err
        assert sandbox.stats()["received"] == 0
        assert tool("plan", "s.yaml", "e.csv", "--url", sandbox.url).code == 1
        said = tool("run", "s.yaml", "e.csv", "--url", sandbox.url, "--max-rejects", "1")
        assert said.code == 0, said.err
        assert sandbox.stats()["recorded"] == 12
