"""A plan's events as tables of DuckDB, in bounded memory, and a verdict for each event."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Self

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backfill.engine.duck import connect_spilling, scan_parquet
from backfill.engine.hash_filter import HashFilter
from backfill.planning.judgement import ORDER_CODE, Orders, Verdict, Verdicts


class PlanTables:
    """A plan's events in DuckDB.

    The view ``e`` has the events without those that ``reject`` took out, each with ``part``, the
    number of its file, and ``n``, its place in the file. The table ``out`` has part, n and verdict
    of the events that do not count: repeats, and events of rejected orders.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, files: Sequence[Path], counts: Sequence[int]
    ) -> None:
        """``counts``: the number of events in each of ``files``."""
        self.connection = connection
        self._ends = np.cumsum(counts, dtype=np.int64)
        self._verdicts = np.full(sum(counts), Verdict.SEND, np.uint8)
        self._rejections = 0
        connection.execute(f"create view e as {scan_parquet(files)}")
        connection.execute("create temp table out (part integer, n bigint, verdict utinyint)")

    @classmethod
    @contextmanager
    def of(cls, files: Sequence[Path], counts: Sequence[int], spill: Path) -> Iterator[Self]:
        """The tables of Parquet ``files`` with ``counts`` events; DuckDB spills to ``spill``."""
        with connect_spilling(spill) as connection:
            yield cls(connection, files, counts)

    @property
    def verdicts(self) -> Verdicts:
        """The verdicts, which ``mark`` gives, by the number of the file."""
        return np.split(self._verdicts, self._ends[:-1])

    @property
    def counted(self) -> str:
        """A relation of the events that count."""
        return "(select * from e anti join out using (part, n))" if self.count("out") else "e"

    def run(self, statement: str) -> None:
        self.connection.execute(statement)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def count(self, table: str) -> int:
        [(rows,)] = self.rows(f"select count(*) from {table}")
        return int(rows)

    def batches(self, query: str) -> Iterator[pa.Table]:
        """The result in batches; no other query may begin before the last of them."""
        for batch in self.connection.sql(query).to_arrow_reader():
            yield pa.Table.from_batches([batch])

    def stream(self, query: str) -> Iterator[tuple[Any, ...]]:
        for batch in self.batches(query):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)

    def asked_for(
        self, rows: Iterable[pa.RecordBatch], column: str, hashes: str
    ) -> Iterator[pa.RecordBatch]:
        """Leave out rows of the ledger that this plan does not ask for, nearly all of them.

        Args:
            rows: read once, and to the end.
            column: of ``rows``, with hashes.
            hashes: a query of the hashes that are asked for, one column.
        """
        ahead = iter(rows)
        first = next(ahead, None)
        if first is None:  # of a new ledger: the plan need not be read for it
            return iter(())
        wanted = HashFilter(sum(len(part) for part in self.verdicts))
        for batch in self.batches(hashes):
            wanted.add(batch[0].combine_chunks())
        return wanted.passing(chain([first], ahead), column)

    def reject(self, query: str) -> None:
        """Take events out of the view ``e``, as rejects.

        Args:
            query: gives ``part`` and ``n`` of the events; it may read ``e``.
        """
        self._rejections += 1
        rejected, before = f"rejected_{self._rejections}", f"before_{self._rejections}"
        self.run(f"create temp table {rejected} as {query}")
        self.run(f"alter view e rename to {before}")
        self.run(f"create view e as select * from {before} anti join {rejected} using (part, n)")
        for batch in self.batches(f"select part, n from {rejected}"):
            self.mark(batch, Verdict.REJECTED)

    def reject_orders(self, orders: Orders) -> Orders:
        """Take the events of orders out of the view ``e``, as rejects.

        Args:
            orders: the codes of the orders.

        Returns:
            The codes of those that had an event there.
        """
        if not len(orders):
            return orders
        at = self._rejections
        self.connection.register("given_orders", pa.table({"order_code": pa.array(orders)}))
        self.run(
            f"create temp table of_orders_{at} as select part, n, order_code from (select part, n, "
            f"{ORDER_CODE} as order_code from e) semi join given_orders using (order_code)"
        )
        self.connection.unregister("given_orders")
        self.reject(f"select part, n from of_orders_{at}")
        found = self.connection.sql(f"select distinct order_code from of_orders_{at}")
        codes: Orders = found.to_arrow_table()["order_code"].to_numpy()
        return codes

    def verdicts_at(self, places: pa.Table) -> npt.NDArray[np.uint8]:
        """The verdicts of the events at ``part`` and ``n``."""
        return self._verdicts[self._places(places)]

    def mark(self, places: pa.Table, verdict: Verdict, only: Verdict | None = None) -> None:
        """Give the events at ``part`` and ``n`` a verdict; ``only`` those that have this one."""
        at = self._places(places)
        if only is not None:
            at = at[self._verdicts[at] == only]
        self._verdicts[at] = verdict

    def _places(self, places: pa.Table) -> npt.NDArray[np.int64]:
        """The places of events among those of all files."""
        starts = np.concatenate([[0], self._ends])
        found: npt.NDArray[np.int64] = starts[places["part"].to_numpy()] + places["n"].to_numpy()
        return found
