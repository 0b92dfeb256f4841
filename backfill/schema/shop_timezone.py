"""The time zone of the shop: whether a schema needs one, and the schema with one."""

from dataclasses import replace

from backfill.schema.column_uses import Use, column_type, leaf_columns, leaf_type, uses
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Schema
from backfill.schema.types import Type, parse_zone


def with_timezone(loaded: LoadedSchema, zone: str | None) -> LoadedSchema:
    """The same schema with a ``source.timezone``, where it names none.

    Args:
        loaded: the schema.
        zone: an IANA time zone; None leaves the schema as it is.

    Raises:
        ValueError: ``zone`` is not a time zone, or the schema names another one.
    """
    if zone is None:
        return loaded
    own = loaded.schema.source.timezone
    if own is not None and own != parse_zone(zone):
        raise ValueError(
            f"{zone} is not the zone of the schema, whose times are in {own}: leave --timezone "
            "out, or change source.timezone in the schema"
        )
    source = loaded.schema.source.model_copy(update={"timezone": parse_zone(zone)})
    return replace(loaded, schema=loaded.schema.model_copy(update={"source": source}))


def column_without_timezone(schema: Schema) -> str | None:
    """The first column, template or SQL that has local times, if the schema names no time zone.

    ISO times do not count: each may carry an offset, and those without one are rejects.

    Returns:
        Its text in the schema; None if there is none, or the schema names a time zone.
    """
    if schema.source.timezone is not None:
        return None
    return next((_name(use) for use in uses(schema) if _needs_zone(schema, use)), None)


def _needs_zone(schema: Schema, use: Use) -> bool:
    leaf = use.leaf
    if leaf.zone is not None:
        return False  # a column holds the zone
    if leaf.column is not None:
        return _is_local(leaf_type(schema, leaf, use.field))
    if leaf.sql is not None and leaf.as_ is not None and leaf.as_.kind == "time":
        return not leaf.as_.has_offset  # SQL makes local times of texts
    types = [column_type(schema, name) for name in leaf_columns(leaf)]
    return any(map(_is_local, types)) or (leaf.as_ is not None and _is_local(leaf.as_))


def _is_local(cell_type: Type) -> bool:
    return cell_type.kind == "time" and cell_type.format is not None and not cell_type.has_offset


def _name(use: Use) -> str:
    return use.leaf.column or use.leaf.template or use.leaf.sql or use.leaf.sum or str(use.path[-1])
