"""The DuckDB connection on which a schema's SQL runs."""

import duckdb

from backfill.engine import duck
from backfill.mapping import structured, udf


def connect() -> duckdb.DuckDBPyConnection:
    """A connection that reaches only the tables that are registered on it.

    It reads no file and no variable of Python, and no statement can change that.
    """
    connection = duck.connect()
    udf.register(connection)
    structured.register(connection)
    for setting in (
        "timezone = 'UTC'",
        f"disabled_optimizers = '{duck.UNSAFE_OPTIMIZERS}'",
        "enable_external_access = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    ):
        connection.execute(f"set {setting}")
    return connection
