"""From an export to a draft of its schema."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

import duckdb

from backfill.draft.facts import Column
from backfill.draft.fit import assert_fits, no_time, unfit, unreadable
from backfill.draft.nested import Nested, look_within
from backfill.draft.orders import Kept
from backfill.draft.profile import profile
from backfill.draft.recognise import recognise
from backfill.draft.roles import Roles, roles_of
from backfill.draft.tables import Table, joining_query, told_apart
from backfill.draft.write import Facts, draft_text, open_lines
from backfill.errors import UsageError
from backfill.mapping.connection import connect
from backfill.schema.columns import makes_lines
from backfill.schema.suggest import did_you_mean
from backfill.sources.export import Export, open_export
from backfill.sources.spreadsheets import REJECT_COLUMNS

_SURE: Final = frozenset(
    {"NULL", "null", "\\N", "(null)", "N/A", "n/a", "NaN", "nan", "(none)", "(not set)"}
)
"""Words for nothing wherever they stand; the others only among times and numbers: NA is Namibia."""


@dataclass(frozen=True, slots=True)
class Drafted:
    text: str
    questions: Sequence[tuple[int, str]]
    """Lines on which ``check`` stops, with what stands there."""
    notes: Sequence[str]


def draft_of(exports: Sequence[str | Path], *, today: date, timezone: str | None = None) -> Drafted:
    """Raises ExportError; UsageError where no events can be made of the export."""
    if timezone is not None and timezone not in available_timezones():
        near = did_you_mean(timezone, available_timezones())
        raise UsageError(f'--timezone "{timezone}" is no time zone of the IANA list{near}')
    return draft(open_export(exports), today=today, timezone=timezone)


def write_draft(drafted: Drafted, output: Path, *, force: bool) -> None:
    """Raises UsageError where the file is there already, or cannot be written."""
    try:
        with output.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(drafted.text)
    except FileExistsError as error:
        raise UsageError(
            f"{output} is there already, and a schema that was edited is not written over: name "
            "another file, or say --force"
        ) from error
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error


def draft(export: Export, *, today: date, timezone: str | None = None) -> Drafted:
    """A platform's own schema where the export is recognised, else one of guessed roles."""
    found, near = recognise(export, today, timezone)
    if found is not None:
        return Drafted(found.text, (), (*export.notes, found.note))
    tables = told_apart(export.files, [_header(export, file) for file in export.files])
    with connect() as connection:
        guess = Guess(connection, (today + timedelta(days=2)).isoformat(), timezone)
        drafted = guess.of_tables(tables) if len(tables) > 1 else guess.of(export)
    return replace(drafted, notes=(*drafted.notes, near)) if near else drafted


class Guess:
    """What is needed to guess, whatever the export."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, latest: str, timezone: str | None
    ) -> None:
        self._connection, self._latest, self._timezone = connection, latest, timezone

    def of(self, export: Export, about: Sequence[str] = ()) -> Drafted:
        columns = self._columns(export)
        roles, nested = self._roles(export, columns)
        if roles.ordered is None:
            raise UsageError(no_time(export, columns))
        names = _names(export.columns)
        if name := unfit(roles):
            raise UsageError(
                f'{export.files[0]}: the column "{name}" is needed within a template, where no '
                "name has braces and no column is called line or file: rename it in the header, "
                "and draft again"
            )
        facts = Facts(
            name=_name(export.files[0]),
            files=_files(export.files),
            rows=max(column.rows for column in columns),
            columns=len(export.columns),
            optional=tuple(names[place] for place in export.lacking if place in names),
            null_values=_nothing(columns, roles),
            timezone=self._timezone,
            empty=tuple(c.name for c in columns if not c.filled and c.place not in nested.used),
            nameless=sum(not name.strip() for name in export.columns),
            about=(*unreadable(export.columns), *about),
        )
        written = draft_text(roles, nested, facts)
        assert_fits(written, export, roles.key.columns[0].name if roles.key is not None else "")
        return Drafted(written, open_lines(written), _notes(export, roles, self._timezone))

    def of_tables(self, groups: Sequence[Sequence[str]]) -> Drafted:
        """Several tables: the one that holds the orders, and how the others join it.

        Raises UsageError where none of them does, or more than one.
        """
        tables = [self._table(files) for files in groups]
        timed = [table for table in tables if self._times(table)]
        listed = ", ".join(table.name for table in tables)
        if len(timed) != 1:
            which = "none of them holds" if not timed else "several of them hold"
            raise UsageError(
                f"{listed} are {len(tables)} tables with columns of their own, and {which} times: "
                "join them with a query, one row an order or an order's line, and draft from its "
                "result"
            )
        [orders] = timed
        others = [table for table in tables if table is not orders]
        roles, _ = self._roles(orders.export, orders.columns)
        key = roles.key.columns[0] if roles.key is not None else None
        query = joining_query(orders, key, others)
        about = [
            f"For {orders.name} alone. {_listed(others)} {'is' if len(others) == 1 else 'are'} "
            f"other "
            "tables, and an export is one: what they know comes in by a query"
            + (":" if query else "; names and cells do not show which columns join them.")
        ]
        drafted = self.of(orders.export, [*about, *(f"\0  {line}" for line in query)])
        note = (
            f"{listed} are {len(tables)} tables; this schema is for {orders.name} alone, and says "
            "how the others are joined"
        )
        return replace(drafted, notes=(*drafted.notes, note))

    def _table(self, files: Sequence[str]) -> Table:
        export = open_export(files)
        return Table(tuple(files), export, tuple(self._columns(export)))

    def _times(self, table: Table) -> bool:
        roles, _ = self._roles(table.export, table.columns)
        return roles.ordered is not None

    def _roles(self, export: Export, columns: Sequence[Column]) -> tuple[Roles, Nested]:
        nested = look_within(self._connection, export, columns, self._latest)
        kept = Kept(self._connection, export, columns)
        try:
            return roles_of(kept, columns, nested, _Places(export.files)), nested
        finally:
            kept.close()

    def _columns(self, export: Export) -> list[Column]:
        names = _names(export.columns)
        if not names:
            raise UsageError(
                f"{export.files[0]}: its header names no columns: write one above its rows"
            )
        columns = profile(self._connection, export, names, self._latest)
        if not any(column.rows for column in columns):
            raise UsageError(
                f"{export.files[0]}: holds a header and no rows, and what a column is shows in its "
                "cells: draft from an export with orders in it"
            )
        return columns


def _header(export: Export, file: str) -> list[str]:
    return [
        f"{name} {place}" if export.columns.count(name) > 1 else name
        for place, name in enumerate(export.columns)
        if file not in export.lacking.get(place, ())
    ]


def _listed(tables: Sequence[Table]) -> str:
    return " and ".join(table.name for table in tables)


def _notes(export: Export, roles: Roles, timezone: str | None) -> tuple[str, ...]:
    key = roles.choice.key
    order = " and ".join(column.name for column in key.columns) if key else "each row"
    guessed = f"no platform recognised; roles guessed: an order is {order}"
    time = roles.ordered
    known = timezone is not None or roles.zone is not None
    zone = time is not None and time.naive and not time.utc and not known
    missing = ("open: --timezone ZONE, for the times carry no offset",) if zone else ()
    return (*export.notes, guessed, *missing)


class _Places(dict[tuple[int, int], str]):
    """A file's place and a row's number in words."""

    def __init__(self, files: Sequence[str]) -> None:
        super().__init__()
        self._files = files

    def __missing__(self, at: tuple[int, int]) -> str:
        file, row = at
        return (
            f"row {row:,}"
            if len(self._files) == 1
            else f"row {row:,} of {Path(self._files[file]).name}"
        )


def _names(header: Sequence[str]) -> dict[int, str]:
    """How a schema names each column: the second ``City`` is ``City (2)``."""
    marks = REJECT_COLUMNS if set(REJECT_COLUMNS) <= set(header) else ()
    return {
        place: name if header.count(name) == 1 else f"{name} ({header[: place + 1].count(name)})"
        for place, name in enumerate(header)
        if name.strip() and name not in marks and not makes_lines(name)
    }


def _name(file: str) -> str:
    stem = Path(file).name.split(".")[0]
    return re.sub(r"[\W_]+", "-", stem).strip("-").lower() or "export"


def _files(files: Sequence[str]) -> str:
    more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
    return f"{Path(files[0]).name}{more}"


def _nothing(columns: Sequence[Column], roles: Roles) -> tuple[tuple[str, int], ...]:
    counts: Counter[str] = Counter()
    allowed: set[str] = set()
    for column in columns:
        counts.update(column.nothing)
        typed = column.name in roles.times or column.all("number") or column.share("email") == 1
        allowed |= {word for word in column.nothing if typed or word in _SURE}
    return tuple((word, count) for word, count in counts.most_common() if word in allowed)
