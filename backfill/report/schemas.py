"""The schemas that come with the package, for people who look for the one they need."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from backfill.errors import UsageError
from backfill.schema.load import load_schema
from backfill.schema.shipped import nearest, paths

_INDENT: Final = "    "


def shipped_lines(width: int) -> Iterator[str]:
    """Each name, then what the schema is for and its events, in lines of ``width``."""
    for name, path in paths().items():
        schema = load_schema(path).schema
        events = ", ".join(dict.fromkeys(event.event for event in schema.events))
        yield name
        for text in (" ".join(schema.about.split()), events):
            yield from wrap(text, width, initial_indent=_INDENT, subsequent_indent=_INDENT)


def shipped_text(name: str) -> str:
    """The YAML of one schema. Raises UsageError if there is no schema of that name."""
    found = paths()
    if name not in found:
        near = nearest(name) or tuple(found)
        raise UsageError(f'no shipped schema is called "{name}"; there are {", ".join(near)}')
    return found[name].read_text(encoding="utf-8")
