"""What a column's name in a schema means in an export.

The name of a column in the header means that column. Any other column is derived: it is a part of a
cell, a value from the file's name, or an optional column that the export lacks.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from backfill.schema.suggest import did_you_mean
from backfill.schema.types import Type

NUMBER_MARK: Final = "<n>"
"""In a name, it means any number: each of the numbered columns is a line of the order."""

LIST_MARK: Final = "[]"
"""After a name, it means that the cell holds a list: each element is a line of the order."""

FILE_COLUMN: Final = "{file}"
"""The name of the column that ``{file}`` in a template means."""

JSON: Final = Type("json")
_OCCURRENCE: Final = re.compile(r"(.+) \(([1-9][0-9]*)\)")


@dataclass(frozen=True, slots=True)
class ColumnPath:
    """A name as a column and a path into its cells."""

    base: str
    """The column's name; with ``<n>`` in it, the name of numbered columns."""
    listed: bool = False
    """Does each cell hold a list?"""
    path: tuple[str, ...] = ()
    """The keys of a member in the cell's object, or in each element of its list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPart(ColumnPath):
    """A part of a cell: a member, the elements of its list, or one of several numbered cells."""

    positions: Mapping[int, int]
    """The positions of the cells in the export, by number; 0 is the number of a cell without one.
    """
    cell_type: Type
    """The type of the whole cell: json, pairs or list."""

    @property
    def numbered(self) -> bool:
        return NUMBER_MARK in self.base

    @property
    def makes_lines(self) -> bool:
        """Can one row hold several lines?"""
        return self.listed or self.numbered


@dataclass(frozen=True, slots=True)
class FileName:
    """A value from the name of the row's file."""

    rule: Type | None
    """A type with ``file_name``; None is the name itself."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A column of ``source.optional`` that the export lacks: each cell is empty."""


DerivedColumn = CellPart | FileName | Absent


def possible_paths(name: str) -> Iterator[ColumnPath]:
    """The ways to read a name, the one with the longest column name first.

    A dot may belong to the column's name or to the path.
    """
    base, mark, rest = name.partition(LIST_MARK)
    if mark:
        path = tuple(rest.removeprefix(".").split(".")) if rest else ()
        yield ColumnPath(base, listed=True, path=path)
        return
    yield ColumnPath(name)
    keys = name.split(".")
    for at in range(len(keys) - 1, 0, -1):
        yield ColumnPath(".".join(keys[:at]), path=tuple(keys[at:]))


def makes_lines(name: str) -> bool:
    """Does this name mean lines within a row, whatever the export?"""
    return NUMBER_MARK in name or LIST_MARK in name


def matches_any(name: str, patterns: Sequence[str]) -> bool:
    """Does a column's name, or the name of the cell that it is a part of, match a pattern?"""
    names = {name, *(path.base for path in possible_paths(name))}
    return any(
        name == pattern or fnmatchcase(name, pattern) for name in names for pattern in patterns
    )


def find_column(
    name: str, header: Sequence[str], types: Mapping[str, Type], optional: Sequence[str]
) -> int | DerivedColumn | None:
    """Find what a name means in an export.

    Args:
        name: the column's name in the schema.
        header: the names of the export's columns, in their order.
        types: the schema's types by column name.
        optional: names and patterns of columns that the export may lack.

    Returns:
        A position in the header, a derived column, or None where the export has neither.
    """
    if name == FILE_COLUMN:
        return FileName(None)
    declared = types.get(name)
    if declared is not None and declared.file_name is not None:
        return FileName(declared)
    for path in possible_paths(name):
        positions = _positions(path.base, header)
        if not positions:
            continue
        if not path.listed and not path.path and list(positions) == [0]:
            return positions[0]
        return CellPart(
            path.base,
            path.listed,
            path.path,
            positions=positions,
            cell_type=types.get(path.base, JSON),
        )
    return Absent() if matches_any(name, optional) and name not in header else None


def _positions(base: str, header: Sequence[str]) -> dict[int, int]:
    """The positions of a column by number, or of one column by 0; {} where the export lacks it."""
    if header.count(base) == 1:
        return {0: header.index(base)}
    if found := _OCCURRENCE.fullmatch(base):
        places = [at for at, name in enumerate(header) if name == found[1]]
        if len(places) >= int(found[2]):
            return {0: places[int(found[2]) - 1]}
    if NUMBER_MARK in base and base not in header:
        pattern = re.compile(re.escape(base).replace(re.escape(NUMBER_MARK), "([0-9]+)"))
        numbered = {
            int(match[1]): at
            for at, name in enumerate(header)
            if (match := pattern.fullmatch(name))
        }
        return dict(sorted(numbered.items()))
    return {}


def missing_column_problem(name: str, header: Sequence[str], where: str) -> str:
    """Say why ``find_column`` finds nothing for a name; ``where`` names the export in words."""
    paths = list(possible_paths(name))
    for path in paths:
        times = header.count(path.base)
        if times > 1:
            forms = " or ".join(f'"{path.base} ({at})"' for at in range(1, min(times, 3) + 1))
            return f'"{path.base}" appears {times} times in {where}: write {forms}'
    base = paths[-1].base
    if NUMBER_MARK in name:
        return f'no numbered column "{base}" is in {where}: {NUMBER_MARK} stands for 1, 2, 3 …'
    missing = base if makes_lines(name) else name
    return f'column "{missing}" is not in {where}{did_you_mean(missing, header)}'
