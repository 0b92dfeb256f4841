"""What DuckDB says of an expression never reaches a person: our sentences do."""

import duckdb
import pytest

from backfill.schema.complaints import parser_complaint, type_complaint
from backfill.schema.expression import ExpressionError, parse_expression, result_type
from backfill.schema.types import TIME_DIRECTIVES
from tests.unit.test_schema_problems import GOOD, edited, leaf, problems

FOREIGN = (
    "No function",
    "Binder",
    "Candidate",
    "Conversion",
    "VARCHAR",
    "explicit",
    "syntax error",
)
TYPES = {"Total": "DECIMAL(38,6)", "Qty": "BIGINT", "Yes": "BOOLEAN", "L": "VARCHAR[]"}
TEXT = '"Name" is text (a column without a type is text: declare it under columns)'


def typed(text: str) -> str:
    found = parse_expression(text)
    return result_type(found, {name: TYPES.get(name, "VARCHAR") for name in found.columns})


def complaint(text: str) -> str:
    with pytest.raises(ExpressionError) as caught:
        typed(text)
    assert caught.value.__suppress_context__
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Name * 2", f"* does not take text and a whole number: {TEXT}"),
        ("Name > 0", f"text and a whole number cannot be compared: {TEXT}"),
        ("upper(Qty)", 'upper does not take a whole number: "Qty" is a whole number'),
        ("round(Total, Name)", "round does not take a number and text: "),
        ("least()", "least does not take no argument"),
        ("Name like 1", f"like does not take text and a whole number: {TEXT}"),
        ("coalesce(Name, 0)", "text and a whole number cannot be alternatives (in case, coalesce"),
        ("greatest(Name, 1)", f"text and a whole number cannot be alternatives: {TEXT}"),
        ("L || 1", 'a list and a whole number cannot be joined: "L" is a list'),
        ("[1, Name]", f"a list does not take values of several types: {TEXT}"),
        ("strftime(Name, '%Y')", f"strftime does not take text and text: {TEXT}"),
        ("strptime(Name, '%Q')", f'"%Q" is no time format: {TEXT}'),
        ("Name::integr", f'there is no SQL type "integr"; did you mean "integer"?: {TEXT}'),
        ("Name::decimal(50,2)", "decimal(digits, places) has at most 38 digits, and no more"),
        ("struct_extract({'a': 1}, 'b')", 'the object has no member "b"'),
        ("lambda x: x", "its parts do not fit together"),
        ("Name and", 'no valid SQL expression: it goes wrong at "and" (put double quotes'),
        ("'open", "no valid SQL expression: a text has no closing quote (put double quotes"),
        ("x'zz'", "no valid SQL expression (put double quotes"),
    ],
)
def test_a_complaint_is_a_sentence_of_ours(text: str, expected: str):
    found = complaint(text)
    assert found.startswith(expected)
    assert not any(word in found for word in FOREIGN)


def test_what_is_not_known_shows_nothing_of_duckdb():
    assert type_complaint("Candidate v0 is odd", {}) == "its parts do not fit together"
    assert parser_complaint("a new word of DuckDB's") == ""


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param(edited("time: At", "time: At\n    where: A > 1"), "10: where: ", id="where"),
        pytest.param(leaf("{sql: upper(1)}"), "12: X: upper does not take", id="sql"),
        pytest.param(leaf("{sum: Item * 2}"), "12: X: * does not take text", id="sum"),
    ],
)
def test_a_problem_names_the_key(text: str, place: str):
    [problem] = problems(text)
    assert problem.startswith(place)


SUM = GOOD + '      $value: {sum: "Price * 2"}\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(SUM + "columns: {Price: monney}\n", 'there is no type "monney"', id="a word"),
        pytest.param(
            SUM + "columns: {Price: {monney: {currency: EUR}}}\n",
            'there is no type "monney" with options; did you mean "money"?',
            id="options",
        ),
        pytest.param(
            SUM + "columns: {Price: {type: money}}\n",
            'there is no type "type" with options; write money alone',
            id="type:",
        ),
        pytest.param(SUM + "columns: [Price]\n", '"columns" must be a mapping', id="a list"),
        pytest.param(SUM + "colums: {Price: money}\n", 'unknown key "colums"', id="another key"),
        pytest.param(leaf("{column: A, as: monney}"), 'there is no type "monney"', id="as"),
        pytest.param(leaf("{sql: A, as: monney}"), 'there is no type "monney"', id="as of sql"),
        pytest.param(
            leaf("{column: A, type: money}"),
            'unknown key "type"; did you mean "as"?',
            id="type of a leaf",
        ),
    ],
)
def test_a_misspelt_type_is_one_problem(text: str, problem: str):
    [found] = problems(text)
    assert problem in found


def test_another_unknown_key_hides_no_type():
    text = SUM + "flavour: red\n"
    assert ["flavour" in one or "$value: " in one for one in problems(text)] == [True, True]


def test_a_misspelt_type_hides_no_other_problem():
    text = SUM.replace("time: At", "time: At\n    where: Total > 1") + "columns: {Price: monney}\n"
    assert ["monney" in one or "where: " in one for one in problems(text)] == [True, True]


@pytest.mark.parametrize("directive", sorted(TIME_DIRECTIVES))
def test_duckdb_reads_each_directive_that_a_format_may_hold(directive: str):
    form = f"%{directive}".replace("%I", "%I%p")
    [(read,)] = duckdb.execute(f"select try_strptime('no', '{form}')").fetchall()
    assert read is None


@pytest.mark.parametrize(
    "form", ["%Y-%", "%Y-%-", "%Y %e", "%Y %-Y", "%-b %Y", "%--d", "%-z", "%-%"]
)
def test_a_format_that_nothing_reads_is_a_problem_of_the_schema(form: str):
    [problem] = problems(GOOD + f'columns: {{At: {{time: "{form}"}}}}\n')
    assert "a time format cannot hold" in problem
