"""Cells taken apart: members, lists, numbered columns, the second of two columns of one name."""

import json
import re

import pyarrow as pa
import pytest

from backfill.errors import SchemaError, UsageError
from backfill.mapping.compile import compile_schema
from backfill.mapping.file_names import check_file_names, with_file_names
from backfill.mapping.mapper import Mapper
from backfill.mapping.program import Bounds
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame

BOUNDS = Bounds(1_000_000_000, 1_900_000_000)
TIME = {"value": "2020-01-01T00:00:00Z"}


def schema_of(seen, line=None, columns=None, where=None, **source):
    """``seen`` are the properties of an event of the order, ``line`` of one of each line."""
    events = [{"event": "Seen", "time": TIME, "properties": {"$event_id": "{Order}", **seen}}]
    if line is not None:
        properties = {"$event_id": "{Order}-{line}", **line}
        events.append({"event": "Line", "per": "line", "time": TIME, "properties": properties})
    if where is not None:
        events[-1]["where"] = where
    return {
        "name": "pieces",
        "source": {"order": "Order", "timezone": "UTC"} | source,
        "columns": columns or {},
        "customer_properties": {"$id": {"value": "7"}},
        "events": events,
    }


def frame(header, *rows):
    """A part with one name for several columns, as a CSV may have it."""
    columns = [pa.array([row[at] for row in rows]) for at in range(len(header))]
    return Frame(pa.table(columns, names=header))


def mapped(schema, *parts, names=None):
    export = Export(parts)
    if names:
        export.files = names
    bound = bind(load_schema(json.dumps(schema) + "\n"), export.columns, export.lacking)
    check_file_names(bound, export.files)
    program = compile_schema(bound, export.typed, BOUNDS, attributes=True)
    mapper = Mapper(program, bound.schema.source.across_files)
    try:
        batches = [
            with_file_names(batch, program, export.files)
            for batch in export.batches(program.columns)
        ]
        return mapper.map(pa.concat_tables(batches))
    finally:
        mapper.close()


def told(found):
    """Each event as id and properties, in order; rejects as rows with reason and column."""
    events = sorted(
        (row["event_id"], json.loads(row["properties"] or "{}")) for row in found.events.to_pylist()
    )
    rejects = [(row["row"], row["reason"], row["column"]) for row in found.rejects.to_pylist()]
    return events, sorted(rejects)


ITEMS = json.dumps(
    [
        {"sku": "A-1", "qty": 2, "price": {"amount": 10.10, "of": ["x"]}},
        {"sku": "B-2", "qty": 12345678901234567890, "price": {"amount": "3,50"}, "gift": True},
        None,
    ]
)


def test_each_element_of_a_list_is_a_line_with_its_members_as_they_stand():
    line = {
        "Sku": "items[].sku",
        "Qty": "items[].qty",
        "Amount": "items[].price.amount",
        "Of": "items[].price.of",
        "Gift": {"column": "items[].gift", "as": "boolean"},
    }
    schema = schema_of({"Skus": {"each": "items[].sku"}}, line)
    events, rejects = told(mapped(schema, frame(["Order", "items"], ["1", ITEMS])))
    assert rejects == []
    assert events == [
        ("1", {"Skus": ["A-1", "B-2"]}),
        ("1-1", {"Sku": "A-1", "Qty": "2", "Amount": "10.1", "Of": '["x"]'}),
        ("1-2", {"Sku": "B-2", "Qty": "12345678901234567890", "Amount": "3,50", "Gift": True}),
    ]


def test_a_list_of_structs_in_parquet_is_lines_too():
    items = [[{"sku": "A", "total": 1.5}, {"sku": "B", "total": 2.25}], None, []]
    table = pa.table({"Order": ["1", "2", "3"], "items": items})
    seen = {"$value": {"sum": '"items[].total" * 1'}, "Skus": {"each": {"S": "items[].sku"}}}
    schema = schema_of(seen, {"S": "items[].sku"}, {"items[].total": "money"})
    found = mapped(schema, Frame(table))
    events, rejects = told(found)
    assert rejects == []
    assert events == [
        ("1", {"Skus": [{"S": "A"}, {"S": "B"}]}),
        ("1-1", {"S": "A"}),
        ("1-2", {"S": "B"}),
        ("2", {}),
        ("3", {}),
    ]
    values = {row["event_id"]: row["value"] for row in found.events.to_pylist()}
    assert str(values["1"]) == "3.750000"
    assert values["2"] is None


def test_numbered_columns_go_together_by_number_and_empty_ones_are_no_lines():
    header = ["Order", "Item 1 Name", "Item 1 Qty", "Item 3 Qty", "Item 3 Name", "Item 2 Name"]
    seen = {"Names": {"each": "Item <n> Name"}, "Sum": {"sum": '"Item <n> Qty" * 2'}}
    line = {"N": "Item <n> Name", "Q": "Item <n> Qty"}
    schema = schema_of(seen, line, {"Item <n> Qty": {"money": {}}})
    rows = [["1", "Tea", "2", "4", "Mug", ""], ["2", "", "", "", "", ""]]
    events, rejects = told(mapped(schema, frame(header, *rows)))
    assert rejects == []
    assert events == [
        ("1", {"Names": ["Tea", "Mug"], "Sum": 12}),
        ("1-1", {"N": "Tea", "Q": 2}),
        ("1-2", {"N": "Mug", "Q": 4}),
        ("2", {}),
    ]


def test_numbered_cells_of_pairs_as_webtoffee_writes_them():
    header = ["Order", "line_item_1", "line_item_2"]
    columns = {"line_item_<n>": {"pairs": "|"}, "line_item_<n>.total": "money"}
    seen = {"$value": {"sum": '"line_item_<n>.total" * 1'}}
    schema = schema_of(seen, {"Name": "line_item_<n>.name", "Sku": "line_item_<n>.sku"}, columns)
    rows = [
        ["1", "name:Tea: green|product_id:3|sku:|total:13.00", "name:Mug|sku:M|total:2.50"],
        ["2", "name:Pot", ""],
        ["3", "name:A|B|total:1", ""],
    ]
    events, rejects = told(mapped(schema, frame(header, *rows)))
    assert events == [
        ("1", {}),
        ("1-1", {"Name": "Tea: green"}),
        ("1-2", {"Name": "Mug", "Sku": "M"}),
    ]
    assert rejects == [
        (2, "no_value_in_sum", '"line_item_<n>.total" * 1'),
        (3, "not_pairs", "line_item_<n>"),
    ]


def test_several_lines_of_pairs_in_one_cell():
    columns = {"Items": {"pairs": {"lines": ";", "between": "|", "sign": "="}}}
    schema = schema_of({"Whole": "Items"}, {"Name": "Items[].name"}, columns)
    events, rejects = told(
        mapped(schema, frame(["Order", "Items"], ["1", "name=Tea|qty=1; name=Mug|qty="]))
    )
    assert rejects == []
    assert events == [
        ("1", {"Whole": [{"name": "Tea", "qty": "1"}, {"name": "Mug"}]}),
        ("1-1", {"Name": "Tea"}),
        ("1-2", {"Name": "Mug"}),
    ]


def test_pairs_are_an_object_where_the_whole_cell_is_meant():
    columns = {"Note": {"pairs": {"between": "\n", "sign": ": "}}}
    rows = [["1", "Gift: yes\nFrom: Zoë\nEmpty: "], ["2", "no pairs"]]
    found = told(
        mapped(schema_of({"Note": "Note"}, columns=columns), frame(["Order", "Note"], *rows))
    )
    assert found == ([("1", {"Note": {"Gift": "yes", "From": "Zoë"}})], [(2, "not_pairs", "Note")])


def test_lists_go_together_by_place_and_must_be_equally_long():
    columns = {"Skus": {"list": ";"}, "Qtys": {"list": ";"}, "Qtys[]": "integer"}
    schema = schema_of({}, {"S": "Skus[]", "Q": "Qtys[]"}, columns)
    rows = [["1", "A; B", "1;2"], ["2", "A;B", "1"], ["3", "", "1"], ["4", "A;B", "1;x"]]
    events, rejects = told(mapped(schema, frame(["Order", "Skus", "Qtys"], *rows)))
    assert events == [
        ("1", {}),
        ("1-1", {"S": "A", "Q": 1}),
        ("1-2", {"S": "B", "Q": 2}),
        ("3", {}),
        ("3-1", {"Q": 1}),
    ]
    assert rejects == [(2, "uneven_lists", "Skus"), (4, "not_an_integer", "Qtys[]")]


@pytest.mark.parametrize(
    ("cell", "column"),
    [
        ('{"sku": "A"', "items"),
        ('"text"', "items"),
        ("[1, 2", "items"),
        ('{"sku": "A", "sku": "B"}', "items"),
        ('["\\ud800"]', "items"),
        ("[NaN]", "items"),
    ],
)
def test_a_cell_that_is_no_list_makes_its_order_a_reject(cell, column):
    rows = [["1", cell], ["2", '[{"sku": "A"}]']]
    schema = schema_of({}, {"S": "items[].sku", "W": "items[]"})
    events, rejects = told(mapped(schema, frame(["Order", "items"], *rows)))
    assert [name for name, _ in events] == ["2", "2-1"]
    assert rejects == [(1, "not_json", column)]


def test_a_misfit_is_a_reject_also_where_only_a_condition_or_a_map_reads_it():
    lines = {"S": {"column": "items[].sku", "map": {"A": "a"}, "else": "other"}}
    for schema in (
        schema_of({}, lines),
        schema_of({}, where="\"state.now\" = 'paid'"),
    ):
        found = told(mapped(schema, frame(["Order", "items", "state"], ["1", "[", "{"])))
        assert found[1][0][1] == "not_json"
        assert found[0] == []


def test_members_of_an_order_s_cell():
    rows = [["1", '{"email": " a@shop.example ", "address": {"zip": "01234"}}'], ["2", ""]]
    seen = {"Mail": "customer.email", "Zip": "customer.address.zip", "Whole": "customer.address"}
    found = told(mapped(schema_of(seen), frame(["Order", "customer"], *rows)))
    whole = '{"zip":"01234"}'
    assert found == (
        [("1", {"Mail": "a@shop.example", "Zip": "01234", "Whole": whole}), ("2", {})],
        [],
    )


def test_members_without_an_order_column():
    schema = schema_of({"X": "customer.email"})
    del schema["source"]["order"]
    schema["events"][0]["properties"]["$event_id"] = "{Order}"
    found = told(mapped(schema, frame(["Order", "customer"], ["1", '{"email": 7}'])))
    assert found == ([("1", {"X": "7"})], [])


def test_a_column_that_has_the_name_itself_is_meant_always():
    rows = [["1", "plain", '{"b": "member"}']]
    found = told(mapped(schema_of({"X": "a.b"}), frame(["Order", "a.b", "a"], *rows)))
    assert found[0] == [("1", {"X": "plain"})]
    rows = [["1", "x", "y"]]
    found = told(mapped(schema_of({"X": "A (2)"}), frame(["Order", "A (2)", "A"], *rows)))
    assert found[0] == [("1", {"X": "x"})]


def test_the_second_of_two_columns_of_one_name():
    schema = schema_of({"X": "City (1)", "Y": "City (2)", "Z": {"sql": 'upper("City (2)")'}})
    found = told(mapped(schema, frame(["Order", "City", "City"], ["1", "Ulm", "Bern"])))
    assert found == ([("1", {"X": "Ulm", "Y": "Bern", "Z": "BERN"})], [])


def test_columns_that_the_export_may_lack_are_empty_everywhere():
    seen = {
        "A": "Gone",
        "B": "{Order}-{Gone}",
        "C": {"sql": "coalesce(Gone, 'none')"},
        "D": {"column": "Tax 1 Name", "default": "x"},
        "E": {"each": "Lines[].a"},
    }
    schema = schema_of(seen, where="Gone is null", optional=["Gone", "Tax *", "Lines"])
    found = told(mapped(schema, frame(["Order"], ["1"])))
    assert found == ([("1", {"C": "none", "D": "x"})], [])


def test_a_column_that_only_one_file_has():
    schema = schema_of({"A": "Note"}, optional=["Note"])
    parts = [frame(["Order", "Note"], ["1", "x"]), frame(["Order"], ["2"])]
    assert told(mapped(schema, *parts)) == ([("1", {"A": "x"}), ("2", {})], [])
    with pytest.raises(SchemaError, match='column "Note" is not in frame, and the schema needs it'):
        mapped(schema_of({"A": "Note"}), *parts)


def test_the_file_s_name_is_a_column():
    rule = {"file_name": "orders-([a-z]+)"}
    schema = schema_of({"Shop": "shop", "From": "{file}"}, columns={"shop": rule})
    schema["source"]["order"] = ["shop", "Order"]
    schema["events"][0]["properties"]["$event_id"] = "{shop}-{Order}"
    parts = [frame(["Order"], ["1"], [""]), frame(["Order"], ["1"])]
    found = told(mapped(schema, *parts, names=("a/orders-eu.csv", "a/orders-us-2.csv")))
    assert found == (
        [
            ("eu-1", {"Shop": "eu", "From": "orders-eu.csv"}),
            ("us-1", {"Shop": "us", "From": "orders-us-2.csv"}),
        ],
        [],
    )
    told_by = {"file_name": {"one.csv": "EU", "two.csv": "US"}}
    schema["columns"]["shop"] = told_by
    events, _ = told(mapped(schema, *parts, names=("one.csv", "two.csv")))
    assert [name for name, _ in events] == ["EU-1", "US-1"]
    with pytest.raises(UsageError, match=r'^three\.csv: its name does not give the column "shop"'):
        mapped(schema, *parts, names=("one.csv", "three.csv"))


def test_rejects_fed_in_again_stand_for_the_file_that_they_came_from():
    schema = schema_of({}, columns={"shop": {"file_name": "orders-([a-z]+)"}})
    schema["events"][0]["properties"]["$event_id"] = "{shop}-{Order}"
    header = ["_reason", "_column", "_file", "_row", "Order"]
    rows = [["r", "c", "in/orders-eu.csv", "2", "1"], ["r", "c", "", "3", "2"]]
    found = told(mapped(schema, frame(header, *rows), names=("rejects.csv",)))
    assert found == ([("eu-1", {})], [(2, "no_event_id", "")])


WRONG = [
    pytest.param({"X": "a.b"}, {"a": "integer"}, {}, '"a" is read as integer', id="no members"),
    pytest.param({"X": {"each": "a[].b"}}, {"a": {"list": ";"}}, {}, 'write "a\\[\\]"', id="list"),
    pytest.param({"X": {"each": "a[].b"}}, {"a": {"pairs": "|"}}, {}, "the sign between lines",
                 id="pairs without lines"),
    pytest.param({"X": "a.b"}, {"a": {"pairs": {"lines": ";"}}}, {}, 'write "a\\[\\].b"',
                 id="lines"),
    pytest.param({"X": {"each": "n <n>"}}, {}, {}, 'no numbered column "n <n>"', id="number"),
    pytest.param({"X": {"each": "a[].b"}}, {}, {"order": None}, "need source.order", id="no order"),
    pytest.param({"X": {"each": "a[].b"}}, {}, {"across_files": "merge"}, "write first or last",
                 id="merge"),
    pytest.param({"X": {"each": {"A": "a[].b", "B": "n<n>"}}}, {}, {}, "makes others",
                 id="two ways"),
    pytest.param({"X": "a[].b"}, {}, {}, "is a line column", id="a line in an order"),
    pytest.param({"X": "b.c"}, {}, {}, 'column "b.c" is not in the export', id="no such cell"),
    pytest.param({"X": "a"}, {}, {"order": "a.x"}, "order column is a whole", id="order by a part"),
    pytest.param({"X": "d"}, {}, {}, 'write "d \\(1\\)" or "d \\(2\\)"', id="twice"),
    pytest.param({"X": "d (3)"}, {}, {}, 'column "d \\(3\\)" is not in', id="no third"),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "columns", "source", "why"), WRONG)
def test_what_cannot_be_taken_apart_is_told(seen, columns, source, why):
    schema = schema_of(seen, columns=columns, **source)
    if schema["source"]["order"] is None:
        del schema["source"]["order"]
    with pytest.raises(SchemaError, match=why):
        mapped(schema, frame(["Order", "a", "n1", "d", "d"], ["1", "", "", "", ""]))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("pairs", re.escape('write {pairs: "|"}')),
        ({"pairs": {"betwixt": "|"}}, "pairs takes between"),
        ({"pairs": {"between": ":"}}, "differ from each other"),
        ({"file_name": "("}, "is a regular expression, and this is not one"),
        ({"file_name": "(a)(b)"}, "one group"),
        ({"file_name": {"a.csv": ""}}, "names each file's value"),
    ],
)
def test_types_that_do_not_say_enough(kind, why):
    with pytest.raises(SchemaError, match=why):
        load_schema(json.dumps(schema_of({"X": "a"}, columns={"a": kind})) + "\n")


def test_overlapping_files_with_lines_in_a_cell_give_each_line_once():
    schema = schema_of({}, {"S": "items[].sku"})
    row = ["1", '[{"sku":"A"},{"sku":"B"}]']
    more = [row[0], '[{"sku":"A"},{"sku":"B"},{"sku":"C"}]']
    same = [frame(["Order", "items"], row), frame(["Order", "items"], row)]
    assert [name for name, _ in told(mapped(schema, *same))[0]] == ["1", "1-1", "1-2"]
    differ = [frame(["Order", "items"], row), frame(["Order", "items"], more)]
    assert told(mapped(schema, *differ))[1] == [
        (1, "differs_across_files", ""),
        (1, "differs_across_files", ""),
    ]
    schema["source"]["across_files"] = "last"
    assert len(told(mapped(schema, *differ))[0]) == 4


@pytest.mark.parametrize(
    ("header", "rows", "prefix"),
    [
        pytest.param(
            ["Order", "items"],
            [
                ["1", '[{"type": "item", "total": "5.50"}, {"type": "fee", "total": "1"}]'],
                ["2", '[{"type": "fee", "total": "2"}]'],
                ["3", "[]"],
                ["4", '[{"total": "2"}]'],
            ],
            "items[].",
            id="members of list elements",
        ),
        pytest.param(
            ["Order", "line_1_type", "line_1_total", "line_2_type", "line_2_total"],
            [
                ["1", "item", "5.50", "fee", "1"],
                ["2", "fee", "2", "", ""],
                ["3", "", "", "", ""],
                ["4", "", "2", "", ""],
            ],
            "line_<n>_",
            id="numbered columns",
        ),
    ],
)
def test_a_sum_and_a_list_choose_their_lines_within_a_row(header, rows, prefix):
    where = f"\"{prefix}type\" = 'item'"
    total = f"{prefix}total"
    seen = {
        "Total": {"sum": f'"{total}"', "where": where},
        "Items": {"each": {"Total": total}, "where": where},
    }
    schema = schema_of(seen, columns={total: "money"})
    events, rejects = told(mapped(schema, frame(header, *rows)))
    assert events == [("1", {"Total": 5.5, "Items": [{"Total": 5.5}]}), ("2", {}), ("3", {})]
    assert rejects == [(4, "unknown_where", where)]


def test_a_where_over_an_optional_column_that_is_absent_is_unknown():
    seen = {"Total": {"sum": "total", "where": "type = 'item'"}}
    schema = schema_of(seen, columns={"total": "money"}, optional=["type"])
    schema["source"]["line"] = ["total", "type"]
    events, rejects = told(mapped(schema, frame(["Order", "total"], ["1", "5"])))
    assert (events, rejects) == ([], [(1, "unknown_where", "type = 'item'")])
