"""A schema that somebody hands over in order to do harm: one sentence, in bounded room and time."""

import os
import time
import traceback
from pathlib import Path

import pyarrow as pa
import pytest

from backfill.engine.query_limits import bounded
from backfill.errors import FixInputError, SchemaError, UsageError
from backfill.mapping.compile import check_constants
from backfill.mapping.connection import connect
from backfill.schema.expression import ExpressionError, parse_expression, result_type
from backfill.schema.load import load_schema
from tests.conftest import Tool

pytestmark = pytest.mark.slow

GOOD = """name: shop
customer_properties: {$email: Mail}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}"}
"""


def edited(old: str, new: str) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            edited("shop", "!!binary c2hvcA=="), ':1: a tag such as "!!binary"', id="binary"
        ),
        pytest.param(edited("shop", "!mine shop"), ':1: a tag such as "!mine"', id="a tag"),
        pytest.param(edited("shop", "!!python/name:os.system x"), ":1: a schema holds no", id="Py"),
        pytest.param(
            edited("{$email: Mail}", "!!set {a}"), ':2: a tag such as "!!set"', id="a set"
        ),
        pytest.param(
            edited("{$email: Mail}", "!!omap [a: b]"), ':2: a tag such as "!!omap"', id="an omap"
        ),
        pytest.param(
            b'%TAG ! tag:yaml.org,2002:python/object:\n---\nname: !os.system "id"\n',
            ":3: a schema holds no Python objects",
            id="a tag by its directive",
        ),
        pytest.param(b"a: " + b"[" * 100_000, ":1: more than 50 levels", id="depth"),
        pytest.param(
            "\n".join(" " * n + "a:" for n in range(200)).encode(), ":1: more than 50", id="blocks"
        ),
        pytest.param(
            (GOOD + "about: x\nabout: y\n").encode(),
            ':8: the key "about" is already',
            id="a key twice",
        ),
        pytest.param((GOOD + "---\n" + GOOD).encode(), ":7: no valid YAML", id="two documents"),
        pytest.param(
            GOOD.encode("utf-16"), "line 1 is not UTF-8 text; save it as UTF-8", id="UTF16"
        ),
        pytest.param(
            edited("No", "K\u00f6ln").replace(b"\xc3\xb6", b"\xf6"), "line 6", id="Latin-1"
        ),
        pytest.param(edited("No", "N\0o"), ":1: no valid YAML: unacceptable character", id="NUL"),
        pytest.param(edited("{No}", "{N\\0o}"), ":6: the character U+0000 is not", id="an escape"),
        pytest.param(
            edited("Placed Order", '"a\\x1fb"'), ":4: the character U+001F", id="our own separator"
        ),
        pytest.param(edited("shop", '"\\ud800"'), ":1: the character U+D800", id="half a letter"),
        pytest.param(b"#" * 2_000_000 + GOOD.encode(), "it is over 1 MB", id="a long comment"),
        pytest.param(b"name: " + b"x" * 2_000_000, "it is over 1 MB", id="a long scalar"),
        pytest.param(
            GOOD.encode() + b"columns:\n" + b"".join(b"  k%d: text\n" % n for n in range(51_000)),
            ":1: over 50,000 values",
            id="many keys",
        ),
    ],
)
def test_a_hostile_file_is_one_sentence(tmp_path: Path, content: bytes, said: str):
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(FixInputError) as caught:
        load_schema(path)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_byte_order_mark_is_no_problem(tmp_path: Path):
    (path := tmp_path / "s.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_schema(path).schema.name == "shop"


@pytest.mark.parametrize("kind", ["folder", "pipe", "/dev/zero", "a\0b"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str):
    path = {"folder": tmp_path, "pipe": tmp_path / "pipe"}.get(kind, kind)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"is not a regular file|holds a NUL byte"):
        load_schema(path)


def test_the_command_line_says_it_with_exit_code_2(tool: Tool):
    (tool.folder / "s.yaml").write_bytes(edited("No", "{sql: \"getenv('HOME')\"}"))
    for command in (("check",), ("plan", "e.csv"), ("preview", "e.csv"), ("run", "e.csv", "--yes")):
        said = tool(command[0], "s.yaml", *command[1:], KLAVIYO_PUBLIC_KEY="ABC123")
        assert said.code == 2, said.err
        assert 's.yaml:6: a lone "{"' in said.err or "s.yaml:6: " in said.err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("repeat('x', 10000000000)", "repeat takes a length", id="repeat"),
        pytest.param("repeat(A, len(A))", "repeat takes a length", id="by a column"),
        pytest.param("lpad(A, 2000000000, 'x')", "lpad takes a length", id="lpad"),
        pytest.param("rpad(A, 10001, 'x')", "at most 10,000", id="one over"),
        pytest.param("range(1000000000000)", "range takes a length", id="range"),
        pytest.param("[x for x in range(99999)]", "range takes a length", id="in a list"),
        pytest.param("generate_series(1, 99999)", "generate_series takes a length", id="a series"),
        pytest.param("list_resize([A], 99999)", "list_resize takes a length", id="resize"),
        pytest.param("bar(1, 0, 1, 99999)", "bar takes a length", id="bar"),
        pytest.param("bitstring('1', 99999)", "bitstring takes a length", id="bits"),
        pytest.param("printf('%1000000000d', A)", "printf takes a format", id="printf"),
        pytest.param("format('{:1000000000}', A)", "format takes a format", id="format"),
        pytest.param("format('{:{}}', A, 9)", "format takes a format", id="a width by argument"),
        pytest.param("printf(A, 1)", "printf takes a format", id="a format by column"),
        pytest.param(
            "list_reduce([A, A], lambda x, y: x || x)", "may double with each step", id="a fold"
        ),
        pytest.param(
            "list_transform([1], lambda x: list_transform([2], lambda y: x + y))",
            "a lambda is not allowed within a lambda",
            id="lambdas in each other",
        ),
        pytest.param("A" + " || A" * 4_000, "at most 10,000 characters", id="a long text"),
        pytest.param("(" * 3_000 + "A" + ")" * 3_000, "no valid SQL", id="brackets in brackets"),
        pytest.param("not " * 2_400 + "A", "no valid SQL", id="operators in operators"),
        pytest.param("not " * 900 + "A", "no valid SQL", id="fewer operators in operators"),
        pytest.param(f"repeat('x', {'9' * 6_000})", "repeat takes a length", id="many digits"),
        *(
            pytest.param(text, problem, id=text)
            for text, problem in [
                ("'secret.csv'.content", "."),
                ("read_blob('/etc/passwd')", "the function"),
                ("glob('/etc/*')", "the function"),
                ("query_table('x')", "the function"),
                ("duckdb_settings()", "the function"),
                ("pg_sleep(9)", "the function"),
                ("pg_typeof(A)", "the function"),
                ("setseed(1)", "the function"),
                ("txid_current()", "the function"),
                ("currval('s')", "the function"),
                ("current_database()", "the function"),
                ("gen_random_uuid()", "the function"),
                ("uuidv7()", "the function"),
                ("transaction_timestamp()", "the function"),
                ("write_log(A)", "the function"),
                ("error(A)", "the function"),
                ("sleep_ms(9)", "the function"),
                ("1; install httpfs", "SQL expression"),
                ("1; load httpfs", "SQL expression"),
                ("1; pragma version", "SQL expression"),
                ("1; set threads = 9", "SQL expression"),
                ("1 /* */ from range(9)", "one SQL expression"),
                ("A from 'secret.csv'", "one SQL expression"),
                ("(from 'secret.csv')", "a subquery"),
                ("(with t as (select 1) select * from t)", "a subquery"),
                ("lag(A) over ()", "a window function"),
                ("unnest(A)", "the function"),
                ("columns(*)", r"\* is not allowed"),
            ]
        ),
    ],
)
def test_sql_that_reaches_out_or_grows_is_a_problem(text: str, problem: str):
    with pytest.raises(ExpressionError, match=problem):
        result_type(expression := parse_expression(text), dict.fromkeys(expression.columns, "TEXT"))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("lpad(A, 5, '0')", id="a zip with its nought"),
        pytest.param("format('{:,.2f}', 1)", id="a number with its marks"),
        pytest.param("list_transform(string_split(A, '|'), lambda x: trim(x))", id="a list"),
        pytest.param("regexp_replace(A, '[^0-9]+', '', 'g')", id="a pattern"),
        pytest.param("A || ' ' || A || repeat('-', 3)", id="texts put together"),
    ],
)
def test_sql_that_people_write_may_stand(text: str):
    assert result_type(parse_expression(text), {"A": "VARCHAR"}).startswith("VARCHAR")


def test_constants_that_grow_are_not_computed_to_their_end():
    """DuckDB computes constants to tell a type; without a bound, this takes a minute and 100 GB."""
    began = time.monotonic()
    text = "'x'"
    for _ in range(9):
        text = f"replace({text}, 'x', 'xxxxxxxxxxxxxxxxxxxxxxxxx')"
    assert result_type(parse_expression(text), {}) == "VARCHAR"
    assert time.monotonic() - began < 20


def test_texts_that_grow_while_they_are_computed_end_in_a_sentence():
    grown = "A"
    for _ in range(8):
        grown = f"replace({grown}, 'x', 'xxxxxxxxxx')"
    with connect() as connection:
        connection.register("s", pa.table({"A": ["x" * 100] * 100}))
        limits = bounded(connection, "s.yaml:3", memory_bytes=300_000_000)
        with pytest.raises(SchemaError, match=r"s\.yaml:3: .* over 300 MB of memory"), limits:
            connection.execute(f"select {grown} from s").fetchall()
        assert connection.execute("select 1").fetchall() == [(1,)]


def test_sql_without_end_ends_in_a_sentence():
    lists = "len(list_transform(range(10000), lambda x: len(regexp_replace(A, 'x', 'y', 'g')) + x))"
    with connect() as connection:
        connection.register("s", pa.table({"A": ["x" * 1_000] * 2_000}))
        limits = bounded(connection, "s.yaml:3", time_s=0.2)
        with pytest.raises(SchemaError, match=r"s\.yaml:3: .* over 0\.2 seconds"), limits:
            connection.execute(f"select {lists} from s").fetchall()


def test_what_duckdb_says_of_a_cell_is_in_no_traceback():
    refused = pytest.raises(SchemaError, match="cannot be computed over")
    with connect() as connection, refused as caught, bounded(connection, "s.yaml:3"):
        connection.execute("select 'planted'::integer").fetchall()
    assert "planted' to" not in "".join(traceback.format_exception(caught.value))


def test_what_try_lets_pass_quotes_no_cell(tool: Tool):
    leaf = r"""{sql: "case when No like Mail escape \"At\" then 'a' else 'b' end"}"""
    (tool.folder / "s.yaml").write_bytes(edited('"{No}"', f'"{{No}}", Odd: {leaf}'))
    (tool.folder / "e.csv").write_text("No,Mail,At\n1,planted@x.example,2020-01-01T00:00:00Z\n")
    said = tool("plan", "s.yaml", "e.csv")
    assert (said.code, "s.yaml:3: the schema's SQL cannot be computed" in said.err) == (2, True)
    assert "planted" not in said.err + said.out


@pytest.mark.parametrize("text", ["{a\"b'c}", "{{{Mail}}}", "{$}", "{\u202eliam}", "{a\nb}"])
def test_names_of_any_signs_are_names(tmp_path: Path, text: str):
    """They meet SQL as constants and as c0, c1 …, never as they stand."""
    quoted = text.replace('"', '\\"').replace("\n", "\\n")
    (path := tmp_path / "s.yaml").write_bytes(edited('"{No}"', f'"{{No}}", X: "{quoted}"'))
    check_constants(load_schema(path))
