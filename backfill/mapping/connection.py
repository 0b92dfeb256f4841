"""The DuckDB connection on which a schema's SQL runs."""

import duckdb

from backfill.engine import duck
from backfill.mapping import structured, udf


def connect() -> duckdb.DuckDBPyConnection:
    """A connection that reaches only the tables that are registered on it, with our functions."""
    connection = duck.connect()
    udf.register(connection)
    structured.register(connection)
    duck.lock(connection)
    return connection
