"""A schema's rules for rows, bound to an export: which rows it drops, which cells it fills down."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backfill.schema.column_uses import is_line_column
from backfill.schema.columns import CellPart, find_column, matches_any, missing_column_problem
from backfill.schema.document import KeyPath
from backfill.schema.expression import Expression, parse_expression
from backfill.schema.model import Schema


@dataclass(frozen=True, slots=True)
class DropRows:
    """A condition on rows that belong to no order. It reads each cell as a text."""

    expression: Expression
    columns: Mapping[str, int]
    """The positions of its columns in the export."""
    place: str
    """``file:line`` of the condition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FillDown:
    """Columns of an order that stand on its first row; all of these are positions in the export."""

    columns: tuple[int, ...]
    """Those that are filled."""
    key: tuple[int, ...]
    """Those that tell orders apart."""
    own: tuple[int, ...]
    """The others that the schema uses: a row without a cell in them is no row of an order."""
    origin: tuple[int, int] | None = None
    """``_file`` and ``_row`` in an export of rejects: where a row stood at first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """What happens to an export's rows before they are mapped."""

    drop: DropRows | None = None
    fill: FillDown | None = None
    null_values: tuple[str, ...] = ()
    """The words that mean an empty cell."""

    @property
    def positions(self) -> tuple[int, ...]:
        """The columns that the rules read."""
        found = [] if self.drop is None else [*self.drop.columns.values()]
        if self.fill is not None:
            found += [*self.fill.columns, *self.fill.key, *self.fill.own, *(self.fill.origin or ())]
        return tuple(dict.fromkeys(found))


def drop_rows(
    schema: Schema, header: Sequence[str], place: str, where: str
) -> tuple[DropRows | None, list[str]]:
    """Bind ``source.drop_rows``.

    Args:
        schema: its condition is known to be right.
        header: the names of the export's columns.
        place: ``file:line`` of the condition.
        where: the export in words, for messages.

    Returns:
        The rule, None without one; and the problems with its columns.
    """
    if schema.source.drop_rows is None:
        return None, []
    expression = parse_expression(schema.source.drop_rows)
    columns: dict[str, int] = {}
    problems: list[str] = []
    for name in expression.columns:
        at = _position(name, header, schema)
        if at is None:
            problems.append(missing_column_problem(name, header, where))
        else:
            columns[name] = at
    return DropRows(expression, columns, place), problems


def fill_down(
    schema: Schema, header: Sequence[str], used: Sequence[int], where: str
) -> tuple[FillDown | None, Iterator[tuple[KeyPath, str]]]:
    """Bind ``source.fill_down``.

    Args:
        schema: names the columns, and those that tell orders apart.
        header: the names of the export's columns.
        used: the positions of all columns that the schema uses.
        where: the export in words, for messages.

    Returns:
        The rule, None without one; and the problems with its columns, each with its place.
    """
    source = schema.source
    positions: dict[int, None] = {}
    problems: list[tuple[KeyPath, str]] = []
    for at, name in enumerate(source.fill_down):
        found = _positions(name, header, schema)
        if not found and not matches_any(name, source.optional):
            problem = missing_column_problem(name, header, where)
            problems.append((("source", "fill_down", at), problem))
        positions |= dict.fromkeys(found)
    if not source.fill_down:
        return None, iter(problems)
    keys = (_position(name, header, schema) for name in source.order or ())
    key = tuple(at for at in keys if at is not None)
    own = tuple(at for at in dict.fromkeys(used) if at not in positions and at not in key)
    places = {"_file", "_row"} <= set(header)
    origin = (header.index("_file"), header.index("_row")) if places else None
    return FillDown(columns=tuple(positions), key=key, own=own, origin=origin), iter(problems)


def _position(name: str, header: Sequence[str], schema: Schema) -> int | None:
    """Where a whole column is: also the second of two of one name, but no part of a cell."""
    found = find_column(name, header, schema.columns, ())
    if isinstance(found, CellPart) and not (found.listed or found.path or found.numbered):
        return found.positions[0]
    return found if isinstance(found, int) else None


def _positions(pattern: str, header: Sequence[str], schema: Schema) -> list[int]:
    """The columns of an order that a name or a pattern means."""
    at = _position(pattern, header, schema)
    if at is not None:
        return [at]
    return [
        at
        for at, name in enumerate(header)
        if name and matches_any(name, [pattern]) and not is_line_column(schema, name)
    ]
