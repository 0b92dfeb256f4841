"""The rule by which a schema makes a metric's event ids, as one text.

An edit of the schema that changes ids changes this text. Ledgers keep it, because Klaviyo
takes the same orders under other ids for new ones, and would then hold the history twice.
"""

import json
from dataclasses import fields

from backfill.schema.column_uses import needed_columns
from backfill.schema.model import Event, Leaf, Schema
from backfill.schema.types import Type


def id_rule(schema: Schema, event: Event) -> str:
    """The rule of one event: of ``$event_id``, or of the time and identity that replace it."""
    if event.event_id is not None and event.refunds == "difference":
        return _rule_text(schema, {"$event_id": event.event_id}) + " and the sum of refunds"
    if event.event_id is not None:
        return _rule_text(schema, {"$event_id": event.event_id})
    identity = {f"${name}": schema.customer_properties[f"${name}"] for name in schema.identifiers}
    return _rule_text(schema, {"time": event.time, **identity})


def id_rules(schema: Schema) -> dict[str, str]:
    """The rules by metric; a metric of several events has all their rules."""
    rules: dict[str, set[str]] = {}
    for event in schema.events:
        rules.setdefault(event.event, set()).add(id_rule(schema, event))
    return {metric: "\n".join(sorted(found)) for metric, found in rules.items()}


def _rule_text(schema: Schema, leaves: dict[str, Leaf]) -> str:
    """The leaves, the types of their columns, and the shop's zone if one of them is a time."""
    columns = {name for leaf in leaves.values() for name in needed_columns(schema, leaf)}
    types = {name: schema.columns[name] for name in columns if name in schema.columns}
    timed = "time" in leaves or any(one.kind == "time" for one in types.values())
    rule = {
        "leaves": {
            name: leaf.model_dump(exclude_defaults=True, by_alias=True, mode="python")
            for name, leaf in leaves.items()
        },
        "types": {name: _options(one) for name, one in types.items()},
        "timezone": schema.source.timezone if timed else None,
    }
    return json.dumps(rule, sort_keys=True, default=str)


def _options(cell_type: Type) -> dict[str, object]:
    """A type's options without defaults: an option that is added later changes no rule."""
    options = ((option, getattr(cell_type, option.name)) for option in fields(cell_type))
    found = {option.name: value for option, value in options if value != option.default}
    if cell_type.decimal == ".":
        del found["decimal"]  # ids are the same without it
    return found
