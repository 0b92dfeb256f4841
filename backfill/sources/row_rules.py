"""A schema's rules for rows, applied to an export's rows in their order, batch by batch."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill.engine import duck
from backfill.engine.query_limits import bounded
from backfill.errors import Problem, SchemaError
from backfill.schema.row_rules import DropRows, FillDown, RowRules
from backfill.sources.spreadsheets import clean_cells


def ruled(
    batches: Iterable[pa.Table],
    rules: RowRules,
    names: Mapping[int, str],
    dropped: Counter[int],
) -> Iterator[pa.Table]:
    """The rows that remain, with cells filled from the row above.

    Args:
        batches: consecutive rows, as ``Export.batches`` gives them.
        rules: the schema's.
        names: how ``batches`` name the columns that the rules read, by position in the export.
        dropped: takes how many rows of each file were dropped.

    Raises:
        SchemaError: the condition of the dropped rows fails for a row.
    """
    filler = None if rules.fill is None else _Filler(rules.fill, names, rules.null_values)
    with closing(duck.connect()) as connection:
        duck.lock(connection)
        for batch in batches:
            kept = batch
            if rules.drop is not None:
                kept = batch.filter(_is_kept(connection, batch, rules, rules.drop, names))
                if len(kept) < len(batch):
                    dropped.update(batch["_file"].to_pylist())
                    dropped.subtract(kept["_file"].to_pylist())
            yield kept if filler is None else filler.filled(kept)


def _is_kept(
    connection: duckdb.DuckDBPyConnection,
    rows: pa.Table,
    rules: RowRules,
    drop: DropRows,
    names: Mapping[int, str],
) -> pa.ChunkedArray:
    """For each row whether it is kept. Where the condition is NULL, it is."""
    own = {name: names[position] for name, position in drop.columns.items()}
    cells = {name: clean_cells(rows[name], rules.null_values) for name in own.values()}
    count = pa.array(range(len(rows)), pa.int64())
    connection.register("given", pa.table({"place": count, **cells}))
    condition = drop.expression.sql(own.__getitem__)
    with bounded(connection, drop.place):
        found = connection.sql(
            f"select try(({condition}) is not true) as kept from given order by place"
        ).to_arrow_table()["kept"]
    connection.unregister("given")
    if found.null_count:
        failed = pc.filter(rows["_row"], pc.is_null(found))[0].as_py()
        text = f"drop_rows has no result for row {failed}: a text in it does not fit the function"
        raise SchemaError([Problem(drop.place, text)])
    return found


class _Filler:
    """Fills cells from the row above, from one batch to the next.

    A row continues the order of the row above where they stand next to each other in one file,
    where each cell of its key is the same or, in a column that is filled, empty, and where it has a
    cell of its own. If a cell of its key is empty, no other cell may show that it is another order:
    each one in a column that is filled is empty, or the same.
    """

    def __init__(
        self, fill: FillDown, names: Mapping[int, str], null_values: Sequence[str]
    ) -> None:
        self._columns = [names[at] for at in fill.columns]
        self._key = [names[at] for at in fill.key]
        self._own = [names[at] for at in fill.own]
        self._origin = None if fill.origin is None else [names[at] for at in fill.origin]
        self._null_values = null_values
        self._last: tuple[tuple[object, int], dict[str, str | None]] | None = None
        """The place of the row above, and its cells after they were filled."""

    def filled(self, rows: pa.Table) -> pa.Table:
        """The rows with filled cells."""
        watched = list(dict.fromkeys([*self._key, *self._columns]))
        cells = {name: clean_cells(rows[name], self._null_values).to_pylist() for name in watched}
        has_own = _any_filled(
            [clean_cells(rows[name], self._null_values) for name in self._own], len(rows)
        )
        changed = {name: rows[name].to_pylist() for name in self._columns}
        for at, place in enumerate(self._places(rows)):
            row = {name: cells[name][at] for name in watched}
            above = self._above(place)
            if above is not None and has_own[at] and self._continues(row, above):
                for name in self._columns:
                    if row[name] is None:
                        row[name] = changed[name][at] = above[name]
            is_of_order = any(row[name] is not None for name in self._key)
            self._last = (place, row) if is_of_order and has_own[at] else None
        for name in self._columns:
            at = rows.column_names.index(name)
            rows = rows.set_column(
                at, name, pa.chunked_array([pa.array(changed[name], pa.string())])
            )
        return rows

    def _above(self, place: tuple[object, int]) -> dict[str, str | None] | None:
        """The cells of the row above, if it is the one before in the same file."""
        if self._last is None:
            return None
        (file, number), cells = self._last
        return cells if place == (file, number + 1) else None

    def _continues(self, row: Mapping[str, str | None], above: Mapping[str, str | None]) -> bool:
        filled = [name for name in self._key if row[name] is not None]
        if any(row[name] != above[name] for name in filled):
            return False
        empty = [name for name in self._key if row[name] is None and above[name] is not None]
        if any(name not in self._columns for name in empty):
            return False
        return not empty or all(row[name] in (None, above[name]) for name in self._columns)

    def _places(self, rows: pa.Table) -> list[tuple[object, int]]:
        """File and number of each row, in an export of rejects those that it had at first."""
        files, numbers = rows["_file"].to_pylist(), rows["_row"].to_pylist()
        if self._origin is None:
            return list(zip(files, numbers, strict=True))
        of_file, of_row = (clean_cells(rows[name]).to_pylist() for name in self._origin)
        return [
            ((file, named), int(first) if first and first.isdecimal() else number)
            for file, named, first, number in zip(files, of_file, of_row, numbers, strict=True)
        ]


def _any_filled(columns: Sequence[pa.ChunkedArray], rows: int) -> list[bool]:
    """For each row whether one of the columns has a cell."""
    found = np.zeros(rows, dtype=np.bool_)
    for column in columns:
        found |= pc.is_valid(column).to_numpy()
    flags: list[bool] = found.tolist()
    return flags
