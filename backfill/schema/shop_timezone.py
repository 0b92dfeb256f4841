"""The zone of the shop's clock, where the schema leaves it to whoever runs it."""

from backfill.schema.load import LoadedSchema
from backfill.schema.model import Schema
from backfill.schema.types import Type, parse_zone
from backfill.schema.uses import Use, column_type, leaf_columns, leaf_type, uses


def in_zone(loaded: LoadedSchema, zone: str | None) -> LoadedSchema:
    """The same schema with another ``source.timezone``; without one, as it is.

    Raises PydanticCustomError where ``zone`` is no zone.
    """
    if zone is None:
        return loaded
    source = loaded.schema.source.model_copy(update={"timezone": parse_zone(zone)})
    return loaded.with_schema(loaded.schema.model_copy(update={"source": source}))


def without_zone(schema: Schema) -> str | None:
    """What holds times that only a zone makes exact, where the schema names none.

    ISO times may carry an offset, each for itself: those that do not are rejects.
    """
    if schema.source.timezone is not None:
        return None
    return next((_name(use) for use in uses(schema) if _needs_zone(schema, use)), None)


def _needs_zone(schema: Schema, use: Use) -> bool:
    leaf = use.leaf
    if leaf.zone is not None:
        return False  # it stands in a column
    if leaf.column is not None:
        return _is_local(leaf_type(schema, leaf, use.field))
    if leaf.sql is not None and leaf.as_ is not None and leaf.as_.kind == "time":
        return not leaf.as_.has_offset  # what SQL makes of text has mostly none
    types = [column_type(schema, name) for name in leaf_columns(leaf)]
    return any(map(_is_local, types)) or (leaf.as_ is not None and _is_local(leaf.as_))


def _is_local(kind: Type) -> bool:
    return kind.kind == "time" and kind.format is not None and not kind.has_offset


def _name(use: Use) -> str:
    return use.leaf.column or use.leaf.template or use.leaf.sql or use.leaf.sum or str(use.path[-1])
