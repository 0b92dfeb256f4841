"""The running sums of refunds for which a ledger's events were planned.

They are written before an event goes, and count once the ledger has its key. So nothing is lost
where a run is killed: a sum without its event is in doubt until the same event arrives.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill.engine.hash_filter import HASH, HashFilter
from backfill.ledger.checksum import check, checksum
from backfill.ledger.file import translated
from backfill.mapping.refund_sums import RefundSum, RefundSums

PLANNED: Final = ("key", "sum_key", "value", "sum_before")
"""The columns of ``event.EVENTS`` that are kept."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS refund_sums (
    target BLOB NOT NULL,
    key BLOB NOT NULL,
    sum_key BLOB NOT NULL,
    total TEXT NOT NULL,
    before TEXT NOT NULL,
    checksum BLOB NOT NULL,
    PRIMARY KEY (target, key)
) STRICT, WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class RefundSumTable:
    """The sums of one target; errors are those of ``Ledger``."""

    path: Path
    """The ledger's file."""
    connection: sqlite3.Connection
    target: bytes
    """The hash of URL and account."""

    def note(self, events: Iterable[pa.RecordBatch]) -> None:
        """Note the sums of events that are about to be sent.

        Args:
            events: batches of ``PLANNED``, each event with a sum.
        """
        with translated(self.path, to_write=True), self.connection:
            self.connection.execute(_TABLE)
            for row in (row for batch in events for row in batch.to_pylist()):
                before, total = str(row["sum_before"]), str(row["sum_before"] + row["value"])
                values = (self.target, row["key"], row["sum_key"], total, before)
                self.connection.execute(
                    "INSERT OR REPLACE INTO refund_sums VALUES (?, ?, ?, ?, ?, ?)",
                    (*values, checksum(*values)),
                )

    def read(self, delivered: Iterable[pa.RecordBatch]) -> RefundSums:
        """The sums by the hash of the id without its sum.

        Args:
            delivered: batches with the keys of all delivered events; read where there are sums.
        """
        with translated(self.path, to_write=False):
            rows = self._rows()
            arrived = _among([key for key, *_ in rows], delivered) if rows else frozenset()
        found: dict[bytes, list[RefundSum]] = {}
        for key, sum_key, total, before in rows:
            known = RefundSum(Decimal(total), Decimal(before), key in arrived)
            found.setdefault(sum_key, []).append(known)
        return found

    def settle(self, events: Iterable[pa.RecordBatch], delivered: Iterable[pa.RecordBatch]) -> None:
        """Forget the sums of events that a run did not deliver, and knows that it did not.

        Args:
            events: those that were noted for the run.
            delivered: batches with the keys of the events that it delivered.
        """
        keys = [key for batch in events for key in batch["key"].to_pylist()]
        if not keys:
            return
        arrived = _among(keys, delivered)
        with translated(self.path, to_write=True), self.connection:
            self.connection.executemany(
                "DELETE FROM refund_sums WHERE target = ? AND key = ?",
                [(self.target, key) for key in keys if key not in arrived],
            )

    def _rows(self) -> list[tuple[bytes, bytes, str, str]]:
        exists = "SELECT 1 FROM sqlite_master WHERE name = 'refund_sums'"
        if self.connection.execute(exists).fetchone() is None:
            return []
        found = []
        # Other targets' rows are checked too: a row of ours may have a damaged target.
        query = "SELECT target, key, sum_key, total, before, checksum FROM refund_sums"
        for *values, stored in self.connection.execute(query):
            check(stored, *values, what="a sum of refunds")
            target, *row = values
            if target == self.target:
                found.append(tuple(row))
        return found


def _among(keys: list[bytes], delivered: Iterable[pa.RecordBatch]) -> frozenset[bytes]:
    """Those of the keys that were delivered."""
    wanted = pa.array(keys, HASH)
    some = HashFilter(len(keys))
    some.add(wanted)
    found: set[bytes] = set()
    for batch in some.passing(delivered, "key"):
        here = batch["key"]
        found.update(here.filter(pc.is_in(here, wanted)).to_pylist())
    return frozenset(found)
