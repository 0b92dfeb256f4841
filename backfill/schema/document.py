"""A YAML text becomes plain values, all scalars text, with the line of every place."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ruamel.yaml import YAML, MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from backfill.errors import Problem, SchemaError

MAX_NODES: Final = 50_000
"""Aliases of aliases can make a small file a huge one."""

MAX_DEPTH: Final = 50
TOO_DEEP: Final = f"more than {MAX_DEPTH} levels, or an alias inside itself"

_KINDS: Final = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge", "value")
)
"""What YAML finds by itself; whatever else stands in a tag was written there."""

_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")
"""NUL ends texts in C, half a pair is no character."""

_NO_METRIC: Final = re.compile("[\0\x1f\ud800-\udfff]")
"""U+001F stands behind the metric in an event's key."""

Place = tuple[str | int, ...]
Plain = str | None | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: its values, and for each path into them the line where it stands."""

    file: str
    values: Plain
    lines: dict[Place, int]

    def place(self, path: Place) -> str:
        """``file:line`` of the deepest part of ``path`` that stands in the file."""
        at: Place = ()
        for part in path:
            if (*at, part) in self.lines:
                at = (*at, part)
        return f"{self.file}:{self.lines.get(at, 1)}"


def read_document(text: str, file: str) -> Document:
    """Raises SchemaError where ``text`` is no YAML, repeats a key or holds a tag."""
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except RecursionError as error:
        raise SchemaError([Problem(f"{file}:1", TOO_DEEP)]) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SchemaError([Problem(f"{file}:{line}", f"no valid YAML: {error.problem}")]) from error
    except (YAMLError, ValueError) as error:  # a control character, a NUL
        message = str(error).splitlines()[0]
        raise SchemaError([Problem(f"{file}:1", f"no valid YAML: {message}")]) from error
    if not isinstance(node, MappingNode):
        raise SchemaError([Problem(f"{file}:1", "a schema is a mapping that begins with name:")])
    reading = _Reading(file)
    values = reading.plain(node, ())
    if reading.problems:
        raise SchemaError(reading.problems)
    return Document(file, values, reading.lines)


class _Reading:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.lines: dict[Place, int] = {}
        self.nodes = 0

    def plain(self, node: Node, path: Place) -> Plain:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            problem = Problem(f"{self.file}:1", f"over {MAX_NODES:,} values once aliases are read")
            raise SchemaError([problem])
        if len(path) > MAX_DEPTH:
            raise SchemaError([Problem(f"{self.file}:1", TOO_DEEP)])
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if "python" in str(node.tag):
            self._problem(line, "a schema holds no Python objects")
        elif node.tag and str(node.tag) not in _KINDS:
            tag = str(node.tag).replace("tag:yaml.org,2002:", "!!")
            self._problem(line, f'a tag such as "{tag}" has no meaning in a schema')
        if isinstance(node, ScalarNode):
            self._text(str(node.value), line, path)
        match node:
            case ScalarNode():
                return None if str(node.tag).endswith(":null") else str(node.value)
            case SequenceNode():
                return [self.plain(child, (*path, at)) for at, child in enumerate(node.value)]
            case MappingNode():
                return dict(self._members(node, path))
        raise AssertionError(node)

    def _members(self, node: MappingNode, path: Place) -> Iterator[tuple[str, Plain]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._problem(line, "a key is one text")
                continue
            key = str(key_node.value)
            if str(key_node.tag).endswith(":merge"):
                self._problem(line, "<< has no meaning in a schema; write the keys out")
                continue
            self._text(key, line, path)
            if key in seen:
                self._problem(line, f'the key "{key}" stands already on line {seen[key]}')
                continue
            seen[key] = line
            self.lines[*path, key] = line
            yield key, self.plain(value_node, (*path, key))

    def _text(self, text: str, line: int, path: Place) -> None:
        unfit = _NO_METRIC if path[-1:] == ("event",) else _NO_TEXT
        if found := unfit.search(text):
            code = f"U+{ord(found.group()):04X}"
            self._problem(line, f"the character {code} cannot stand in a schema here")

    def _problem(self, line: int, text: str) -> None:
        self.problems.append(Problem(f"{self.file}:{line}", text))
