"""Amounts of several currencies that a schema adds up as if they were of one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from backfill.engine.duck import connect_spilling
from backfill.lint.finding import Finding
from backfill.schema.model import Schema
from backfill.sources.spreadsheets import clean_cells

_CODE: Final = re.compile("[A-Za-z]{3}")
_CODES_SHOWN: Final = 4


def mixed_currencies(schema: Schema, currencies: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    """Columns of several currencies beside events whose ``$value`` names none."""
    events = dict.fromkeys(
        f'"{event.event}"'
        for event in schema.events
        if event.currency is None and "$value" in event.properties
    )
    for column, values in currencies.items() if events else ():
        codes = sorted(value.upper() for value in values if _CODE.fullmatch(value))
        if len(codes) == len(values):
            more = ", …" if len(codes) > _CODES_SHOWN else ""
            facts = {"codes": ", ".join(codes[:_CODES_SHOWN]) + more, "events": ", ".join(events)}
            yield Finding("mixed_currencies", column, len(codes), facts)


class LineCurrencies:
    """The currencies on the lines of each order, for a schema that sums an order's lines."""

    def __init__(self, schema: Schema, header: Sequence[str], path: Path, column: str) -> None:
        """``column`` holds the currencies; ``path`` is a file that this writes."""
        self._columns = {
            f"k{at}": header.index(name) for at, name in enumerate(schema.source.order or ())
        }
        self._currency = header.index(column)
        self._null_values = schema.source.null_values
        self._column = column
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def add(self, columns: Sequence[pa.ChunkedArray]) -> None:
        """The columns of consecutive rows; an order's rows are told by the plan's rule."""
        cells = {
            name: clean_cells(columns[at], self._null_values)
            for name, at in {**self._columns, "currency": self._currency}.items()
        }
        table = pa.table(cells)
        table = table.group_by(table.column_names, use_threads=False).aggregate([])
        if self._writer is None:
            self._path.touch(mode=0o600)  # before a byte is in it
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def findings(self, spill: Path, *, several: bool) -> Iterator[Finding]:
        """``several``: the whole export has more than one currency."""
        if self._writer is None:
            return
        self._writer.close()
        if not several:
            return
        keys = ", ".join(self._columns)
        mixed = f"coalesce({keys}) is not null and count(distinct currency) > 1"
        with connect_spilling(spill) as connection:
            [(orders,)] = connection.execute(
                f"select count(*) from (select {keys} from read_parquet(?) "
                f"group by {keys} having {mixed})",
                [str(self._path)],
            ).fetchall()
        if orders:
            yield Finding("mixed_lines", self._column, orders)
