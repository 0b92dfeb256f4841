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
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backfill.account.aggregates import Found
from backfill.engine.duck import connect_spilling, streamed
from backfill.event import EVENTS
from backfill.ledger.ledger import Ledger
from backfill.planning.judgement import Verdict
from backfill.planning.plan import TO_SEND, Plan

PLACES: Final = 10
"""Orders of a day's missing events that are named, by their rows, which name no person."""

_BATCH: Final = 65_536
_COLUMNS: Final = ["key", "metric", "time", "value", "file", "row"]
_DELIVERED: Final = pa.schema(
    [*(EVENTS.field(name) for name in _COLUMNS), pa.field("known", pa.bool_())]
)
_KEY: Final = pa.schema([EVENTS.field("key")])
_DAY: Final = "date '1970-01-01' + (time // 86400)::int"


@dataclass(frozen=True, slots=True)
class Sum:
    """What was delivered of one metric and day."""

    events: int
    """Those that are compared."""
    all_events: int
    """With those that earlier runs delivered, if one run's are compared."""
    all_value: Decimal


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of the events of one day that were delivered."""

    missing: int = 0
    not_visible: int = 0
    """Not found, and acknowledged too recently to be called missing."""
    elsewhere: int = 0
    places: tuple[tuple[int, int], ...] = ()
    """File and row where the orders of missing events begin, the first ``PLACES`` of them."""


class Ids:
    """Compares ids: ``restart``; for each metric ``begin``, ``add`` what was found, ``match``, ask.

    Compared are the plan's events that the ledger knew when it was made; with a run, those that
    this run has delivered since.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        plan: Plan,
        ledger: Ledger,
        run_id: str | None = None,
    ) -> None:
        self._connection = connection
        self._plan = plan
        self._ledger = ledger
        self._since_s = 0.0
        self._verdicts = [Verdict.KNOWN]
        self._compared = "(select *, true as compared from delivered)"
        if run_id is not None:
            self._verdicts += TO_SEND
            self._compared = (
                "(select d.*, not known as compared from delivered d left join by_run b "
                "on d.key = b.key where known or b.key is not null)"
            )
            keys = (batch.select(["key"]) for batch in ledger.delivered(run_id))
            with streamed(connection, "run", _KEY, keys):
                connection.execute("create temp table by_run as select distinct key from run")

    @classmethod
    @contextmanager
    def of(cls, plan: Plan, ledger: Ledger, run_id: str | None = None) -> Iterator[Self]:
        with connect_spilling(plan.folder / "spill") as connection:
            yield cls(connection, plan, ledger, run_id)

    def sums(self) -> dict[str, dict[date, Sum]]:
        """What the ledger says was delivered of this plan, by metric and day."""
        query = (
            f"select metric, {_DAY} as day, count(*) filter (compared) as events, count(*), "
            f"coalesce(sum(value), 0)::decimal(38,6) from {self._compared} "
            "group by all having events > 0 order by all"
        )
        with streamed(self._connection, "delivered", _DELIVERED, self._delivered()):
            rows = self._rows(query)
        found: dict[str, dict[date, Sum]] = {}
        for metric, day, *sums in rows:
            found.setdefault(metric, {})[day] = Sum(*sums)
        return found

    def restart(self, since_s: float) -> None:
        """Forget what is missing.

        Args:
            since_s: what was acknowledged later than this, in Unix seconds, is not missing but not
                visible yet.
        """
        self._since_s = since_s
        self._connection.execute("create or replace temp table missing (key blob)")

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
            f"from (select *, {_DAY} as day from {self._compared} where compared) d left join "
            "(select key, list(day order by day) as days from found where key is not null "
            "group by key) f using (key) "
            "where f.days is not null or d.day in (select day from days_read)"
        )
        with streamed(self._connection, "delivered", _DELIVERED, self._delivered(metric)):
            self._connection.execute(statement)
        keys = (batch.select(["key"]) for batch in self._ledger.delivered_after(self._since_s))
        with streamed(self._connection, "recent", _KEY, keys):
            self._connection.execute(
                "create or replace temp table young as select distinct key from recent "
                "semi join (from matched where there is null) using (key)"
            )

    def fates(self) -> dict[date, Fate]:
        """Give the fate of each day on which an event is not found or under another day."""
        lost = "there is null and young.key is null"
        rows = self._rows(
            f"select day, count(*) filter ({lost}), count(young.key), "
            f"count(*) filter (there <> day), min(distinct (file, row), {PLACES}) filter ({lost}) "
            "from matched left join young on matched.key = young.key "
            "where there is null or there <> day group by day"
        )
        return {
            day: Fate(missing, not_visible, elsewhere, tuple(places or ()))
            for day, missing, not_visible, elsewhere, places in rows
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
        self._connection.execute(
            "insert into missing select key from matched anti join young using (key) "
            "where there is null"
        )

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
        """Give the plan's events that the ledger knows, or may know by now, of a metric or all."""
        judged = zip(self._plan.parts, self._plan.judgement.verdicts, strict=True)
        for path, verdicts in judged:
            start = 0
            file = pq.ParquetFile(path, pre_buffer=False)
            for batch in file.iter_batches(_BATCH, columns=_COLUMNS):
                here = verdicts[start : start + batch.num_rows]
                start += batch.num_rows
                known = pa.array(here == Verdict.KNOWN)
                found = batch.select(_COLUMNS).append_column("known", known)
                found = found.filter(pa.array(np.isin(here, self._verdicts)))
                if metric is not None:
                    found = found.filter(pc.equal(found["metric"], metric))
                if found.num_rows:
                    yield found.cast(_DELIVERED)

    def _ledger_keys(self) -> AbstractContextManager[None]:
        """Make a relation ``ledger`` for one statement."""
        keys = (batch.select(["key"]) for batch in self._ledger.delivered())
        return streamed(self._connection, "ledger", _KEY, keys)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()
