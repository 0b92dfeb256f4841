"""A schema bound to an export: where its columns are, or all problems with them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from backfill.errors import Problem, SchemaError
from backfill.schema.column_uses import needed_columns, uses
from backfill.schema.columns import (
    Absent,
    CellPart,
    DerivedColumn,
    find_column,
    matches_any,
    missing_column_problem,
    possible_paths,
)
from backfill.schema.document import KeyPath
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Schema
from backfill.schema.row_rules import RowRules, drop_rows, fill_down


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundSchema:
    """A schema, and where an export has its columns."""

    loaded: LoadedSchema
    columns: Mapping[str, int]
    """The position in the export of each column that the schema uses and the header names."""
    derived: Mapping[str, DerivedColumn] = field(default_factory=dict)
    """The other columns that the schema uses: what each is made of."""
    origin: int | None = None
    """The position of ``_file`` in an export of rejects: it names the file a row came from."""
    rules: RowRules = field(default_factory=RowRules)
    """What happens to the export's rows before they are mapped."""
    notes: tuple[str, ...] = ()
    """Sentences about columns that are not used or not there."""

    @property
    def schema(self) -> Schema:
        return self.loaded.schema


def bind(
    loaded: LoadedSchema,
    header: Sequence[str],
    lacking: Mapping[int, Sequence[str]] = MappingProxyType({}),
    where: str = "the export",
) -> BoundSchema:
    """Find the columns of a schema in an export.

    Args:
        loaded: the schema.
        header: the names of the export's columns, in their order; names may repeat.
        lacking: by position in ``header``, the files of the export that lack this column.
        where: the export in words, for messages.

    Raises:
        SchemaError: columns are missing, ambiguous or of the wrong type; it names each once.
    """
    schema = loaded.schema
    found: dict[str, int | DerivedColumn] = {}
    missing: set[str] = set()
    problems: dict[str, Problem] = {}
    for path, name, leaf_is_optional in _column_uses(schema):
        in_order = path == ("source", "order")
        optional_columns = () if in_order else schema.source.optional
        column = find_column(name, header, schema.columns, optional_columns)
        optional = leaf_is_optional or matches_any(name, optional_columns)
        is_missing = column is None and optional and name not in header
        if is_missing or isinstance(column, Absent):
            missing.add(name)
        if is_missing:
            continue
        problem = _problem(name, column, header, {} if optional else lacking, where)
        if in_order and isinstance(column, CellPart):
            problem = f'"{name}" is a part of a cell, and an order column is a whole cell'
        if problem:
            problems.setdefault(name, loaded.problem(path, problem))
        elif column is not None and path[0] != "columns":
            found[name] = column
    rules, rule_problems = _row_rules(loaded, header, found.values(), where)
    every = [*problems.values(), *rule_problems]
    if every:
        raise SchemaError(sorted(every, key=lambda problem: problem.line))
    return BoundSchema(
        loaded=loaded,
        columns={name: column for name, column in found.items() if isinstance(column, int)},
        derived={name: column for name, column in found.items() if not isinstance(column, int)},
        origin=header.index("_file") if {"_file", "_row"} <= set(header) else None,
        rules=rules,
        notes=tuple(_notes(schema, sorted(missing))),
    )


def _row_rules(
    loaded: LoadedSchema,
    header: Sequence[str],
    found: Iterable[int | DerivedColumn],
    where: str,
) -> tuple[RowRules, list[Problem]]:
    """The schema's rules for rows, and the problems with their columns."""
    schema = loaded.schema
    used: list[int] = []
    for column in found:
        if isinstance(column, int):
            used.append(column)
        elif isinstance(column, CellPart):
            used += column.positions.values()
    drop_path = ("source", "drop_rows")
    drop, of_drop = drop_rows(schema, header, loaded.problem(drop_path, "").place, where)
    fill, of_fill = fill_down(schema, header, used, where)
    problems = [loaded.problem(drop_path, text) for text in of_drop]
    problems += [loaded.problem(path, text) for path, text in of_fill]
    return RowRules(drop=drop, fill=fill, null_values=schema.source.null_values), problems


def _notes(schema: Schema, missing: Sequence[str]) -> Iterator[str]:
    """The notes on columns without a use, and one note on all that are missing.

    A schema for many layouts has dozens of columns that one export lacks.
    """
    for name in sorted(_unused(schema)):
        yield f'column "{name}" has a type and no use'
    if len(missing) == 1:
        yield f'optional column "{missing[0]}" is not in the export'
    elif missing:
        listed = ", ".join(f'"{name}"' for name in missing)
        yield f"{len(missing)} optional columns are not in the export: {listed}"


def _problem(
    name: str,
    found: int | DerivedColumn | None,
    header: Sequence[str],
    lacking: Mapping[int, Sequence[str]],
    where: str,
) -> str:
    """The reason why a column cannot be used; "" where it can."""
    if found is None:
        return missing_column_problem(name, header, where)
    if isinstance(found, CellPart) and (problem := _type_problem(found)):
        return problem
    position = found.positions.get(0) if isinstance(found, CellPart) else found
    if isinstance(position, int) and position in lacking:
        files, named = lacking[position], header[position]
        return f'column "{named}" is not in {files[0]}, and the schema needs it in every file'
    return ""


def _type_problem(part: CellPart) -> str:
    """The reason why the cell's type does not have such parts; "" where it has."""
    base, kind, by_line = part.base, part.cell_type.kind, part.cell_type.lines is not None
    if kind == "json" or not (part.listed or part.path):
        return ""
    match kind:
        case "list" if part.path:
            return f'"{base}" is a list, whose elements have no members: write "{base}[]"'
        case "pairs" if part.listed and not by_line:
            return f'"{base}[]" needs the sign between lines: {{pairs: {{lines: ";", …}}}}'
        case "pairs" if by_line and not part.listed:
            return f'"{base}" holds several lines: write "{base}[].{".".join(part.path)}"'
        case "list" | "pairs":
            return ""
    return f'"{base}" is read as {kind}; only json, pairs and list have parts'


def _column_uses(schema: Schema) -> Iterator[tuple[KeyPath, str, bool]]:
    """Each use of a column: its place, the column's name, and whether the leaf is optional."""
    for name in schema.source.order or ():
        yield ("source", "order"), name, False
    for use in uses(schema):
        for name in needed_columns(schema, use.leaf):
            yield use.path, name, use.leaf.optional
    for name in _unused(schema):
        yield ("columns", name), name, False


def _unused(schema: Schema) -> list[str]:
    """The columns with a type that no leaf uses, nor a part of their cells."""
    used = set(schema.source.order or ())
    for use in uses(schema):
        for name in needed_columns(schema, use.leaf):
            used |= {name, *(path.base for path in possible_paths(name))}
    return [name for name in schema.columns if name not in used]
