"""What looks wrong in the events of a plan, taken together."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from backfill.engine.duck import connect_spilling
from backfill.event import IDENTIFIERS
from backfill.lint.finding import Finding
from backfill.mapping.query import quote
from backfill.planning.judgement import Verdict
from backfill.planning.plan import Plan
from backfill.planning.shared_identity import shared_identities
from backfill.schema.column_uses import leaf_columns
from backfill.schema.model import Schema

_RELAYS: Final[Mapping[str, list[str]]] = tomllib.loads(
    Path(__file__).with_name("relays.toml").read_text(encoding="utf-8")
)
"""Domains of addresses that a marketplace makes for an order."""

_LATIN: Final = r"\p{Latin}"
_LIKE_LATIN: Final = r"[\p{Cyrillic}\p{Greek}]"
_MIXED_SCRIPTS: Final = "|".join(
    f"{beginning}{first}{between}{second}"
    for first, second in ((_LATIN, _LIKE_LATIN), (_LIKE_LATIN, _LATIN))
    for beginning, between in (("^[^@]*", "[^@]*"), ("@.*", "[^@.]*"))
)
"""Both in the local part, or both in one label of the domain. A Greek name at a Latin domain is
usual, and so is a label of each script.

Source: https://www.unicode.org/reports/tr39/, "Restriction-level detection", read 2026-11-28."""

_SHOPS_BEGAN_S: Final = int(datetime(1995, 1, 1, tzinfo=UTC).timestamp())
"""Earlier times are the default of some program. Those of 1970 are rejects already."""

_LARGE_PERCENT: Final = 10
_LARGE_EVENTS: Final = 100
"""A person with so large a part of all events may be the shop, if these are many events; the best
customer of a small shop is no finding."""

_MOST_PERCENT: Final = 50
_MOST_EVENTS: Final = 20
"""No customer has so large a part, not even of a small shop's events."""

_FAMILY_MAX: Final = 20
"""More names than this under one e-mail address are no family."""

_IDENTIFIER: Final = " ".join(f"when {name} is not null then '{name}'" for name in IDENTIFIERS)

_RARE: Final = 100
"""A property that fewer than one in so many events have is reported."""


def event_findings(schema: Schema, plan: Plan, now_s: int) -> Iterator[Finding]:
    with connect_spilling(plan.folder / "spill") as connection:
        scan = _EventScan(connection, schema, plan)
        yield from scan.times(now_s)
        yield from scan.values()
        yield from scan.relay_addresses()
        yield from scan.mixed_scripts()
        yield from scan.people()
        yield from scan.shared_identities()
        yield from scan.rare_properties()


class _EventScan:
    def __init__(self, connection: duckdb.DuckDBPyConnection, schema: Schema, plan: Plan) -> None:
        self._connection = connection
        self._schema = schema
        self._events = _kept_events(connection, plan)
        self._metrics = plan.judgement.metrics

    def times(self, now_s: int) -> Iterator[Finding]:
        if not any(one.first_s < _SHOPS_BEGAN_S or one.last_s > now_s for one in self._metrics):
            return
        rows = self._rows(
            f"select metric, count(*) filter (time < {_SHOPS_BEGAN_S}), "
            f"count(*) filter (time > {now_s}) from {self._events} group by 1 order by 1"
        )
        for metric, early, late in rows:
            leaves = [event.time for event in self._schema.events if event.event == metric]
            names = dict.fromkeys(name for leaf in leaves for name in leaf_columns(leaf))
            for kind, count in (("before_1995", early), ("future", late)):
                if count:
                    yield Finding(kind, ", ".join(names) or "time", count, {"metric": metric})

    def values(self) -> Iterator[Finding]:
        """Events without the value that the schema maps, and events of a negative one."""
        valued = {event.event for event in self._schema.events if "$value" in event.properties}
        rows = self._rows(
            "select metric, count(*), count(*) filter (value is null), "
            f"count(*) filter (value < 0) from {self._events} group by 1 order by 1"
        )
        for metric, total, missing, negative in rows:
            facts = {"metric": metric, "total": total}
            if missing and metric in valued:
                yield Finding("without_value", "$value", missing, facts)
            if negative:
                yield Finding("negative_value", "$value", negative, facts)

    def relay_addresses(self) -> Iterator[Finding]:
        if "$email" not in self._schema.customer_properties:
            return
        domain = "split_part(email, '@', 2)"
        tests = [
            f"ends_with('.' || {domain}, {quote('.' + relay).text})" for relay in _RELAYS["domains"]
        ] + [f"starts_with({domain}, {quote(part).text})" for part in _RELAYS["beginnings"]]
        rows = self._rows(
            f"select count(distinct (file, row)) from {self._events} where {' or '.join(tests)}"
        )
        for (orders,) in rows:
            if orders:
                yield Finding("relay_address", self._columns_of("email"), orders)

    def mixed_scripts(self) -> Iterator[Finding]:
        """Addresses with a Latin letter and one that may look like a Latin one side by side."""
        if "$email" not in self._schema.customer_properties:
            return
        rows = self._rows(
            f"select count(distinct (file, row)) from {self._events} where "
            f"strlen(email) > length(email) and regexp_matches(email, {quote(_MIXED_SCRIPTS).text})"
        )
        for (orders,) in rows:
            if orders:
                yield Finding("mixed_scripts", self._columns_of("email"), orders)

    def people(self) -> Iterator[Finding]:
        """A person with too large a part of all events."""
        total = sum(one.events for one in self._metrics)
        rows = self._rows(
            f"select max(case {_IDENTIFIER} end), count(*), count(distinct (file, row)) "
            f"from {self._events} where person = (select person from {self._events} "
            "group by person order by count(*) desc, person limit 1)"
        )
        for name, events, orders in rows:
            share = events * 100 // max(total, 1)
            is_large = events >= _LARGE_EVENTS and share >= _LARGE_PERCENT
            if is_large or (events >= _MOST_EVENTS and share > _MOST_PERCENT):
                yield Finding("shared_person", self._columns_of(name), orders, {"share": share})

    def shared_identities(self) -> Iterator[Finding]:
        """Identities of many people that the schema does not reject."""
        rows = self._rows(
            f"select case {_IDENTIFIER} end, count(distinct (file, row)) from {self._events} "
            f"semi join ({shared_identities(self._events, _FAMILY_MAX)}) using (person) group by 1"
        )
        for name, orders in rows:
            facts = {"people": _FAMILY_MAX}
            yield Finding("shared_identity", self._columns_of(name), orders, facts)

    def rare_properties(self) -> Iterator[Finding]:
        """Computed properties that hardly any event has; ``cells`` reports nearly empty columns."""
        computed = {
            (event.event, name)
            for event in self._schema.events
            for name, leaf in event.properties.items()
            if leaf.column is None
        }
        rows = self._rows(
            "select metric, name, count(*) from (select metric, unnest(json_keys(properties)) "
            f"as name from {self._events} where properties is not null) group by all order by all"
        )
        totals = {one.metric: one.events for one in self._metrics}
        for metric, name, events in rows:
            total = totals.get(metric, 0)
            if (metric, name) in computed and events * _RARE < total:
                yield Finding("rare_property", name, events, {"metric": metric, "total": total})

    def _columns_of(self, identifier: str) -> str:
        leaf = self._schema.customer_properties[f"${identifier}"]
        return ", ".join(leaf_columns(leaf)) or f"${identifier}"

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()


def _kept_events(connection: duckdb.DuckDBPyConnection, plan: Plan) -> str:
    """SQL for the plan's events without repeats and without those of rejected orders."""
    person = ", ".join(["person", *IDENTIFIERS, "first_name", "last_name"])
    columns = f"metric, time, value, {person}, properties, file, row"
    parts = []
    for at, (path, verdicts) in enumerate(zip(plan.parts, plan.judgement.verdicts, strict=True)):
        dropped = np.flatnonzero(verdicts >= Verdict.REPEAT)
        connection.register(f"dropped{at}", pa.table({"n": dropped}))
        parts.append(
            f"select {columns} from read_parquet({quote(str(path)).text}, file_row_number = true) "
            f"where file_row_number not in (select n from dropped{at})"
        )
    return f"({' union all '.join(parts)})"
