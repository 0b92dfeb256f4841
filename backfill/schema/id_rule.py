"""How a schema makes a metric's ids, as one text: an edit that changes ids changes it.

Under other ids Klaviyo takes the same orders for new ones, and history stands there twice.
"""

import json
from dataclasses import fields

from backfill.schema.model import Event, Leaf, Schema
from backfill.schema.types import Type
from backfill.schema.uses import needed_columns


def id_rule(schema: Schema, event: Event) -> str:
    if event.event_id is not None:
        return _text(schema, {"$event_id": event.event_id})
    identity = {f"${name}": schema.customer_properties[f"${name}"] for name in schema.identifiers}
    return _text(schema, {"time": event.time, **identity})


def id_rules(schema: Schema) -> dict[str, str]:
    """The rule of each metric; several events may make one."""
    made: dict[str, set[str]] = {}
    for event in schema.events:
        made.setdefault(event.event, set()).add(id_rule(schema, event))
    return {metric: "\n".join(sorted(found)) for metric, found in made.items()}


def _text(schema: Schema, leaves: dict[str, Leaf]) -> str:
    """The leaves that decide, with the types of their columns, and the zone where a time is one."""
    columns = {name for leaf in leaves.values() for name in needed_columns(schema, leaf)}
    types = {name: _said(schema.columns[name]) for name in columns if name in schema.columns}
    timed = "time" in leaves or any(
        schema.columns[name].kind == "time" for name in columns if name in schema.columns
    )
    rule = {
        "leaves": {
            name: leaf.model_dump(exclude_defaults=True, by_alias=True, mode="python")
            for name, leaf in leaves.items()
        },
        "types": types,
        "timezone": schema.source.timezone if timed else None,
    }
    return json.dumps(rule, sort_keys=True, default=str)


def _said(kind: Type) -> dict[str, object]:
    """What of a type stands in the schema, so that an option of later versions changes no rule."""
    options = ((option, getattr(kind, option.name)) for option in fields(kind))
    return {option.name: value for option, value in options if value != option.default}
