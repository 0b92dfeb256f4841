"""A schema meets an export's header: which column stands where, and what does not fit."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from backfill.errors import Problem, SchemaError
from backfill.schema.columns import Absent, Made, Piece, find, fits, readings, why_not
from backfill.schema.document import Place
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Schema
from backfill.schema.uses import needed_columns, uses


@dataclass(frozen=True, slots=True)
class BoundSchema:
    loaded: LoadedSchema
    columns: Mapping[str, int]
    """For each cell that the schema uses and the export has: its position in the export."""
    notes: tuple[str, ...] = ()
    origin: int | None = None
    """The position of ``_file`` in rejects that are fed in again."""
    made: Mapping[str, Made] = field(default_factory=dict)
    """For each column that the schema uses and that is no cell itself: what it is made of."""

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
    schema = loaded.schema
    cells: dict[str, int] = {}
    made: dict[str, Made] = {}
    missing: set[str] = set()
    problems: dict[str, Problem] = {}
    for path, name, leaf_may_lack in _wanted(schema):
        in_order = path == ("source", "order")
        may_lack = () if in_order else schema.source.optional
        found = find(name, header, schema.columns, may_lack)
        optional = leaf_may_lack or fits(name, may_lack)
        if isinstance(found, Absent):
            missing.add(name)
        elif found is None and optional and header.count(name) == 0:
            missing.add(name)
            continue
        why = _why(name, found, header, {} if optional else lacking, where)
        if in_order and isinstance(found, Piece):
            why = f'"{name}" is a part of a cell, and rows are told apart by whole cells'
        if why:
            problems.setdefault(name, loaded.problem(path, why))
        elif path[0] == "columns":
            continue
        elif isinstance(found, int):
            cells[name] = found
        elif found is not None:
            made[name] = found
    if problems:
        raise SchemaError(sorted(problems.values(), key=lambda problem: problem.line))
    notes = [f'column "{name}" has a type and no use' for name in sorted(_unused(schema))]
    notes += _missing(sorted(missing))
    origin = header.index("_file") if {"_file", "_row"} <= set(header) else None
    return BoundSchema(loaded, cells, tuple(notes), origin, made)


def _missing(names: Sequence[str]) -> list[str]:
    """One note: a schema for many layouts has dozens of columns that this export lacks."""
    if len(names) == 1:
        return [f'optional column "{names[0]}" is not in the export']
    listed = ", ".join(f'"{name}"' for name in names)
    return [f"{len(names)} optional columns are not in the export: {listed}"] if names else []


def _why(
    name: str,
    found: int | Made | None,
    header: Sequence[str],
    lacking: Mapping[int, Sequence[str]],
    where: str,
) -> str:
    """What is wrong with a column; nothing where it can be used."""
    if found is None:
        return why_not(name, header, where)
    if isinstance(found, Piece) and (why := _not_apart(found)):
        return why
    position = found.cells.get(0) if isinstance(found, Piece) else found
    if isinstance(position, int) and position in lacking:
        files, named = lacking[position], header[position]
        return f'column "{named}" is not in {files[0]}, and the schema needs it in every file'
    return ""


def _not_apart(piece: Piece) -> str:
    """Why a cell cannot be taken apart as a schema wants it."""
    base, form = piece.base, piece.form
    if not piece.listed and not piece.path:
        return ""
    match form.kind:
        case "json":
            return ""
        case "list" if piece.listed and not piece.path:
            return ""
        case "list":
            return f'"{base}" is a list, whose elements have no members: write "{base}[]"'
        case "pairs" if piece.listed and form.lines is None:
            return f'"{base}[]" needs the sign between lines: {{pairs: {{lines: ";", …}}}}'
        case "pairs" if form.lines is not None and not piece.listed:
            return f'"{base}" holds several lines: write "{base}[].{".".join(piece.path)}"'
        case "pairs":
            return ""
    return f'"{base}" is read as {form.kind}; as json, pairs or list it can be taken apart'


def _wanted(schema: Schema) -> Iterable[tuple[Place, str, bool]]:
    """Each use of a column: its place, the name, whether the export may lack it."""
    for name in schema.source.order or ():
        yield ("source", "order"), name, False
    for use in uses(schema):
        for name in needed_columns(schema, use.leaf):
            yield use.path, name, use.leaf.optional
    for name in _unused(schema):
        yield ("columns", name), name, False


def _unused(schema: Schema) -> list[str]:
    """Columns that have a type and no use, not as a cell that others are made of either."""
    used = set(schema.source.order or ())
    for use in uses(schema):
        for name in needed_columns(schema, use.leaf):
            used |= {name, *(reading.base for reading in readings(name))}
    return [name for name in schema.columns if name not in used]
