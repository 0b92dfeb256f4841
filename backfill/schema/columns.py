"""What the name of a column in a schema means in an export: a cell, or what is made of cells."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from backfill.schema.suggest import did_you_mean
from backfill.schema.types import Type

NUMBER: Final = "<n>"
"""In a name: numbered columns, of which each number is a line."""

LISTED: Final = "[]"
"""In a name: a cell with a list, of which each element is a line."""

FILE: Final = "{file}"
"""The name of the column that templates mean by it."""

JSON: Final = Type("json")
_OCCURRENCE: Final = re.compile(r"(.+) \(([1-9][0-9]*)\)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a cell: a member, an element of its list, or one of numbered cells."""

    base: str
    """The cell's own name in the schema."""
    cells: Mapping[int, int]
    """Positions in the export by number; of a cell without number by 0."""
    listed: bool
    path: tuple[str, ...]
    form: Type
    """What the cell itself is: json, pairs or a list."""

    @property
    def numbered(self) -> bool:
        return NUMBER in self.base

    @property
    def unfolds(self) -> bool:
        """Do several lines come of one row?"""
        return self.listed or self.numbered


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of the file says."""

    rule: Type | None
    """None is the name itself."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A column of ``source.optional`` that the export lacks."""


Made = Piece | FileName | Absent


@dataclass(frozen=True, slots=True)
class Readings:
    """A name as base, list sign and path; a name with points in it has several readings."""

    base: str
    listed: bool = False
    path: tuple[str, ...] = ()


def readings(name: str) -> Iterator[Readings]:
    """From the longest base to the shortest."""
    base, sign, rest = name.partition(LISTED)
    if sign:
        path = tuple(rest.removeprefix(".").split(".")) if rest else ()
        yield Readings(base, listed=True, path=path)
        return
    yield Readings(name)
    parts = name.split(".")
    for at in range(len(parts) - 1, 0, -1):
        yield Readings(".".join(parts[:at]), path=tuple(parts[at:]))


def unfolds(name: str) -> bool:
    """Does this name, whatever the export, stand for lines within a row?"""
    return NUMBER in name or LISTED in name


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Is it one of these names, or like one of these patterns, itself or the cell it is of?"""
    names = {name, *(reading.base for reading in readings(name))}
    return any(
        name == pattern or fnmatchcase(name, pattern) for name in names for pattern in patterns
    )


def find(
    name: str, header: Sequence[str], types: Mapping[str, Type], optional: Sequence[str]
) -> int | Made | None:
    """A position in the header, what is made of cells, or None where there is nothing such."""
    if name == FILE:
        return FileName(None)
    kind = types.get(name)
    if kind is not None and kind.file_name is not None:
        return FileName(kind)
    for reading in readings(name):
        cells = _cells(reading.base, header)
        if not cells:
            continue
        if not reading.listed and not reading.path and list(cells) == [0]:
            return cells[0]
        form = types.get(reading.base, JSON)
        return Piece(reading.base, cells, reading.listed, reading.path, form)
    return Absent() if fits(name, optional) and header.count(name) == 0 else None


def _cells(base: str, header: Sequence[str]) -> dict[int, int]:
    if header.count(base) == 1:
        return {0: header.index(base)}
    if found := _OCCURRENCE.fullmatch(base):
        places = [at for at, name in enumerate(header) if name == found[1]]
        if len(places) >= int(found[2]):
            return {0: places[int(found[2]) - 1]}
    if NUMBER in base and header.count(base) == 0:
        pattern = re.compile(re.escape(base).replace(re.escape(NUMBER), "([0-9]+)"))
        numbered = {
            int(match[1]): at
            for at, name in enumerate(header)
            if (match := pattern.fullmatch(name))
        }
        return dict(sorted(numbered.items()))
    return {}


def why_not(name: str, header: Sequence[str], where: str) -> str:
    """What is wrong with a name for which ``find`` has nothing."""
    for reading in readings(name):
        times = header.count(reading.base)
        if times > 1:
            forms = " or ".join(f'"{reading.base} ({at})"' for at in range(1, min(times, 3) + 1))
            return f'"{reading.base}" stands {times} times in {where}: write {forms}'
    base = list(readings(name))[-1].base
    if NUMBER in name:
        return f'no numbered column "{base}" is in {where}: {NUMBER} stands for 1, 2, 3 …'
    hint = did_you_mean(base if unfolds(name) else name, header)
    return f'column "{base if unfolds(name) else name}" is not in {where}{hint}'
