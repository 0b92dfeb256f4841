"""The SQL expressions of a schema: parsed by DuckDB, and refused where they do more than compute.

An expression consists of columns and constants. It has no subquery, window, aggregate or parameter,
and calls only the functions that ``expression.toml`` allows: the same export must give the same
events on every day and every machine.

DuckDB's own limit on memory does not count the texts and lists of a running expression. So an
expression that makes a long text or list out of a short one is refused too. The rules here do not
see all of them (ten calls of replace, each of which makes a text ten times as long);
``engine.query_limits`` stops the others while they run.
"""

import functools
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
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
from backfill.schema.complaints import parser_complaint, type_complaint
from backfill.schema.suggest import did_you_mean

MAX_CHARS: Final = 10_000
"""The longest expression. A long one has some hundred characters, and each call may multiply."""

MAX_COUNT: Final = 10_000
"""The greatest length of a padding or a list that a schema may write."""

_LISTS: Final = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
ALLOWED: Final = frozenset(chain.from_iterable(_LISTS["allowed"].values()))
"""The functions that a schema may call."""
REFUSED: Final[dict[str, str]] = {
    name: reason for reason, names in _LISTS["refused"].items() for name in names
}
"""The reasons against other functions."""
REFUSED_PREFIXES: Final[dict[str, str]] = _LISTS["refused_prefixes"]
"""The reasons against functions, by the beginnings of their names."""

_FORMATS: Final = frozenset({"format", "printf"})
_WIDE: Final = re.compile(r"[0-9]{4}|\*|\{[^{}]*\{")
"""A width of four digits, or a width from an argument."""

_TYPING_BYTES: Final = 200_000_000
"""The memory for finding a type: DuckDB computes constant parts of an expression for it."""


class ExpressionError(ValueError):
    """A problem of an expression, as one sentence without its place in the file."""


class TypeMismatchError(ExpressionError):
    """Parts of an expression have types that do not fit together."""


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
        ExpressionError: it is not SQL, more than one expression, or not allowed in a schema.
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
        reason = parser_complaint(str(error))
        raise ExpressionError(
            f"no valid SQL expression{reason and ': '}{reason} (put double quotes around a column "
            'whose name is a word of SQL, such as "Order" or "At")'
        ) from None
    for node in tree.root.walk():
        if problem := _problem(node) or _size_problem(node):
            raise ExpressionError(problem)
    names = (ref.path[0] for ref in _columns(tree.root))
    return Expression(text, tuple(dict.fromkeys(names)), tree)


def _problem(node: Node) -> str | None:
    """Say why a node is not allowed in a schema; None where it is."""
    if node.kind not in _LISTS["kinds"]["allowed"]:
        name = _LISTS["kinds"]["names"].get(node.kind, f"a {node.kind}")
        return f"{name} is not allowed in a schema's SQL"
    if node.arrow:
        return "-> is read as a function's arrow; write json_extract(column, '$.x')"
    if len(node.path) > 1:
        return f'"{".".join(node.path)}": put double quotes around a name with a dot'
    if node.kind == "function" and (reason := _refusal(node.name)):
        return f'the function "{node.name}" is not allowed in a schema\'s SQL: {reason}'
    return None


def _refusal(name: str) -> str | None:
    """Say why a function is not allowed; None where it is."""
    if name in ALLOWED:
        return None
    if name in REFUSED:
        return REFUSED[name]
    for prefix, reason in REFUSED_PREFIXES.items():
        if name.startswith(prefix):
            return reason
    hint = did_you_mean(name, ALLOWED)
    return f"it is not one of those whose result depends on their arguments alone{hint}"


def _size_problem(node: Node) -> str | None:
    """Say why a node may make a long result out of short arguments; None where it does not."""
    if node.kind == "lambda":
        within = any(inner.kind == "lambda" for child in node.children for inner in child.walk())
        return "a lambda is not allowed within a lambda" if within else None
    name = node.name
    lengths = slice(*_LISTS["lengths"].get(name, [0]))
    if not all(map(_is_small, node.arguments[lengths])):
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


def is_numeric(sql_type: str) -> bool:
    return sql_type in _LISTS["types"]["numeric"] or (
        sql_type.startswith("DECIMAL(") and sql_type.endswith(")")
    )


def result_type(expression: Expression, types: dict[str, str]) -> str:
    """The SQL type of an expression's result.

    Args:
        expression: the expression.
        types: the SQL type of each of its columns.

    Raises:
        TypeMismatchError: there is no such operation for these types.
    """
    names = {name: f"v{at}" for at, name in enumerate(expression.columns)}
    nulls = ", ".join(f"null::{types[name]} as {alias}" for name, alias in names.items())
    try:
        with MEMORY.limited(_TYPING_BYTES):
            return describe(
                f"select {expression.sql(names.__getitem__)} from (select {nulls or '1'})"
            )
    except duckdb.Error as error:
        raise TypeMismatchError(type_complaint(error_text(error), types)) from None
