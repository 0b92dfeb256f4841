"""The YAML of a draft: plain values in flow style, in blocks whose keys carry comments."""

import re
import sys
import textwrap
from collections.abc import Sequence
from io import StringIO
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

from backfill.schema.document import YamlValue
from backfill.schema.expression import parse_expression

WIDTH: Final = 100
"""Of a line with a comment. Values are never broken."""

QUESTION: Final = "?"
"""The placeholder for an answer of the user; ``check`` stops there."""

_PLAIN: Final = re.compile(r"[^\W\d_](?:[\w .()/$-]*[\w)])?|\$?[A-Za-z_][\w$]*")
_WORDS: Final = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"))
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Characters that end a line or control a terminal."""


class Block:
    """A mapping in block style that grows key by key.

    Args:
        indent: blanks in front of each key.
        reserved: keys that a column's own name must not take, whether they are there or not.
    """

    def __init__(self, indent: int = 0, reserved: Sequence[str] = ()) -> None:
        self.node = CommentedMap()
        self._indent, self._reserved = indent, reserved
        self.above: list[tuple[int, str]] = []
        """Comment lines for the next key, each with its indent."""

    def __contains__(self, key: str) -> bool:
        return key in self.node or key in self._reserved

    def __bool__(self) -> bool:
        return bool(self.node)

    def nested(self, reserved: Sequence[str] = ()) -> "Block":
        """A block to be the value of a key of this one; ``reserved`` as for the class."""
        return Block(self._indent + 2, reserved)

    def comment(self, sentence: str) -> None:
        """Above the next key, in as many lines as it needs."""
        self.above += [(self._indent, line) for line in wrapped(sentence, self._indent)]

    def comment_line(self, line: str) -> None:
        """Above the next key, as it is: SQL, or a key to be filled in."""
        self.above.append((self._indent, _CONTROLS.sub(" ", line)))

    def blank_line(self) -> None:
        self.above.append((self._indent, "\n"))

    def add(self, key: str, value: "YamlValue | Block", why: str = "") -> None:
        """A key with its evidence: behind it where the line takes it, else above it.

        Comments at the end of a nested block come above the next key of this one.
        """
        name, node = _scalar(key), value.node if isinstance(value, Block) else _flow(value)
        why = _one_line(why)
        line_end = self._indent + len(dump({name: node}).rstrip("\n")) if why else 0
        beside = line_end + len(why) + 4 <= WIDTH and not why.startswith("OPEN")
        if why and not beside:
            self.comment(why)
        self._put(name, node)
        if why and beside:
            self.node.yaml_add_eol_comment(f"# {why}", name, column=line_end + 2)
        if isinstance(value, Block):
            self.above = value.above

    def add_once(self, key: str, value: YamlValue, why: str) -> None:
        """Like ``add``, but the first value of a key stays."""
        if key not in self:
            self.add(key, value, why)

    def add_list(self, key: str, blocks: Sequence["Block"]) -> None:
        """Blocks with a blank line between them."""
        nodes = CommentedSeq(block.node for block in blocks)
        for place in range(1, len(nodes)):
            nodes.yaml_set_comment_before_after_key(place, before="\n")
        self._put(key, nodes)

    def _put(self, name: str, node: object) -> None:
        for indent, line in self.above:
            self.node.yaml_set_comment_before_after_key(name, before=line, indent=indent)
        self.above = []
        self.node[name] = node


def dump(node: object) -> str:
    """The text of a block's node, or of plain values."""
    yaml = YAML()
    yaml.width = sys.maxsize
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = StringIO()
    yaml.dump(node, text)
    return text.getvalue()


def flow_text(value: YamlValue) -> str:
    """A value as YAML writes it after its key, for a sentence that quotes it."""
    return dump({"": _flow(value)}).removeprefix("'': ").rstrip("\n")


def wrapped(sentence: str, indent: int = 0) -> list[str]:
    """A comment's lines, without what is in front of them."""
    width = WIDTH - indent - len("# ")
    return textwrap.wrap(_one_line(sentence), width, break_long_words=False)


def _flow(value: YamlValue) -> object:
    match value:
        case dict():
            mapping = CommentedMap((_scalar(key), _flow(inner)) for key, inner in value.items())
            mapping.fa.set_flow_style()
            return mapping
        case list():
            sequence = CommentedSeq(map(_flow, value))
            sequence.fa.set_flow_style()
            return sequence
        case _:
            return _scalar(value or "")


def _scalar(value: str) -> str:
    """Text that YAML reads back as it is, without quotes where that is safe at a glance."""
    if _PLAIN.fullmatch(value) and value.casefold() not in _WORDS and "  " not in value:
        return value
    single = ('"' in value or "\\" in value) and value.isprintable()
    quoted: str = (SingleQuotedScalarString if single else DoubleQuotedScalarString)(value)
    return quoted


def _one_line(sentence: str) -> str:
    return " ".join(_CONTROLS.sub(" ", sentence).split())


def leaf(name: str) -> YamlValue:
    """A leaf that is a column; a name with braces would be taken for a template."""
    return {"column": name} if "{" in name or "}" in name else name


def template(names: Sequence[str], more: str = "") -> YamlValue:
    """``"{shop}-{number}"``; a single column that cannot be in braces is named alone."""
    fitting = all(fits_template(name) and name == name.strip() for name in names)
    if not fitting and len(names) == 1 and not more:
        return leaf(names[0])
    return "-".join(f"{{{name}}}" for name in names) + more


def fits_template(name: str) -> bool:
    """Whether ``{name}`` in a template means this column."""
    return not re.search("[{}]", name) and name not in ("line", "file")


def sql_name(name: str) -> str:
    """A column in SQL; in double quotes where DuckDB would not read it bare."""
    if re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
        try:
            if parse_expression(f"{name} * {name}").columns == (name,):
                return name
        except ValueError:
            pass
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
