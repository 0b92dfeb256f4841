"""The checksum of a row: SQLite does not notice a changed byte inside a value."""

import hashlib
import sqlite3
from typing import Final, TypeAlias

Value: TypeAlias = bytes | str | int | None

SIZE: Final = 8


def checksum(*values: Value, size: int = SIZE) -> bytes:
    """The checksum of a row with these values.

    Args:
        values: all columns but the checksum, in an order of the table's own.
        size: its bytes.
    """
    return hashlib.blake2b(b"\x1f".join(map(_encoded, values)), digest_size=size).digest()


def check(found: bytes, *values: Value, what: str) -> None:
    """Compare a row with its checksum.

    Args:
        found: the checksum in the file.
        values: as for ``checksum``.
        what: names the row.

    Raises:
        sqlite3.DatabaseError: they do not match.
    """
    if found != checksum(*values):
        raise sqlite3.DatabaseError(f"{what} does not match its checksum")


def _encoded(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode()
