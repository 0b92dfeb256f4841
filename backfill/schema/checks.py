"""What a schema may not say, beyond its shape; all of it without an export."""

from collections.abc import Iterator
from typing import Final

from backfill.event import IDENTIFIERS, PROFILE_FIELDS
from backfill.limits import TRACK_MAX_METRICS
from backfill.schema.columns import LISTED, NUMBER, unfolds
from backfill.schema.document import Place
from backfill.schema.expression import is_numeric, result_type
from backfill.schema.model import Event, Schema
from backfill.schema.suggest import did_you_mean
from backfill.schema.template import parse_template
from backfill.schema.types import Kind, Type
from backfill.schema.uses import (
    SQL_TYPES,
    Use,
    column_type,
    is_line_column,
    leaf_columns,
    leaf_expression,
    leaf_type,
    needed_columns,
    uses,
)

PROFILE_KEYS: Final = tuple(f"${name}" for name in (*IDENTIFIERS, *PROFILE_FIELDS))
EVENT_KEYS: Final = ("$event_id", "$value", "$extra")

FITTING: Final[dict[str, tuple[Kind, ...]]] = {
    "$email": ("email",),
    "$phone_number": ("phone",),
    "$consent": ("list",),
    "$value": ("money", "number", "integer"),
    "time": ("time",),
    "currency": ("currency",),
}
"""The types that a documented field takes."""

Found = Iterator[tuple[Place, str]]


def check(schema: Schema) -> Found:
    """Each problem with the path of its place."""
    yield from _source(schema)
    yield from _fields(schema)
    for use in uses(schema):
        yield from _use(schema, use)
    for at, event in enumerate(schema.events):
        yield from _event(event, ("events", at))
    metrics = {event.event for event in schema.events}
    if len(metrics) > TRACK_MAX_METRICS:
        yield ("events",), f"{len(metrics)} metrics; Klaviyo takes {TRACK_MAX_METRICS}"


def _source(schema: Schema) -> Found:
    source = schema.source
    if source.line and source.order is None:
        yield (
            ("source", "line"),
            "line columns need source.order, the column that tells orders apart",
        )
    for name in source.order or ():
        if is_line_column(schema, name):
            yield ("source", "order"), f'"{name}" cannot be an order column and a line column'
    yield from _unfolding(schema)


def _unfolding(schema: Schema) -> Found:
    """Lines that stand within a row."""
    lines = {name: use.path for use in uses(schema) for name in use.columns if unfolds(name)}
    if not lines:
        return
    name, path = next(iter(lines.items()))
    if schema.source.order is None:
        yield path, f'"{name}" makes lines of a row: say source.order, the column of the order'
    if schema.source.across_files == "merge":
        yield (
            ("source", "across_files"),
            f'merge puts rows together, and "{name}" makes lines within a row: say first or last',
        )
    ways = {NUMBER if NUMBER in name else LISTED: name for name in lines}
    if len(ways) > 1:
        one, other = ways.values()
        yield lines[other], f'"{one}" makes lines of a row already, and "{other}" makes others'


def _fields(schema: Schema) -> Found:
    if not schema.identifiers:
        yield (
            ("customer_properties",),
            "nothing says who the person is: map $email, $phone_number or $id",
        )
    for name in schema.customer_properties:
        if name in IDENTIFIERS:
            yield (
                ("customer_properties", name),
                f'Klaviyo takes "{name}" for an identifier too; did you mean "${name}"?',
            )
        if name.startswith("$") and name not in PROFILE_KEYS:
            yield (
                ("customer_properties", name),
                f'Klaviyo documents no "{name}" of a person{did_you_mean(name, PROFILE_KEYS)}',
            )
    for at, event in enumerate(schema.events):
        for name in event.properties:
            if name.startswith("$") and name not in EVENT_KEYS:
                yield (
                    ("events", at, "properties", name),
                    f'Klaviyo documents no "{name}" of an event{did_you_mean(name, EVENT_KEYS)}',
                )


def _event(event: Event, path: Place) -> Found:
    if event.per == "line" and event.event_id is None:
        yield (
            path,
            "an event per line needs $event_id, with the line in it: without one Klaviyo keeps one "
            'line of an order and drops the others; for instance "{order column}-{line}"',
        )


def _use(schema: Schema, use: Use) -> Found:
    leaf = use.leaf
    if use.level == "line" and leaf.kind in ("sum", "each"):
        yield use.path, f"{leaf.kind} gathers the rows of an order; here stands a single row"
    try:
        if leaf.template is not None:
            counts = parse_template(leaf.template).counts_lines
            if counts and use.level == "order":
                yield use.path, "{line} is a row's number; here stands a whole order"
        yield from _expression(schema, use)
    except ValueError as error:  # ExpressionError among them
        unknown = [name for name in leaf_columns(leaf) if name not in schema.columns]
        hints = [
            f'"{name}"{hint}' for name in unknown if (hint := did_you_mean(name, schema.columns))
        ]
        yield use.path, " ".join([str(error), *hints])
    yield from _levels(schema, use)
    yield from _type(schema, use)
    if leaf.map is not None and not leaf.map:
        yield use.path, "map is empty"


def _levels(schema: Schema, use: Use) -> Found:
    if use.level == "line" or use.leaf.kind == "sum":
        return
    for name in needed_columns(schema, use.leaf):
        if is_line_column(schema, name):
            yield (
                use.path,
                f'"{name}" is a line column, one value a row, and here stands a whole order: '
                "use it in each, sum or an event per line, or take it out of source.line",
            )


def _expression(schema: Schema, use: Use) -> Found:
    expression = leaf_expression(use.leaf)
    if expression is None:
        return
    types = {name: SQL_TYPES[column_type(schema, name).kind] for name in expression.columns}
    found = result_type(expression, types)
    wanted = use.leaf.as_.kind if use.leaf.as_ is not None else "text"
    if found != "VARCHAR" and wanted not in (readable := _casts(found)):
        yield use.path, f"SQL that gives {found} is read as {' or '.join(readable)}"
    if use.field == "where" and found != "BOOLEAN":
        yield use.path, f"where is a condition, true or false; this gives {found}"
    summable = is_numeric(found)
    if use.leaf.kind == "sum" and not summable:
        yield use.path, f"sum adds numbers; this gives {found}"
    if use.field == "$value" and not summable:
        yield use.path, f"$value is a number; this gives {found}"
    if use.field == "currency" and found != "VARCHAR":
        yield use.path, f"currency is a text such as EUR; this gives {found}"
    if use.field == "time" and found == "VARCHAR" and wanted == "time":
        return  # a text that is read as a cell would be, in the shop's zone
    if use.field == "time" and found not in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        yield use.path, f"time is a time; this gives {found}"
    elif use.field == "time" and "VARCHAR" in types.values():
        yield (
            use.path,
            "SQL knows no zone of the shop: put the texts together in a template and say "
            'as: {time: FORMAT}, for instance {template: "{Date} {Time}", as: {time: …}}',
        )


def _type(schema: Schema, use: Use) -> Found:
    leaf, field = use.leaf, use.field
    if field == "where":
        return
    if field == "currency" and leaf.kind == "sum":
        return  # adding made a number of it, and that is told already
    if field in FITTING and leaf.kind in ("each", "object"):
        yield use.path, f"{field} is one value"
        return
    if field == "$event_id" and leaf.kind in ("each", "object", "sum"):
        yield use.path, "$event_id is one text"
        return
    kind = leaf_type(schema, leaf, field)
    textual = leaf.kind in ("column", "value", "template")
    if field in FITTING and textual and kind.kind not in FITTING[field]:
        wanted = " or ".join(FITTING[field])
        yield use.path, f"{field} is {wanted}; the schema reads this as {kind.kind}"
    yield from _options(use, kind)


def _options(use: Use, kind: Type) -> Found:
    """Options of a leaf that its type gives no meaning to."""
    leaf = use.leaf
    if leaf.zone is not None and kind.kind != "time":
        yield (*use.path, "zone"), f"zone stands beside a time; this is read as {kind.kind}"
    elif leaf.zone is not None and kind.has_offset:
        yield (*use.path, "zone"), "the cell says its zone itself: leave zone out"
    if leaf.unfit is not None and kind.kind == "text":
        yield (*use.path, "unfit"), "a text always fits: leave unfit out, or say as: TYPE"
    elif leaf.unfit is not None and use.field in ("time", "$event_id"):
        name = use.field.removeprefix("$")
        yield (*use.path, "unfit"), f"there is no event without its {name}: leave unfit out"


def _casts(found: str) -> tuple[Kind, ...]:
    """What ``as`` can make of an SQL result of this type, which is no text."""
    if is_numeric(found):
        return ("text", "integer", "number", "money", "boolean")
    return ("text", "boolean") if found == "BOOLEAN" else ("text",)
