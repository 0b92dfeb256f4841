"""One event of a schema as SQL: the columns in which it is computed, and the query of its rows."""

from dataclasses import dataclass
from typing import Final

from backfill.event import EVENTS, IDENTIFIERS, PROFILE_FIELDS, hash_sql
from backfill.mapping.faults import Fault, faults_of_ruined_ids, first_fault
from backfill.mapping.leaves import LeafCompiler, json_object
from backfill.mapping.people import Person
from backfill.mapping.program import Bounds
from backfill.mapping.query import NULL, Query, Sql, Stage, quote, sql
from backfill.schema.model import Event, Leaf
from backfill.schema.uses import documented_field, leaf_columns

_SPECIAL: Final = ("$event_id", "$value")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSql:
    """The columns of one event, computed with its order or with each of its lines."""

    event: Event
    time: Sql
    event_id: Sql
    value: Sql
    currency: Sql
    properties: Sql
    wanted: Sql
    """Does the schema want the event?"""
    wanted_of_order: Sql
    """Does it want the event, or any of the order's lines' events?"""
    unsure: Sql
    """The fault of ``where`` of the order, or of the first of its lines that has one."""
    reason: Sql
    """The fault of the event, of the order or of the first of its lines that has one."""

    @property
    def per_line(self) -> bool:
        return self.event.per == "line"

    @property
    def columns(self) -> tuple[Sql, ...]:
        """What the query of the rows reads."""
        own = (self.time, self.event_id, self.value, self.currency, self.properties)
        return (*own, self.wanted)


def compile_event(
    at: int, event: Event, leaves: LeafCompiler, query: Query, person: Person, bounds: Bounds
) -> EventSql:
    """The ``at``-th event of a schema."""
    per_line = event.per == "line"
    stage = Stage.LINE if per_line else Stage.JUDGED

    def column(name: str, expression: Sql) -> Sql:
        return query.named(expression, stage, f"{name}_{at}")

    faults: list[Fault] = []
    compiled = leaves.compile(event.time, "time")
    time = column("time", compiled.raw if compiled else Sql("null::bigint"))
    members: dict[str, Sql] = {}
    for name, leaf in event.properties.items():
        if (
            name not in _SPECIAL
            and (made := leaves.compile(leaf, documented_field(name))) is not None
        ):
            members[name] = made.json
            faults += made.faults
    event_id = column("id", _event_id(event, leaves, time, person, faults))
    value = column("value", _value(event, leaves, faults))
    currency = column("currency", _currency(event, leaves, faults))
    properties = column("properties", json_object(members))
    wanted, faults_of_where = _where(event, leaves, time, bounds)
    unsure = column("unsure", first_fault(faults_of_where))
    wanted = column(
        "wanted",
        sql("coalesce($wanted, false) and $unsure is null", wanted=wanted, unsure=unsure),
    )
    late = sql(f"$time not between {bounds.earliest_s} and {bounds.latest_s}", time=time)
    told = ", ".join(leaf_columns(event.time))
    faults = [
        *(compiled.faults if compiled else ()),
        *faults,
        Fault(sql("$time is null", time=time), "no_time", told),
        Fault(late, "time_out_of_range", told),
        Fault(sql("$id is null", id=event_id), "no_event_id", ""),
    ]
    reason = column(
        "reason",
        sql("case when $wanted then $fault end", wanted=wanted, fault=first_fault(faults)),
    )
    return EventSql(
        event=event,
        time=time,
        event_id=event_id,
        value=value,
        currency=currency,
        properties=properties,
        wanted=wanted,
        wanted_of_order=query.gathered("any", wanted) if per_line else wanted,
        unsure=query.gathered("first", unsure) if per_line else unsure,
        reason=query.gathered("first", reason) if per_line else reason,
    )


def _where(
    event: Event, leaves: LeafCompiler, time: Sql, bounds: Bounds
) -> tuple[Sql, tuple[Fault, ...]]:
    """Does the schema want the event, and is it before ``--until``? And the faults of ``where``."""
    wanted: Sql = Sql("true")
    faults: tuple[Fault, ...] = ()
    if event.where is not None:
        where = leaves.compile(Leaf.condition(event.where), "where")
        assert where is not None  # noqa: S101
        wanted, faults = where.value, where.faults
    if bounds.until_s is not None:
        early = f"coalesce($time < {bounds.until_s}, true)"
        wanted = sql(f"($wanted and {early})", wanted=wanted, time=time)
    return wanted, faults


def _event_id(
    event: Event, leaves: LeafCompiler, time: Sql, person: Person, faults: list[Fault]
) -> Sql:
    if event.event_id is None:
        # The documented format. Source: Track API reference v1-2, ``$event_id``:
        # "event name+timestamp+customer email/id".
        name = quote(f"{event.event}+")
        return sql("$name || $time::varchar || '+' || $who", name=name, time=time, who=person.who)
    made = leaves.compile(event.event_id, "$event_id")
    if made is None:
        return NULL
    columns = leaf_columns(event.event_id)
    faults += [*faults_of_ruined_ids(leaves.columns, columns, Stage.LINE), *made.faults]
    return sql("nullif($text, '')", text=made.text)


def _value(event: Event, leaves: LeafCompiler, faults: list[Fault]) -> Sql:
    leaf = event.properties.get("$value")
    made = leaves.compile(leaf, "$value") if leaf is not None else None
    if made is None:
        return Sql("null::decimal(38,6)")
    faults += made.faults
    # what is written, so that the amount is rounded once
    return sql("try_cast($text as decimal(38,6))", text=made.text)


def _currency(event: Event, leaves: LeafCompiler, faults: list[Fault]) -> Sql:
    made = leaves.compile(event.currency, "currency") if event.currency is not None else None
    if made is None:
        return NULL
    faults += made.faults
    return made.text


def rows_of(found: EventSql, person: Person) -> str:
    """The query of an event's rows: ``event.EVENTS`` without the sizes."""
    event = found.event
    table = "l" if found.per_line else "x"
    source = "l join x on l.o = x.o" if found.per_line else "x"
    time, event_id, value, properties = (
        f"{table}.{column.text}"
        for column in (found.time, found.event_id, found.value, found.properties)
    )
    currency = f"{table}.{found.currency.text}"
    hashed = [time, value, f"x.{person.whose.text}", f"x.{person.who.text}", properties]
    if event.currency is not None:
        hashed[-1] += f", chr(31) || {currency}"  # NULL adds nothing to what is hashed
    content = ", chr(31), ".join(hashed)
    columns = {
        "key": hash_sql(quote(event.event).text, event_id),
        "person": f"x.{person.key.text}",
        "metric": quote(event.event).text,
        "event_id": event_id,
        "time": time,
        "value": value,
        "currency": currency,
        **{
            name: f"x.{person.columns[name].text}" if name in person.columns else NULL.text
            for name in (*IDENTIFIERS, *PROFILE_FIELDS, "profile")
        },
        "properties": properties,
        "content": f"unhex(left(sha256(concat({content})), 16))",
        "file": "x._file",
        "row": "x._row",
    }
    assert list(columns) == [n for n in EVENTS.names if "size" not in n]  # noqa: S101
    select = ", ".join(f'{expression} as "{name}"' for name, expression in columns.items())
    return f"select {select} from {source} where x.accepted and {table}.{found.wanted.text}"
