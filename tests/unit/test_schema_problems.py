"""A wrong schema is told with all its problems at once, each with its line and what was meant."""

import pytest

from backfill.errors import SchemaError, UsageError
from backfill.schema.column_uses import leaf_type
from backfill.schema.load import load_schema
from backfill.schema.model import Leaf

GOOD = """\
name: shop
source:
  order: Number
  line: [Item, "Line *"]
customer_properties:
  $email: Email
events:
  - event: Placed Order
    time: At
    properties:
      $event_id: "{Number}"
"""
LEAVES = (
    "exactly one of column, value, template, sql, sum, each, object says where a value comes from;"
    " here it is {}"
)
LINE = (
    '"{}" is a line column, one value a row, but this value belongs to a whole order: use it in'
    " each, sum or an event per line, or take it out of source.line"
)
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]\n" for at in range(1, 9)
)


def problems(text):
    with pytest.raises(SchemaError) as caught:
        load_schema(text)
    return [str(problem).removeprefix("schema:") for problem in caught.value.problems]


def edited(old, new):
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def leaf(text):
    """One more property, on line 12."""
    return GOOD + f"      X: {text}\n"


def test_the_schema_that_the_others_spoil_is_good():
    assert load_schema(GOOD).schema.name == "shop"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("\n", "1: a schema is a mapping that begins with name:", id="nothing"),
        pytest.param("- a\n", "1: a schema is a mapping that begins with name:", id="a list"),
        pytest.param("a:\n\t- b\n", "2: no valid YAML: found character '\\t' that", id="a tab"),
        pytest.param(
            "a: b\n---\nc: d\n", "2: no valid YAML: but found another", id="two documents"
        ),
        pytest.param("a: \0\n", "1: no valid YAML: unacceptable character", id="a NUL"),
        pytest.param("a: *b\n", "1: no valid YAML: found undefined alias 'b'", id="no anchor"),
        pytest.param(BOMB, "1: over 50,000 values once aliases are read", id="a bomb of aliases"),
        pytest.param(
            GOOD + "name: again\n", '12: the key "name" is already on line 1', id="a key twice"
        ),
        pytest.param(
            edited("time: At", "time: At\n    time: Then"),
            '10: the key "time" is already on line 9',
            id="a key twice, inside",
        ),
        pytest.param(
            edited("time: At", "time: !mine At"),
            '9: a tag such as "!mine" has no meaning in a schema',
            id="a tag",
        ),
        pytest.param(
            edited("time: At", "time: !!python/object/apply:os.system ['true']"),
            "9: a schema holds no Python objects",
            id="a Python object",
        ),
        pytest.param(
            edited("time: At", "<<: {time: At}"),
            "9: << has no meaning in a schema; write the keys out",
            id="a merge",
        ),
        pytest.param("? [a]\n: b\n" + GOOD, "1: a key is one text", id="a list as a key"),
    ],
)
def test_what_is_no_plain_yaml(text, problem):
    [found] = problems(text)
    assert found.startswith(problem)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("name: &a\n  x: *a\n", id="an alias of what holds it"),
        pytest.param("name: &a [*a]\n", id="a list that holds itself"),
        pytest.param(f"name: {'[' * 3_000}{']' * 3_000}\n", id="brackets without end"),
        pytest.param("name: " + "{a: " * 3_000 + "x" + "}" * 3_000 + "\n", id="braces without end"),
    ],
)
def test_yaml_that_nests_without_end_is_a_problem_too(text):
    assert len(problems(text)) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            GOOD + "profile: newest\n",
            '12: unknown key "profile"; did you mean "profiles"?',
            id="a key of the file",
        ),
        pytest.param(
            edited("order:", "ordr:"),
            '3: unknown key "ordr"; did you mean "order"?',
            id="a key of source",
        ),
        pytest.param(
            edited("time: At", "time: At\n    whre: x"),
            '10: unknown key "whre"; did you mean "where"?',
            id="a key of an event",
        ),
        pytest.param(
            leaf("{colum: At}"),
            '12: unknown key "colum"; did you mean "column"?',
            id="a key of a leaf",
        ),
        pytest.param(
            leaf("{column: A, sql: b}"),
            f"12: {LEAVES.format('column and sql')}",
            id="two sources of a value",
        ),
        pytest.param(
            leaf("{map: {a: b}}"), f"12: {LEAVES.format('none')}", id="no source of a value"
        ),
        pytest.param(edited("name: shop", "name: ''"), '1: "name" is empty', id="no name"),
        pytest.param(edited("name: shop\n", ""), '1: "name" is missing', id="a missing key"),
        pytest.param(
            GOOD[: GOOD.index("events")] + "events: []\n", '7: "events" is empty', id="no events"
        ),
        pytest.param(
            edited("$email: Email", "Tier: Email"),
            "5: no identifier of the person is mapped: map $email, $phone_number or $id",
            id="no identifier",
        ),
        pytest.param(
            edited("$email: Email", "$emial: Email\n  $id: Id"),
            '6: Klaviyo documents no "$emial" of a person; did you mean "$email"?',
            id="a field of no person",
        ),
        pytest.param(
            GOOD + "      $values: X\n",
            '12: Klaviyo documents no "$values" of an event; did you mean "$value"?',
            id="a field of no event",
        ),
        pytest.param(
            GOOD + "columns: {A: integr}\n",
            '12: there is no type "integr"; did you mean "integer"?',
            id="a type",
        ),
        pytest.param(
            GOOD + "columns: {A: epoch}\n",
            '12: there is no type "epoch"; write {epoch: s} or {epoch: ms}',
            id="epoch without a unit",
        ),
        pytest.param(
            GOOD + "columns: {A: {time: '%Q'}}\n",
            '12: a time format cannot hold "%Q"',
            id="a sign of no format",
        ),
        pytest.param(
            GOOD + "columns: {A: {time: 'YYYY'}}\n",
            "12: a time format has signs such as %Y-%m-%d %H:%M:%S",
            id="a format of another language",
        ),
        pytest.param(
            GOOD + "columns: {A: {phone: {region: us}}}\n",
            "12: region is a country code of two capital letters, such as US",
            id="a region",
        ),
        pytest.param(
            GOOD + "columns: {A: {money: {decimal: x}}}\n",
            '12: money takes decimal: "." or ",", minor: true for cents (or minor: stripe), and '
            "currency: a code such as EUR, or the column that holds it",
            id="a decimal mark",
        ),
        pytest.param(
            edited("order: Number", "order: Number\n  timezone: Amerika/Los_Angeles"),
            '4: "Amerika/Los_Angeles" is not a time zone of the IANA list; '
            'did you mean "America/Los_Angeles"?',
            id="a time zone",
        ),
        pytest.param(
            GOOD + "profiles: newst\n",
            "12: \"profiles\" is one of 'newest', 'none' or 'every'",
            id="one of three",
        ),
        pytest.param(leaf("Item"), f"12: {LINE.format('Item')}", id="a line column in an order"),
        pytest.param(
            leaf("'{Line a}'"), f"12: {LINE.format('Line a')}", id="a line column by its pattern"
        ),
        pytest.param(
            leaf("{sql: upper(Item)}"), f"12: {LINE.format('Item')}", id="a line column in SQL"
        ),
        pytest.param(
            edited("$email: Email", "$email: Item"),
            f"6: {LINE.format('Item')}",
            id="a line column of a person",
        ),
        pytest.param(
            edited("[Item,", "[Number, Item,"),
            '3: "Number" cannot be an order column and a line column',
            id="an order column in a line",
        ),
        pytest.param(
            edited("  order: Number\n", ""),
            "3: line columns need source.order, the column that tells orders apart",
            id="lines without an order",
        ),
        pytest.param(
            leaf("'{line}'"),
            "12: {line} is the number of a row, but this value belongs to a whole order",
            id="a row's number of an order",
        ),
        pytest.param(
            leaf("'{A'"), '12: a lone "{"; write "{{" for the brace itself', id="a lone brace"
        ),
        pytest.param(
            leaf("'A}'"),
            '12: a lone "}"; write "}}" for the brace itself',
            id="a lone closing brace",
        ),
        pytest.param(leaf("'{}'"), '12: "{}" names no column', id="braces around nothing"),
        pytest.param(leaf("{column: A, map: {}}"), "12: map is empty", id="an empty map"),
        pytest.param(
            GOOD + "      $value: {each: Item}\n", "12: $value is one value", id="a list as a value"
        ),
        pytest.param(
            edited('$event_id: "{Number}"', "$event_id: {object: {a: Number}}"),
            "11: $event_id is one text",
            id="an object as an id",
        ),
        pytest.param(
            leaf("{column: A, else: b}"),
            '12: "else" has a meaning beside "map" only',
            id="else without map",
        ),
        pytest.param(
            leaf("{sql: A, take: first_name}"),
            '12: "take" has no meaning beside "sql"',
            id="an option of another leaf",
        ),
        pytest.param(
            leaf("{sum: A}"), "12: sum adds numbers; this gives VARCHAR", id="a sum of texts"
        ),
        pytest.param(
            GOOD + "      $value: {sql: A}\n",
            "12: $value is a number; this gives VARCHAR",
            id="a value that is a text",
        ),
        pytest.param(
            edited("time: At", "time: {sql: Email}"),
            "9: time is a time; this gives VARCHAR",
            id="a time that is a text",
        ),
        pytest.param(
            edited("time: At", "time: At\n    where: Email"),
            "10: where is a condition, true or false; this gives VARCHAR",
            id="a condition that is none",
        ),
        pytest.param(
            GOOD + "columns: {At: date}\n",
            "9: time is time; the schema reads this as date",
            id="a time that is a date",
        ),
        pytest.param(
            GOOD + "columns: {Email: integer}\n",
            "6: $email is email; the schema reads this as integer",
            id="an e-mail that is a number",
        ),
        pytest.param(
            leaf("[A]"),
            '12: "X" must be a mapping',
            id="a list for a leaf",
        ),
    ],
)
def test_a_problem_has_its_line_and_says_what_was_meant(text, problem):
    assert problem in problems(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(edited("order:", "delimiter: ';;'\n  order:"), "delimiter", id="two signs"),
        pytest.param(edited("order:", "skip_lines: -1\n  order:"), "skip_lines", id="below nought"),
        pytest.param(leaf("{column: A, optional: maybe}"), "optional", id="neither true nor false"),
    ],
)
def test_a_wrong_value_is_told_with_the_key_it_stands_under(text, name):
    assert name in problems(text)[0]


def test_an_event_per_line_needs_an_id():
    text = edited('    properties:\n      $event_id: "{Number}"\n', "    per: line\n")
    [problem] = problems(text)
    assert problem.startswith("8: an event per line needs $event_id, with the line in it")


def test_sum_and_each_have_no_place_on_a_line():
    text = edited("time: At", "time: At\n    per: line") + "      X: {each: Item}\n"
    assert problems(text) == [
        "13: each is over the rows of an order, but this value belongs to a row"
    ]


def test_all_problems_come_at_once_in_the_order_of_lines():
    text = (
        "name: shop\ncolour: red\nsource: {timezone: Mars, across_files: both}\n"
        "columns:\n  A: integr\n  B: {epoch: h}\ncustomer_properties:\n  $emial: E\n"
        "events:\n  - event: P\n    time: '{A'\n    where: now() > A\n    properties: {X: {a: b}}\n"
    )
    lines = [int(problem.partition(":")[0]) for problem in problems(text)]
    assert lines == sorted(lines)
    assert set(lines) == {2, 3, 5, 6, 7, 8, 11, 12, 13}


def test_a_missing_key_hides_no_other_problem():
    text = (
        "source: {order: Number}\ncustomer_properties: {$emial: E}\n" + GOOD[GOOD.index("events") :]
    )
    found = problems(text)
    assert any('"name" is missing' in problem for problem in found)
    assert any('"$emial"' in problem for problem in found)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param("NO", "NO", id="a country that is no boolean"),
        pytest.param("02134", "02134", id="a zip that is no octal number"),
        pytest.param("12:30", "12:30", id="a time that is no number of base 60"),
        pytest.param("1_000", "1_000", id="underscores"),
        pytest.param("2020-01-01", "2020-01-01", id="a date"),
        pytest.param("1e3", "1e3", id="an exponent"),
        pytest.param("'null'", "null", id="the word null in quotes"),
    ],
)
def test_all_scalars_are_read_as_text(written, read):
    leaf_of = load_schema(leaf(f"{{value: {written}}}")).schema.events[0].properties["X"]
    assert leaf_of.value == read


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD.replace("\n", "\r\n"), id="line ends of Windows"),
        pytest.param(
            edited("time: At", "time: &at At") + "      X: *at\n", id="an anchor and alias"
        ),
        pytest.param(GOOD + "# the end\n", id="a comment"),
    ],
)
def test_yaml_that_means_the_same_is_read(text):
    assert load_schema(text).schema.events[0].event == "Placed Order"


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("$email", "email"),
        ("$phone_number", "phone"),
        ("$consent", "list"),
        ("$value", "money"),
        ("time", "time"),
        ("currency", "currency"),
        ("$event_id", "text"),
        (None, "text"),
    ],
)
def test_a_field_decides_how_a_column_without_a_type_is_read(field, kind):
    assert leaf_type(load_schema(GOOD).schema, Leaf(column="X"), field).kind == kind


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.yaml cannot be read: No such file"):
        load_schema(tmp_path / "none.yaml")


def test_a_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("name: Köln\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"latin.yaml cannot be read: line 1 is not UTF-8 text"):
        load_schema(tmp_path / "latin.yaml")


def test_a_files_problems_name_it(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text(edited("time: At", "time: {colum: At}"), encoding="utf-8")
    with pytest.raises(
        SchemaError, match=r'shop.yaml:9: unknown key "colum"; did you mean "column"'
    ):
        load_schema(path)
