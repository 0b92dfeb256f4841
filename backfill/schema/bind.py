"""A schema meets an export's header: which column stands where, and what does not fit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from backfill.errors import Problem, SchemaError
from backfill.schema.document import Place
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Schema
from backfill.schema.nearest import did_you_mean
from backfill.schema.uses import uses


@dataclass(frozen=True, slots=True)
class BoundSchema:
    loaded: LoadedSchema
    columns: Mapping[str, int]
    """For each column that the schema uses and the export has: its position in the export."""
    notes: tuple[str, ...] = ()
    origin: int | None = None
    """The position of ``_file`` in rejects that are fed in again."""

    @property
    def schema(self) -> Schema:
        return self.loaded.schema


def bind(
    loaded: LoadedSchema,
    header: Sequence[str],
    lacking: Mapping[int, Sequence[str]] = MappingProxyType({}),
    where: str = "the export",
) -> BoundSchema:
    """Raises SchemaError with every column that is missing or stands twice, each once.

    ``lacking`` names, for a position of ``header``, the files that do not have that column;
    ``where`` is the export in a person's words.
    """
    found: dict[str, int] = {}
    missing: set[str] = set()
    problems: dict[str, Problem] = {}
    for path, name, optional in _wanted(loaded.schema):
        if header.count(name) == 1 and path[0] != "columns":
            found[name] = header.index(name)
        elif optional and name not in header:
            missing.add(name)
            continue
        files = lacking.get(found[name], ()) if name in found and not optional else ()
        why = _why(name, header, files, where)
        if why:
            problems.setdefault(name, loaded.problem(path, why))
    if problems:
        raise SchemaError(sorted(problems.values(), key=lambda problem: problem.line))
    used = loaded.schema.columns.keys() - found.keys() - missing
    notes = [f'column "{name}" has a type and no use' for name in sorted(used) if name in header]
    notes += [f'optional column "{name}" is not in the export' for name in sorted(missing)]
    origin = header.index("_file") if {"_file", "_row"} <= set(header) else None
    return BoundSchema(loaded, found, tuple(notes), origin)


def _why(name: str, header: Sequence[str], lacking: Sequence[str], where: str) -> str:
    """What is wrong with a column that must be there; nothing where it is there once."""
    if header.count(name) > 1:
        return f'"{name}" stands {header.count(name)} times in {where}'
    if name not in header:
        return f'column "{name}" is not in {where}{did_you_mean(name, header)}'
    if lacking:
        return f'column "{name}" is not in {lacking[0]}, and the schema needs it in every file'
    return ""


def _wanted(schema: Schema) -> Iterable[tuple[Place, str, bool]]:
    """Each use of a column: its place, the name, whether the export may lack it."""
    for name in schema.source.order or ():
        yield ("source", "order"), name, False
    used = set(schema.source.order or ())
    for use in uses(schema):
        for name in use.columns:
            used.add(name)
            yield use.path, name, use.leaf.optional
    for name in schema.columns:
        if name not in used:
            yield ("columns", name), name, False
