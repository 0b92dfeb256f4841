"""DuckDB's complaints about an expression, as sentences for people who do not know DuckDB."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from backfill.schema.suggest import did_you_mean

_WORDS: Final[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)
_SQL_TYPES: Final = ("varchar", "integer", "bigint", "decimal", "double", "boolean", "date")

_OPERATORS: Final[dict[str, str]] = _WORDS["operators"]

_COMMA: Final = re.compile(r", (?![^(]*\))")
"""A comma between types, not one within ``DECIMAL(38,6)``."""


def type_complaint(text: str, columns: Mapping[str, str]) -> str:
    """Say that types do not fit.

    Args:
        text: what DuckDB says.
        columns: the SQL types of the expression's columns, by their names.
    """
    reason = next(filter(None, (_known(text, one) for one in _WORDS["known"])), _WORDS["other"])
    if not columns:
        return reason
    told = " and ".join(f'"{name}" is {in_words(sql_type)}' for name, sql_type in columns.items())
    remedy = " (a column without a type is text: declare it under columns)"
    return f"{reason}: {told}{remedy if 'VARCHAR' in columns.values() else ''}"


def parser_complaint(text: str) -> str:
    """Say why a text is no SQL; "" where only DuckDB has words for it."""
    for pattern, sentence in _WORDS["parser"].items():
        if found := re.search(pattern, text):
            return str(sentence).format(*found.groups())
    return ""


def in_words(sql_type: str) -> str:
    """An SQL type in the words of a schema."""
    if sql_type.endswith("]"):
        return "a list"
    return str(_WORDS["words"].get(sql_type.partition("(")[0], sql_type.lower()))


def _known(text: str, known: Mapping[str, str]) -> str:
    """The sentence for a complaint of one kind; "" where it is of another."""
    found = re.search(known["pattern"], text)
    if found is None:
        return ""
    name, *types = found.groups() or ("",)
    listed = [part for one in types for part in _COMMA.split(one) if part]
    sentence = known["sentence"].format(name=_OPERATORS.get(name, name), types=_joined(listed))
    if "SQL type" in sentence:
        sentence += did_you_mean(name, _SQL_TYPES)
    return sentence


def _joined(types: Iterable[str]) -> str:
    words = [in_words(one) for one in types]
    return " and ".join(words) or "no argument"
