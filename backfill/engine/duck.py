"""Connections to DuckDB, parsed SQL, and everything undocumented in DuckDB that we rely on.

DuckDB documents its SQL. Beyond that we rely on the following. All of it is used in this module
alone, and ``tests/unit/test_engine.py`` has a test for each that names the reliance when it breaks:

- ``json_serialize_sql`` writes a parse tree whose nodes have a ``class``; ``read_tree`` reads it,
  and no other module sees its keys.
- ``json_deserialize_sql`` writes the same tree as SQL again; ``write_tree`` uses it.
- The optimizers in ``UNSAFE_OPTIMIZERS`` have these names and can be turned off.
- An error's text is ``Kind Error: sentence``, and a Ctrl-C in a query is a RuntimeError
  ``Query interrupted``.
- ``read_parquet`` has a virtual column ``file_index``, a file's place in its list from 0.
- An error of a stream that DuckDB reads comes back as a ``duckdb.Error``.

Read from DuckDB 2.0.0 and 2.0.1.
"""

import functools
import inspect
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from backfill.errors import UsageError

UNSAFE_OPTIMIZERS: Final = "common_subexpressions,statistics_propagation"
"""Optimizers that are off where a schema's SQL runs. The first takes an expression that two others
share out of the ``try()`` around each, so that one cell that does not cast would stop the run; our
SQL gives names to shared expressions itself. The second fails on comparisons of values that it
finds to be constant."""

_INTERRUPTED: Final = "Query interrupted"


def connect(**config: str) -> duckdb.DuckDBPyConnection:
    """A database in memory with one thread. ``config`` has DuckDB's documented settings."""
    return duckdb.connect(":memory:", config={"threads": 1, **config})


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a schema's SQL reach only the tables that are registered on this connection.

    It reads no file and no variable of Python, and no statement can change that.
    """
    for setting in (
        "timezone = 'UTC'",
        f"disabled_optimizers = '{UNSAFE_OPTIMIZERS}'",
        "enable_external_access = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    ):
        connection.execute(f"set {setting}")


@contextmanager
def connect_spilling(spill: Path, memory: str = "160MB") -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with little memory, for queries over a whole plan. No SQL of a schema runs here.

    Args:
        spill: the folder for data that does not fit into memory.
        memory: DuckDB's ``memory_limit``.

    Raises:
        KeyboardInterrupt: at Ctrl-C, also in the middle of a query.
    """
    with duckdb.connect(":memory:", config={"memory_limit": memory}) as connection:
        folder = str(spill).replace("'", "''")
        connection.execute(f"set temp_directory = '{folder}'")
        connection.execute("set preserve_insertion_order = false")
        try:
            yield connection
        except RuntimeError as error:
            if str(error) != _INTERRUPTED:
                raise
            raise KeyboardInterrupt from None


def scan_parquet(files: Sequence[Path]) -> str:
    """A query of the rows of files, with their file's place as ``part`` and their own as ``n``.

    One reader takes all files: a reader a file holds memory for each.
    """
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    return (
        "select * exclude (file_index, file_row_number), file_index::integer as part, "
        "file_row_number as n from (select *, file_index, file_row_number "
        f"from read_parquet([{names}]))"
    )


@contextmanager
def streamed(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
) -> Iterator[None]:
    """A relation of record batches, for one statement inside.

    Args:
        connection: has the relation.
        name: the relation's name.
        schema: the batches' schema.
        batches: read once. Their own error is raised, not DuckDB's error about it.
    """
    failed: list[BaseException] = []

    def watched() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except BaseException as error:
            failed.append(error)
            raise

    connection.register(name, pa.RecordBatchReader.from_batches(schema, watched()))
    try:
        yield
    except duckdb.Error as error:
        raise (failed[0] if failed else error) from None
    finally:
        connection.unregister(name)


def add_function(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    function: Callable[..., pa.Array],
    result: str = "VARCHAR",
) -> None:
    """Add a function of texts to a connection.

    Args:
        connection: SQL on it may call the function.
        name: the function's name in SQL.
        function: takes a column of texts for each argument, NULLs among them, and gives a column.
        result: the SQL type of what it gives.
    """
    texts = ["VARCHAR"] * len(inspect.signature(function).parameters)
    connection.create_function(  # type: ignore[call-overload]  # its stubs take no texts
        name, function, texts, result, type="arrow", null_handling="special"
    )


def error_text(error: duckdb.Error) -> str:
    """An error's first line, without its kind. It may quote a cell."""
    return str(error).splitlines()[0].partition(": ")[2]


# The parse tree ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of an SQL expression as DuckDB parsed it."""

    kind: str
    """``function``, ``column ref``, ``constant``, ``lambda``, ``case``, ``subquery`` …"""
    children: "tuple[Node, ...]" = ()
    """The nodes directly below, a function's arguments among them."""
    name: str = ""
    """A function's name or an operator's sign, in lower case."""
    arguments: "tuple[Node, ...]" = ()
    """A function's arguments, in order."""
    path: tuple[str, ...] = ()
    """A column's name; several names where dots are between them."""
    place: int = -1
    """The number of this reference to a column among those of the tree, from 0; -1 for others."""
    literal: tuple[str, str] = ("", "")
    """A constant's kind, ``INTEGER``, ``NUMERIC``, ``STRING`` …, and its text."""
    parameters: tuple[str, ...] = ()
    """The names of a lambda's parameters."""
    arrow: bool = False
    """Is it a lambda that is written ``x -> …``?"""

    def walk(self) -> "Iterator[Node]":
        """The node and all nodes below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Tree:
    """One SQL expression, parsed."""

    root: Node
    json: str
    """The tree as DuckDB wrote it, for ``write_tree``."""


class ParseError(ValueError):
    """A text is not one expression; the message says why, without the place."""


class NotOneExpressionError(ParseError):
    """A text is SQL, but more than an expression."""


def read_tree(text: str) -> Tree:
    """Parse one SQL expression.

    Raises:
        ParseError: the text is not SQL, or nests too deep.
        NotOneExpressionError: it is more than an expression.
        UsageError: this version of DuckDB writes its trees in another form.
    """
    try:
        reply = json.loads(_ask("select json_serialize_sql(?)", ["select " + text])[0][0])
        if reply["error"]:
            raise ParseError(str(reply["error_message"]))
        if len(reply["statements"]) != 1 or not _is_bare(reply["statements"][0]["node"]):
            raise NotOneExpressionError
        places = {id(ref): place for place, ref in enumerate(_references(reply))}
        [root] = _nodes(reply["statements"][0]["node"]["select_list"], places)
    except RecursionError:
        raise ParseError("it nests too deep") from None
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"DuckDB {duckdb.__version__} writes SQL expressions in a form that this version of "
            f"backfill does not read ({error}); install duckdb==2.0.1"
        ) from error
    return Tree(root, json.dumps(reply))


def write_tree(tree: Tree, names: Mapping[int, str]) -> str:
    """The expression as SQL; ``names`` has other names for references to columns, by place."""
    reply = json.loads(tree.json)
    for place, ref in enumerate(_references(reply)):
        if place in names:
            ref["column_names"] = [names[place]]
    written = str(_ask("select json_deserialize_sql(?)", [json.dumps(reply)])[0][0])
    return "(" + written.removeprefix("SELECT ").rstrip("; ") + ")"


def describe(select: str) -> str:
    """The SQL type of a query's first column. Raises duckdb.Error."""
    return str(_ask(f"describe {select}", [])[0][1])


def _is_bare(node: dict[str, Any]) -> bool:
    """Is a SELECT nothing but one expression?"""
    clauses = ("modifiers", "group_expressions", "where_clause", "having", "qualify", "sample")
    return (
        node.get("type") == "SELECT_NODE"
        and node["from_table"]["type"] == "EMPTY"
        and len(node["select_list"]) == 1
        and not node["select_list"][0]["alias"]
        and not node["cte_map"]["map"]
        and not any(node[clause] for clause in clauses)
    )


def _nodes(value: Any, places: Mapping[int, int]) -> tuple[Node, ...]:
    """The uppermost nodes in a part of DuckDB's reply."""
    if isinstance(value, dict) and "class" not in value:
        value = list(value.values())
    if isinstance(value, list):
        return tuple(node for child in value for node in _nodes(child, places))
    if not isinstance(value, dict):
        return ()
    kind = value["class"].lower().replace("_", " ")
    if kind == "lambda":
        names = tuple(ref["column_names"][0] for ref in _references(value["lhs"]))
        arrow = value["syntax_type"] == "SINGLE_ARROW"
        body = _nodes(value["expr"], places)
        return (Node(kind=kind, children=body, parameters=names, arrow=arrow),)
    node = Node(kind=kind, children=_nodes(list(value.values()), places))
    match kind:
        case "function":
            given = _nodes(value["arguments"], places)
            node = replace(node, name=value["function_name"].lower(), arguments=given)
        case "column ref":
            node = replace(node, path=tuple(value["column_names"]), place=places[id(value)])
        case "constant":
            literal = value["literal"]
            node = replace(node, literal=(literal["kind"], str(literal.get("text"))))
    return (node,)


def _references(value: Any) -> Iterator[dict[str, Any]]:
    """The references to columns, in the order in which they are written."""
    if isinstance(value, dict):
        if value.get("class") == "COLUMN_REF":
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            yield from _references(child)


@functools.cache
def _parser() -> tuple[duckdb.DuckDBPyConnection, threading.Lock]:
    """The process's connection for parsing. It runs no SQL of a schema, and reaches nothing."""
    connection = connect()
    connection.execute("set enable_external_access = false")
    connection.execute("pragma disable_optimizer")  # it would compute what is constant
    connection.execute("set lock_configuration = true")
    return connection, threading.Lock()


def _ask(query: str, parameters: list[str]) -> list[tuple[Any, ...]]:
    connection, lock = _parser()
    with lock:
        return connection.execute(query, parameters).fetchall()
