"""What a leaf of a schema makes of an order's rows."""

import json

import pyarrow as pa
import pytest

from backfill.errors import SchemaError
from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Mapper
from backfill.mapping.program import Bounds
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame

BOUNDS = Bounds(1_000_000_000, 1_900_000_000)
KWD = {"money": {"currency": "KWD"}}


def mapped(leaf, columns, kinds=None, line=()):
    """One order "1" with as many rows as ``columns`` have cells; ``leaf`` is the property X."""
    rows = len(next(iter(columns.values())))
    schema = {
        "name": "leaves",
        "source": {"order": "Order", "line": list(line), "timezone": "UTC"},
        "columns": kinds or {},
        "customer_properties": {"$id": {"value": "7"}},
        "events": [
            {
                "event": "Seen",
                "time": {"value": "2020-01-01T00:00:00Z"},
                "properties": {"$event_id": "{Order}", "X": leaf},
            }
        ],
    }
    table = pa.table({"Order": ["1"] * rows} | {k: pa.array(v) for k, v in columns.items()})
    export = Export([Frame(table)])
    bound = bind(load_schema(json.dumps(schema) + "\n"), export.columns)
    program = compile_schema(bound, export.typed, BOUNDS, attributes=True)
    mapper = Mapper(program, None)
    found = mapper.map(pa.concat_tables(export.batches(program.columns)))
    mapper.close()
    return found


def text_of(leaf, columns, kinds=None, line=()):
    """The JSON of X as it lands, None where it is absent, or ``reject: reason column``."""
    found = mapped(leaf, columns, kinds, line)
    if found.rejects.num_rows:
        first = found.rejects.to_pylist()[0]
        return f"reject: {first['reason']} {first['column']}"
    [text] = found.events["properties"].to_pylist()
    return text and text.removeprefix('{"X":').removesuffix("}")


WHOLE_ORDER = [
    pytest.param("A", {"A": ["x"]}, {}, '"x"', id="a bare text is a column"),
    pytest.param({"column": "a{b}"}, {"a{b}": ["x"]}, {}, '"x"', id="a column with braces"),
    pytest.param('a"b', {'a"b': ["x"]}, {}, '"x"', id="a column with a quote"),
    pytest.param("a.b", {"a.b": ["x"]}, {}, '"x"', id="a column with a dot"),
    pytest.param("a\nb", {"a\nb": ["x"]}, {}, '"x"', id="a column with a line break"),
    pytest.param("select", {"select": ["x"]}, {}, '"x"', id="a column that is a keyword of SQL"),
    pytest.param("_row", {"_row": ["x"]}, {}, '"x"', id="a column that is a name of ours"),
    pytest.param("a", {"A": ["y"], "a": ["x"]}, {}, '"x"', id="case tells columns apart"),
    pytest.param("{A}-{B}", {"A": ["x"], "B": ["y"]}, {}, '"x-y"', id="a template joins"),
    pytest.param("{{{A}}}", {"A": ["x"]}, {}, '"{x}"', id="doubled braces are braces"),
    pytest.param("{A}-{B}", {"A": ["x"], "B": [""]}, {}, None, id="a template lacks a part"),
    pytest.param("it's {A}", {"A": ["x"]}, {}, '"it\'s x"', id="a quote in a template"),
    pytest.param(
        "{A} {B}",
        {"A": ["5.50"], "B": ["017"]},
        {"A": "money", "B": "integer"},
        '"5.5 17"',
        id="a template takes typed values as they are sent",
    ),
    pytest.param({"value": "NO"}, {"A": ["x"]}, {}, '"NO"', id="a constant is a text"),
    pytest.param(
        {"value": "5.0", "as": "integer"}, {"A": ["x"]}, {}, "5", id="a constant of a type"
    ),
    pytest.param(
        {"sql": '"select" || "a""b" || "c.d" || "{e}"'},
        {"select": ["1"], 'a"b': ["2"], "c.d": ["3"], "{e}": ["4"]},
        {},
        '"1234"',
        id="columns of any name in SQL",
    ),
    pytest.param({"sql": "A || a"}, {"A": ["x"], "a": ["y"]}, {}, '"xy"', id="case matters in SQL"),
    pytest.param(
        {"sql": "A::timestamp"},
        {"A": ["now"]},
        {},
        "reject: sql_failed A::timestamp",
        id="the word now is no time",
    ),
    pytest.param({"sql": "A > 3"}, {"A": ["5"]}, {"A": "integer"}, "true", id="SQL: a boolean"),
    pytest.param({"sql": "A"}, {"A": ["2020-01-01"]}, {"A": "date"}, '"2020-01-01"', id="a date"),
    pytest.param({"sql": "A / 0"}, {"A": ["1"]}, {"A": "number"}, None, id="SQL: no value"),
    pytest.param(
        {"sql": "A * 2"},
        {"A": ["1.5x"]},
        {"A": "number"},
        "reject: not_a_number A",
        id="a bad cell inside sql is never NULL",
    ),
    pytest.param(
        {"sql": "A * 3"},
        {"A": ["0.335"]},
        {"A": "money"},
        "1.01",
        id="money in SQL is rounded once",
    ),
    pytest.param(
        {"sql": "A * 3"},
        {"A": ["0.335"]},
        {"A": "number"},
        "1.005",
        id="numbers in SQL are not rounded",
    ),
    pytest.param(
        {"sql": "A", "as": "text"},
        {"A": ["32.6"]},
        {"A": "number"},
        '"32.6"',
        id="a number from SQL as a text has no noughts",
    ),
    pytest.param(
        {"sql": "A * 1"},
        {"A": ["1.234"]},
        {"A": KWD},
        "1.234",
        id="money in SQL has the places of its currency",
    ),
    pytest.param(
        {"sql": "A", "as": "integer"}, {"A": ["37"]}, {}, "37", id="a text of SQL as an integer"
    ),
    pytest.param(
        {"sql": "[A, 2]"}, {"A": ["5"]}, {"A": "integer"}, "[5,2]", id="a list of integers from SQL"
    ),
    pytest.param(
        {"sql": "[A, B]"}, {"A": ["x"], "B": [""]}, {}, '["x"]', id="a list from SQL holds no null"
    ),
    pytest.param({"column": "A", "map": {"x": "1"}}, {"A": [" x "]}, {}, '"1"', id="map"),
    pytest.param(
        {"column": "A", "map": {"x": "1"}},
        {"A": ["y"]},
        {},
        "reject: not_in_map A",
        id="a value not in map",
    ),
    pytest.param(
        {"column": "A", "map": {"x": "1"}, "else": "9"}, {"A": ["y"]}, {}, '"9"', id="else"
    ),
    pytest.param(
        {"column": "A", "map": {"x": "1"}, "else": "9"},
        {"A": [""]},
        {},
        None,
        id="an empty cell is none of map and no else",
    ),
    pytest.param(
        {"column": "A", "map": {"x": "3.7"}, "as": "integer"},
        {"A": ["x"]},
        {},
        "reject: not_an_integer A",
        id="map comes before the type",
    ),
    pytest.param(
        {"column": "A", "default": "d", "map": {"x": "1"}},
        {"A": [""]},
        {},
        '"d"',
        id="the default comes last",
    ),
    pytest.param(
        {"column": "A", "default": "0", "as": "integer"},
        {"A": ["q"]},
        {},
        "reject: not_an_integer A",
        id="a default is for an empty cell, not for a bad one",
    ),
    pytest.param(
        {"column": "A", "optional": "true"}, {"B": ["x"]}, {}, None, id="an optional column"
    ),
    pytest.param(
        {"column": "A", "optional": "true", "default": "d"},
        {"B": ["x"]},
        {},
        '"d"',
        id="an optional column with a default",
    ),
    pytest.param(
        {"column": "A", "take": "first_name"}, {"A": ["cus_P1"]}, {}, None, id="no name: id"
    ),
    pytest.param(
        {"column": "A", "take": "first_name"}, {"A": ["user17"]}, {}, None, id="no name: a word"
    ),
    pytest.param(
        {"column": "A", "take": "first_name"}, {"A": ["a@x.example"]}, {}, None, id="no name: mail"
    ),
    pytest.param(
        {"column": "A", "take": "last_name"}, {"A": ["Ada King 2nd"]}, {}, '"King 2nd"', id="2nd"
    ),
    pytest.param(
        {"column": "A", "take": "first_name"}, {"A": ["Ada King"]}, {}, '"Ada"', id="first name"
    ),
    pytest.param(
        {"column": "A", "take": "last_name"},
        {"A": ["King, Ada"]},
        {},
        '"King"',
        id="last name before a comma",
    ),
    pytest.param(
        {"column": "A", "take": "last_name"},
        {"A": ["Ada"]},
        {},
        None,
        id="one name alone is no last name",
    ),
    pytest.param(
        {"object": {"a": "A", "b": "B"}},
        {"A": ["x"], "B": [""]},
        {},
        '{"a":"x"}',
        id="an absent member is dropped",
    ),
    pytest.param(
        {"object": {"b": "B"}},
        {"A": ["x"], "B": [""]},
        {},
        None,
        id="an object without members is absent",
    ),
    pytest.param(
        {"object": {'q"\n': "A"}},
        {"A": ["x"]},
        {},
        '{"q\\"\\n":"x"}',
        id="a member's name is escaped",
    ),
    pytest.param("A", {"A": ["", "x", "y"]}, {}, '"x"', id="the first value that is not empty"),
    pytest.param(
        {"template": "+{C}{A}", "as": "phone"},
        {"A": ["2025550123"], "C": ["1.0"]},
        {"C": "integer"},
        '"+12025550123"',
        id="a phone number out of a typed column",
    ),
    pytest.param(
        {"template": "{A}", "as": "country"},
        {"A": ["denmark"]},
        {"A": "country"},
        '"DK"',
        id="a country out of a country",
    ),
]

LINES = [
    pytest.param(
        {"each": "L"}, {"L": ["b", "a"]}, {}, '["b","a"]', id="a list in the order of rows"
    ),
    pytest.param(
        {"each": "L"}, {"L": ["b", "", "a"]}, {}, '["b","a"]', id="an empty cell leaves the list"
    ),
    pytest.param(
        {"each": "L"}, {"L": ["", ""], "M": ["x", "y"]}, {}, None, id="a list of nothing is absent"
    ),
    pytest.param(
        {"each": {"a": "L", "b": "M"}},
        {"L": ["x", ""], "M": ["", "y"]},
        {},
        '[{"a":"x"},{"b":"y"}]',
        id="objects drop absent members",
    ),
    pytest.param(
        {"each": {"a": "L"}},
        {"L": ["x", ""], "M": ["", "y"]},
        {},
        '[{"a":"x"}]',
        id="an object without members leaves the list",
    ),
    pytest.param(
        {"each": {"a": "O", "b": "L"}},
        {"O": ["x", ""], "L": ["1", "2"]},
        {},
        '[{"a":"x","b":"1"},{"a":"x","b":"2"}]',
        id="an order's value on every line",
    ),
    pytest.param(
        {"each": "{line}: {L}"},
        {"L": ["b", "a"]},
        {},
        '["1: b","2: a"]',
        id="line counts an order's rows",
    ),
    pytest.param(
        {"each": {"a": {"object": {"b": "L"}}}},
        {"L": ["1"]},
        {},
        '[{"a":{"b":"1"}}]',
        id="an object inside a list",
    ),
    pytest.param(
        {"each": "L"},
        {"L": ["1", "x"]},
        {"L": "integer"},
        "reject: not_an_integer L",
        id="one bad line rejects",
    ),
    pytest.param(
        {"each": {"template": "+1202555012{line}", "as": "phone"}},
        {"L": ["b", "a"]},
        {},
        '["+12025550121","+12025550122"]',
        id="a phone number with the line in it",
    ),
    pytest.param(
        {"sum": "L * M"},
        {"L": ["2", "1"], "M": ["0.10", "0.125"]},
        {"L": "integer", "M": "money"},
        "0.33",
        id="an exact sum, rounded once",
    ),
    pytest.param(
        {"sum": "L"},
        {"L": ["0.005"] * 3},
        {"L": "money"},
        "0.02",
        id="a sum is not rounded line by line",
    ),
    pytest.param(
        {"sum": "L"}, {"L": ["0.1"] * 10}, {"L": "money"}, "1", id="a sum of tenths is exact"
    ),
    pytest.param(
        {"sum": "L"},
        {"L": ["1", "x"]},
        {"L": "money"},
        "reject: not_money L",
        id="a bad cell inside sum",
    ),
    pytest.param(
        {"sum": "L"},
        {"L": ["1", ""]},
        {"L": "money"},
        "reject: no_value_in_sum L",
        id="a line without a value",
    ),
    pytest.param(
        {"sum": "L", "where": "M = 'item'"},
        {"L": ["1", "no amount", "2", ""], "M": ["item", "shipping", "item", "x"]},
        {"L": "money"},
        "3",
        id="only the lines of one type",
    ),
    pytest.param(
        {"sum": "L", "where": "M = 'item'"},
        {"L": ["1", "2"], "M": ["item", ""]},
        {"L": "money"},
        "reject: unknown_where M = 'item'",
        id="a line of no type",
    ),
    pytest.param(
        {"each": "L", "where": "M = 'item'"},
        {"L": ["1", "2"], "M": ["", "item"]},
        {},
        "reject: unknown_where M = 'item'",
        id="a line of no type in a list",
    ),
    pytest.param(
        {"sum": "L", "where": "M > 1"},
        {"L": ["1", "2"], "M": ["2", "x"]},
        {"L": "money", "M": "integer"},
        "reject: not_an_integer M",
        id="a bad cell in a condition",
    ),
    pytest.param(
        {"sum": "L", "where": "M::integer > 1"},
        {"L": ["1", "2"], "M": ["2", "x"]},
        {"L": "money"},
        "reject: sql_failed M::integer > 1",
        id="a condition that fails",
    ),
    pytest.param(
        {"sum": "L", "where": "M = 'item'"},
        {"L": ["1", "2"], "M": ["tip", "tip"]},
        {"L": "money"},
        None,
        id="a sum without a line that counts",
    ),
    pytest.param(
        {"sum": "L", "where": "M = 'item'", "default": "0"},
        {"L": ["1", "2"], "M": ["tip", "tip"]},
        {"L": "money"},
        "0",
        id="a default for a sum without a line that counts",
    ),
    pytest.param(
        {"each": "L", "where": "M = 'item'"},
        {"L": ["1", "2"], "M": ["tip", "tip"]},
        {},
        None,
        id="a list without a line that counts",
    ),
    pytest.param(
        {"sum": "L", "where": "M <> 'JPY'"},
        {"L": ["7.5", "1.255"], "M": ["JPY", "EUR"]},
        {"L": {"money": {"currency": "M"}}},
        "1.26",
        id="a sum has the places of the lines that count",
    ),
    pytest.param(
        {"each": {"a": "L"}, "where": "M = 'item'"},
        {"L": ["1", "no amount", "2"], "M": ["item", "shipping", "item"]},
        {"L": "money"},
        '[{"a":1},{"a":2}]',
        id="a list of the lines of one type",
    ),
    pytest.param(
        {"sum": "L", "where": "M = 'item'"},
        {"L": ["1", "no amount"], "M": ["item", "item"]},
        {"L": "money"},
        "reject: not_money L",
        id="a bad cell in a line that counts",
    ),
    pytest.param(
        {"sum": "L", "default": "0"},
        {"L": ["1", ""]},
        {"L": "money"},
        "1",
        id="a line without a value, and a default",
    ),
    pytest.param(
        {"sum": "L"},
        {"L": ["0.125", "0.125", "0.001"]},
        {"L": "number"},
        "0.251",
        id="a sum of numbers is not money",
    ),
    pytest.param(
        {"sum": "L"},
        {"L": ["1.234"]},
        {"L": KWD},
        "1.234",
        id="a sum has the places of its currency",
    ),
    pytest.param(
        {"sum": "L * M * M * M"},
        {"L": ["2"], "M": ["0.5"]},
        {"L": "number", "M": "number"},
        "0.25",
        id="a product of four numbers",
    ),
    pytest.param({"sum": "-L"}, {"L": ["3", "4"]}, {"L": "integer"}, "-7", id="a sum of integers"),
]


@pytest.mark.parametrize(("leaf", "columns", "kinds", "text"), WHOLE_ORDER)
def test_a_leaf_over_a_whole_order(leaf, columns, kinds, text):
    assert text_of(leaf, columns, kinds) == text


@pytest.mark.parametrize(("leaf", "columns", "kinds", "text"), LINES)
def test_a_leaf_over_an_orders_lines(leaf, columns, kinds, text):
    assert text_of(leaf, columns, kinds, line=("L", "M")) == text


@pytest.mark.parametrize(
    "leaf",
    [
        pytest.param({"value": "{bad", "as": "json"}, id="a constant that is no JSON"),
        pytest.param({"value": "abc", "as": "phone"}, id="a constant that is no phone number"),
        pytest.param({"value": "Atlantis", "as": "country"}, id="a constant that is no country"),
        pytest.param({"value": "3.7", "as": "integer"}, id="a constant that is no integer"),
        pytest.param(
            {"column": "A", "as": "money", "default": "x"}, id="a default that is no money"
        ),
        pytest.param({"sum": "length(A)", "default": "x"}, id="a sum's default that is no number"),
    ],
)
def test_a_constant_that_does_not_fit_its_type_is_a_problem_of_the_schema(leaf):
    with pytest.raises(SchemaError):
        mapped(leaf, {"A": ["1"]})


@pytest.mark.parametrize(
    ("sql", "kind", "cell", "text"),
    [
        pytest.param("A - A", "time", "2020-01-01T00:00:00Z", '"00:00:00"', id="an interval"),
        pytest.param("[A]", "money", "5", "[5]", id="a list of amounts"),
        pytest.param("{'a': length(A)}", "text", "xyz", '{"a":3}', id="a struct with an integer"),
        pytest.param("map {A: length(A)}", "text", "xyz", '{"xyz":3}', id="a map with an integer"),
    ],
)
def test_sql_of_any_type_is_json(sql, kind, cell, text):
    assert text_of({"sql": sql}, {"A": [cell]}, {"A": kind}) == text


def test_a_text_from_sql_that_does_not_fit_is_a_reject():
    text = text_of({"sql": "A", "as": "boolean"}, {"A": ["x"]})
    assert text == "reject: not_a_boolean A"


@pytest.mark.parametrize(
    ("sql", "kind", "wanted", "problem"),
    [
        pytest.param(
            "A", "boolean", "integer", "BOOLEAN can be read as text or boolean", id="boolean"
        ),
        pytest.param("[A]", "money", "money", r"\[\] can be read as text", id="a list"),
        pytest.param("{'a': A}", "text", "number", r"STRUCT.* can be read as text", id="a struct"),
        pytest.param("A - A", "time", "integer", "INTERVAL can be read as text", id="an interval"),
        pytest.param(
            "A", "money", "time", "can be read as text or integer or number or", id="money"
        ),
    ],
)
def test_sql_of_a_type_that_as_cannot_read_is_refused_with_the_schema(sql, kind, wanted, problem):
    with pytest.raises(SchemaError, match=problem):
        mapped({"sql": sql, "as": wanted}, {"A": ["5"]}, {"A": kind})


@pytest.mark.parametrize("sql", ["[A / B]", "{'a': A / B}", "[0 / 0, A]"])
def test_a_number_that_json_does_not_know_is_never_sent(sql):
    text = text_of({"sql": sql}, {"A": ["1"], "B": ["0"]}, {"A": "number", "B": "number"})
    assert "Infinity" not in str(text)
    assert "NaN" not in str(text)


def test_a_default_stands_in_for_sql_without_a_value():
    leaf = {"sql": "A / B", "default": "7"}
    numbers = {"A": "number", "B": "number"}
    assert text_of(leaf, {"A": ["1"], "B": ["0"]}, numbers) == "7"


@pytest.mark.parametrize("kind", ["sql", "sum"])
def test_half_a_number_from_sql_is_no_integer(kind):
    text = text_of({kind: "L", "as": "integer"}, {"L": ["1.5"]}, {"L": "number"}, line=("M",))
    assert str(text).startswith("reject: not_an_integer")


def test_a_constant_country_is_sent_as_its_code():
    assert text_of({"value": "Denmark", "as": "country"}, {"A": ["x"]}) == '"DK"'


def test_an_empty_cell_leaves_no_trace_in_any_leaf():
    leaf = {"object": {"a": "A", "b": "{A}", "c": {"each": "L"}, "d": {"sql": "A"}}}
    found = mapped(leaf, {"A": [" "], "L": [""]}, line=("L",))
    assert found.events["properties"].to_pylist() == [None]


def test_one_cell_that_fails_in_two_expressions_stops_no_other_order():
    """DuckDB 2.0.0 computes what two try() share outside of both; see engine.connect."""
    leaf = {"object": {"a": {"sql": "A::int + 1"}, "b": {"sql": "A::int + 2"}}}
    assert text_of(leaf, {"A": ["x"]}) == "reject: sql_failed A::int + 1"
    assert text_of(leaf, {"A": ["1"]}) == '{"a":2,"b":3}'


def test_a_where_over_order_columns_chooses_no_lines():
    with pytest.raises(SchemaError, match="uses no line column"):
        mapped(
            {"sum": "L", "where": "M = 'item'"},
            {"L": ["1"], "M": ["item"]},
            {"L": "integer"},
            ("L",),
        )


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        pytest.param({"sum": "L", "optional": True}, None, id="an optional sum"),
        pytest.param({"each": "L", "optional": True}, None, id="an optional list"),
        pytest.param({"sum": "L", "optional": True, "default": "0"}, "0", id="a sum's default"),
    ],
)
def test_an_optional_leaf_without_the_column_of_its_where(leaf, text):
    columns = {"L": ["1", "2"]}
    assert text_of({**leaf, "where": "M = 'item'"}, columns, {"L": "money"}, ("L", "M")) == text


def test_a_where_needs_its_column():
    with pytest.raises(SchemaError, match='column "M" is not in the export'):
        mapped({"sum": "L", "where": "M = 'item'"}, {"L": ["1"]}, {"L": "money"}, ("L", "M"))


def test_a_where_is_a_condition():
    with pytest.raises(SchemaError, match="where is a condition, true or false; this gives"):
        mapped({"each": "L", "where": "L"}, {"L": ["1"]}, {}, ("L",))


def test_a_where_stands_beside_a_sum_or_a_list():
    with pytest.raises(SchemaError, match='"where" has no meaning beside "column"'):
        mapped({"column": "A", "where": "A = 'x'"}, {"A": ["x"]})
