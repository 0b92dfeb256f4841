"""A DuckDB of little memory for what looks over a whole plan; it spills beside the plan's files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

MEMORY: Final = "160MB"

_INTERRUPTED: Final = "Query interrupted"
"""What DuckDB makes of a KeyboardInterrupt that comes in the middle of a query."""


@contextmanager
def scratch(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Its own connection; no SQL of a schema comes here."""
    with duckdb.connect(":memory:", config={"memory_limit": MEMORY}) as connection:
        folder = str(spill).replace("'", "''")
        connection.execute(f"set temp_directory = '{folder}'")
        connection.execute("set preserve_insertion_order = false")
        try:
            yield connection
        except RuntimeError as error:
            if str(error) != _INTERRUPTED:
                raise
            raise KeyboardInterrupt from None
