"""Which rows are one order, shown on whole orders that are picked from everywhere in the export."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import duckdb

from backfill.draft.facts import Column
from backfill.draft.stream import stream_of
from backfill.draft.vocabulary import rank
from backfill.engine.duck import streamed
from backfill.sources.export import Export

KEPT_BYTES: Final = 16_000_000
"""Of text, whatever the size of the export: a share of the orders, but each with all its rows."""

CANDIDATES: Final = 5
_MOSTLY: Final = 0.95
_MANY_ROWS: Final = 200
"""More rows to a value than this, and the column is a status or a shop, no order."""

_RARE: Final = 0.02
"""Orders of which this share may disagree: cells are mended by hand, clocks differ by a second."""

_VAGUE: Final = 2
"""The rank in names.NAMES of ``id`` and ``name``, which may be an order's as well as a row's."""


@dataclass(frozen=True, slots=True)
class Key:
    """A column, or several, whose values tell orders apart."""

    columns: tuple[Column, ...]
    orders: int
    """Of those that were looked at."""
    rows: int
    several: int
    """Orders of more than one row."""
    together: int
    """Of these, how many stand in neighbouring rows."""
    varying: Mapping[str, int] = field(default_factory=dict)
    """For each column, in how many orders of several rows it has more than one value."""
    whole: bool = True
    """Were all orders looked at?"""

    def varies(self, column: Column) -> float:
        return self.varying.get(column.name, 0) / self.several if self.several else 0.0


class Kept:
    """Whole orders of an export as a table ``kept``, its columns named by their places."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, export: Export, columns: Sequence[Column]
    ) -> None:
        self.connection = connection
        self.columns = [column for column in columns if column.place >= 0]
        self.candidates = _candidates(self.columns)
        self._share = max(1, -(-export.text_bytes // KEPT_BYTES))
        self._keep(export)

    def _keep(self, export: Export) -> None:
        rows = stream_of(export, [column.place for column in self.columns])
        share = self._share * max(1, len(self.candidates))
        hits = [f"hash({self.cell(key)}) % {share} = 0" for key in self.candidates]
        any_row = f"hash(_row) % {share} = 0"
        where = "true" if self._share == 1 else " or ".join(hits or [any_row])
        cells = ", ".join(f"c{at} as {self.cell(column)}" for at, column in enumerate(self.columns))
        some = " or ".join(f"{self.cell(column)} is not null" for column in self.columns) or "true"
        self._modulus = 1 if self._share == 1 else share
        with streamed(self.connection, "streamed", rows.schema, rows):
            self.connection.execute(
                f"create table kept as select * from (select {cells}, _file, _row from streamed) "
                f"where ({some}) and ({where})"
            ).fetchall()

    def close(self) -> None:
        self.connection.execute("drop table kept").fetchall()

    @staticmethod
    def cell(column: Column) -> str:
        return f"p{column.place}"

    def rows_of(self, key: Sequence[Column]) -> str:
        """SQL for the rows of those orders of which all rows were kept."""
        number = self.cell(key[-1])
        whole = f"hash({number}) % {self._modulus} = 0" if self._modulus > 1 else "true"
        return f"(select * from kept where {number} is not null and {whole})"

    def ask(self, query: str) -> list[tuple[object, ...]]:
        return self.connection.execute(query).fetchall()

    def key(self, columns: Sequence[Column]) -> Key:
        """What these columns make of the rows."""
        group = ", ".join(self.cell(column) for column in columns)
        others = [column for column in self.columns if column not in columns]
        spread = ", ".join(
            f"min({self.cell(column)}) is distinct from max({self.cell(column)}) as "
            f"{self.cell(column)}"
            for column in others
        )
        varying = "".join(f", count(*) filter (n > 1 and {self.cell(column)})" for column in others)
        [(orders, rows, several, together, *counts)] = self.ask(
            "select count(*), coalesce(sum(n), 0)::bigint, count(*) filter (n > 1), "
            f"count(*) filter (n > 1 and near){varying} from (select count(*) as n, "
            f"max(_row) - min(_row) + 1 = count(*) as near{', ' if spread else ''}{spread} "
            f"from {self.rows_of(columns)} group by {group})"
        )
        names = [column.name for column in others]
        return Key(
            tuple(columns),
            int(str(orders)),
            int(str(rows)),
            int(str(several)),
            int(str(together)),
            dict(zip(names, (int(str(count)) for count in counts), strict=True)),
            whole=self._modulus == 1,
        )

    def tells_lines(self, key: Key, column: Column) -> bool:
        """Is no value of this column twice within an order, and none empty?"""
        if column.place < 0:
            return False
        group, cell = ", ".join(self.cell(part) for part in key.columns), self.cell(column)
        [(twice,)] = self.ask(
            f"select count(*) from (select 1 from {self.rows_of(key.columns)} group by {group} "
            f"having count(*) > count(distinct {cell}))"
        )
        return twice == 0


def _candidates(columns: Sequence[Column]) -> list[Column]:
    """Columns that may tell orders apart, the likeliest first."""

    def likely(column: Column) -> tuple[int, int]:
        return _rank(column), -column.distinct

    fitting = [column for column in columns if _may_be_key(column)]
    return sorted(fitting, key=likely)[:CANDIDATES]


def _rank(column: Column) -> int:
    found = rank("order", column.called)
    return 9 if found is None else found


def _may_be_key(column: Column) -> bool:
    if rank("order", column.called) is None:
        return False
    unlike = (
        column.formats
        or column.clocks
        or any(column.share(kind) for kind in ("email", "iso", "list", "object"))
    )
    return (
        not unlike
        and column.filled >= column.rows * _MOSTLY > 0
        and column.distinct * _MANY_ROWS >= column.rows
        and not (column.share("fraction") > 0.5 and column.all("money"))  # noqa: PLR2004
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """The key of the orders, and why the columns that look like one as well are none."""

    key: Key | None
    passed: tuple[str, ...] = ()
    doubt: str = ""
    """Why a person has to say whether it is the key."""


def choose(kept: Kept, fixed: Sequence[Column], shops: Sequence[Column]) -> Choice:
    """The key whose orders have one value of each of ``fixed``: the time and the person.

    ``shops`` are columns that an order's number may need beside it: two shops count from 1.
    """
    passed: list[str] = []
    alone: Key | None = None
    doubted: Choice | None = None
    for column in kept.candidates:
        key = kept.key((column,))
        if not key.several:
            alone = alone or key
            continue
        if wrong := next(_disagreeing(key, fixed), None):
            pair = _with_shop(kept, column, fixed, shops)
            if pair is not None:
                return Choice(pair, tuple(passed))
            told = (
                f"{column.name} repeats with different {wrong.name} "
                f"({key.varying[wrong.name]:,} of {key.several:,} values that repeat)"
            )
            passed.append(told)
            if doubted is None and _rank(column) < _VAGUE:
                doubted = Choice(key, doubt=told)
            continue
        own_id_of_rows = alone is not None and _rank(alone.columns[0]) >= _VAGUE
        if alone is None or own_id_of_rows or _rank(column) == _rank(alone.columns[0]):
            return Choice(key, tuple(passed))
    if doubted is not None and (alone is None or _rank(alone.columns[0]) >= _VAGUE):
        return doubted
    return Choice(alone, tuple(passed))


def _disagreeing(key: Key, fixed: Sequence[Column]) -> Iterator[Column]:
    for column in fixed:
        if column not in key.columns and key.varies(column) > _RARE:
            yield column


def _with_shop(
    kept: Kept, column: Column, fixed: Sequence[Column], shops: Sequence[Column]
) -> Key | None:
    for shop in shops:
        if shop is not column:
            pair = kept.key((shop, column))
            if next(_disagreeing(pair, fixed), None) is None:
                return pair
    return None
