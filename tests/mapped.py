"""A schema over rows that a test writes down, mapped in memory: what lands, what is a reject."""

import json

import pyarrow as pa

from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Mapper
from backfill.mapping.program import Bounds
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame

BOUNDS = Bounds(1_000_000_000, 1_900_000_000)


def schema_of(properties, *, columns=None, source=None, person=None, time=None, per="order"):
    """A schema of one event, whose id is the column Order."""
    event = {
        "event": "Seen",
        "per": per,
        "time": time or {"value": "2020-01-01T00:00:00Z"},
        "properties": {"$event_id": "{Order}", **properties},
    }
    return {
        "name": "cells",
        "source": source or {},
        "columns": columns or {},
        "profiles": "every",
        "customer_properties": person or {"$id": "Order"},
        "events": [event],
    }


def mapped(schema, rows, bounds=BOUNDS):
    """``rows``: a list of cells for each column, or an export."""
    export = rows
    if not isinstance(rows, Export):
        export = Export([Frame(pa.table({name: pa.array(cells) for name, cells in rows.items()}))])
    bound = bind(load_schema(json.dumps(schema) + "\n"), export.columns)
    program = compile_schema(bound, export.typed, bounds, attributes=True)
    mapper = Mapper(program, None)
    try:
        return mapper.map(pa.concat_tables(export.batches(program.columns)))
    finally:
        mapper.close()


def landed(found):
    """Each event by its id."""
    return {event["event_id"]: event for event in found.events.to_pylist()}


def properties(found):
    """What lands, by the event's id: an object, {} where nothing does."""
    return {key: json.loads(event["properties"] or "{}") for key, event in landed(found).items()}


def rejects(found):
    """Reason and column of each rejected row, counted from 1."""
    return {row["row"]: f"{row['reason']} {row['column']}" for row in found.rejects.to_pylist()}
