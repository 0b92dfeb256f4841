"""One event of a schema as SQL: the columns in which it is computed, and the query of its rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from backfill.event import EVENTS, IDENTIFIERS, PROFILE_FIELDS, hash_sql
from backfill.mapping.computed import LeafSql
from backfill.mapping.faults import Fault, first_fault, ruined_id_faults
from backfill.mapping.leaves import LeafCompiler
from backfill.mapping.people import Person
from backfill.mapping.program import Bounds
from backfill.mapping.query import NULL, Query, Sql, Stage, join, quote, sql
from backfill.mapping.refund_sums import BELOW, IN_DOUBT
from backfill.mapping.values import json_object
from backfill.schema.column_uses import documented_field, leaf_columns
from backfill.schema.columns import Absent
from backfill.schema.model import Event, Leaf

_SPECIAL: Final = ("$event_id", "$value")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSql:
    """The columns of one event, computed with its order or with each of its lines."""

    event: Event
    time: Sql
    event_id: Sql
    value: Sql
    sums: "RefundSumSql | None"
    """None where the value is not the difference between two sums of refunds."""
    currency: Sql
    properties: Sql
    wanted: Sql
    """A condition: the schema wants the event."""
    wanted_of_order: Sql
    """A condition on the order: the schema wants the event, or the event of any line."""
    undecided: Sql
    """The empty columns that leave ``where`` unknown, of the order or of the first such line; NULL
    where it is true or false."""
    where_fault: Sql
    """The first fault of ``where``, of the order or of any line."""
    fault: Sql
    """The first fault of the event, of the order or of any line."""

    @property
    def per_line(self) -> bool:
        return self.event.per == "line"

    @property
    def columns(self) -> tuple[Sql, ...]:
        """The columns that the query of the rows reads."""
        own = (self.time, self.event_id, self.value, self.currency, self.properties)
        of_sums = () if self.sums is None else (self.sums.key, self.sums.before)
        return (*own, *of_sums, self.wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSumSql:
    """An event that is worth the difference between two sums of an order's refunds."""

    event_id: Sql
    """It ends in the sum."""
    value: Sql
    """The difference."""
    key: Sql
    """The hash of the id without the sum."""
    before: Sql
    """The sum that was delivered before."""
    faults: tuple[Fault, ...]


def compile_event(
    at: int, event: Event, leaves: LeafCompiler, query: Query, person: Person, bounds: Bounds
) -> EventSql:
    """The ``at``-th event of a schema, counted from 0."""
    per_line = event.per == "line"
    stage = Stage.LINE if per_line else Stage.JUDGED

    def column(name: str, expression: Sql) -> Sql:
        return query.named(expression, stage, f"{name}_{at}")

    def first_of_lines(found: Sql) -> Sql:
        return query.aggregated("first", found) if per_line else found

    faults: list[Fault] = []
    compiled = leaves.compile(event.time, "time")
    time = column("time", compiled.value if compiled else Sql("null::bigint"))
    members = _members(event, leaves, faults)
    event_id = column("id", _event_id(event, leaves, time, person, faults))
    value = column("value", _value(event, leaves, faults))
    sums = None
    if event.refunds == "difference":
        sums = _refund_sums(event, event_id, value, query, column)
        event_id, value = sums.event_id, sums.value
        faults += sums.faults
    currency = column("currency", _currency(event, leaves, faults))
    properties = column("properties", json_object(members))
    condition = _condition(event, leaves)
    where_fault = column("where_fault", first_fault(condition.faults))
    wanted = _before_until(sql("coalesce($it, false)", it=condition.value), time, bounds)
    wanted = column("wanted", sql("$wanted and $fault is null", wanted=wanted, fault=where_fault))
    faults = [
        *(compiled.faults if compiled else ()),
        *faults,
        *_time_faults(event, time, bounds),
        Fault(sql("$id is null", id=event_id), "no_event_id", ""),
    ]
    unknown = _before_until(sql("$it is null", it=condition.value), time, bounds)
    undecided = column("undecided", _empty_columns(event, unknown, leaves))
    of_wanted = "case when $wanted then $fault end"
    fault = column("fault", sql(of_wanted, wanted=wanted, fault=first_fault(faults)))
    return EventSql(
        event=event,
        time=time,
        event_id=event_id,
        value=value,
        sums=sums,
        currency=currency,
        properties=properties,
        wanted=wanted,
        wanted_of_order=query.aggregated("any", wanted) if per_line else wanted,
        undecided=first_of_lines(undecided),
        where_fault=first_of_lines(where_fault),
        fault=first_of_lines(fault),
    )


def _members(event: Event, leaves: LeafCompiler, faults: list[Fault]) -> dict[str, Sql]:
    """The properties that go into one JSON object, by name."""
    members: dict[str, Sql] = {}
    for name, leaf in event.properties.items():
        if name in _SPECIAL or (member := leaves.compile(leaf, documented_field(name))) is None:
            continue
        members[name] = member.json
        faults += member.faults
    return members


def _condition(event: Event, leaves: LeafCompiler) -> LeafSql:
    """The event's ``where``: true, false, or NULL where it is unknown."""
    if event.where is None:
        return LeafSql.of(Sql("true"), faults=())
    where = leaves.compile(Leaf.condition(event.where), "where")
    assert where is not None  # noqa: S101
    return where


def _before_until(condition: Sql, time: Sql, bounds: Bounds) -> Sql:
    """The condition, and the event is before ``--until``."""
    if bounds.until_s is None:
        return condition
    early = f"coalesce($time < {bounds.until_s}, true)"
    return sql(f"($condition and {early})", condition=condition, time=time)


def _empty_columns(event: Event, unknown: Sql, leaves: LeafCompiler) -> Sql:
    """The names of the columns whose empty cells leave ``where`` unknown; NULL if it is not.

    They are all of its columns where no cell is empty. NULL too where only cells are empty of
    columns that the export lacks: it may lack them.
    """
    if event.where is None:
        return NULL
    names = leaf_columns(Leaf.condition(event.where))
    absent = [name for name in names if isinstance(leaves.bound.derived.get(name), Absent)]
    cells = {name: leaves.columns[name] for name in names if name not in absent}
    named = join(
        ", ",
        (
            sql("case when $cell is null then $name end", cell=cell, name=quote(name))
            for name, cell in cells.items()
        ),
    )
    every = NULL if absent else quote(", ".join(names))
    found = every
    if cells:
        empty = "coalesce(nullif(concat_ws(', ', $named), ''), $every)"
        found = sql(empty, named=named, every=every)
    return sql("case when $unknown then $found end", unknown=unknown, found=found)


def _time_faults(event: Event, time: Sql, bounds: Bounds) -> tuple[Fault, Fault]:
    columns = ", ".join(leaf_columns(event.time))
    late = f"$time not between {bounds.earliest_s} and {bounds.latest_s}"
    return (
        Fault(sql("$time is null", time=time), "no_time", columns),
        Fault(sql(late, time=time), "time_out_of_range", columns),
    )


def _refund_sums(
    event: Event, event_id: Sql, total: Sql, query: Query, column: Callable[[str, Sql], Sql]
) -> RefundSumSql:
    """The columns of an event of refunds; one without a sum keeps its id."""
    metric = quote(event.event).text.replace("$", "$$")
    key = column(
        "sum_key",
        sql(
            f"case when $sum is not null then {hash_sql(metric, '$id')} end", sum=total, id=event_id
        ),
    )
    found = query.sql("backfill_sum_before(hex($key), $sum::varchar)", key=key, sum=total)
    before = column("sum_before", sql("try_cast($found as decimal(38,6))", found=found))
    return RefundSumSql(
        event_id=column(
            "sum_id",
            sql(
                "$id || coalesce('-' || rtrim(rtrim($sum::varchar, '0'), '.'), '')",
                id=event_id,
                sum=total,
            ),
        ),
        value=column("new", sql("$sum - $before", sum=total, before=before)),
        key=key,
        before=before,
        faults=tuple(
            Fault(sql(f"$found = '{reason}'", found=found), reason, "$value")
            for reason in (IN_DOUBT, BELOW)
        ),
    )


def _event_id(
    event: Event, leaves: LeafCompiler, time: Sql, person: Person, faults: list[Fault]
) -> Sql:
    if event.event_id is None:
        # The documented format. Source: Track API reference v1-2, ``$event_id``:
        # "event name+timestamp+customer email/id".
        name, who = quote(f"{event.event}+"), person.identifier
        return sql("$name || $time::varchar || '+' || $who", name=name, time=time, who=who)
    compiled = leaves.compile(event.event_id, "$event_id")
    if compiled is None:
        return NULL
    columns = leaf_columns(event.event_id)
    faults += [*ruined_id_faults(leaves.columns, columns, Stage.LINE), *compiled.faults]
    return sql("nullif($text, '')", text=compiled.text)


def _value(event: Event, leaves: LeafCompiler, faults: list[Fault]) -> Sql:
    leaf = event.properties.get("$value")
    compiled = leaves.compile(leaf, "$value") if leaf is not None else None
    if compiled is None:
        return Sql("null::decimal(38,6)")
    faults += compiled.faults
    # Its text, as it is written, so that the amount is rounded once.
    return sql("try_cast($text as decimal(38,6))", text=compiled.text)


def _currency(event: Event, leaves: LeafCompiler, faults: list[Fault]) -> Sql:
    compiled = leaves.compile(event.currency, "currency") if event.currency is not None else None
    if compiled is None:
        return NULL
    faults += compiled.faults
    return compiled.text


def select_events(found: EventSql, person: Person) -> str:
    """The query of an event's rows: ``event.EVENTS`` without the sizes."""
    metric, sums = quote(found.event.event).text, found.sums
    table = "lines" if found.per_line else "judged"
    source = "lines join judged using (order_no)" if found.per_line else "judged"
    own = (found.time, found.event_id, found.value, found.properties, found.currency)
    time, event_id, value, properties, currency = (f"{table}.{column.text}" for column in own)
    who = (f"judged.{person.identifier_name.text}", f"judged.{person.identifier.text}")
    hashed = [time, value, *who, properties]
    if found.event.currency is not None:
        hashed[-1] += f", chr(31) || {currency}"  # NULL adds nothing to what is hashed
    content = ", chr(31), ".join(hashed)
    columns = {
        "key": hash_sql(metric, event_id),
        "person": f"judged.{person.key.text}",
        "metric": metric,
        "event_id": event_id,
        "time": time,
        "value": value,
        "currency": currency,
        **{
            name: f"judged.{person.columns[name].text}" if name in person.columns else NULL.text
            for name in (*IDENTIFIERS, *PROFILE_FIELDS, "profile")
        },
        "properties": properties,
        "content": f"unhex(left(sha256(concat({content})), 16))",
        "file": "judged._file",
        "row": "judged._row",
        "sum_key": NULL.text if sums is None else f"{table}.{sums.key.text}",
        "sum_before": NULL.text if sums is None else f"{table}.{sums.before.text}",
    }
    assert list(columns) == [n for n in EVENTS.names if "size" not in n]  # noqa: S101
    select = ", ".join(f'{expression} as "{name}"' for name, expression in columns.items())
    return f"select {select} from {source} where judged.accepted and {table}.{found.wanted.text}"
