"""DuckDB, and bounds on what it may compute."""
