"""Checks of a schema whose shape is right; none of them needs an export."""

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Final

from backfill.event import IDENTIFIERS, PROFILE_FIELDS
from backfill.limits import TRACK_MAX_METRICS
from backfill.schema.column_uses import (
    FIELD_KINDS,
    Use,
    expression_type,
    is_line_column,
    leaf_columns,
    leaf_expression,
    leaf_type,
    needed_columns,
    sql_type,
    uses,
)
from backfill.schema.columns import LIST_MARK, NUMBER_MARK, makes_lines
from backfill.schema.document import KeyPath
from backfill.schema.expression import (
    ExpressionError,
    TypeMismatchError,
    is_numeric,
    parse_expression,
    result_type,
)
from backfill.schema.model import Event, Schema
from backfill.schema.suggest import did_you_mean
from backfill.schema.template import parse_template
from backfill.schema.types import Kind, Type

PROFILE_KEYS: Final = tuple(f"${name}" for name in (*IDENTIFIERS, *PROFILE_FIELDS))
EVENT_KEYS: Final = ("$event_id", "$value", "$extra")

_NO_LINE_ID: Final = (
    "an event per line needs $event_id, with the line in it: without one Klaviyo keeps one line of "
    'an order and drops the others; for instance "{order column}-{line}"'
)

Problems = Iterator[tuple[KeyPath, str]]
"""Problems as sentences, each with the path of its place."""


def check_schema(schema: Schema, untyped: Collection[str] = ()) -> Problems:
    """The problems of a schema.

    Args:
        schema: the schema.
        untyped: columns whose types are problems already: what follows from a type is none.
    """
    yield from _check_source(schema)
    yield from _check_lines_within_rows(schema)
    yield from _check_field_names(schema)
    for use in uses(schema):
        yield from _check_use(schema, use, untyped)
    for at, event in enumerate(schema.events):
        if event.per == "line" and event.event_id is None:
            yield ("events", at), _NO_LINE_ID
        yield from _check_refunds(schema, event, ("events", at, "refunds"))
    metrics = {event.event for event in schema.events}
    if len(metrics) > TRACK_MAX_METRICS:
        yield ("events",), f"{len(metrics)} metrics; Klaviyo takes {TRACK_MAX_METRICS}"


def _check_refunds(schema: Schema, event: Event, path: KeyPath) -> Problems:
    columns = leaf_columns(event.event_id) if event.event_id is not None else ()
    if event.refunds == "difference" and (not columns or "$value" not in event.properties):
        yield path, "difference needs $event_id and $value, the sum of the order's refunds"
    of_row = schema.source.order is None or any(is_line_column(schema, name) for name in columns)
    if event.refunds == "each" and not (columns and of_row):
        yield path, "each needs the refund's own id in $event_id: a line column that holds it"


def _check_source(schema: Schema) -> Problems:
    source = schema.source
    if source.line and source.order is None:
        problem = "line columns need source.order, the column that tells orders apart"
        yield ("source", "line"), problem
    for name in source.order or ():
        if is_line_column(schema, name):
            yield ("source", "order"), f'"{name}" cannot be an order column and a line column'
    if source.fill_down and source.order is None:
        problem = "fill_down needs source.order, the column that tells orders apart"
        yield ("source", "fill_down"), problem
    for at, name in enumerate(source.fill_down):
        if is_line_column(schema, name):
            problem = f'"{name}" is a line column, and fill_down fills columns of an order'
            yield ("source", "fill_down", at), problem
    if source.drop_rows is not None and (problem := _drop_rows_problem(source.drop_rows)):
        yield ("source", "drop_rows"), problem


def _drop_rows_problem(text: str) -> str:
    """What is wrong with a condition on rows, whose cells are texts; "" for nothing."""
    try:
        expression = parse_expression(text)
        found = result_type(expression, dict.fromkeys(expression.columns, "VARCHAR"))
    except ExpressionError as error:
        return str(error)
    if parts := [name for name in expression.columns if makes_lines(name)]:
        return f'drop_rows reads whole cells of a row, and "{parts[0]}" is a part of them'
    return "" if found == "BOOLEAN" else f"drop_rows is a condition, true or false; this is {found}"


def _check_lines_within_rows(schema: Schema) -> Problems:
    lines = {name: use.path for use in uses(schema) for name in use.columns if makes_lines(name)}
    if not lines:
        return
    name, path = next(iter(lines.items()))
    if schema.source.order is None:
        yield path, f'"{name}" makes several lines of a row, and lines need source.order'
    if schema.source.across_files == "merge":
        problem = f'merge joins rows, and "{name}" makes lines within a row: write first or last'
        yield ("source", "across_files"), problem
    ways = {NUMBER_MARK if NUMBER_MARK in name else LIST_MARK: name for name in lines}
    if len(ways) > 1:
        one, other = ways.values()
        yield lines[other], f'"{one}" makes lines of a row already, and "{other}" makes others'


def _check_field_names(schema: Schema) -> Problems:
    if not schema.identifiers:
        problem = "no identifier of the person is mapped: map $email, $phone_number or $id"
        yield ("customer_properties",), problem
    for name in schema.customer_properties:
        path = ("customer_properties", name)
        if name in IDENTIFIERS:
            yield path, f'Klaviyo takes "{name}" for an identifier too; did you mean "${name}"?'
        if name.startswith("$") and name not in PROFILE_KEYS:
            hint = did_you_mean(name, PROFILE_KEYS)
            yield path, f'Klaviyo documents no "{name}" of a person{hint}'
    for at, event in enumerate(schema.events):
        for name in event.properties:
            if name.startswith("$") and name not in EVENT_KEYS:
                problem = f'Klaviyo documents no "{name}" of an event'
                yield ("events", at, "properties", name), problem + did_you_mean(name, EVENT_KEYS)


def _check_use(schema: Schema, use: Use, untyped: Collection[str]) -> Problems:
    found = chain(_leaf_problems(use), _level_problems(schema, use))
    yield from ((use.path, problem) for problem in found)
    if any(name in untyped for name in leaf_columns(use.leaf)):
        return
    cell_type = leaf_type(schema, use.leaf, use.field)
    found = chain(_typing_problems(schema, use), _type_problems(use, cell_type))
    yield from ((use.path, problem) for problem in found)
    yield from _check_options(use, cell_type)


def _leaf_problems(use: Use) -> Iterator[str]:
    leaf = use.leaf
    if use.level == "line" and leaf.kind in ("sum", "each"):
        yield f"{leaf.kind} is over the rows of an order, but this value belongs to a row"
    if leaf.map is not None and not leaf.map:
        yield "map is empty"
    try:
        template = parse_template(leaf.template or "")
        if template.counts_lines and use.level == "order":
            yield "{line} is the number of a row, but this value belongs to a whole order"
        leaf_expression(leaf)
    except ValueError as error:  # ExpressionError among them
        yield str(error)


def _typing_problems(schema: Schema, use: Use) -> Iterator[str]:
    leaf = use.leaf
    try:
        yield from _expression_problems(schema, use)
    except TypeMismatchError as error:
        unknown = [name for name in leaf_columns(leaf) if name not in schema.columns]
        hints = [
            f'"{name}"{hint}' for name in unknown if (hint := did_you_mean(name, schema.columns))
        ]
        yield " ".join([f"{use.path[-1]}: {error}", *hints])
    except ExpressionError:
        return  # it does not parse: _leaf_problems says so


def _level_problems(schema: Schema, use: Use) -> Iterator[str]:
    chooses_lines = use.field == "where" and len(use.path) > len(("events", 0, "where"))
    if chooses_lines and not any(is_line_column(schema, name) for name in use.columns):
        yield "where chooses rows, but it uses no line column: write its column in source.line"
    if use.level == "line" or use.leaf.kind == "sum":
        return
    for name in needed_columns(schema, use.leaf):
        if is_line_column(schema, name):
            yield (
                f'"{name}" is a line column, one value a row, but this value belongs to a whole '
                "order: use it in each, sum or an event per line, or take it out of source.line"
            )


def _expression_problems(schema: Schema, use: Use) -> Iterator[str]:
    """Raises ExpressionError."""
    expression = leaf_expression(use.leaf)
    if expression is None:
        return
    found = expression_type(schema, expression)
    wanted = use.leaf.as_.kind if use.leaf.as_ is not None else "text"
    if found != "VARCHAR" and wanted not in (readable := _readable_kinds(found)):
        yield f"SQL that gives {found} can be read as {' or '.join(readable)}"
    if use.field == "where" and found != "BOOLEAN":
        yield f"where is a condition, true or false; this gives {found}"
    if use.leaf.kind == "sum" and not is_numeric(found):
        yield f"sum adds numbers; this gives {found}"
    if use.field == "$value" and not is_numeric(found):
        yield f"$value is a number; this gives {found}"
    if use.field == "currency" and found != "VARCHAR":
        yield f"currency is a text such as EUR; this gives {found}"
    if use.field == "time" and found == "VARCHAR" and wanted == "time":
        return  # a text, which is read as a cell is, in the shop's zone
    if use.field == "time" and found not in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
        yield f"time is a time; this gives {found}"
    elif use.field == "time" and any(
        sql_type(schema, name) == "VARCHAR" for name in expression.columns
    ):
        yield (
            "SQL does not know the shop's zone: join the texts in a template and write "
            'as: {time: FORMAT}, for instance {template: "{Date} {Time}", as: {time: …}}'
        )


def _readable_kinds(sql_type: str) -> tuple[Kind, ...]:
    """The kinds that ``as`` can make of an SQL result that is not text."""
    if is_numeric(sql_type):
        return ("text", "integer", "number", "money", "boolean")
    return ("text", "boolean") if sql_type == "BOOLEAN" else ("text",)


def _type_problems(use: Use, cell_type: Type) -> Iterator[str]:
    kind, field = use.leaf.kind, use.field
    if field == "$event_id" and kind in ("each", "object", "sum"):
        yield "$event_id is one text"
    if field not in FIELD_KINDS:
        return
    if kind in ("each", "object"):
        yield f"{field} is one value"
    elif kind in ("column", "value", "template") and cell_type.kind not in FIELD_KINDS[field]:
        wanted = " or ".join(FIELD_KINDS[field])
        yield f"{field} is {wanted}; the schema reads this as {cell_type.kind}"


def _check_options(use: Use, cell_type: Type) -> Problems:
    """The options of a leaf that have no meaning for its type."""
    leaf = use.leaf
    if leaf.zone is not None and cell_type.kind != "time":
        yield (*use.path, "zone"), f"zone belongs to a time; this is read as {cell_type.kind}"
    elif leaf.zone is not None and cell_type.has_offset:
        yield (*use.path, "zone"), "the cell contains its zone: leave zone out"
    if leaf.unfit is not None and cell_type.kind == "text":
        yield (*use.path, "unfit"), "a text always fits: leave unfit out, or write as: TYPE"
    elif leaf.unfit is not None and use.field in ("time", "$event_id"):
        name = use.field.removeprefix("$")
        yield (*use.path, "unfit"), f"there is no event without its {name}: leave unfit out"
