"""Parts of cells as SQL columns of their own: members, list elements and numbered columns.

    slice ──▶ members, a row for each row ──▶ unnested, a row for each element or number

A cell that does not fit its type gives a mark with the reason in place of each of its parts, so
that the order becomes a reject wherever a part is read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.mapping.cell_sql import MISMATCH_REASONS
from backfill.mapping.faults import Fault
from backfill.mapping.query import Sql, quote, sql
from backfill.mapping.structured import spec_of
from backfill.schema.columns import Absent, CellPart, DerivedColumn, makes_lines

UNEVEN: Final = "uneven_lists"

_FAULT: Final = "\x1f"
"""What stands before the reason in a mark."""

_MAX_LINES: Final = 1 << 20
"""More lines than a cell of a megabyte can hold."""


@dataclass(frozen=True, slots=True)
class Unnested:
    """What stands for ``slice`` once the parts of its cells are columns."""

    statements: tuple[str, ...]
    """They make the tables, where the schema uses parts of cells."""
    rows: str
    """The table with a row for each of the slice's rows."""
    lines: str
    """The table with a row for each line; ``line_place`` is its place where lines stand in rows."""
    makes_lines: bool
    """Does a row hold several lines?"""


def unnest(
    derived: Mapping[str, DerivedColumn], names: Mapping[str, str], cells: Mapping[int, str]
) -> Unnested:
    """The statements that make columns of parts of cells.

    Args:
        derived: the derived columns by their names in the schema.
        names: their SQL names.
        cells: the SQL names of the slice's own columns, by position in the export.
    """
    parts = {names[own]: part for own, part in derived.items() if isinstance(part, CellPart)}
    members = {name: part for name, part in parts.items() if not part.makes_lines}
    lines = {name: part for name, part in parts.items() if part.makes_lines}
    absent = [names[own] for own, column in derived.items() if isinstance(column, Absent)]
    source, statements = "slice", []
    if members or absent:
        layers = _Layers("slice")
        layers.add([f"null::varchar as {name}" for name in absent])
        _add_members(layers, members, lambda part: cells[part.positions[0]])
        statements.append(f"create temp table members as {layers.query}")
        source = "members"
    if lines:
        by_number = any(part.numbered for part in lines.values())
        unnested = (_numbered if by_number else _listed)(source, lines, cells)
    elif any(map(makes_lines, derived)):  # all of them absent: no order has a line
        unnested = f"select *, place as line_place from {source} limit 0"
    else:
        return Unnested(tuple(statements), source, source, makes_lines=False)
    statements.append(f"create temp table unnested as {unnested}")
    return Unnested(tuple(statements), source, "unnested", makes_lines=True)


class _Layers:
    """A query, and columns put around it step by step."""

    def __init__(self, source: str) -> None:
        self.query = f"select * from {source}"

    def add(self, columns: Sequence[str]) -> None:
        if columns:
            self.query = f"select *, {', '.join(columns)} from ({self.query})"

    def where(self, condition: str) -> None:
        self.query = f"select * from ({self.query}) where {condition}"


def _by_cell(
    parts: Mapping[str, CellPart],
) -> Iterator[tuple[dict[str, CellPart], list[tuple[str, ...]]]]:
    """The parts of each cell, and the paths that they ask of it, each once."""
    for base in dict.fromkeys(part.base for part in parts.values()):
        own = {name: part for name, part in parts.items() if part.base == base}
        yield own, list(dict.fromkeys(part.path for part in own.values()))


def _read_parts(cell: str, part: CellPart, paths: Sequence[tuple[str, ...]]) -> str:
    """SQL for a cell's lines, each a list of the texts at ``paths``."""
    fault = _FAULT + MISMATCH_REASONS[part.cell_type.kind]
    spec = spec_of(part.cell_type, listed=part.listed, paths=paths, fault=fault)
    return f"backfill_parts({cell}, {quote(spec).text})"


def _add_members(
    layers: _Layers, parts: Mapping[str, CellPart], cell: Callable[[CellPart], str]
) -> None:
    """Add a column for each part; a cell with several parts is read once."""
    arrays, columns = [], []
    for own, paths in _by_cell(parts):
        first, of_cell = next(iter(own.items()))
        if of_cell.numbered and not any(paths):
            columns += [f"{cell(of_cell)} as {name}" for name in own]
            continue
        array = f"array_{first}"
        arrays.append(f"{_read_parts(cell(of_cell), of_cell, paths)} as {array}")
        columns += [
            f"{array}[1][{paths.index(part.path) + 1}] as {name}" for name, part in own.items()
        ]
    layers.add(arrays)
    layers.add(columns)


def _numbered(source: str, parts: Mapping[str, CellPart], cells: Mapping[int, str]) -> str:
    """A query with a line for each number that has a cell."""
    positions = {part.base: part.positions for part in parts.values()}
    slots = {base: f"slot_{at}" for at, base in enumerate(positions)}
    numbers = sorted({number for of_base in positions.values() for number in of_base})
    structs = []
    for at, number in enumerate(numbers, start=1):
        own = {
            slot: cells.get(positions[base].get(number, -1), "null::varchar")
            for base, slot in slots.items()
        }
        members = ", ".join(f"{slot} := {cell}" for slot, cell in own.items())
        structs.append(f"struct_pack(n := {at}, {members})")
    layers = _Layers(source)
    layers.add([f"unnest([{', '.join(structs)}]) as e"])
    layers.where(" or ".join(f"e.{slot} is not null" for slot in slots.values()))
    layers.add([f"place * {_MAX_LINES} + e.n as line_place"])
    _add_members(layers, parts, lambda part: f"e.{slots[part.base]}")
    return layers.query


def _listed(source: str, parts: Mapping[str, CellPart], cells: Mapping[int, str]) -> str:
    """A query with a line for each element; the lists of one row must have the same length."""
    arrays: dict[str, str] = {}
    columns: list[str] = []
    for at, (own, paths) in enumerate(_by_cell(parts)):
        first = next(iter(own.values()))
        array = f"array_{at}"
        arrays[array] = _read_parts(cells[first.positions[0]], first, paths)
        columns += [
            f"case when uneven and len({array}) > 0 then {fault_mark(UNEVEN).text} "
            f"else {array}[n][{paths.index(part.path) + 1}] end as {name}"
            for name, part in own.items()
        ]
    lengths = [f"len({array})" for array in arrays]
    uneven = " or ".join(f"{length} not in (0, longest)" for length in lengths)
    layers = _Layers(source)
    layers.add([f"{call} as {array}" for array, call in arrays.items()])
    layers.add([f"greatest({', '.join(lengths)}) as longest"])
    layers.add([f"({uneven}) as uneven"])
    layers.add(["unnest(range(1, longest + 1)) as n"])
    layers.add([f"place * {_MAX_LINES} + n as line_place", *columns])
    return layers.query


def fault_mark(reason: str) -> Sql:
    """What stands in place of a part whose cell does not fit."""
    return quote(_FAULT + reason)


def part_faults(part: CellPart, column: Sql) -> tuple[Fault, ...]:
    """The faults of the cell that ``column`` is a part of."""
    if not part.listed and not part.path:
        return ()
    reason = MISMATCH_REASONS[part.cell_type.kind]
    reasons = (reason, UNEVEN) if part.listed else (reason,)
    return tuple(
        Fault(sql("($cell = $mark)", cell=column, mark=fault_mark(reason)), reason, part.base)
        for reason in reasons
    )
