"""A schema meets an export's header."""

import pytest

from backfill.errors import SchemaError
from backfill.schema.bind import bind
from backfill.schema.load import load_schema

SCHEMA = """\
name: shop
source: {order: Number, line: [Item]}
columns:
  Total: money
  Note: text
customer_properties:
  $email: Email
  $city: {column: City, optional: true}
events:
  - event: Placed Order
    time: Created at
    where: '"State" = ''paid'''
    properties:
      $event_id: "{Number}-{Part}"
      $value: Total
      Items:
        each:
          Name: Item
"""
HEADER = ["Number", "Item", "Total", "Note", "Email", "City", "Created at", "State", "Part"]


def problems(header):
    with pytest.raises(SchemaError) as caught:
        bind(load_schema(SCHEMA), header)
    return [str(problem).removeprefix("schema:") for problem in caught.value.problems]


def test_columns_are_found_by_name_wherever_they_stand():
    header = ["Unused", *reversed(HEADER), "Unused"]
    bound = bind(load_schema(SCHEMA), header)
    assert bound.columns == {name: header.index(name) for name in HEADER if name != "Note"}
    assert bound.notes == ('column "Note" has a type and no use',)


def test_a_column_that_is_optional_may_miss():
    bound = bind(load_schema(SCHEMA), [name for name in HEADER if name != "City"])
    assert "City" not in bound.columns
    assert 'optional column "City" is not in the export' in bound.notes


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param(
            "Number",
            "Numbr",
            '2: column "Number" is not in the export; did you mean "Numbr"?',
            id="of the order",
        ),
        pytest.param(
            "Email",
            "E-Mail",
            '7: column "Email" is not in the export; did you mean "E-Mail"?',
            id="of the person",
        ),
        pytest.param(
            "Created at",
            "created at",
            '11: column "Created at" is not in the export; did you mean "created at"?',
            id="of the time, in other case",
        ),
        pytest.param("State", "X", '12: column "State" is not in the export', id="of a condition"),
        pytest.param("Part", "X", '14: column "Part" is not in the export', id="of a template"),
        pytest.param(
            "Item",
            "X",
            '18: column "Item" is not in the export; did you mean "City"?',
            id="of a list",
        ),
        pytest.param(
            "Note",
            "Notes",
            '5: column "Note" is not in the export; did you mean "Notes"?',
            id="of a type alone",
        ),
    ],
)
def test_a_missing_column_is_told_where_it_is_used(old, new, problem):
    found = problems([new if name == old else name for name in HEADER])
    assert any(one.startswith(problem.partition(";")[0]) for one in found)
    if new != "X":
        assert problem in found


def test_a_used_column_that_stands_twice_is_a_problem_and_an_unused_one_is_not():
    assert problems([*HEADER, "Total"]) == [
        '15: "Total" appears 2 times in the export: write "Total (1)" or "Total (2)"'
    ]
    assert bind(load_schema(SCHEMA), [*HEADER, "Extra", "Extra"]).columns["Total"] == 2


def test_all_missing_columns_come_at_once_each_once_in_the_order_of_lines():
    found = problems(["Item", "Total", "Note"])
    lines = [int(one.partition(":")[0]) for one in found]
    assert lines == [2, 7, 11, 12, 14]
