"""The SQL expressions of a schema: parsed by DuckDB, and refused where they do more than compute.

An expression consists of columns and constants. It has no subquery, window, aggregate or parameter,
and calls only the functions that ``functions.toml`` allows: the same export must give the same
events on every day and every machine.

DuckDB's own limit on memory does not count the texts and lists of a running expression. So an
expression that makes a long text or list out of a short one is refused too. The rules here do not
see all of them (ten calls of replace, each of which makes a text ten times as long);
``engine.bounded`` stops the others while they run.
"""

import functools
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from backfill.engine.duck import (
    Node,
    NotOneExpressionError,
    ParseError,
    Tree,
    describe,
    error_text,
    read_tree,
    write_tree,
)
from backfill.engine.memory import MEMORY
from backfill.schema.suggest import did_you_mean

MAX_CHARS: Final = 10_000
"""The longest expression. A long one has some hundred characters, and each call may multiply."""

MAX_COUNT: Final = 10_000
"""The greatest length of a padding or a list that a schema may write."""

_FUNCTIONS: Final = Path(__file__).with_name("functions.toml")

_KINDS: Final = frozenset(
    [
        *("between", "case", "cast", "column ref", "comparison", "conjunction", "constant"),
        *("function", "lambda", "operator", "type"),
    ]
)
_NAMES_OF_KINDS: Final = {
    "subquery": "a subquery",
    "window": "a window function",
    "star": "*",
    "collate": "a collation",
}

_LENGTH_ARGUMENTS: Final[dict[str, slice]] = {
    "array_resize": slice(1, 2),
    "bar": slice(3, 4),
    "bitstring": slice(1, 2),
    "equi_width_bins": slice(2, 3),
    "generate_series": slice(0, 3),
    "list_resize": slice(1, 2),
    "lpad": slice(1, 2),
    "range": slice(0, 3),
    "repeat": slice(1, 2),
    "rpad": slice(1, 2),
    "to_base": slice(2, 3),
}
"""Functions whose result is as long as a number says, and which arguments are that number."""

_FOLDS: Final = frozenset({"list_reduce", "array_reduce", "reduce"})
"""Functions of which each step may double the result of the step before."""

_FORMATS: Final = frozenset({"format", "printf"})
_WIDE: Final = re.compile(r"[0-9]{4}|\*|\{[^{}]*\{")
"""A width of four digits, or a width from an argument."""

_TYPING_BYTES: Final = 200_000_000
"""The memory for telling a type: DuckDB computes constant parts of an expression for it."""


class ExpressionError(ValueError):
    """A problem of an expression, as one sentence without its place in the file."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed SQL expression that a schema may hold."""

    text: str
    columns: tuple[str, ...]
    """The names of its columns as they are written, each once."""
    _tree: Tree

    def sql(self, rename: Callable[[str], str], in_text: Callable[[str], str] | None = None) -> str:
        """The expression as SQL, with other names for its columns.

        Args:
            rename: gives the SQL for a column's name.
            in_text: gives the SQL for a column that ``||`` or concat puts into a text, where DuckDB
                would write an amount with all its places; None is ``rename``.
        """
        concatenated = {ref.place for node in self._tree.root.walk() for ref in _concatenated(node)}
        names = {
            ref.place: (in_text if in_text and ref.place in concatenated else rename)(ref.path[0])
            for ref in _columns(self._tree.root)
        }
        return write_tree(self._tree, names)


@functools.lru_cache(maxsize=1_000)
def parse_expression(text: str) -> Expression:
    """Parse an expression of a schema.

    Raises:
        ExpressionError: it is no SQL, more than one expression, or not allowed in a schema.
    """
    if len(text) > MAX_CHARS:
        raise ExpressionError(f"an SQL expression has at most {MAX_CHARS:,} characters")
    try:
        tree = read_tree(text)
    except NotOneExpressionError as error:
        raise ExpressionError(
            "one SQL expression is expected, without select, from or order"
        ) from error
    except ParseError as error:
        raise ExpressionError(
            f"no valid SQL expression: {error} (put double quotes around a column whose name is a "
            'word of SQL, such as "Order" or "At")'
        ) from error
    for node in tree.root.walk():
        if problem := _problem(node) or _size_problem(node):
            raise ExpressionError(problem)
    names = (ref.path[0] for ref in _columns(tree.root))
    return Expression(text, tuple(dict.fromkeys(names)), tree)


def _problem(node: Node) -> str | None:
    """Say why a node is not allowed in a schema; None where it is."""
    if node.kind not in _KINDS:
        return f"{_NAMES_OF_KINDS.get(node.kind, f'a {node.kind}')} cannot stand in a schema's SQL"
    if node.arrow:
        return "-> is read as a function's arrow; write json_extract(column, '$.x')"
    if len(node.path) > 1:
        return f'"{".".join(node.path)}": put double quotes around a name with a dot'
    if node.kind == "function" and (reason := _refusal(node.name)):
        return f'the function "{node.name}" cannot stand in a schema\'s SQL: {reason}'
    return None


def _refusal(name: str) -> str | None:
    """Say why a function is not allowed; None where it is."""
    allowed, refused, prefixes = _functions()
    if name in allowed:
        return None
    by_prefix = (reason for prefix, reason in prefixes.items() if name.startswith(prefix))
    unknown = "it is not one of those whose result depends on their arguments alone"
    found = refused.get(name) or next(by_prefix, unknown)
    return found if found != unknown else unknown + did_you_mean(name, allowed)


@functools.cache
def _functions() -> tuple[frozenset[str], dict[str, str], dict[str, str]]:
    """The allowed names; the reasons against other names, and against beginnings of names."""
    lists = tomllib.loads(_FUNCTIONS.read_text(encoding="utf-8"))
    allowed = frozenset(name for names in lists["allowed"].values() for name in names)
    refused, prefixes = (
        {name: reason for reason, names in lists[kind].items() for name in names}
        for kind in ("refused", "refused_prefixes")
    )
    return allowed, refused, prefixes


def _size_problem(node: Node) -> str | None:
    """Say why a node may make a long result out of short arguments; None where it does not."""
    if node.kind == "lambda":
        within = any(inner.kind == "lambda" for child in node.children for inner in child.walk())
        return "a lambda cannot stand within a lambda" if within else None
    name = node.name
    if name in _FOLDS:
        return f"{name} cannot stand in a schema's SQL: its result may double with each step"
    if not all(map(_is_small, node.arguments[_LENGTH_ARGUMENTS.get(name, slice(0))])):
        return f"{name} takes a length that is written as a number, at most {MAX_COUNT:,}"
    if name in _FORMATS and node.arguments and not _is_narrow(node.arguments[0]):
        return f"{name} takes a format written as a text, with no width over 999 or from a column"
    return None


def _is_small(node: Node) -> bool:
    kind, text = node.literal
    digits = len(str(MAX_COUNT)) + 1  # with a sign
    return kind == "INTEGER" and len(text) <= digits and abs(int(text)) <= MAX_COUNT


def _is_narrow(node: Node) -> bool:
    kind, text = node.literal
    return kind == "STRING" and not _WIDE.search(text)


def _concatenated(node: Node) -> Iterator[Node]:
    """The columns that are arguments of ``||`` or concat."""
    if node.name in ("||", "concat", "concat_ws"):
        yield from (argument for argument in node.arguments if argument.kind == "column ref")


def _columns(node: Node, bound: tuple[str, ...] = ()) -> Iterator[Node]:
    """The references to columns, without a lambda's own parameters."""
    if node.kind == "column ref" and node.path[0] not in bound:
        yield node
    for child in node.children:
        yield from _columns(child, (*bound, *node.parameters))


_NUMERIC: Final = frozenset(
    {
        *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE"),
        *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
    }
)


def is_numeric(sql_type: str) -> bool:
    return sql_type in _NUMERIC or (sql_type.startswith("DECIMAL(") and sql_type.endswith(")"))


def result_type(expression: Expression, types: dict[str, str]) -> str:
    """The SQL type of an expression's result.

    Args:
        expression: the expression.
        types: the SQL type of each of its columns.

    Raises:
        ExpressionError: DuckDB knows no such operation for these types.
    """
    names = {name: f"v{at}" for at, name in enumerate(expression.columns)}
    nulls = ", ".join(f"null::{types[name]} as {alias}" for name, alias in names.items())
    try:
        with MEMORY.limited(_TYPING_BYTES):
            return describe(
                f"select {expression.sql(names.__getitem__)} from (select {nulls or '1'})"
            )
    except duckdb.Error as error:
        reason = error_text(error)
        for name, alias in names.items():
            reason = reason.replace(alias, name)
        raise ExpressionError(
            f"{reason} (a column without a type is text: declare it under columns)"
        ) from error
