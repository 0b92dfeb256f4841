"""One SQL expression of a schema: read by DuckDB's own parser, refused where it does more.

An expression sees columns and constants. No subquery, window, aggregate or parameter, and no
function whose result is not settled by its arguments: the same export must give the same events
on every day and every machine.
"""

import functools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from backfill.memory import MEMORY
from backfill.schema.sizes import MAX_CHARS, size_problem

_CLASSES: Final = frozenset(
    [
        "BETWEEN",
        "CASE",
        "CAST",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "FUNCTION",
        "LAMBDA",
        "OPERATOR",
        "TYPE",
    ]
)
_REFUSED_CLASSES: Final = {
    "SUBQUERY": "a subquery",
    "WINDOW": "a window function",
    "STAR": "*",
    "PARAMETER": "a parameter",
    "COLLATE": "a collation",
}
_REFUSED_FUNCTIONS: Final = frozenset(
    {
        # settled by the clock, though DuckDB 2.0 lists them as CONSISTENT
        "age",
        "current_localtime",
        "current_localtimestamp",
        # may change with DuckDB's version
        "create_sort_key",
        "hash",
        "version",
        "can_cast_implicitly",
        "parse_duckdb_log_message",
        "is_histogram_other_bin",
        # run or show SQL
        "invoke",
        "json_deserialize_sql",
        "json_execute_serialized_sql",
        "json_serialize_plan",
        "json_serialize_sql",
    }
)


_CONSTANT_BYTES: Final = 200_000_000
"""DuckDB computes what is constant already to tell its type."""


class ExpressionError(ValueError):
    """One sentence without the place, which the caller knows."""


@dataclass(frozen=True, slots=True)
class Expression:
    text: str
    columns: tuple[str, ...]
    """The names it uses, spelled as they stand, each once."""
    _tree: str

    def sql(self, rename: Callable[[str], str], in_text: Callable[[str], str] | None = None) -> str:
        """The expression with each column's name replaced by what ``rename`` gives for it.

        ``in_text`` gives it for a column that is put into a text as it is, where DuckDB would
        write an amount with all its places.
        """
        tree = json.loads(self._tree)
        textual = [id(ref) for node in _nodes(tree) for ref in _put_in_text(node)]
        for node in _column_references(tree, ()):
            name = in_text if in_text and id(node) in textual else rename
            node["column_names"] = [name(node["column_names"][0])]
        found = _ask("select json_deserialize_sql(?)", [json.dumps(tree)])[0][0]
        return "(" + str(found).removeprefix("SELECT ").rstrip("; ") + ")"


def parse_expression(text: str) -> Expression:
    """Raises ExpressionError."""
    if len(text) > MAX_CHARS:
        raise ExpressionError(f"an SQL expression has at most {MAX_CHARS:,} characters")
    reply = _ask_whole(text)
    if reply["error"]:
        raise ExpressionError(
            f"no valid SQL expression: {reply['error_message']} (a column that is named as a word "
            'of SQL, such as "Order" or "At", stands in double quotes)'
        )
    [statement] = reply["statements"] if len(reply["statements"]) == 1 else [None]
    node = statement["node"] if statement else {}
    bare = (
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
    if not bare:
        raise ExpressionError("one SQL expression is expected, without select, from or order")
    for part in _nodes(node["select_list"][0]):
        _check(part)
    names = [ref["column_names"][0] for ref in _column_references(reply, ())]
    return Expression(text, tuple(dict.fromkeys(names)), json.dumps(reply))


def _check(node: dict[str, Any]) -> None:
    kind = node["class"]
    if kind not in _CLASSES:
        what = _REFUSED_CLASSES.get(kind, f"a {kind.lower().replace('_', ' ')}")
        raise ExpressionError(f"{what} cannot stand in a schema's SQL")
    if kind == "LAMBDA" and node["syntax_type"] == "SINGLE_ARROW":
        raise ExpressionError("-> is read as a function's arrow; write json_extract(column, '$.x')")
    if kind == "COLUMN_REF" and len(node["column_names"]) != 1:
        whole = ".".join(node["column_names"])
        raise ExpressionError(f'"{whole}": a name with a dot stands in double quotes')
    if kind == "FUNCTION":
        name = node["function_name"].lower()
        if name not in _constant_functions():
            raise ExpressionError(
                f'the function "{name}" cannot stand in a schema\'s SQL: only those that DuckDB '
                "knows and whose result their arguments alone decide"
            )
    if problem := size_problem(node):
        raise ExpressionError(problem)


def _put_in_text(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The columns that ``||`` and concat put together."""
    if node["class"] == "FUNCTION" and node["function_name"] in ("||", "concat", "concat_ws"):
        for argument in node["arguments"]:
            if argument["expression"]["class"] == "COLUMN_REF":
                yield argument["expression"]


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "class" in value:
            yield value
        for child in value.values():
            yield from _nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _nodes(child)


def _column_references(value: Any, bound: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The references to columns; a lambda's own parameters are none."""
    if isinstance(value, list):
        for child in value:
            yield from _column_references(child, bound)
    if not isinstance(value, dict):
        return
    if value.get("class") == "COLUMN_REF":
        if value["column_names"][0] not in bound:
            yield value
        return
    if value.get("class") == "LAMBDA":
        own = tuple(ref["column_names"][0] for ref in _column_references(value["lhs"], ()))
        yield from _column_references(value["expr"], bound + own)
        return
    for child in value.values():
        yield from _column_references(child, bound)


@functools.cache
def _connection() -> tuple[duckdb.DuckDBPyConnection, threading.Lock]:
    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute("set enable_external_access = false")
    connection.execute("pragma disable_optimizer")  # it would compute what is constant
    connection.execute("set lock_configuration = true")
    return connection, threading.Lock()


def _ask(query: str, parameters: list[str]) -> list[tuple[Any, ...]]:
    connection, lock = _connection()
    with lock:
        return connection.execute(query, parameters).fetchall()


def _ask_whole(text: str) -> dict[str, Any]:
    reply = json.loads(_ask("select json_serialize_sql(?)", ["select " + text])[0][0])
    assert isinstance(reply, dict)  # noqa: S101
    return reply


@functools.cache
def _constant_functions() -> frozenset[str]:
    rows = _ask(
        "select function_name from duckdb_functions() where function_type = 'scalar' "
        "group by all having bool_and(stability = 'CONSISTENT')",
        [],
    )
    names = {name for (name,) in rows if not name.startswith("__internal")}
    return frozenset(names - _REFUSED_FUNCTIONS) | {"nullif", "ifnull", "if"}


NUMERIC: Final = frozenset(
    {
        *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
    }
)


def is_numeric(sql_type: str) -> bool:
    return sql_type in NUMERIC or (sql_type.startswith("DECIMAL(") and sql_type.endswith(")"))


def result_type(expression: Expression, types: dict[str, str]) -> str:
    """The SQL type of the result where each column has the type that ``types`` gives.

    Raises ExpressionError where DuckDB knows no such operation for these types.
    """
    names = {name: f"v{at}" for at, name in enumerate(expression.columns)}
    nothing = ", ".join(f"null::{types[name]} as {alias}" for name, alias in names.items())
    query = f"describe select {expression.sql(names.__getitem__)}"
    try:
        with MEMORY.limited(_CONSTANT_BYTES):
            return str(_ask(f"{query} from (select {nothing or '1'})", [])[0][1])
    except duckdb.Error as error:
        reason = str(error).splitlines()[0].partition(": ")[2]
        for name, alias in names.items():
            reason = reason.replace(alias, name)
        raise ExpressionError(
            f"{reason} (a column without a type is text: declare it under columns)"
        ) from error
