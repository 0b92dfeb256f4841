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

_CODE: Final = re.compile("[A-Za-z]{3}")
_SHOWN: Final = 4


def mixed(schema: Schema, currencies: Mapping[str, frozenset[str]]) -> Iterator[Finding]:
    """Columns of several currencies beside events whose ``$value`` names none."""
    bare = [
        f'"{event.event}"'
        for event in schema.events
        if event.currency is None and "$value" in event.properties
    ]
    for column, values in currencies.items() if bare else ():
        codes = sorted(value.upper() for value in values if _CODE.fullmatch(value))
        if len(codes) == len(values):
            more = ", …" if len(codes) > _SHOWN else ""
            names = ", ".join(dict.fromkeys(bare))
            yield Finding(
                "mixed_currencies",
                column,
                len(codes),
                "code",
                f"({', '.join(codes[:_SHOWN])}{more}), and {names} says no currency: amounts add "
                "up as if they were of one",
            )


class Lines:
    """Which currencies stand on the lines of one order, where a schema sums its lines up."""

    def __init__(self, schema: Schema, header: Sequence[str], path: Path, column: str) -> None:
        self._columns = {
            f"k{at}": header.index(name) for at, name in enumerate(schema.source.order or ())
        }
        self._currency = header.index(column)
        self._column = column
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def look(self, columns: Sequence[pa.ChunkedArray]) -> None:
        pairs = {name: columns[place] for name, place in self._columns.items()}
        table = pa.table({**pairs, "currency": columns[self._currency]})
        table = table.group_by(table.column_names, use_threads=False).aggregate([])
        if self._writer is None:
            self._path.touch(mode=0o600)  # before a byte is in it
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def findings(self, spill: Path, *, several: bool) -> Iterator[Finding]:
        """``several``: does the whole export have more than one?"""
        self.close()
        if self._writer is None or not several:
            return
        keys = ", ".join(self._columns)
        mixed_up = "count(distinct nullif(trim(currency), '')) > 1"
        with connect_spilling(spill) as connection:
            [(orders,)] = connection.execute(
                f"select count(*) from (select {keys} from read_parquet(?) "
                f"group by {keys} having {mixed_up})",
                [str(self._path)],
            ).fetchall()
        if orders:
            yield Finding(
                "mixed_currencies",
                self._column,
                orders,
                "order",
                "with lines of several currencies, and $value sums them up",
            )
