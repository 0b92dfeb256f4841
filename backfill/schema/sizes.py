"""What in a schema's SQL makes much out of little, refused before it runs.

DuckDB's own limit on memory does not count the texts and lists of a running expression. What no
rule here sees (a text that replace makes ten times as long, ten times over) is stopped while it
runs; see ``mapping.bounded``.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

MAX_CHARS: Final = 10_000
"""Of one expression. A long one has some hundred; each call in it may multiply."""

MAX_COUNT: Final = 10_000
"""The longest padding or list that a number in the schema may ask for."""

_COUNTS: Final[dict[str, slice]] = {
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
"""Functions whose result is as long as a number says, and where the number stands."""

_FOLDS: Final = frozenset({"list_reduce", "array_reduce", "reduce"})
"""Each step may double what the step before it made."""

_FORMATS: Final = frozenset({"format", "printf"})
_WIDE: Final = re.compile(r"[0-9]{4}|\*|\{[^{}]*\{")
"""A width of four digits, or one that an argument gives."""


def size_problem(node: dict[str, Any]) -> str | None:
    """Why a node of DuckDB's tree may not stand, or None."""
    if node["class"] == "LAMBDA":
        within = any(inner["class"] == "LAMBDA" for inner in _below(node["expr"]))
        return "a lambda cannot stand within a lambda" if within else None
    if node["class"] != "FUNCTION":
        return None
    name, arguments = node["function_name"].lower(), node["arguments"]
    if name in _FOLDS:
        return f"{name} cannot stand in a schema's SQL: its result may double with each step"
    counts = [argument["expression"] for argument in arguments[_COUNTS.get(name, slice(0))]]
    if not all(map(_is_small, counts)):
        return f"the length that {name} makes is a number written out, at most {MAX_COUNT:,}"
    if name in _FORMATS and arguments and not _is_narrow(arguments[0]["expression"]):
        return f"{name} takes a format written out, with no width over 999 and none from a column"
    return None


def _is_small(node: dict[str, Any]) -> bool:
    literal = node.get("literal", {})
    return (
        node["class"] == "CONSTANT"
        and literal.get("kind") == "INTEGER"
        and abs(int(literal["text"])) <= MAX_COUNT
    )


def _is_narrow(node: dict[str, Any]) -> bool:
    literal = node.get("literal", {})
    return (
        node["class"] == "CONSTANT"
        and literal.get("kind") == "STRING"
        and not _WIDE.search(literal["text"])
    )


def _below(value: Any) -> Iterator[dict[str, Any]]:
    """Every node of a tree, its own root among them."""
    if isinstance(value, dict):
        if "class" in value:
            yield value
        for child in value.values():
            yield from _below(child)
    elif isinstance(value, list):
        for child in value:
            yield from _below(child)
