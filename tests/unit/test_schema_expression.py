"""SQL in a schema is one expression over columns, and the same on every day."""

import pytest

from backfill.schema.expression import ExpressionError, parse_expression, result_type

FUNCTION = "the function .* is not allowed in a schema's SQL"
ONE = "one SQL expression is expected, without select, from or order"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("(select 1)", "a subquery is not allowed", id="a subquery"),
        pytest.param("A in (select 1)", "a subquery is not allowed", id="a subquery behind in"),
        pytest.param("exists (from x)", "a subquery is not allowed", id="exists"),
        pytest.param(
            "case when A then (select 1) end", "a subquery is not", id="a subquery in case"
        ),
        pytest.param(
            "list_transform([A], lambda x: (select x))", "a subquery", id="one in a lambda"
        ),
        pytest.param("row_number() over ()", "a window function is not allowed", id="a window"),
        pytest.param("sum(A) over ()", "a window function is not allowed", id="a sum as a window"),
        pytest.param("sum(A)", FUNCTION, id="an aggregate"),
        pytest.param("count(*)", FUNCTION, id="a count"),
        pytest.param("list(A)", FUNCTION, id="an aggregate that makes lists"),
        pytest.param("unnest([A])", FUNCTION, id="a function of many rows"),
        pytest.param("*", r"\* is not allowed", id="all columns"),
        pytest.param("columns('A.*')", r"\* is not allowed", id="columns by pattern"),
        pytest.param("#1", "a positional reference is not allowed", id="a column by position"),
        pytest.param("?", "a parameter is not allowed", id="a parameter"),
        pytest.param("$1", "a parameter is not allowed", id="a numbered parameter"),
        pytest.param("A collate nocase", "a collation is not allowed", id="a collation"),
        pytest.param("A from x", ONE, id="from"),
        pytest.param("A from read_csv('x')", ONE, id="from a file"),
        pytest.param("A, B", ONE, id="two expressions"),
        pytest.param("A as b", ONE, id="an alias"),
        pytest.param("distinct A", ONE, id="distinct"),
        pytest.param("A where true", ONE, id="where inside"),
        pytest.param("A order by A", ONE, id="order by"),
        pytest.param("A limit 1", ONE, id="limit"),
        pytest.param("A union select 1", ONE, id="union"),
        pytest.param("A; select 1", ONE, id="two statements"),
        pytest.param("A using sample 1", ONE, id="a sample"),
        pytest.param("1; attach 'x'", "no valid SQL expression", id="attach"),
        pytest.param("1; drop table f", "no valid SQL expression", id="drop"),
        pytest.param("1; copy f to 'x'", "no valid SQL expression", id="copy"),
        pytest.param("A) from (select 1", "no valid SQL expression", id="a bracket closed early"),
        pytest.param("A and", "no valid SQL expression", id="an end too early"),
        pytest.param("", "no valid SQL expression", id="nothing"),
        pytest.param("a.b", '"a.b": put double quotes around a name', id="a dot"),
        pytest.param("read_csv('x')", FUNCTION, id="read_csv"),
        pytest.param("read_text('x')", FUNCTION, id="read_text"),
        pytest.param("getenv('HOME')", FUNCTION, id="getenv"),
        pytest.param("getvariable('x')", FUNCTION, id="getvariable"),
        pytest.param("current_setting('threads')", FUNCTION, id="current_setting"),
        pytest.param("random()", FUNCTION, id="random"),
        pytest.param("uuid()", FUNCTION, id="uuid"),
        pytest.param("now()", f"{FUNCTION}: it reads the clock", id="now"),
        pytest.param("NOW()", FUNCTION, id="now in capitals"),
        pytest.param("today()", FUNCTION, id="today"),
        pytest.param("get_current_timestamp()", FUNCTION, id="get_current_timestamp"),
        pytest.param("current_localtimestamp()", FUNCTION, id="current_localtimestamp"),
        pytest.param("age(A)", FUNCTION, id="age"),
        pytest.param("age(A, B)", FUNCTION, id="age of two"),
        pytest.param("nextval('s')", FUNCTION, id="a sequence"),
        pytest.param("version()", FUNCTION, id="DuckDB's version"),
        pytest.param("hash(A)", FUNCTION, id="a hash that changes with DuckDB"),
        pytest.param("json_execute_serialized_sql(A)", FUNCTION, id="SQL inside JSON"),
        pytest.param("query('x')", FUNCTION, id="SQL inside SQL"),
        pytest.param("no_such_function(A)", FUNCTION, id="a function that is none"),
        pytest.param("lowr(A)", 'did you mean "lower"', id="a misspelt function"),
        pytest.param("__internal_barrier(A)", "made for DuckDB itself", id="DuckDB's own"),
        pytest.param("collate_de(A)", "it is a collation", id="a collation's function"),
        pytest.param("pg_catalog.now()", FUNCTION, id="a function by its catalogue"),
        pytest.param("default", "a default is not allowed", id="the word default"),
    ],
)
def test_what_cannot_stand_in_a_schema(text, problem):
    with pytest.raises(ExpressionError, match=problem):
        parse_expression(text)


@pytest.mark.parametrize(
    "name", ["current_date", "current_time", "current_timestamp", "localtimestamp", "current_user"]
)
def test_a_name_for_the_clock_or_the_session_is_read_as_a_columns(name):
    assert parse_expression(name).columns == (name,)


@pytest.mark.parametrize(
    ("text", "columns", "kind"),
    [
        pytest.param(
            '"Lineitem price" * "Quantity"',
            ("Lineitem price", "Quantity"),
            "DECIMAL(38,6)",
            id="names with blanks",
        ),
        pytest.param("A + a", ("A", "a"), "DECIMAL(38,6)", id="names that differ in case"),
        pytest.param(
            '"a.b" + "x""y"', ("a.b", 'x"y'), "DECIMAL(38,6)", id="names with dots and quotes"
        ),
        pytest.param("case when A > 1 then 'x' else 'y' end", ("A",), "VARCHAR", id="case"),
        pytest.param(
            "coalesce(nullif(A, 0), B)", ("A", "B"), "DECIMAL(38,6)", id="coalesce and nullif"
        ),
        pytest.param(
            "A between 1 and 2 and not (B is null)", ("A", "B"), "BOOLEAN", id="a condition"
        ),
        pytest.param(
            "list_transform([A], lambda x: x * B)",
            ("A", "B"),
            "DECIMAL(38,6)[]",
            id="a lambda's own name is no column",
        ),
        pytest.param("if(A > B, A, B)", ("A", "B"), "DECIMAL(38,6)", id="if"),
        pytest.param("split_part(A::text, '.', 1)", ("A",), "VARCHAR", id="a macro of texts"),
        pytest.param("list_sum([A, B])", ("A", "B"), "DECIMAL(38,6)", id="a macro of lists"),
        pytest.param("A -- a comment", ("A",), "DECIMAL(38,6)", id="a comment"),
        pytest.param(
            "regexp_extract(format('{}', A), '[0-9]+')", ("A",), "VARCHAR", id="functions of texts"
        ),
    ],
)
def test_an_expression_knows_its_columns_and_what_it_gives(text, columns, kind):
    expression = parse_expression(text)
    assert expression.columns == columns
    types = dict.fromkeys(columns, "DECIMAL(38,6)")
    assert result_type(expression, types).startswith(kind.split("(")[0])


def test_an_operation_that_types_do_not_allow_names_the_columns():
    with pytest.raises(ExpressionError, match="a column without a type is text: declare it"):
        result_type(parse_expression("A * B"), {"A": "VARCHAR", "B": "VARCHAR"})


def test_a_json_arrow_is_refused_with_what_to_write_instead():
    """DuckDB's parser takes ``a -> b`` for a lambda."""
    with pytest.raises(ExpressionError, match=r"write json_extract\(column"):
        parse_expression("A -> '$.x'")


def test_names_are_replaced_as_columns_only():
    expression = parse_expression("A || 'A' || list_transform([A], lambda A: A || B)[1]")
    sql = expression.sql({"A": "c0", "B": "c1"}.__getitem__)
    assert sql.count("c0") == 2
    assert "'A'" in sql
    assert "c1" in sql
