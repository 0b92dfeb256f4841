"""The DuckDB connection on which a schema's SQL runs."""

import duckdb

from backfill.mapping.values import teach


def connect() -> duckdb.DuckDBPyConnection:
    """A connection that reaches nothing but what is handed in, and cannot be told otherwise."""
    connection = duckdb.connect(":memory:", config={"threads": 1})
    teach(connection)
    for setting in (
        "timezone = 'UTC'",
        "enable_external_access = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    ):
        connection.execute(f"set {setting}")
    return connection
