"""The runs of a ledger: what was begun, by which command, and how it ended."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from backfill.ledger.checksum import check, checksum
from backfill.ledger.file import open_checked, translated, version_of

RunState: TypeAlias = Literal[
    "running", "planned", "finished", "stopped", "gated", "failed", "killed"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as ``status`` shows it."""

    id: str
    command: str
    """As it was typed; it holds no key."""
    schema_name: str
    started: int
    """Unix seconds, as ``ended``."""
    ended: int | None = None
    state: RunState = "running"
    summary: str = "{}"
    """A JSON object."""


COLUMNS: Final = ("target", *(field.name for field in fields(Run)))
"""Those that the checksum of a row is over, in this order."""

_LISTED: Final = ", ".join(COLUMNS)


def read_runs(path: Path) -> list[Run]:
    """Give every run of every target in the order in which they began, whatever the clock said.

    Raises:
        UsageError: there is no ledger, or it is damaged, of a newer version, or cannot be opened.
    """
    with translated(path, to_write=False), closing(open_checked(path)) as connection:
        read = _read if version_of(connection) > 1 else _read_version_1
        return [run for _, run in read(connection)]


@dataclass(frozen=True, slots=True)
class RunTable:
    """The runs to one target; errors are those of ``Ledger``."""

    path: Path
    """The ledger's file."""
    connection: sqlite3.Connection
    target: bytes
    """The hash of URL and account."""

    def begin(self, run: Run) -> None:
        """Note a run. Whoever begins one holds the lock, so an unfinished one was killed.

        Args:
            run: the new one.
        """
        with translated(self.path, to_write=True), self.connection:
            for target, one in self._rows():
                if one.state == "running":
                    self._update(target, replace(one, state="killed"))
            values = (self.target, *astuple(run))
            places = ", ".join("?" * (len(values) + 1))
            self.connection.execute(
                f"INSERT INTO runs ({_LISTED}, checksum) VALUES ({places})",
                (*values, checksum(*values)),
            )

    def end(self, run_id: str, *, state: RunState, ended: int, summary: str) -> None:
        """Note how a run ended.

        Args:
            run_id: the run.
            state: how.
            ended: when, in Unix seconds.
            summary: its counts as JSON.
        """
        with translated(self.path, to_write=True), self.connection:
            for target, one in self._rows():
                if one.id == run_id:
                    run = replace(one, state=state, ended=ended, summary=summary)
                    self._update(target, run)

    def summaries(self, schema_name: str) -> list[dict[str, Any]]:
        """The summaries of the ended runs of a schema, to whichever target.

        Args:
            schema_name: the schema's name.
        """
        with translated(self.path, to_write=False):
            return [
                _summary(run)
                for _, run in self._rows()
                if run.schema_name == schema_name and run.ended is not None
            ]

    def _rows(self) -> list[tuple[bytes, Run]]:
        return _read(self.connection)

    def _update(self, target: bytes, run: Run) -> None:
        changed = self.connection.execute(
            "UPDATE runs SET state = ?, ended = ?, summary = ?, checksum = ? WHERE id = ?",
            (run.state, run.ended, run.summary, checksum(target, *astuple(run)), run.id),
        ).rowcount
        if changed != 1:  # the index is damaged
            raise sqlite3.DatabaseError("a run is not found by its id")


def _read(connection: sqlite3.Connection) -> list[tuple[bytes, Run]]:
    """Every run with its target, checked."""
    found = []
    query = f"SELECT {_LISTED}, checksum FROM runs ORDER BY rowid"
    for *values, stored in connection.execute(query):
        check(stored, *values, what="a run")
        found.append(_run(values))
    return found


def _read_version_1(connection: sqlite3.Connection) -> list[tuple[bytes, Run]]:
    """The same, of a file whose runs have no checksums."""
    query = f"SELECT {_LISTED} FROM runs ORDER BY rowid"
    return [_run(values) for values in connection.execute(query)]


def _run(values: Sequence[Any]) -> tuple[bytes, Run]:
    target, *rest = values
    run = Run(**dict(zip(COLUMNS[1:], rest, strict=True)))
    _summary(run)
    return target, run


def _summary(run: Run) -> dict[str, Any]:
    """A run's summary from its JSON.

    Raises:
        sqlite3.DatabaseError: it is damaged.
    """
    try:
        found = json.loads(run.summary)
    except ValueError as error:
        raise sqlite3.DatabaseError("the summary of a run is no JSON") from error
    if not isinstance(found, dict):
        raise sqlite3.DatabaseError("the summary of a run is no JSON object")
    return found
