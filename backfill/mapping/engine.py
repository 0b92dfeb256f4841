"""The DuckDB connection on which a schema's SQL runs."""

import duckdb

from backfill.mapping import parts, values


def connect() -> duckdb.DuckDBPyConnection:
    """A connection that reaches nothing but what is handed in, and cannot be told otherwise."""
    connection = duckdb.connect(":memory:", config={"threads": 1})
    values.teach(connection)
    parts.teach(connection)
    for setting in (
        "timezone = 'UTC'",
        # DuckDB 2.0.0 computes what two expressions share outside of the try() around each, so that
        # one cell that does not cast would stop the whole run. What is shared has a name here. Its
        # propagation of statistics fails on comparisons of what it finds to be constant.
        "disabled_optimizers = 'common_subexpressions,statistics_propagation'",
        "enable_external_access = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    ):
        connection.execute(f"set {setting}")
    return connection
