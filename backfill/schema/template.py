"""A template: text with columns in braces."""

import re
from dataclasses import dataclass
from typing import Final

from backfill.schema.columns import FILE

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


@dataclass(frozen=True, slots=True)
class Template:
    """Its parts in order: a text, or a column in a one-tuple.

    ``{line}`` is the line's number, ``{file}`` the name of the file.
    """

    parts: tuple[str | tuple[str], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        names = (part[0] for part in self.parts if isinstance(part, tuple) and part != ("line",))
        return tuple(FILE if name == "file" else name for name in names)

    @property
    def counts_lines(self) -> bool:
        return ("line",) in self.parts


def parse_template(text: str) -> Template:
    """Raises ValueError with one clear sentence where braces do not pair."""
    parts: list[str | tuple[str]] = []
    for token in _TOKEN.finditer(text):
        match token.group():
            case "{{" | "}}" as doubled:
                parts.append(doubled[0])
            case "{" | "}" as lone:
                raise ValueError(f'a lone "{lone}"; write "{lone}{lone}" for the sign itself')
            case whole if whole.startswith("{"):
                name = token.group(1).strip()
                if not name:
                    raise ValueError('"{}" names no column')
                parts.append((name,))
            case plain:
                parts.append(plain)
    return Template(tuple(parts))
