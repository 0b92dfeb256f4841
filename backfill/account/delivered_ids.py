"""The ids that were delivered beside those that Klaviyo has, in DuckDB and in bounded memory.

The plan is read again for each question, so its ids are never in memory all at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backfill.account.aggregates import Found
from backfill.engine.duck import connect_spilling, streamed
from backfill.event import EVENTS
from backfill.ledger.ledger import Ledger
from backfill.planning.judgement import Verdict
from backfill.planning.plan import Plan

PLACES: Final = 10
"""Orders of a day's missing events that are named, by their rows, which name no person."""

_BATCH: Final = 65_536
_COLUMNS: Final = ["key", "metric", "time", "value", "file", "row"]
_DELIVERED: Final = pa.schema([EVENTS.field(name) for name in _COLUMNS])
_KEY: Final = pa.schema([EVENTS.field("key")])
_DAY: Final = "date '1970-01-01' + (time // 86400)::int"


@dataclass(frozen=True, slots=True)
class Sum:
    """What was delivered of one metric and day."""

    events: int
    value: Decimal


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the events of one day that were delivered."""

    missing: int = 0
    elsewhere: int = 0
    places: tuple[tuple[int, int], ...] = ()
    """File and row where the orders of missing events begin, the first ``PLACES`` of them."""


class Ids:
    """Compares ids: for each metric ``begin``, ``add`` what was found, ``match``, then ask."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, plan: Plan, ledger: Ledger) -> None:
        self._connection = connection
        self._plan = plan
        self._ledger = ledger
        connection.execute("create temp table missing (key blob)")

    @classmethod
    @contextmanager
    def of(cls, plan: Plan, ledger: Ledger) -> Iterator[Self]:
        with connect_spilling(plan.folder / "spill") as connection:
            yield cls(connection, plan, ledger)

    def sums(self) -> dict[str, dict[date, Sum]]:
        """What the ledger says was delivered of this plan, by metric and day."""
        query = (
            f"select metric, {_DAY} as day, count(*), coalesce(sum(value), 0)::decimal(38,6) "
            "from delivered group by all order by all"
        )
        with streamed(self._connection, "delivered", _DELIVERED, self._delivered()):
            rows = self._rows(query)
        found: dict[str, dict[date, Sum]] = {}
        for metric, day, events, value in rows:
            found.setdefault(metric, {})[day] = Sum(events, value)
        return found

    def begin(self) -> None:
        self._connection.execute("create or replace temp table found (day date, key blob)")

    def add(self, found: Sequence[Found]) -> None:
        days = pa.array([one.day for one in found], pa.date32())
        keys = pa.array([one.key for one in found], pa.binary())
        self._connection.register("page", pa.table({"day": days, "key": keys}))
        self._connection.execute("insert into found select day, key from page")

    def match(self, metric: str, days: Iterable[date]) -> None:
        """Match delivered ids with found ones. Those of ``days`` should all be found."""
        read = pa.table({"day": pa.array(list(days), pa.date32())})
        self._connection.register("days_read", read)
        statement = (
            "create or replace temp table matched as select d.day, d.key, d.file, d.row, "
            "case when list_contains(f.days, d.day) then d.day else f.days[1] end as there "
            f"from (select *, {_DAY} as day from delivered) d left join "
            "(select key, list(day order by day) as days from found where key is not null "
            "group by key) f using (key) "
            "where f.days is not null or d.day in (select day from days_read)"
        )
        with streamed(self._connection, "delivered", _DELIVERED, self._delivered(metric)):
            self._connection.execute(statement)

    def fates(self) -> dict[date, Fate]:
        """Give the fate of each day on which an event is missing or under another day."""
        rows = self._rows(
            "select day, count(*) filter (there is null), count(*) filter (there <> day), "
            f"min(distinct (file, row), {PLACES}) filter (there is null) "
            "from matched where there is null or there <> day group by day"
        )
        return {
            day: Fate(missing, elsewhere, tuple(places or ()))
            for day, missing, elsewhere, places in rows
        }

    def unexpected(self) -> dict[date, int]:
        """Count what was found and neither this plan nor the ledger knows, by its day.

        Of an id that Klaviyo has twice, under two people, one is known and one is not.
        """
        self._connection.execute(
            "create or replace temp table stray as select f.day, f.key from "
            "(select *, row_number() over (partition by key order by day) as nth from found) f "
            "left join (select key from matched where there is not null) m on f.key = m.key "
            "where m.key is null or nth > 1"
        )
        with self._ledger_keys():
            self._connection.execute(
                "create or replace temp table sent as select distinct key from ledger "
                "semi join stray using (key) anti join matched using (key)"
            )
        return dict(
            self._rows("select day, count(*) from stray anti join sent using (key) group by day")
        )

    def keep_missing(self) -> None:
        """Keep what is missing of this metric, before the next one begins."""
        self._connection.execute("insert into missing select key from matched where there is null")

    def missing_keys(self) -> Iterator[bytes]:
        for batch in self._connection.sql("from missing").to_arrow_reader(_BATCH):
            yield from batch["key"].to_pylist()

    def ledger_alone(self) -> int:
        """Count the events of the ledger that the plan does not have."""
        with self._ledger_keys():
            [(keys,)] = self._rows("select count(*) from (select distinct key from ledger)")
        return int(keys) - self._plan.judgement.already

    # the plan and the ledger, as DuckDB reads them -----------------------------------------------

    def _delivered(self, metric: str | None = None) -> Iterator[pa.RecordBatch]:
        """Give the plan's events that the ledger knows, of one metric or of all."""
        judged = zip(self._plan.parts, self._plan.judgement.verdicts, strict=True)
        for path, verdicts in judged:
            start = 0
            for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(
                _BATCH, columns=_COLUMNS
            ):
                known = pa.array(verdicts[start : start + batch.num_rows] == Verdict.KNOWN)
                start += batch.num_rows
                here = batch.filter(known)
                if metric is not None:
                    here = here.filter(pc.equal(here["metric"], metric))
                if here.num_rows:
                    yield here.select(_COLUMNS).cast(_DELIVERED)

    def _ledger_keys(self) -> AbstractContextManager[None]:
        """Make a relation ``ledger`` for one statement."""
        keys = (batch.select(["key"]) for batch in self._ledger.delivered())
        return streamed(self._connection, "ledger", _KEY, keys)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()
