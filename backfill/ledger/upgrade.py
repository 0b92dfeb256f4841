"""Takes over a ledger of version 1: gives its metrics, rules and runs the checksums that they lack.

All of it is one transaction, so a kill leaves the old ledger or the new one, whole. The rows of
``batches``, nearly all of the file, stay as they are: the checksum of each tells which version
wrote it. So this takes milliseconds, and little room, however many events there are.
"""

import sqlite3
from collections.abc import Sequence
from importlib import resources
from typing import Final

from backfill.ledger import runs
from backfill.ledger.checksum import checksum
from backfill.ledger.file import VERSION, version_of

_TABLES: Final = {
    "metrics": ("target", "metric"),
    "rules": ("target", "metric", "rule"),
    "runs": runs.COLUMNS,
}
"""The columns that a checksum is over, in its order."""

_ORDERED: Final = {"runs": " ORDER BY rowid"}


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring a ledger to today's version, if it is older.

    Args:
        connection: as ``open_checked`` gives it.

    Raises:
        sqlite3.Error: it is damaged, or there is no room; then it is as it was.
    """
    if version_of(connection) == VERSION:
        return
    connection.create_function("checksum", -1, checksum, deterministic=True)
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        if version_of(connection) == VERSION:  # another process was quicker
            return
        for table, columns in _TABLES.items():
            _add_checksums(connection, table, columns)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _add_checksums(connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
    there = connection.execute(f"SELECT * FROM {table} LIMIT 0").description
    if {name for name, *_ in there} != set(columns):
        raise sqlite3.DatabaseError(f"the table {table} is not one of version 1")
    listed = ", ".join(columns)
    connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    connection.execute(_statement(table))
    connection.execute(
        f"INSERT INTO {table} ({listed}, checksum) SELECT {listed}, checksum({listed})"
        f" FROM old_{table}{_ORDERED.get(table, '')}"
    )
    connection.execute(f"DROP TABLE old_{table}")


def _statement(table: str) -> str:
    """The statement of ``tables.sql`` that makes a table."""
    tables = resources.files(__package__).joinpath("tables.sql").read_text(encoding="utf-8")
    [statement] = (one for one in tables.split(";\n") if f"CREATE TABLE {table} (" in one)
    return statement
