"""The difference between two plans of one export, computed in DuckDB with little memory.

Events pair by their key. The other events of a metric and an order pair by their places: they have
another id in the second plan, and to send them again would make copies.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from backfill.engine.duck import connect_spilling, streamed
from backfill.event import EVENTS, IDENTIFIERS, PROFILE_FIELDS
from backfill.planning.judgement import order_of
from backfill.planning.plan import Plan

SAMPLES: Final = 10

_SCALARS: Final = {
    "properties.$event_id": "event_id",
    "time": "time",
    "properties.$value": "value",
    "currency": "currency",
    **{f"customer_properties.${name}": name for name in (*IDENTIFIERS, *PROFILE_FIELDS)},
}
"""The columns of single values in a payload, by their names in a schema."""

_NOT_SENT: Final = ("key", "person", "content", "size", "attributes_size")
"""The columns of an event that are in no payload."""

_OBJECTS: Final = {"properties.": "properties", "customer_properties.": "profile"}
"""The columns of JSON objects, by the beginning of their members' names."""

_READ: Final = ["key", *(name for name in EVENTS.names if name not in _NOT_SENT)]
_ROW: Final = pa.schema(
    [
        *(EVENTS.field(name) for name in _READ),
        pa.field("part", pa.int32()),
        pa.field("n", pa.int64()),
        pa.field("carries", pa.bool_()),
    ]
)

_CONDITIONS: Final = {
    "phone_number": "carries or email is null",
    "id": "carries or (email is null and phone_number is null)",
    **dict.fromkeys((*PROFILE_FIELDS, "profile"), "carries"),
}
"""The columns that are sent only with attributes, and the conditions on which they are sent."""

_AS_SENT: Final = "select * replace ({}) from given".format(
    ", ".join(f"case when {when} then {name} end as {name}" for name, when in _CONDITIONS.items())
)
"""A query of the events of ``given`` as they are sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One event of both schemas: the parts of its payload that differ."""

    metric: str
    file: int
    row: int
    old: Mapping[str, str | None]
    """JSON texts by the part's name; None where the payload lacks the part."""
    new: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the events of a second schema differ from those of the first, over one export."""

    events_old: int
    events_new: int
    changed: int
    """Events of both whose payloads differ, also where their ids do."""
    fields: Mapping[str, int]
    """The number of these by the part of the payload that differs."""
    ids: Mapping[str, int]
    """Events that have another id, by metric."""
    renamed: Mapping[tuple[str, str], int]
    """Events of a renamed metric, by its old and its new name: new events to Klaviyo."""
    gone: Mapping[str, int]
    """Events that only the first schema makes, by metric."""
    added: Mapping[str, int]
    """Events that only the second schema makes, by metric."""
    rejected: Mapping[str, int]
    """Orders that only the second schema rejects, by reason."""
    accepted: Mapping[str, int]
    """Orders that only the first schema rejects, by its reason."""
    samples: tuple[Sample, ...]

    @property
    def copies(self) -> int:
        """Events that Klaviyo would have twice if both schemas were sent."""
        return sum(self.ids.values()) + sum(self.renamed.values())


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two schemas over one export."""

    difference: Difference
    files: tuple[str, ...]
    """The names of the export's files; a sample's ``file`` is a place here."""
    rules: tuple[str, ...]
    """The metrics whose rule of ids differs: a run of the second schema stops there."""

    @property
    def makes_copies(self) -> bool:
        return self.difference.copies > 0


def difference(old: Plan, new: Plan, spill: Path) -> Difference:
    """Compare two plans of one export.

    Args:
        old: the plan of the first schema.
        new: the plan of the second schema.
        spill: a folder for data that does not fit into memory.
    """
    with connect_spilling(spill) as connection:
        return _PlanPair(connection, {"old": old, "new": new}).difference()


class _PlanPair:
    """The events of two plans as DuckDB's tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, plans: Mapping[str, Plan]) -> None:
        self.connection = connection
        self.plans = plans

    def difference(self) -> Difference:
        self._hash_payloads()
        self._pair_events()
        self._compare_payloads()
        self._list_rejects()
        renamed = self._renamed()
        gone, added = self._unpaired("old", "new"), self._unpaired("new", "old")
        for (before, after), events in renamed.items():
            gone, added = gone - Counter({before: events}), added - Counter({after: events})
        return Difference(
            events_old=self._count("old"),
            events_new=self._count("new"),
            changed=self._count("changes"),
            fields=self._counts(
                "select part, count(*) from (select unnest(parts) as part from changes) "
                "group by 1 order by 2 desc, 1"
            ),
            ids=self._counts(
                "select metric, count(*) from pairs where moved group by 1 order by 1"
            ),
            renamed=renamed,
            gone=gone,
            added=added,
            rejected=self._rejected_by_one("new", "old"),
            accepted=self._rejected_by_one("old", "new"),
            samples=tuple(self._samples()),
        )

    # tables --------------------------------------------------------------------------------------

    def _hash_payloads(self) -> None:
        """Make the tables ``old`` and ``new``: each event's key, place and payload's hash."""
        payload = ", chr(31), ".join([*_SCALARS.values(), *_OBJECTS.values()])
        for side in self.plans:
            self._run_over(
                side,
                f"create temp table {side} as select part, n, key, metric, file, row, event_id, "
                f"md5_number(properties) as body, md5_number(concat({payload})) as payload "
                f"from ({_AS_SENT})",
            )

    def _pair_events(self) -> None:
        """Make the table ``pairs`` of events in both plans; ``moved`` ones have another key.

        Of an order's lines with other ids, those with equal properties pair first: the order in
        which a plan holds them means nothing.
        """
        places = "o.part as old_part, o.n as old_n, n.part as new_part, n.n as new_n"
        event = "n.metric, n.file, n.row"
        run = self.connection.execute
        run(
            f"create temp table same as select {places}, {event}, "
            "o.payload <> n.payload as differs, false as moved from old o join new n using (key)"
        )
        for by in ("metric, file, row, body", "metric, file, row"):
            for side in self.plans:
                run(
                    f"create or replace temp table rest_{side} as select *, row_number() over "
                    f"(partition by {by} order by event_id, part, n) as place from {side} "
                    f"anti join same on ({side}.part = {side}_part and {side}.n = {side}_n)"
                )
            run(
                f"insert into same select {places}, {event}, true, true "
                f"from rest_old o join rest_new n using ({by}, place)"
            )
        run(
            "create temp table pairs as select *, row_number() over "
            "(order by file, row, metric, new_part, new_n) as pair from same where differs"
        )

    def _compare_payloads(self) -> None:
        """Make the table ``changes``: the pairs that differ, and the parts in which they do."""
        for side in self.plans:
            self._run_over(
                side,
                f"create temp table wide_{side} as select p.pair, w.* exclude (part, n, file, row) "
                f"from ({_AS_SENT}) w join pairs p on w.part = p.{side}_part and w.n = p.{side}_n",
            )
        scalars = [
            f"case when o.{column} is distinct from n.{column} then ['{name}'] else [] end"
            for name, column in _SCALARS.items()
        ]
        objects = [_members(prefix, column) for prefix, column in _OBJECTS.items()]
        self.connection.execute(
            f"create temp table changes as select pair, flatten([{', '.join(scalars + objects)}]) "
            "as parts from wide_old o join wide_new n using (pair) where len(parts) > 0"
        )

    def _list_rejects(self) -> None:
        """Make the tables ``rejects_old`` and ``rejects_new`` of rejected orders."""
        run = self.connection.execute
        for side, plan in self.plans.items():
            run(f"create temp table rejects_{side} (file int, row bigint, reason varchar)")
            for path in plan.reject_files:
                run(
                    f"insert into rejects_{side} select file, row, reason from read_parquet(?) "
                    "where file = order_file and row = order_row",
                    [str(path)],
                )
            for rejected in plan.judgement.rejected:
                file, row = order_of(rejected.orders)
                self.connection.register("judged", pa.table({"file": file, "row": row}))
                insert = f"insert into rejects_{side} select file, row, ? from judged"
                run(insert, [rejected.reason])

    # answers -------------------------------------------------------------------------------------

    def _unpaired(self, side: str, other: str) -> Counter[str]:
        return self._counts(
            f"select metric, count(*) from rest_{side} anti join rest_{other} "
            "using (metric, file, row, place) group by 1 order by 1"
        )

    def _renamed(self) -> dict[tuple[str, str], int]:
        """Metrics of one schema alone whose events are the other schema's under another name."""
        events = {
            side: self._counts(f"select metric, count(*) from {side} group by 1")
            for side in self.plans
        }
        pairs = self._rows(
            "select o.metric, n.metric, count(*) from rest_old o join rest_new n "
            "using (file, row, place) where o.metric <> n.metric group by all order by all"
        )
        found: dict[tuple[str, str], int] = {}
        for old, new, count in pairs:
            own = old not in events["new"] and new not in events["old"]
            whole = count == events["old"][old] == events["new"][new]
            taken = any(old == before or new == after for before, after in found)
            if own and whole and not taken:
                found[old, new] = count
        return found

    def _rejected_by_one(self, side: str, other: str) -> Counter[str]:
        return self._counts(
            f"select reason, count(*) from rejects_{side} anti join rejects_{other} "
            "using (file, row) group by 1 order by 2 desc, 1"
        )

    def _samples(self) -> Iterator[Sample]:
        """The first sample of each kind of change, then the second ones."""
        kinds = "row_number() over (partition by metric, parts order by file, row, pair) as nth"
        chosen = self._rows(
            f"select pair, parts, metric, file, row from (select *, {kinds} from changes "
            f"join pairs using (pair)) order by nth, file, row, pair limit {SAMPLES}"
        )
        chosen.sort(key=lambda found: (found[3], found[4], found[0]))
        for pair, parts, metric, file, row in chosen:
            old, new = (self._values(side, pair, parts) for side in ("old", "new"))
            yield Sample(metric=metric, file=file, row=row, old=old, new=new)

    def _values(self, side: str, pair: int, parts: list[str]) -> dict[str, str | None]:
        found = {}
        for part in parts:
            if part in _SCALARS:
                sql = f"to_json({_SCALARS[part]})"
                if part == "properties.$value":
                    sql = "rtrim(rtrim(value::varchar, '0'), '.')"
                name = ""
            else:
                prefix = next(prefix for prefix in _OBJECTS if part.startswith(prefix))
                name = part.removeprefix(prefix)
                sql = f"json_extract({_OBJECTS[prefix]}, {_pointer('?::varchar')})"
            query = f"select ({sql})::varchar from wide_{side} where pair = {pair}"
            values = [name] if "?" in sql else []
            [(found[part],)] = self.connection.execute(query, values).fetchall()
        return found

    # DuckDB --------------------------------------------------------------------------------------

    def _run_over(self, side: str, statement: str) -> None:
        """Run a statement over ``given``, the events of one plan that are to be sent."""
        events = (batch.cast(_ROW) for batch in self.plans[side].events(columns=_READ))
        with streamed(self.connection, "given", _ROW, events):
            self.connection.execute(statement)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def _counts(self, query: str) -> Counter[str]:
        return Counter(dict(self._rows(query)))

    def _count(self, source: str) -> int:
        [(rows,)] = self._rows(f"select count(*) from {source}")
        return int(rows)


def _pointer(name: str) -> str:
    """SQL for the JSON pointer of a member."""
    return f"'/' || replace(replace({name}, '~', '~0'), '/', '~1')"


def _members(prefix: str, column: str) -> str:
    """SQL for the names of the members in which two objects differ; their order does not matter."""
    names = (
        f"list_sort(list_distinct(list_concat(coalesce(json_keys(o.{column}), []), "
        f"coalesce(json_keys(n.{column}), []))))"
    )
    at = _pointer("name")
    differs = f"json_extract(o.{column}, {at}) is distinct from json_extract(n.{column}, {at})"
    found = f"[concat('{prefix}', name) for name in {names} if {differs}]"
    return f"case when o.{column} is distinct from n.{column} then {found} else [] end"
