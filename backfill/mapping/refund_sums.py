"""Refunds of which an export gives the running sum: each event is worth what is new in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import duckdb
import pyarrow as pa

from backfill.engine.duck import add_function

IN_DOUBT: Final = "refund_in_doubt"
BELOW: Final = "refund_below_delivered"
"""The reasons of rejects."""


@dataclass(frozen=True, slots=True)
class RefundSum:
    """A running sum for which an event was planned."""

    total: Decimal
    before: Decimal
    """The sum of the events before it."""
    delivered: bool
    """False where a run may have sent the event, and nothing says that it arrived."""


RefundSums = Mapping[bytes, Sequence[RefundSum]]
"""The sums that earlier runs planned, by the hash of the event's id without its sum."""

NO_SUMS: Final[RefundSums] = MappingProxyType({})


def sum_before(total: Decimal, sums: Sequence[RefundSum]) -> Decimal | str:
    """The sum that was delivered before a running sum, or the reason why that is not known.

    Args:
        total: the running sum in the export.
        sums: those that earlier runs planned for the same id.
    """
    for known in sums:
        if known.total == total:
            return known.before
    if not all(known.delivered for known in sums):
        return IN_DOUBT
    most = max((known.total for known in sums), default=Decimal(0))
    return most if total > most else BELOW


def register(connection: duckdb.DuckDBPyConnection, sums: RefundSums) -> None:
    """Add ``backfill_sum_before(key, sum)``: see ``sum_before``; both texts, NULL for no sum.

    Args:
        connection: it gets the function.
        sums: what the ledger knows.
    """

    def before(keys: pa.ChunkedArray, totals: pa.ChunkedArray) -> pa.Array:
        pairs = zip(keys.to_pylist(), totals.to_pylist(), strict=True)
        found = [
            None
            if total is None or key is None
            else str(sum_before(Decimal(total), sums.get(bytes.fromhex(key), ())))
            for key, total in pairs
        ]
        return pa.array(found, pa.string())

    add_function(connection, "backfill_sum_before", before)
