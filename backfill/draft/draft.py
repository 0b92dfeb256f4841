"""From an export to a draft of its schema: what ``backfill init`` does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb

from backfill.draft.facts import Column
from backfill.draft.nested import Nested, read_nested
from backfill.draft.order_key import candidates
from backfill.draft.profile import profile_columns
from backfill.draft.recognise import recognise
from backfill.draft.roles import Roles, roles_of
from backfill.draft.row_rules import FoundRules, find_rules
from backfill.draft.sample import OrderSample
from backfill.draft.tables import Table, group_by_table, joining_query
from backfill.draft.write import draft_text, question_lines
from backfill.draft.yaml import QUESTION, dump, fits_template
from backfill.errors import SchemaError, UsageError
from backfill.mapping.connection import connect
from backfill.schema.bind import bind
from backfill.schema.columns import makes_lines
from backfill.schema.document import YamlValue, read_document
from backfill.schema.load import load_schema
from backfill.schema.types import parse_zone
from backfill.sources.export import Export, open_export
from backfill.sources.source import ReadOptions
from backfill.sources.spreadsheets import REJECT_COLUMNS


@dataclass(frozen=True, slots=True)
class Draft:
    text: str
    """The YAML."""
    questions: Sequence[tuple[int, str]]
    """Lines on which ``check`` stops: their numbers, counted from 1, and their text."""
    notes: Sequence[str]
    """Sentences for people, beside the draft."""


def draft_schema(
    exports: Sequence[str | Path], *, today: date, timezone: str | None = None
) -> Draft:
    """A platform's own schema where the export is recognised, else one of guessed roles.

    Args:
        exports: files of one export, or tables of one database.
        today: no order is placed two days after it or later.
        timezone: the zone of the shop's clock, an IANA name; None leaves it open.

    Raises:
        ExportError: a file that is not there, or cannot be read.
        UsageError: an unknown zone, or an export of which no events can be made.
    """
    try:
        if timezone is not None:
            parse_zone(timezone)
    except ValueError as error:
        raise UsageError(f"--timezone {error}") from error
    export = _opened(exports)
    text, note = recognise(export, today, timezone)
    if text is not None:
        return Draft(text, question_lines(text), (*export.notes, note))
    tables = group_by_table(export)
    with connect() as connection:
        drafter = _Drafter(connection, (today + timedelta(days=2)).isoformat(), timezone)
        several = len(tables) > 1
        draft = drafter.draft_tables(tables) if several else drafter.draft_export(export)
    return replace(draft, notes=(*draft.notes, note)) if note else draft


def _opened(files: Sequence[str | Path]) -> Export:
    """The export without the lines above its header. Raises ExportError, UsageError."""
    export = open_export(files, ReadOptions(find_header=True))
    if len(export.skipped_lines) > 1:
        lines = " and ".join(map(str, sorted(export.skipped_lines)))
        raise UsageError(
            f"the files have {lines} lines above their headers, and a schema skips one number of "
            "them: remove these lines, or draft from files that are alike"
        )
    return export


def write_draft(draft: Draft, output: Path, *, force: bool) -> None:
    """Raises UsageError where the file is there already, or cannot be written."""
    try:
        with output.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(draft.text)
    except FileExistsError as error:
        raise UsageError(
            f"{output} already exists, and may have been edited: name another file, or pass "
            "--force to overwrite it"
        ) from error
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from error


class _Drafter:
    """Guesses the roles of columns. ``latest`` is the last day on which an order can be placed."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, latest: str, timezone: str | None
    ) -> None:
        self._connection, self._latest, self._timezone = connection, latest, timezone

    def draft_export(
        self, export: Export, about: Sequence[str] = (), query: Sequence[str] = ()
    ) -> Draft:
        """``about`` and ``query`` are sentences and SQL for the head of the draft."""
        found = find_rules(export, _schema_names(export.columns))
        columns, roles, nested = self._guessed(export.with_rules(found.rules))
        if found.fill and not _fills_key(found, roles):
            found = found.without_fill()
            columns, roles, nested = self._guessed(export.with_rules(found.rules))
        if roles.ordered is None:
            raise UsageError(_why_no_times(export, columns))
        _assert_templates_fit(export, roles)
        text = draft_text(
            export,
            columns,
            nested,
            roles,
            found,
            timezone=self._timezone,
            about=about,
            query=query,
        )
        _assert_fits(text, export, roles)
        return Draft(text, question_lines(text), _notes(export, roles, self._timezone))

    def draft_tables(self, groups: Sequence[Sequence[str]]) -> Draft:
        """Several tables: the one that holds the orders, and how the others join it.

        Each of ``groups`` is the files of one table.

        Raises UsageError where none of them does, or more than one.
        """
        tables = [self._table(files) for files in groups]
        roles = [self._roles(table.export, table.columns)[0] for table in tables]
        timed = [at for at, found in enumerate(roles) if found.ordered is not None]
        listed = f"{', '.join(table.name for table in tables)} are {len(tables)} tables"
        if len(timed) != 1:
            which = "none of them holds" if not timed else "several of them hold"
            raise UsageError(
                f"{listed} with different columns, and {which} times: join them with a query that "
                "gives one row for each order or order line, and draft from its result"
            )
        orders, key = tables[timed[0]], roles[timed[0]].key
        others = [table for table in tables if table is not orders]
        query = joining_query(orders, key.columns[0] if key is not None else None, others)
        names = " and ".join(table.name for table in others)
        how = ":" if query else "; names and cells do not show which columns join them."
        about = (
            f"This schema is for {orders.name} alone, because an export is one table. A query has "
            f"to join {names} to it{how}"
        )
        draft = self.draft_export(orders.export, [about], query)
        note = f"{listed}; this schema is for {orders.name} alone"
        if query:
            note += ", and says how to join the others"
        return replace(draft, notes=(*draft.notes, note))

    def _table(self, files: Sequence[str]) -> Table:
        export = _opened(files)
        return Table(tuple(files), export, tuple(self._profile(export)))

    def _guessed(self, export: Export) -> tuple[list[Column], Roles, Nested]:
        columns = self._profile(export)
        return columns, *self._roles(export, columns)

    def _roles(self, export: Export, columns: Sequence[Column]) -> tuple[Roles, Nested]:
        nested = read_nested(self._connection, export, columns, self._latest)
        keys = candidates(columns)
        sample = OrderSample(self._connection, export, columns, keys)
        roles = roles_of(sample, columns, nested, export.files)
        if roles.key is None and nested.lines:
            nested = nested.without_lines()
            roles = roles_of(sample, columns, nested, export.files)
        return roles, nested

    def _profile(self, export: Export) -> list[Column]:
        names = _schema_names(export.columns)
        if not names:
            raise UsageError(
                f"{export.files[0]}: the header names no columns: write their names above the rows"
            )
        columns = profile_columns(self._connection, export, names, self._latest)
        if not any(column.rows for column in columns):
            raise UsageError(
                f"{export.files[0]}: has a header but no rows, and roles are guessed from cells: "
                "draft from an export with orders in it"
            )
        return columns


def _schema_names(header: Sequence[str]) -> dict[int, str]:
    """How a schema names each column: the second ``City`` is ``City (2)``.

    Raises UsageError for a name that a schema cannot have.
    """
    if QUESTION in header:
        raise UsageError(
            f'the header has the name "{QUESTION}", which means an open question in a schema: '
            "rename the column, and draft again"
        )
    rejects = REJECT_COLUMNS if set(REJECT_COLUMNS) <= set(header) else ()
    return {
        place: name if header.count(name) == 1 else f"{name} ({header[: place + 1].count(name)})"
        for place, name in enumerate(header)
        if name.strip() and name not in rejects and not makes_lines(name)
    }


def _fills_key(found: FoundRules, roles: Roles) -> bool:
    """Whether the columns that are filled identify orders."""
    return roles.key is not None and any(name in found.fill for name in roles.key.names)


def _notes(export: Export, roles: Roles, timezone: str | None) -> tuple[str, ...]:
    key, time = roles.key, roles.ordered
    order = " and ".join(key.names) if key else "each row"
    guessed = f"no platform recognised; roles guessed: an order is {order}"
    known = timezone is not None or roles.zone is not None
    zone = time is not None and time.naive and not time.utc and not known
    missing = ("open: --timezone ZONE, because the times carry no offset",) if zone else ()
    return (*export.notes, guessed, *missing)


def _why_no_times(export: Export, columns: Sequence[Column]) -> str:
    name = Path(export.files[0]).name
    days = [column.name for column in columns if column.mostly("spreadsheet_day")]
    if days:
        return (
            f'{name}: no column holds times; "{days[0]}" looks like the day numbers of a '
            "spreadsheet (45291): format it as a date there and save it again"
        )
    return (
        f"{name}: no column holds times, so no events can be made of it; if another table holds "
        "the times of the orders, join the two with a query, and draft from its result"
    )


def _assert_templates_fit(export: Export, roles: Roles) -> None:
    """Raises UsageError where a template would have to name a column that it cannot."""
    key = roles.key.columns if roles.key is not None else ()
    needed = [*key] if len(key) > 1 or roles.lines else []
    needed += [roles.ordered.column, roles.clock.column] if roles.ordered and roles.clock else []
    unfit = next((column.name for column in needed if not fits_template(column.name)), None)
    if unfit is not None:
        raise UsageError(
            f'{export.files[0]}: a template has to name the column "{unfit}", but braces, line and '
            "file mean something else there: rename it in the header, and draft again"
        )


def _assert_fits(text: str, export: Export, roles: Roles) -> None:
    """Raises UsageError where a draft has another problem than open questions."""
    answers: dict[str, YamlValue] = {
        "decimal": ".",
        "region": "US",
        "time": "%d/%m/%Y",
        "event_time": {"column": roles.ordered.column.name} if roles.ordered else None,
        "$id": {"value": "none"},
        "$email": {"value": "none"},
        "$value": {"value": "0"},
        "order": roles.key.names[0] if roles.key is not None else None,
    }
    answered = _answered(read_document(text, "draft").values, answers)
    try:
        bind(load_schema(dump(answered)), export.columns, export.lacking)
    except SchemaError as error:
        problem = error.problems[0].text
        raise UsageError(
            f"no schema can be drafted for this export, which is a bug of backfill: {problem}"
        ) from error


def _answered(values: YamlValue, answers: Mapping[str, YamlValue], key: str = "") -> YamlValue:
    """The values with an answer to each question, by the key that asks it."""
    if values == QUESTION:
        return answers.get(key, values)
    if isinstance(values, dict):
        asked = {"time": "event_time"} if "event" in values else {}
        return {
            name: _answered(value, answers, asked.get(name, name) if value == QUESTION else name)
            for name, value in values.items()
        }
    if isinstance(values, list):
        return [_answered(value, answers) for value in values]
    return values
