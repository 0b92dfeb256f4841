"""A YAML text as plain values, in which every scalar is text, with the line of each value."""

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
"""The tags that YAML gives by itself; any other tag is written in the file."""

_FORBIDDEN: Final = re.compile("[\0\ud800-\udfff]")
"""NUL ends texts in C, and half a surrogate pair is not a character."""

_FORBIDDEN_IN_METRIC: Final = re.compile("[\0\x1f\ud800-\udfff]")
"""U+001F separates the metric from the id in what is hashed to an event's key."""

KeyPath = tuple[str | int, ...]
"""The keys and list positions that lead to a value of the file."""

YamlValue = str | None | list["YamlValue"] | dict[str, "YamlValue"]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML file."""

    file: str
    values: YamlValue
    lines: dict[KeyPath, int]
    """The line of each value, counted from 1."""

    def place(self, path: KeyPath) -> str:
        """``file:line`` of the value at ``path``, or of the nearest value around it."""
        at: KeyPath = ()
        for part in path:
            if (*at, part) in self.lines:
                at = (*at, part)
        return f"{self.file}:{self.lines.get(at, 1)}"


def read_document(text: str, file: str) -> Document:
    """Parse YAML.

    Args:
        text: the YAML.
        file: the name of its file, for messages.

    Raises:
        SchemaError: the text is not YAML, repeats a key or holds a tag.
    """
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
    reader = _Reader(file)
    values = reader.value(node, ())
    if reader.problems:
        raise SchemaError(reader.problems)
    return Document(file, values, reader.lines)


class _Reader:
    """Reads the nodes of one file, and collects their lines and problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.lines: dict[KeyPath, int] = {}
        self.nodes = 0

    def value(self, node: Node, path: KeyPath) -> YamlValue:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            problem = Problem(f"{self.file}:1", f"over {MAX_NODES:,} values once aliases are read")
            raise SchemaError([problem])
        if len(path) > MAX_DEPTH:
            raise SchemaError([Problem(f"{self.file}:1", TOO_DEEP)])
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._check_tag(str(node.tag or ""), line)
        match node:
            case ScalarNode():
                self._check_text(str(node.value), line, path)
                return None if str(node.tag).endswith(":null") else str(node.value)
            case SequenceNode():
                return [self.value(child, (*path, at)) for at, child in enumerate(node.value)]
            case MappingNode():
                return dict(self._members(node, path))
        raise AssertionError(node)

    def _members(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[str, YamlValue]]:
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                self._add_problem(line, "a key is one text")
                continue
            key = str(key_node.value)
            if str(key_node.tag).endswith(":merge"):
                self._add_problem(line, "<< has no meaning in a schema; write the keys out")
                continue
            self._check_text(key, line, path)
            if key in seen:
                self._add_problem(line, f'the key "{key}" is already on line {seen[key]}')
                continue
            seen[key] = line
            self.lines[*path, key] = line
            yield key, self.value(value_node, (*path, key))

    def _check_tag(self, tag: str, line: int) -> None:
        if "python" in tag:
            self._add_problem(line, "a schema holds no Python objects")
        elif tag and tag not in _KINDS:
            written = tag.replace("tag:yaml.org,2002:", "!!")
            self._add_problem(line, f'a tag such as "{written}" has no meaning in a schema')

    def _check_text(self, text: str, line: int, path: KeyPath) -> None:
        forbidden = _FORBIDDEN_IN_METRIC if path[-1:] == ("event",) else _FORBIDDEN
        if found := forbidden.search(text):
            code = f"U+{ord(found.group()):04X}"
            self._add_problem(line, f"the character {code} is not allowed here in a schema")

    def _add_problem(self, line: int, text: str) -> None:
        self.problems.append(Problem(f"{self.file}:{line}", text))
