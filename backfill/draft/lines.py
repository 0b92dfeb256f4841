"""The lines of a draft: what stands there, and beside it why."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.yaml import comment

WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    why: str = ""


@dataclass(slots=True)
class Types:
    """The types that the schema's columns need, gathered while they are used."""

    specs: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, column: Column, spec: str | None, why: str) -> None:
        if spec is not None:
            self.specs.setdefault(column.name, (spec, why))


def rendered(line: Line) -> Iterator[str]:
    why = comment(line.why)
    if not why:
        yield line.text
    elif not line.text.strip():
        width = WIDTH - len(line.text) - 2
        yield from (
            f"{line.text}# {row}" for row in textwrap.wrap(why, width, break_long_words=False)
        )
    elif len(line.text) + len(why) + 4 <= WIDTH and not why.startswith("OPEN"):
        yield f"{line.text}  # {why}"
    else:
        indent = re.match(" *(- )?", line.text)
        blanks = " " * len(indent.group()) if indent else ""
        for row in textwrap.wrap(why, WIDTH - len(blanks) - 2, break_long_words=False):
            yield f"{blanks}# {row}"
        yield line.text
