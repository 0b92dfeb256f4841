"""Cells taken apart: members, lists and numbered columns as SQL columns of their own.

    slice ─▶ rows, with members ─▶ lines, one for each element or number, with theirs

A cell that does not fit gives ``MISFIT`` and a reason in place of each of its parts, so that the
order becomes a reject wherever a part is read.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.mapping.cell_sql import NOT_OF_TYPE
from backfill.mapping.query import quote
from backfill.mapping.structured import spec_of
from backfill.schema.columns import Absent, CellPart, DerivedColumn, makes_lines

MISFIT: Final = "\x1f"
UNEVEN: Final = "uneven_lists"

_LINES_MAX: Final = 1 << 20
"""More than a cell of a megabyte can hold."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """``statements`` make ``rows`` and ``lines`` of ``slice``, where there is anything to make."""

    statements: tuple[str, ...]
    rows: str
    """What stands for the slice then, a row for each of its rows."""
    lines: str
    """The same with a row for each line; ``lpos`` is its place."""
    unfolds: bool


def take_apart(
    made: Mapping[str, DerivedColumn], name: Callable[[str], str], cell: Callable[[int], str]
) -> Pieces:
    """``name`` gives the SQL name of a made column, ``cell`` that of a position in the export."""
    pieces = {column: piece for column, piece in made.items() if isinstance(piece, CellPart)}
    plain = {column: piece for column, piece in pieces.items() if not piece.makes_lines}
    unfolding = {column: piece for column, piece in pieces.items() if piece.makes_lines}
    absent = [name(column) for column, found in made.items() if isinstance(found, Absent)]
    source, statements = "slice", []
    if plain or absent:
        layers = _Layers("slice")
        layers.add([f"null::varchar as {column}" for column in absent])
        _members(layers, plain, name, lambda piece: cell(piece.positions[0]))
        statements.append(f"create temp table rows as {layers.query}")
        source = "rows"
    if not unfolding and any(map(makes_lines, made)):  # all of them absent: no order has a line
        statements.append(f"create temp table lines as select *, pos as lpos from {source} limit 0")
        return Pieces(tuple(statements), source, "lines", unfolds=True)
    if not unfolding:
        return Pieces(tuple(statements), source, source, unfolds=False)
    by_number = any(piece.numbered for piece in unfolding.values())
    unfolded = (_numbered if by_number else _listed)(source, unfolding, name, cell)
    statements.append(f"create temp table lines as {unfolded}")
    return Pieces(tuple(statements), source, "lines", unfolds=True)


class _Layers:
    """A query, and columns put around it step by step."""

    def __init__(self, source: str) -> None:
        self.query = f"select * from {source}"

    def add(self, columns: Sequence[str]) -> None:
        if columns:
            self.query = f"select *, {', '.join(columns)} from ({self.query})"

    def where(self, condition: str) -> None:
        self.query = f"select * from ({self.query}) where {condition}"


def _members(
    layers: _Layers,
    pieces: Mapping[str, CellPart],
    name: Callable[[str], str],
    cell: Callable[[CellPart], str],
) -> None:
    """One column for each piece; the pieces of one cell are read at once."""
    calls: dict[str, str] = {}
    columns = []
    for at, (own, paths) in enumerate(_by_cell(pieces)):
        first = next(iter(own.values()))
        if first.numbered and not any(paths):
            columns += [f"{cell(first)} as {name(column)}" for column in own]
            continue
        array = f"a{at}_{name(next(iter(own)))}"
        calls[array] = (
            f"backfill_parts({cell(first)}, {quote(_spec(first, paths)).text}) as {array}"
        )
        columns += [
            f"{array}[1][{paths.index(piece.path) + 1}] as {name(column)}"
            for column, piece in own.items()
        ]
    layers.add(list(calls.values()))
    layers.add(columns)


def _by_cell(
    pieces: Mapping[str, CellPart],
) -> Iterator[tuple[dict[str, CellPart], list[tuple[str, ...]]]]:
    """The pieces of each cell, and the paths that they ask of it, each once."""
    for base in dict.fromkeys(piece.base for piece in pieces.values()):
        own = {column: piece for column, piece in pieces.items() if piece.base == base}
        yield own, list(dict.fromkeys(piece.path for piece in own.values()))


def _numbered(
    source: str,
    pieces: Mapping[str, CellPart],
    name: Callable[[str], str],
    cell: Callable[[int], str],
) -> str:
    bases = {piece.base: piece.positions for piece in pieces.values()}
    slots = {base: f"b{at}" for at, base in enumerate(bases)}
    numbers = sorted({number for cells in bases.values() for number in cells})
    structs = [
        ", ".join(
            f"{slot} := {cell(bases[base][number]) if number in bases[base] else 'null::varchar'}"
            for base, slot in slots.items()
        )
        for number in numbers
    ]
    listed = ", ".join(
        f"struct_pack(n := {at}, {struct})" for at, struct in enumerate(structs, start=1)
    )
    layers = _Layers(source)
    layers.add([f"unnest([{listed}]) as e"])
    layers.where(" or ".join(f"e.{slot} is not null" for slot in slots.values()))
    layers.add([f"pos * {_LINES_MAX} + e.n as lpos"])
    _members(layers, pieces, name, lambda piece: f"e.{slots[piece.base]}")
    return layers.query


def _listed(
    source: str,
    pieces: Mapping[str, CellPart],
    name: Callable[[str], str],
    cell: Callable[[int], str],
) -> str:
    """Lists of one row go together by place, and are of one length."""
    arrays: dict[str, str] = {}
    columns: list[str] = []
    for at, (own, paths) in enumerate(_by_cell(pieces)):
        first = next(iter(own.values()))
        arrays[f"a{at}"] = (
            f"backfill_parts({cell(first.positions[0])}, {quote(_spec(first, paths)).text})"
        )
        columns += [
            f"case when odd and len(a{at}) > 0 then {quote(MISFIT + UNEVEN).text} "
            f"else a{at}[n][{paths.index(piece.path) + 1}] end as {name(column)}"
            for column, piece in own.items()
        ]
    lengths = [f"len({array})" for array in arrays]
    layers = _Layers(source)
    layers.add([f"{call} as {array}" for array, call in arrays.items()])
    layers.add([f"greatest({', '.join(lengths)}) as longest"])
    odd = " or ".join(f"{length} not in (0, longest)" for length in lengths)
    layers.add([f"({odd}) as odd"])
    layers.add(["unnest(range(1, longest + 1)) as n"])
    layers.add([f"pos * {_LINES_MAX} + n as lpos", *columns])
    return layers.query


def _spec(piece: CellPart, paths: Sequence[tuple[str, ...]]) -> str:
    misfit = MISFIT + NOT_OF_TYPE[piece.cell_type.kind]
    return spec_of(piece.cell_type, listed=piece.listed, paths=paths, misfit=misfit)


def misfits(piece: CellPart) -> tuple[str, ...]:
    """The reasons that may stand in place of a part."""
    if not piece.listed and not piece.path:
        return ()
    return (
        (NOT_OF_TYPE[piece.cell_type.kind], UNEVEN)
        if piece.listed
        else (NOT_OF_TYPE[piece.cell_type.kind],)
    )
