"""The metrics of which a ledger has events, and the rules of their ids.

Every row of every target is read and checked: one of ours may have a damaged target.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from backfill.ledger.checksum import check, checksum
from backfill.ledger.file import translated


@dataclass(frozen=True, slots=True)
class RuleTable:
    """The metrics and rules of one target; errors are those of ``Ledger``."""

    path: Path
    """The ledger's file."""
    connection: sqlite3.Connection
    target: bytes
    """The hash of URL and account."""

    def metrics(self) -> frozenset[str]:
        """The metrics of which an event was delivered."""
        found = set()
        with translated(self.path, to_write=False):
            query = "SELECT target, metric, checksum FROM metrics"
            for target, metric, stored in self.connection.execute(query):
                check(stored, target, metric, what="a metric")
                if target == self.target:
                    found.add(metric)
        return frozenset(found)

    def insert_metrics(self, metrics: Iterable[str]) -> None:
        """Note metrics of delivered events, in the caller's transaction.

        Args:
            metrics: their names; what is there already stays.
        """
        self.connection.executemany(
            "INSERT OR IGNORE INTO metrics VALUES (?, ?, ?)",
            [(self.target, metric, checksum(self.target, metric)) for metric in metrics],
        )

    def rules(self, metric: str) -> frozenset[str]:
        """The id rules by which events of a metric were sent.

        Args:
            metric: its name.
        """
        found = set()
        with translated(self.path, to_write=False):
            query = "SELECT target, metric, rule, checksum FROM rules"
            for *values, stored in self.connection.execute(query):
                check(stored, *values, what="a rule of ids")
                target, name, rule = values
                if (target, name) == (self.target, metric):
                    found.add(rule)
        return frozenset(found)

    def add(self, metric: str, rule: str, *, forget: bool) -> None:
        """Note the id rule of a metric.

        Args:
            metric: its name.
            rule: as ``id_rules`` gives it.
            forget: whether to forget the metric's other rules.
        """
        values = (self.target, metric, rule)
        with translated(self.path, to_write=True), self.connection:
            if forget:
                self.connection.execute(
                    "DELETE FROM rules WHERE target = ? AND metric = ?", (self.target, metric)
                )
            self.connection.execute(
                "INSERT OR IGNORE INTO rules VALUES (?, ?, ?, ?)", (*values, checksum(*values))
            )
