"""One event of a schema as SQL: the columns in which it is computed, and the query of its rows."""

from dataclasses import dataclass
from typing import Final

from backfill.event import EVENTS, IDENTIFIERS, PROFILE_FIELDS, hash_sql
from backfill.mapping.cells import quote
from backfill.mapping.leaves import LeafCompiler, first_fault, json_object
from backfill.mapping.people import People
from backfill.mapping.program import Bounds
from backfill.mapping.results import Fault
from backfill.mapping.ruined import ruined
from backfill.schema.model import Event, Leaf
from backfill.schema.uses import Level, documented, leaf_columns

_SPECIAL: Final = ("$event_id", "$value")


@dataclass(frozen=True, slots=True)
class Block:
    """The SQL columns of one event: where they are computed, and how x learns of them."""

    level: Level
    columns: list[tuple[str, str]]
    """SQL and name."""
    gathered: list[tuple[str, str]]


def block_of(at: int, event: Event, leaves: LeafCompiler, bounds: Bounds) -> Block:
    """The ``at``-th event of a schema."""
    level: Level = event.per
    time = leaves.compile(event.time, level, "time")
    wanted, unsure = "true", "null::varchar"
    if event.where is not None:
        where = leaves.compile(Leaf.condition(event.where), level, "where")
        assert where is not None  # noqa: S101
        wanted, unsure = where.value, first_fault(where.faults)
    when = time.raw if time else "null::bigint"
    if bounds.until_s is not None:
        wanted = f"({wanted} and coalesce({when} < {bounds.until_s}, true))"
    members, faults = _properties(event, leaves, level)
    event_id = _event_id(at, event, leaves, level, faults)
    value = _value(event, leaves, level, faults)
    currency = _currency(event, leaves, level, faults)
    faults[:0] = time.faults if time else ()
    column = ", ".join(leaf_columns(event.time))
    late = f"t{at} not between {bounds.earliest_s} and {bounds.latest_s}"
    faults += [
        Fault(f"t{at} is null", "no_time", column, level),
        Fault(late, "time_out_of_range", column, level),
        Fault(f"i{at} is null", "no_event_id", "", level),
    ]
    columns = [
        (when, f"t{at}"),
        (event_id, f"i{at}"),
        (f"({value})::decimal(38,6)", f"v{at}"),
        (currency, f"u{at}"),
        (json_object(members), f"p{at}"),
        (unsure, f"q{at}"),
        (f"coalesce({wanted}, false) and q{at} is null", f"w{at}"),
        (f"case when w{at} then {first_fault(faults)} end", f"r{at}"),
    ]
    gathered = [(f"w{at}", f"any_of(w{at})"), (f"q{at}", f"first_of(q{at})")]
    gathered.append((f"r{at}", f"first_of(r{at})"))
    return Block(level, columns, gathered)


def _properties(
    event: Event, leaves: LeafCompiler, level: Level
) -> tuple[list[tuple[str, str]], list[Fault]]:
    members: list[tuple[str, str]] = []
    faults: list[Fault] = []
    for name, leaf in event.properties.items():
        if name in _SPECIAL:
            continue
        made = leaves.compile(leaf, level, documented(name))
        if made is not None:
            members.append((name, made.json))
            faults += made.faults
    return members, faults


def _event_id(
    at: int, event: Event, leaves: LeafCompiler, level: Level, faults: list[Fault]
) -> str:
    if event.event_id is None:
        # The documented format. Source: Track API reference v1-2, ``$event_id``:
        # "event name+timestamp+customer email/id".
        name = quote(f"{event.event}+")
        return f"{name} || t{at}::varchar || '+' || who"
    made = leaves.compile(event.event_id, level, "$event_id")
    if made is None:
        return "null::varchar"
    faults += [*ruined(leaves, leaf_columns(event.event_id), "line"), *made.faults]
    return f"nullif({made.text}, '')"


def _value(event: Event, leaves: LeafCompiler, level: Level, faults: list[Fault]) -> str:
    leaf = event.properties.get("$value")
    made = leaves.compile(leaf, level, "$value") if leaf is not None else None
    if made is None:
        return "null"
    faults += made.faults
    # what is written, so that the amount is rounded once
    return f"try_cast({made.text} as decimal(38,6))"


def _currency(event: Event, leaves: LeafCompiler, level: Level, faults: list[Fault]) -> str:
    leaf = event.currency
    made = leaves.compile(leaf, level, "currency") if leaf is not None else None
    if made is None:
        return "null::varchar"
    faults += made.faults
    return made.text


def rows_of(at: int, event: Event, people: People) -> str:
    """The query of its events: ``event.EVENTS`` without the sizes."""
    per_line = event.per == "line"
    k = "l." if per_line else "x."
    source = "l join x on l.o = x.o" if per_line else "x"
    # NULL adds nothing: an event without a currency is what it was before there were any.
    currency = f", chr(31) || {k}u{at}" if event.currency is not None else ""
    content = (
        f"concat({k}t{at}, chr(31), {k}v{at}, chr(31), x.whose, chr(31), x.who, chr(31), "
        f"{k}p{at}{currency})"
    )
    columns = {
        "key": hash_sql(quote(event.event), f"{k}i{at}"),
        "person": "x.person",
        "metric": quote(event.event),
        "event_id": f"{k}i{at}",
        "time": f"{k}t{at}",
        "value": f"{k}v{at}",
        "currency": f"{k}u{at}",
        **{
            name: f"x.{name}" if name in people.columns else "null::varchar"
            for name in (*IDENTIFIERS, *PROFILE_FIELDS, "profile")
        },
        "properties": f"{k}p{at}",
        "content": f"unhex(left(sha256({content}), 16))",
        "file": "x._file",
        "row": "x._row",
    }
    assert list(columns) == [n for n in EVENTS.names if "size" not in n]  # noqa: S101
    select = ", ".join(f"{sql} as {quote_name(name)}" for name, sql in columns.items())
    return f"select {select} from {source} where x.accepted and {k}w{at}"


def quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
