"""The DuckDB connection on which a schema's SQL runs."""

import duckdb

from backfill import engine
from backfill.mapping import parts, values


def connect() -> duckdb.DuckDBPyConnection:
    """A connection that reaches nothing but what is handed in, and cannot be told otherwise."""
    connection = engine.connect()
    values.teach(connection)
    parts.teach(connection)
    for setting in (
        "timezone = 'UTC'",
        f"disabled_optimizers = '{engine.UNSAFE_OPTIMIZERS}'",
        "enable_external_access = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    ):
        connection.execute(f"set {setting}")
    return connection
