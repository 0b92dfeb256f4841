"""The schemas that come with the package, a line each."""

from collections.abc import Iterator

from backfill.errors import UsageError
from backfill.report.width import cells, cut
from backfill.schema.load import load_schema
from backfill.schema.shipped import nearest, paths


def shipped_lines(width: int) -> Iterator[str]:
    """Name, events and about, aligned and cut to ``width``."""
    schemas = {name: load_schema(path).schema for name, path in paths().items()}
    events = {
        name: ", ".join(dict.fromkeys(event.event for event in schema.events))
        for name, schema in schemas.items()
    }
    first = max(map(cells, schemas), default=0)
    half = (width - first - 4) // 2  # what stands about a schema wants room too
    second = min(max(map(cells, events.values()), default=0), half)
    for name, schema in schemas.items():
        told = cut(events[name], second)
        gap = " " * (second - cells(told))
        about = " ".join(schema.about.split())
        yield cut(f"{name:<{first}}  {told}{gap}  {about}".rstrip(), width)


def shipped_text(name: str) -> str:
    """The YAML of one. Raises UsageError where none is called so."""
    found = paths()
    if name not in found:
        near = nearest(name) or tuple(found)
        raise UsageError(f'no schema "{name}" comes along; there are {", ".join(near)}')
    return found[name].read_text(encoding="utf-8")
