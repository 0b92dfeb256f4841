"""What the events of a plan look like, all together."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from backfill.engine.duck import connect_spilling
from backfill.event import IDENTIFIERS
from backfill.lint.finding import Finding
from backfill.planning.judgement import Verdict
from backfill.planning.plan import Plan
from backfill.planning.shared_identity import shared_identities
from backfill.schema.model import Schema
from backfill.schema.uses import leaf_columns

_SHOPS_BEGAN_S: Final = int(datetime(1995, 1, 1, tzinfo=UTC).timestamp())
"""Such times are defaults of some program. Those of 1970 are rejects already."""

_LARGE: Final = 10
"""Percent of all events."""

_MANY: Final = 100
"""Events, so that a small shop's best customer is nobody's concern."""

_MOST: Final = 50
"""Percent of all events: no customer's even in a small shop."""

_SOME: Final = 20
"""Events that show it."""

_PEOPLE: Final = 20
"""So many names under one e-mail address are no family."""

_WHOSE: Final = " ".join(f"when {name} is not null then '{name}'" for name in IDENTIFIERS)

_SPARSE: Final = 100
"""A property that fewer than one in so many events have is told."""


def events_look(schema: Schema, plan: Plan, now_s: int) -> Iterator[Finding]:
    with connect_spilling(plan.folder / "spill") as connection:
        looking = _Looking(connection, schema, plan, _standing(connection, plan))
        yield from looking.times(now_s)
        yield from looking.people()
        yield from looking.strangers()
        yield from looking.properties()


class _Looking:
    def __init__(
        self, connection: duckdb.DuckDBPyConnection, schema: Schema, plan: Plan, events: str
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._plan = plan
        self._events = events

    def times(self, now_s: int) -> Iterator[Finding]:
        metrics = self._plan.judgement.metrics
        if not any(one.first_s < _SHOPS_BEGAN_S or one.last_s > now_s for one in metrics):
            return
        rows = self._rows(
            f"select metric, count(*) filter (time < {_SHOPS_BEGAN_S}), "
            f"count(*) filter (time > {now_s}) from {self._events} group by 1 order by 1"
        )
        for metric, early, late in rows:
            column = self._column_of(metric)
            if early:
                yield Finding("before_1995", column, early, "time", f'of "{metric}" before 1995')
            if late:
                yield Finding("future", column, late, "time", f'of "{metric}" in the future')

    def people(self) -> Iterator[Finding]:
        total = sum(one.events for one in self._plan.judgement.metrics)
        rows = self._rows(
            f"select max(case {_WHOSE} end), count(*), count(distinct (file, row)) "
            f"from {self._events} where person = (select person from {self._events} "
            "group by person order by count(*) desc, person limit 1)"
        )
        for name, events, orders in rows:
            share = events * 100 // max(total, 1)
            if (events >= _MANY and share >= _LARGE) or (events >= _SOME and share > _MOST):
                leaf = self._schema.customer_properties[f"${name}"]
                yield Finding(
                    "shared_person",
                    ", ".join(leaf_columns(leaf)) or f"${name}",
                    orders,
                    "order",
                    f"of one person, {share} % of all events: is it the shop?",
                )

    def strangers(self) -> Iterator[Finding]:
        """Identities of many people, where the schema does not turn them down."""
        rows = self._rows(
            f"select case {_WHOSE} end, count(distinct (file, row)) from {self._events} "
            f"semi join ({shared_identities(self._events, _PEOPLE)}) using (person) group by 1"
        )
        for name, orders in rows:
            leaf = self._schema.customer_properties[f"${name}"]
            yield Finding(
                "strangers",
                ", ".join(leaf_columns(leaf)) or f"${name}",
                orders,
                "order",
                f"of one identity for over {_PEOPLE} people: say source.shared_identity_limit",
            )

    def properties(self) -> Iterator[Finding]:
        """What hardly any event of a metric has; where it is a column, that tells it already."""
        made = {
            (event.event, name)
            for event in self._schema.events
            for name, leaf in event.properties.items()
            if leaf.column is None
        }
        rows = self._rows(
            "select metric, name, count(*) from (select metric, unnest(json_keys(properties)) "
            f"as name from {self._events} where properties is not null) group by all order by all"
        )
        counts = {one.metric: one.events for one in self._plan.judgement.metrics}
        for metric, name, events in rows:
            if (metric, name) in made and events * _SPARSE < counts.get(metric, 0):
                text = f'of "{metric}" with this property, of {counts[metric]:,}: less than 1 %'
                yield Finding("nearly_empty", name, events, "event", text)

    def _column_of(self, metric: str) -> str:
        leaves = [event.time for event in self._schema.events if event.event == metric]
        return (
            ", ".join(dict.fromkeys(name for leaf in leaves for name in leaf_columns(leaf)))
            or "time"
        )

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()


def _standing(connection: duckdb.DuckDBPyConnection, plan: Plan) -> str:
    """The plan's events as a relation, without repeats and those of rejected orders."""
    out = [np.flatnonzero(verdicts >= Verdict.REPEAT) for verdicts in plan.judgement.verdicts]
    sources = []
    for at, (path, gone) in enumerate(zip(plan.parts, out, strict=True)):
        where = ""
        if len(gone):
            connection.register(f"out{at}", pa.table({"n": gone}))
            where = f" where file_row_number not in (select n from out{at})"
        person = ", ".join(["person", *IDENTIFIERS, "first_name", "last_name"])
        columns = f"metric, time, {person}, properties, file, row"
        scan = f"read_parquet('{_quoted(path)}', file_row_number = true)"
        sources.append(f"select {columns} from {scan}{where}")
    return f"({' union all '.join(sources)})"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
