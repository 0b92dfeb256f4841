"""Two plans of one export beside each other, in DuckDB and in bounded memory.

Events pair by their key. Of what remains, the same metric's events of one order pair by their
places: those have another id, and sending them would make a second copy.
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
"""Parts of a payload by their names in a schema, and their columns."""

_NOT_SENT: Final = ("key", "person", "content", "size", "attributes_size")
"""What a plan has of an event and no payload."""

_OBJECTS: Final = {"properties.": "properties", "customer_properties.": "profile"}
"""JSON objects whose members are parts of a payload."""


_READ: Final = ["key", *(name for name in EVENTS.names if name not in _NOT_SENT)]
_ROW: Final = pa.schema(
    [
        *(EVENTS.field(name) for name in _READ),
        pa.field("part", pa.int32()),
        pa.field("n", pa.int64()),
        pa.field("carries", pa.bool_()),
    ]
)

_MASKED: Final = {
    "phone_number": "carries or email is null",
    "id": "carries or (email is null and phone_number is null)",
    **dict.fromkeys((*PROFILE_FIELDS, "profile"), "carries"),
}
"""What an event says only where it carries its person's attributes, by the condition."""

_AS_SENT: Final = "select * replace ({}) from given".format(
    ", ".join(f"case when {when} then {name} end as {name}" for name, when in _MASKED.items())
)
"""Events of ``given`` as they are sent."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One event under both schemas, by what differs; None where a part is not there."""

    metric: str
    file: int
    row: int
    old: Mapping[str, str | None]
    """JSON texts."""
    new: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a second schema makes of the same export that the first does not."""

    events_old: int
    events_new: int
    changed: int
    """Events of both whose payloads differ, those of another id among them."""
    fields: Mapping[str, int]
    """Of these, how many differ in which part of the payload."""
    ids: Mapping[str, int]
    """By metric, events that have another id."""
    renamed: Mapping[tuple[str, str], int]
    """By old and new name, events of a metric that has another name: another event to Klaviyo."""
    gone: Mapping[str, int]
    """By metric, events that the first schema alone makes."""
    added: Mapping[str, int]
    rejected: Mapping[str, int]
    """By reason, orders that the second schema alone rejects."""
    accepted: Mapping[str, int]
    """By the reason of the first schema, orders that it alone rejects."""
    samples: tuple[Sample, ...]

    @property
    def copies(self) -> int:
        """Events that Klaviyo would have twice, were they sent by both schemas."""
        return sum(self.ids.values()) + sum(self.renamed.values())


@dataclass(frozen=True, slots=True)
class Compared:
    """Two schemas over one export; ``files`` are those that samples point into."""

    difference: Difference
    files: tuple[str, ...]
    rules: tuple[str, ...]
    """The metrics whose rule of ids differs: a run with the new one stops there."""

    @property
    def makes_copies(self) -> bool:
        return self.difference.copies > 0


def difference(old: Plan, new: Plan, spill: Path) -> Difference:
    with connect_spilling(spill) as connection:
        return _Comparing(connection, {"old": old, "new": new}).difference()


class _Comparing:
    def __init__(self, connection: duckdb.DuckDBPyConnection, plans: Mapping[str, Plan]) -> None:
        self.connection = connection
        self.plans = plans

    def difference(self) -> Difference:
        self._prints()
        self._pairs()
        self._wide()
        renamed = self._renamed()
        gone, added = self._alone("old"), self._alone("new")
        for (before, after), events in renamed.items():
            gone, added = gone - Counter({before: events}), added - Counter({after: events})
        rejected, accepted = self._fates()
        return Difference(
            events_old=self._count("old"),
            events_new=self._count("new"),
            changed=self._count("changes"),
            fields=self._fields(),
            ids=dict(
                self._rows("select metric, count(*) from pairs where moved group by 1 order by 1")
            ),
            renamed=renamed,
            gone=gone,
            added=added,
            rejected=rejected,
            accepted=accepted,
            samples=tuple(self._samples()),
        )

    # steps ---------------------------------------------------------------------------------------

    def _prints(self) -> None:
        """Tables ``old`` and ``new``: each event's key and place, and a print of its payload."""
        payload = ", chr(31), ".join([*_SCALARS.values(), *_OBJECTS.values()])
        for side in self.plans:
            self._run_over(
                side,
                f"create temp table {side} as select part, n, key, metric, file, row, event_id, "
                f"md5_number(properties) as body, md5_number(concat({payload})) as print "
                f"from ({_AS_SENT})",
            )

    def _pairs(self) -> None:
        """A table of events in both plans; ``moved`` are those that have another key.

        Of an order's lines that have other ids, those with the same properties pair first: the
        order in which a plan holds them says nothing.
        """
        places = "o.part as old_part, o.n as old_n, n.part as new_part, n.n as new_n"
        event = "n.metric, n.file, n.row"
        run = self.connection.execute
        run(
            f"create temp table same as select {places}, {event}, o.print <> n.print as differs, "
            "false as moved from old o join new n using (key)"
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

    def _wide(self) -> None:
        """A table ``changes``: each pair of which something differs, and what."""
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
            f"create temp table changes as select pair, {_joined(scalars + objects)} as parts "
            "from wide_old o join wide_new n using (pair) where len(parts) > 0"
        )

    # answers -------------------------------------------------------------------------------------

    def _fields(self) -> dict[str, int]:
        return dict(
            self._rows(
                "select part, count(*) from (select unnest(parts) as part from changes) "
                "group by 1 order by 2 desc, 1"
            )
        )

    def _alone(self, side: str) -> Counter[str]:
        other = "new" if side == "old" else "old"
        rows = self._rows(
            f"select metric, count(*) from rest_{side} anti join rest_{other} "
            "using (metric, file, row, place) group by 1 order by 1"
        )
        return Counter(dict(rows))

    def _renamed(self) -> dict[tuple[str, str], int]:
        """Metrics that one schema alone has, whose events are the other's under another name."""
        events = {
            side: dict(self._rows(f"select metric, count(*) from {side} group by 1"))
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

    def _fates(self) -> tuple[dict[str, int], dict[str, int]]:
        """Orders that are rejects under one schema alone: the new one's reasons, the old one's."""
        for side, plan in self.plans.items():
            self.connection.execute(
                f"create temp table rejects_{side} (file int, row bigint, reason varchar)"
            )
            for path in sorted(plan.folder.glob("rejects-*.parquet")):
                self.connection.execute(
                    f"insert into rejects_{side} select file, row, reason from read_parquet(?) "
                    "where file = order_file and row = order_row",
                    [str(path)],
                )
            for lost in plan.judgement.rejected:
                at = [order_of(code) for code in lost.orders.tolist()]
                columns = {"file": [file for file, _ in at], "row": [row for _, row in at]}
                self.connection.register("judged", pa.table(columns))
                self.connection.execute(
                    f"insert into rejects_{side} select file, row, ? from judged", [lost.reason]
                )
        found = [
            self._rows(
                f"select reason, count(*) from rejects_{one} anti join rejects_{other} "
                "using (file, row) group by 1 order by 2 desc, 1"
            )
            for one, other in (("new", "old"), ("old", "new"))
        ]
        return dict(found[0]), dict(found[1])

    def _samples(self) -> Iterator[Sample]:
        """Each kind of change before the second of any."""
        kinds = "row_number() over (partition by metric, parts order by file, row, pair) as nth"
        chosen = self._rows(
            f"select pair, parts, metric, file, row from (select *, {kinds} from changes "
            f"join pairs using (pair)) order by nth, file, row, pair limit {SAMPLES}"
        )
        chosen.sort(key=lambda found: (found[3], found[4], found[0]))
        for pair, parts, metric, file, row in chosen:
            old, new = (self._values(side, pair, parts) for side in ("old", "new"))
            yield Sample(metric, file, row, old, new)

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
        """Run a statement over ``given``, the events of one plan that would be sent."""
        events = (batch.cast(_ROW) for batch in self.plans[side].events(columns=_READ))
        with streamed(self.connection, "given", _ROW, events):
            self.connection.execute(statement)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

    def _count(self, source: str) -> int:
        [(rows,)] = self._rows(f"select count(*) from {source}")
        return int(rows)


def _pointer(name: str) -> str:
    """SQL for the JSON pointer of a member."""
    return f"'/' || replace(replace({name}, '~', '~0'), '/', '~1')"


def _members(prefix: str, column: str) -> str:
    """SQL for the names of the members in which two objects differ, whatever their order."""
    names = (
        f"list_sort(list_distinct(list_concat(coalesce(json_keys(o.{column}), []), "
        f"coalesce(json_keys(n.{column}), []))))"
    )
    at = _pointer("name")
    differs = f"json_extract(o.{column}, {at}) is distinct from json_extract(n.{column}, {at})"
    found = f"[concat('{prefix}', name) for name in {names} if {differs}]"
    return f"case when o.{column} is distinct from n.{column} then {found} else [] end"


def _joined(lists: list[str]) -> str:
    return f"flatten([{', '.join(lists)}])"
