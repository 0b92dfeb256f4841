"""A schema meets an export's header: which column stands where, and what does not fit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from backfill.errors import Problem, SchemaError
from backfill.schema.document import Place
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Schema
from backfill.schema.nearest import did_you_mean
from backfill.schema.uses import uses


@dataclass(frozen=True, slots=True)
class BoundSchema:
    schema: Schema
    columns: Mapping[str, int]
    """For each column that the schema uses and the export has: its position in the export."""
    notes: tuple[str, ...] = ()


def bind(loaded: LoadedSchema, header: Sequence[str]) -> BoundSchema:
    """Raises SchemaError with every column that is missing or stands twice."""
    schema = loaded.schema
    found: dict[str, int] = {}
    problems: list[Problem] = []
    optional: set[str] = set()
    for path, name, may_miss in _wanted(schema):
        if header.count(name) > 1:
            problems.append(
                loaded.problem(path, f'"{name}" stands {header.count(name)} times in the export')
            )
        elif name in header:
            found[name] = header.index(name)
        elif may_miss:
            optional.add(name)
        else:
            hint = did_you_mean(name, header)
            problems.append(loaded.problem(path, f'column "{name}" is not in the export{hint}'))
    known = found.keys() | optional
    for name in schema.columns:
        if name not in header and name not in known:
            hint = did_you_mean(name, header)
            text = f'column "{name}" is not in the export{hint}'
            problems.append(loaded.problem(("columns", name), text))
    if problems:
        raise SchemaError(list(dict.fromkeys(problems)))
    unused = [name for name in schema.columns if name in header and name not in known]
    notes = [f'column "{name}" has a type and no use' for name in unused]
    missing = [f'optional column "{name}" is not in the export' for name in sorted(optional)]
    return BoundSchema(schema, found, (*notes, *missing))


def _wanted(schema: Schema) -> Iterable[tuple[Place, str, bool]]:
    for name in schema.source.order or ():
        yield ("source", "order"), name, False
    for use in uses(schema):
        for name in use.columns:
            yield use.path, name, use.leaf.optional
