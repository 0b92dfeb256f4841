"""DuckDB as we use it, and everything in it that we rely on although it is not promised.

DuckDB documents its SQL. Beyond that the rest of ``backfill`` relies on the following, all of it
here, each with a test in ``tests/unit/test_engine.py`` that names the reliance when it breaks:

- ``json_serialize_sql`` writes a parse tree whose nodes have a ``class``; ``read_tree`` reads it,
  and no other module sees its keys.
- ``json_deserialize_sql`` writes the same tree as SQL again; ``write_tree`` uses it.
- The optimizers in ``UNSAFE_OPTIMIZERS`` have these names and can be turned off.
- An error's text is ``Kind Error: sentence``, and a Ctrl-C in a query is a RuntimeError
  ``Query interrupted``.
- An error that is raised by a stream which DuckDB reads comes back as a ``duckdb.Error``.

Read from DuckDB 2.0.0 and 2.0.1.
"""

import functools
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from backfill.errors import UsageError

UNSAFE_OPTIMIZERS: Final = "common_subexpressions,statistics_propagation"
"""Off where a schema's SQL runs. The first computes what two expressions share outside of the
``try()`` around each, so that one cell that does not cast would stop the whole run; what is shared
has a name in our SQL. The second fails on comparisons of what it finds to be constant."""

_INTERRUPTED: Final = "Query interrupted"


def connect(**config: str) -> duckdb.DuckDBPyConnection:
    """A database in memory, of one thread; ``config`` as DuckDB documents it."""
    return duckdb.connect(":memory:", config={"threads": 1, **config})


@contextmanager
def connect_spilling(spill: Path, memory: str = "160MB") -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of little memory for what looks over a whole plan; the rest goes to ``spill``.

    No SQL of a schema runs here. A Ctrl-C in the middle of a query is a KeyboardInterrupt.
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


@contextmanager
def streamed(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
) -> Iterator[None]:
    """A relation ``name`` for the one statement inside, read once from ``batches``.

    What ``batches`` raises is raised as it is, not as DuckDB's error about it.
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


def reason_of(error: duckdb.Error) -> str:
    """What an error says, in one line, without its kind. It may quote a cell."""
    return str(error).splitlines()[0].partition(": ")[2]


# The parse tree ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of an SQL expression as DuckDB parsed it."""

    kind: str
    """``function``, ``column ref``, ``constant``, ``lambda``, ``case``, ``subquery`` …"""
    children: "tuple[Node, ...]" = ()
    """Every node that stands directly below, the arguments among them."""
    name: str = ""
    """A function's name or an operator's sign, in lower case."""
    arguments: "tuple[Node, ...]" = ()
    """A function's, in order."""
    path: tuple[str, ...] = ()
    """A column's name; several where dots stand between."""
    place: int = -1
    """Which of the tree's references to columns this is, from 0."""
    literal: tuple[str, str] = ("", "")
    """A constant's kind, ``INTEGER``, ``NUMERIC``, ``STRING`` …, and its text."""
    parameters: tuple[str, ...] = ()
    """A lambda's names for what it is given."""
    arrow: bool = False
    """Is a lambda written ``x -> …``?"""

    def walk(self) -> "Iterator[Node]":
        """The node and every one below it."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Tree:
    """One SQL expression, parsed."""

    root: Node
    json: str
    """As DuckDB wrote it; ``write_tree`` gives it back."""


class ParseError(ValueError):
    """What stands there is not one expression; the text says why, without the place."""


class NotOneExpressionError(ParseError):
    """It is SQL, but more than an expression."""


def read_tree(text: str) -> Tree:
    """Parse one SQL expression.

    Raises ParseError for what is no SQL or nests too deep, NotOneExpressionError for what is more
    than an expression, and UsageError where this DuckDB writes its trees in another form.
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
    """The expression as SQL, the column at each place named as ``names`` says."""
    reply = json.loads(tree.json)
    for place, ref in enumerate(_references(reply)):
        if place in names:
            ref["column_names"] = [names[place]]
    written = str(_ask("select json_deserialize_sql(?)", [json.dumps(reply)])[0][0])
    return "(" + written.removeprefix("SELECT ").rstrip("; ") + ")"


def describe(select: str) -> str:
    """The SQL type of a query's first column. Raises duckdb.Error."""
    return str(_ask(f"describe {select}", [])[0][1])


def functions() -> frozenset[str]:
    """The names of all scalar functions and macros that this DuckDB knows."""
    query = (
        "select distinct function_name from duckdb_functions() "
        "where function_type in ('scalar', 'macro')"
    )
    return frozenset(name for (name,) in _ask(query, []))


def _is_bare(node: dict[str, Any]) -> bool:
    return (
        node.get("type") == "SELECT_NODE"
        and node["from_table"]["type"] == "EMPTY"
        and len(node["select_list"]) == 1
        and not node["modifiers"]
        and not node["cte_map"]["map"]
        and not node["group_expressions"]
        and not node["where_clause"]
        and not node["having"]
        and not node["qualify"]
        and not node["sample"]
        and not node["select_list"][0]["alias"]
    )


def _nodes(value: Any, places: Mapping[int, int]) -> tuple[Node, ...]:
    """The nodes nearest to ``value``, itself where it is one."""
    if isinstance(value, list):
        return tuple(node for child in value for node in _nodes(child, places))
    if not isinstance(value, dict):
        return ()
    if "class" not in value:
        return tuple(node for child in value.values() for node in _nodes(child, places))
    kind = value["class"].lower().replace("_", " ")
    if kind == "lambda":
        names = tuple(ref["column_names"][0] for ref in _references(value["lhs"]))
        arrow = value["syntax_type"] == "SINGLE_ARROW"
        body = _nodes(value["expr"], places)
        return (Node(kind=kind, children=body, parameters=names, arrow=arrow),)
    below = tuple(node for child in value.values() for node in _nodes(child, places))
    match kind:
        case "function":
            given = _nodes(value["arguments"], places)
            name = value["function_name"].lower()
            return (Node(kind=kind, children=below, name=name, arguments=given),)
        case "column ref":
            return (Node(kind=kind, path=tuple(value["column_names"]), place=places[id(value)]),)
        case "constant":
            literal = value["literal"]
            return (Node(kind=kind, literal=(literal["kind"], str(literal.get("text")))),)
        case _:
            return (Node(kind=kind, children=below),)


def _references(value: Any) -> Iterator[dict[str, Any]]:
    """Every reference to a column, in the order in which they stand."""
    if isinstance(value, dict):
        if value.get("class") == "COLUMN_REF":
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for child in value:
            yield from _references(child)


@functools.cache
def _parser() -> tuple[duckdb.DuckDBPyConnection, threading.Lock]:
    """One for the process. It runs nothing of a schema, and reaches nothing."""
    connection = connect()
    connection.execute("set enable_external_access = false")
    connection.execute("pragma disable_optimizer")  # it would compute what is constant
    connection.execute("set lock_configuration = true")
    return connection, threading.Lock()


def _ask(query: str, parameters: list[str]) -> list[tuple[Any, ...]]:
    connection, lock = _parser()
    with lock:
        return connection.execute(query, parameters).fetchall()
