"""Texts as they stand in YAML, and the names of columns inside leaves, templates and SQL."""

import json
import re
from collections.abc import Sequence
from typing import Final

from backfill.schema.expression import parse_expression

_PLAIN: Final = re.compile(r"[^\W\d_](?:[\w .()/$-]*[\w)])?|\$?[A-Za-z_][\w$]*")
_WORDS: Final = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"))
_LEFT_BARE: Final = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def text(value: str) -> str:
    """A scalar that YAML reads back as it is; plain where that is safe."""
    if _PLAIN.fullmatch(value) and value.casefold() not in _WORDS and "  " not in value:
        return value
    if ('"' in value or "\\" in value) and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    written = json.dumps(value, ensure_ascii=False)
    return _LEFT_BARE.sub(lambda sign: f"\\u{ord(sign.group()):04x}", written)


def comment(value: str) -> str:
    """One line behind ``#``, without what a terminal obeys."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", " ", value).split())


def leaf(name: str) -> str:
    """A leaf that is a column; a name with braces would be taken for a template."""
    return f"{{column: {text(name)}}}" if "{" in name or "}" in name else text(name)


def template(names: Sequence[str], more: str = "") -> str:
    """``"{shop}-{number}"``; one column that cannot stand in braces stands as itself."""
    unfit = [
        name
        for name in names
        if re.search("[{}]", name) or name in ("line", "file") or name != name.strip()
    ]
    if unfit and len(names) == 1 and not more:
        return leaf(names[0])
    return text("-".join(f"{{{name}}}" for name in names) + more)


def in_template(name: str) -> bool:
    return not re.search("[{}]", name) and name not in ("line", "file")


def sql_name(name: str) -> str:
    """A column in SQL; in double quotes where DuckDB would not read it bare."""
    if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
        try:
            if parse_expression(f"{name} * {name}").columns == (name,):
                return name
        except ValueError:
            pass
    return '"' + name.replace('"', '""') + '"'


def sql_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
