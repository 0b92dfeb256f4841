"""Whole orders, picked from everywhere in an export, for questions that compare their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from backfill.draft.facts import Column
from backfill.draft.profile import text_stream
from backfill.engine.duck import streamed
from backfill.sources.export import Export

SAMPLE_BYTES: Final = 16_000_000
"""Of text, whatever the size of the export: a share of the orders, but each with all its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A column, or several, whose values may identify orders."""

    columns: tuple[Column, ...]
    orders: int
    """Of the sample."""
    rows: int
    several: int
    """Orders of more than one row."""
    adjacent: int
    """How many of these have all their rows next to each other."""
    varying: Mapping[str, int]
    """For each column, in how many orders of several rows it has more than one value."""
    is_whole: bool
    """Whether the sample is the whole export."""

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def varies(self, column: Column) -> float:
        """The share of orders of several rows in which a column has more than one value."""
        return self.varying.get(column.name, 0) / self.several if self.several else 0.0


class OrderSample:
    """A table ``sample`` of whole orders, each column named as ``cell`` says.

    The next sample of the same connection takes its place.

    Args:
        connection: the DuckDB that holds the table.
        export: read once.
        columns: those of the export are in the table; members of cells are not.
        candidates: columns that may be the order's key. For each, the sample has all rows of
            some of its values.

    Raises ExportError.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        export: Export,
        columns: Sequence[Column],
        candidates: Sequence[Column],
    ) -> None:
        self._connection = connection
        self.columns = [column for column in columns if not column.is_member]
        self.candidates = candidates
        parts = max(1, -(-export.text_bytes // SAMPLE_BYTES))
        self._one_of = 1 if parts == 1 else parts * max(1, len(candidates))
        rows = text_stream(export, [column.place for column in self.columns])
        cells = [self.cell(column) for column in self.columns]
        named = ", ".join(f"c{at} as {cell}" for at, cell in enumerate(cells))
        filled = " or ".join(f"{cell} is not null" for cell in cells) or "true"
        picked = [self._is_picked(self.cell(column)) for column in candidates]
        where = " or ".join(picked or [self._is_picked("_row")])
        with streamed(connection, "streamed", rows.schema, rows):
            connection.execute(
                "create or replace table sample as select * from "
                f"(select {named}, _file, _row from streamed) where ({filled}) and ({where})"
            ).fetchall()

    @staticmethod
    def cell(column: Column) -> str:
        return f"p{column.place}"

    def _is_picked(self, cell: str) -> str:
        return f"hash({cell}) % {self._one_of} = 0" if self._one_of > 1 else "true"

    def whole_orders(self, key: Sequence[Column]) -> str:
        """SQL for the rows of those orders of which the sample has all rows."""
        number = self.cell(key[-1])
        return f"(select * from sample where {number} is not null and {self._is_picked(number)})"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql).fetchall()

    def key_of(self, columns: Sequence[Column]) -> Key:
        """The facts about the rows if these columns identify orders."""
        others = [column for column in self.columns if column not in columns]
        cells = [self.cell(column) for column in others]
        spread = "".join(f", min({cell}) is distinct from max({cell}) as {cell}" for cell in cells)
        varying = "".join(f", count(*) filter (n > 1 and {cell})" for cell in cells)
        group = ", ".join(map(self.cell, columns))
        [(orders, rows, several, adjacent, *counts)] = self.query(
            "select count(*), coalesce(sum(n), 0)::bigint, count(*) filter (n > 1), "
            f"count(*) filter (n > 1 and near){varying} from (select count(*) as n, "
            f"max(_row) - min(_row) + 1 = count(*) as near{spread} "
            f"from {self.whole_orders(columns)} group by {group})"
        )
        return Key(
            columns=tuple(columns),
            orders=orders,
            rows=rows,
            several=several,
            adjacent=adjacent,
            varying={column.name: count for column, count in zip(others, counts, strict=True)},
            is_whole=self._one_of == 1,
        )

    def counts(self, column: Column | None) -> dict[str, int]:
        """How many rows have each value of a column; none where it is a member, or None."""
        if column is None or column.is_member:
            return {}
        cell = self.cell(column)
        return dict(self.query(f"select {cell}, count(*) from sample group by {cell}"))

    def row_id(self, key: Key | None, columns: Sequence[Column]) -> Column | None:
        """The first of ``columns`` that has another value in each row, if orders have several."""
        if key is None or not key.several:
            return None
        for column in columns:
            cell = self.cell(column)
            query = f"select count(*) = count(distinct {cell}) from sample"
            if not column.is_member and column.filled == column.rows and self.query(query)[0][0]:
                return column
        return None

    def line_id(self, key: Key | None, column: Column | None) -> Column | None:
        """``column``, if no value of it is twice within an order, and none is empty."""
        if key is None or column is None or column.is_member:
            return None
        group, cell = ", ".join(map(self.cell, key.columns)), self.cell(column)
        [(twice,)] = self.query(
            f"select count(*) from (select 1 from {self.whole_orders(key.columns)} "
            f"group by {group} having count(*) > count(distinct {cell}))"
        )
        return column if twice == 0 else None
