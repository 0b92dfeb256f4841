"""Constants in a schema are read by the grammar of cells, before any export."""

from collections.abc import Iterator

import duckdb

from backfill.errors import SchemaError
from backfill.mapping.cell_sql import Beside
from backfill.mapping.cells import read_cell
from backfill.mapping.connection import connect
from backfill.mapping.query import Sql, quote
from backfill.schema.document import Place
from backfill.schema.load import LoadedSchema
from backfill.schema.types import Type
from backfill.schema.uses import Use, default_type, leaf_type, uses


def check_constants(loaded: LoadedSchema) -> None:
    """Raises SchemaError with each ``value`` and ``default`` that does not fit its type."""
    with connect() as connection:
        problems = [
            loaded.problem(path, f'"{text}" does not fit the type {kind.kind}')
            for use in uses(loaded.schema)
            for path, text, kind in _constants(loaded, use)
            if not _fits(connection, text, kind, loaded.schema.source.timezone)
        ]
    if problems:
        raise SchemaError(problems)


def _constants(loaded: LoadedSchema, use: Use) -> Iterator[tuple[Place, str, Type]]:
    leaf = use.leaf
    if leaf.value is not None:
        yield use.path, leaf.value, leaf_type(loaded.schema, leaf, use.field)
    if leaf.default is not None:
        kind = default_type(loaded.schema, leaf, use.field)
        yield (*use.path, "default"), leaf.default, kind


def _fits(connection: duckdb.DuckDBPyConnection, text: str, kind: Type, zone: str | None) -> bool:
    beside = Beside(None if zone is None else quote(zone))
    read = read_cell(Sql("cell"), kind, beside)
    query = f"select ({read.value.text}) is not null from (select ?::varchar as cell)"
    [(fits,)] = connection.execute(query, [text]).fetchall()
    return bool(fits)
