"""Templates: texts with the names of columns in braces."""

import re
from dataclasses import dataclass
from typing import Final

from backfill.schema.columns import FILE_COLUMN

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


@dataclass(frozen=True, slots=True)
class ColumnPart:
    """A column's text within a template."""

    name: str


@dataclass(frozen=True, slots=True)
class LineNumberPart:
    """``{line}``: the number of the row in its order."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template."""

    parts: tuple[str | ColumnPart | LineNumberPart, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts if isinstance(part, ColumnPart))

    @property
    def counts_lines(self) -> bool:
        return LineNumberPart() in self.parts


def parse_template(text: str) -> Template:
    """Parse a template.

    Raises:
        ValueError: braces do not pair, or hold no name; the message is one sentence.
    """
    parts: list[str | ColumnPart | LineNumberPart] = []
    for token in _TOKEN.finditer(text):
        match token.group():
            case "{{" | "}}" as doubled:
                parts.append(doubled[0])
            case "{" | "}" as lone:
                raise ValueError(f'a lone "{lone}"; write "{lone}{lone}" for the brace itself')
            case whole if whole.startswith("{"):
                parts.append(_placeholder(token.group(1).strip()))
            case plain:
                parts.append(plain)
    return Template(tuple(parts))


def _placeholder(name: str) -> ColumnPart | LineNumberPart:
    match name:
        case "":
            raise ValueError('"{}" names no column')
        case "line":
            return LineNumberPart()
        case "file":
            return ColumnPart(FILE_COLUMN)
        case _:
            return ColumnPart(name)
