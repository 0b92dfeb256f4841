"""What the project relies on in DuckDB without a promise of DuckDB's, a test for each reliance."""

import resource
import subprocess
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backfill.engine import duck
from backfill.engine.memory import MEMORY
from backfill.errors import ExportError, UsageError
from backfill.schema import expression

RELIANCE = "DuckDB has changed something that backfill relies on: "


def nodes(text):
    return [(node.kind, node.name) for node in duck.read_tree(text).root.walk()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "lower(A) || 'x'",
            [("function", "||"), ("function", "lower"), ("column ref", ""), ("constant", "")],
            id="functions and constants",
        ),
        pytest.param(
            "case when A > 1 then B end",
            [
                *(("case", ""), ("comparison", ""), ("column ref", ""), ("constant", "")),
                *(("column ref", ""), ("constant", "")),
            ],
            id="case",
        ),
        pytest.param("(select 1)", [("subquery", ""), ("constant", "")], id="a subquery"),
        pytest.param("row_number() over ()", [("window", "")], id="a window"),
        pytest.param(
            "A::decimal(9,2)",
            [("cast", ""), ("column ref", ""), ("type", ""), ("constant", ""), ("constant", "")],
            id="a cast",
        ),
    ],
)
def test_the_parse_tree_has_these_nodes(text, expected):
    assert nodes(text) == expected, RELIANCE + "the form of json_serialize_sql's tree"


def test_the_parse_tree_tells_names_literals_and_lambdas():
    [call] = [n for n in duck.read_tree("f(A, \"b.c\", 'x', -3, d.e)").root.walk() if n.name]
    assert [a.path for a in call.arguments] == [("A",), ("b.c",), (), (), ("d", "e")]
    assert [a.literal for a in call.arguments[2:4]] == [("STRING", "x"), ("INTEGER", "-3")]
    assert [a.place for a in call.arguments] == [0, 1, -1, -1, 2], RELIANCE + "references' order"
    [found] = [n for n in duck.read_tree("g(lambda x, i: x + i)").root.walk() if n.parameters]
    assert (found.parameters, found.arrow) == (("x", "i"), False), RELIANCE + "a lambda's form"
    assert duck.read_tree("a -> b").root.arrow, RELIANCE + "how an arrow is told from a lambda"


def test_a_tree_is_written_as_the_sql_that_it_was():
    tree = duck.read_tree("coalesce(A, 'A') || list_transform([B], lambda A: A || B)[1]")
    written = duck.write_tree(tree, {0: "c0", 1: "c1", 4: "c1"})
    row = duckdb.sql(f"select {written} from (select null as c0, 'b' as c1)").fetchall()
    assert row == [("Abb",)], RELIANCE + "json_deserialize_sql writes the tree that it is given"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1, 2",
        "1; select 2",
        "A from x",
        "A as b",
        "A limit 1",
        "A order by A",
        "A having A > 1",
        "*, A",
    ],
)
def test_what_is_no_expression_is_told(text):
    with pytest.raises(duck.ParseError):
        duck.read_tree(text)


def test_an_expression_of_a_thousand_levels_is_told():
    with pytest.raises(duck.ParseError, match=r"nests too deep|depth"):
        duck.read_tree("not " * 900 + "A")


def test_a_tree_of_another_form_is_one_sentence_with_the_way_out(monkeypatch):
    """As the next DuckDB may write it."""
    monkeypatch.setattr(duck, "_ask", lambda *_: [('{"error": false, "statements": [{}]}',)])
    with pytest.raises(UsageError, match=r"in a form that .* does not read .*install duckdb=="):
        duck.read_tree("A")


@pytest.mark.parametrize("name", duck.UNSAFE_OPTIMIZERS.split(","))
def test_the_optimizers_that_are_turned_off_are_there(name):
    known = [name for (name,) in duckdb.sql("from duckdb_optimizers()").fetchall()]
    assert name in known, RELIANCE + f"the optimizer {name} is gone or renamed"


def test_an_errors_text_begins_with_its_kind():
    with duck.connect() as connection, pytest.raises(duckdb.Error) as caught:
        connection.execute("select 'x' + 1::varchar")
    assert str(caught.value).startswith("Binder Error: "), RELIANCE + "how errors begin"
    assert duck.error_text(caught.value).startswith("No function matches"), RELIANCE + "errors"


INTERRUPTED = """
import os, signal, sys, threading
from pathlib import Path
from backfill.engine.duck import connect_spilling
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with connect_spilling(Path(sys.argv[1])) as connection:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        connection.execute("select sum(hash(range)) from range(300000000)")
        threading.Event().wait(60)  # DuckDB 2.0.0 raises behind a query, not within
except KeyboardInterrupt:
    print("a KeyboardInterrupt")
"""


def test_ctrl_c_in_a_query_is_a_keyboard_interrupt(tmp_path):
    """In a process of its own: other tests ignore SIGINT."""
    told = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.stdout == "a KeyboardInterrupt\n", RELIANCE + f"Ctrl-C in a query: {told.stderr}"


def test_a_row_of_several_files_is_known_by_file_and_place(tmp_path):
    files = [tmp_path / name for name in ("b.parquet", "it's.parquet", "a.parquet")]
    for at, path in enumerate(files):
        pq.write_table(pa.table({"a": [f"{at} {n}" for n in range(5)]}), path, row_group_size=2)
    with duck.connect_spilling(tmp_path / "spill") as connection:
        rows = connection.execute(f"select a, part, n from ({duck.scan_parquet(files)})").fetchall()
    expected = [(f"{at} {n}", at, n) for at in range(3) for n in range(5)]
    assert sorted(rows) == expected, RELIANCE + "file_index is a file's place in the list"


def test_the_error_of_a_stream_is_raised_as_it_is():
    schema = pa.schema([pa.field("a", pa.int64())])

    def batches():
        yield pa.record_batch([[1, 2]], schema=schema)
        raise ExportError("orders.csv ends too early")

    with (
        duck.connect() as connection,
        pytest.raises(ExportError, match=r"orders\.csv ends too early"),
        duck.streamed(connection, "given", schema, batches()),
    ):
        connection.execute("select sum(a) from given").fetchall()


def test_functions_that_this_duckdb_adds_or_drops_are_printed(capsys):
    """A decision for ``expression.toml``, no fault: a name that is not listed is refused."""
    allowed, refused = expression.ALLOWED, expression.REFUSED
    prefixes = tuple(expression.REFUSED_PREFIXES)
    found = duckdb.sql(
        "select distinct function_name from duckdb_functions() "
        "where function_type in ('scalar', 'macro')"
    ).fetchall()
    known = {name.lower() for (name,) in found}
    new = sorted(n for n in known - allowed - set(refused) if not n.startswith(prefixes))
    parsed_otherwise = {"coalesce", "ifnull", "json_execute_serialized_sql"}
    gone = sorted((allowed | set(refused)) - known - parsed_otherwise)
    with capsys.disabled():
        for what, names in (("new", new), ("gone", gone)):
            if names:
                told = ", ".join(names)
                print(f"\nDuckDB {duckdb.__version__}, {what}: {told}", file=sys.stderr)  # noqa: T201
    assert len(known & allowed) > 400


def test_no_function_is_both_allowed_and_refused():
    lists = expression._LISTS
    names = [
        name for kind in ("allowed", "refused") for group in lists[kind].values() for name in group
    ]
    assert len(names) == len(set(names))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what counts")
def test_the_first_limit_of_memory_holds_until_its_last_user_leaves():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with MEMORY.limited(1_000_000_000):
        limit = resource.getrlimit(resource.RLIMIT_DATA)
        with MEMORY.limited(2_000_000_000):
            assert resource.getrlimit(resource.RLIMIT_DATA) == limit != before
        assert resource.getrlimit(resource.RLIMIT_DATA) == limit
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


TIGHT = """
import resource
from backfill.engine.duck import connect
from backfill.engine.query_limits import bounded
if {limit}:
    resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
try:
    with bounded(connect(), "s.yaml:1"):
        raise MemoryError
except BaseException as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(("limit", "kind"), [(1, "MemoryError"), (0, "SchemaError")])
def test_a_schema_is_not_blamed_for_the_limit_of_another(limit, kind):
    script = TIGHT.format(limit=limit)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == kind
