"""DuckDB, and a bound on what may be computed with it."""
