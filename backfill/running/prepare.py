"""The schema and the export of a run, checked against each other, with every choice made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from backfill import limits
from backfill.errors import SchemaError, UsageError
from backfill.mapping.file_names import check_file_names
from backfill.mapping.program import Bounds
from backfill.planning.judgement import Known, Profiles
from backfill.planning.make_plan import make_plan
from backfill.planning.map_export import CellsListener
from backfill.planning.plan import Plan
from backfill.planning.preview import PreviewedOrder, preview_orders
from backfill.running.settings import Hooks, Options
from backfill.schema.api_rules import api_problems
from backfill.schema.bind import BoundSchema, bind
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Schema
from backfill.schema.shop_timezone import column_without_timezone, with_timezone
from backfill.sources.export import Export, open_export
from backfill.sources.source import ReadOptions
from backfill.wire.apis import TRACK, Api
from backfill.wire.interface import Limits, Wire

Exports: TypeAlias = str | Path | Sequence[str | Path] | pd.DataFrame | pa.Table
"""A path or a pattern, several of them, or a frame."""

_NO_OPTIONS: Final = Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A schema and an export that fit each other, and what was chosen for them."""

    export: Export
    bound: BoundSchema
    profiles: Profiles
    bounds: Bounds

    @property
    def schema(self) -> Schema:
        return self.bound.schema

    def preview(self, limit: int, wire: Wire, shown: Wire | None = None) -> list[PreviewedOrder]:
        """The first ``limit`` orders, as ``preview_orders`` returns them."""
        return preview_orders(
            self.bound,
            self.export,
            profiles=self.profiles,
            bounds=self.bounds,
            limit=limit,
            wire=wire,
            shown=shown,
        )

    def make_plan(
        self,
        folder: Path,
        *,
        limits: Limits,
        known: Known,
        lines_end: bool = False,
        hooks: Hooks,
        on_cells: CellsListener | None = None,
    ) -> Plan:
        """Plan the export in ``folder``. Raises ExportError, StoppedByUserError."""
        return make_plan(
            self.bound,
            self.export,
            folder,
            profiles=self.profiles,
            bounds=self.bounds,
            limits=limits,
            known=known,
            lines_end=lines_end,
            on_rows=hooks.report_rows,
            on_cells=on_cells,
        )


def prepare(
    loaded: LoadedSchema,
    exports: Exports,
    options: Options = _NO_OPTIONS,
    api: Api = TRACK,
    now: datetime | None = None,
) -> Prepared:
    """Make the choices, open the export, and bind the schema to it.

    Args:
        loaded: the schema.
        exports: names of files or patterns, or one frame.
        options: ``timezone``, ``profiles`` and ``until`` count here.
        api: tells which payloads and which times are allowed.
        now: events may be a year later than this. None is the present.

    Raises:
        UsageError, ExportError, SchemaError
    """
    loaded, profiles = choose(loaded, timezone=options.timezone, profiles=options.profiles)
    bounds = bounds_of(loaded.schema, options.until, api, now or datetime.now(UTC))
    export, bound = bind_export(loaded, exports, api)
    return Prepared(export=export, bound=bound, profiles=profiles, bounds=bounds)


def bind_export(
    loaded: LoadedSchema, exports: Exports, api: Api = TRACK
) -> tuple[Export, BoundSchema]:
    """Open the export, and bind the schema to it. Raises ExportError, SchemaError."""
    if api.is_json_api and (problems := api_problems(loaded, api.name)):
        raise SchemaError(problems)
    source = loaded.schema.source
    options = ReadOptions(
        delimiter=source.delimiter,
        encoding=source.encoding,
        skip_lines=source.skip_lines,
        pad_ragged=source.ragged == "pad",
    )
    export = open_export(exports, options)
    more = f" and {len(export.files) - 1} more" if len(export.files) > 1 else ""
    dialect = export.notes[0].rpartition(": ")[2] if export.notes else "an export"
    where = f"{export.files[0]}{more} ({dialect})"
    bound = bind(loaded, export.columns, export.lacking, where)
    check_file_names(bound, export.files)
    return export.with_rules(bound.rules), bound


def in_zone(loaded: LoadedSchema, zone: str | None) -> LoadedSchema:
    """The schema with the zone of ``--timezone``. Raises UsageError if there is no such zone."""
    try:
        return with_timezone(loaded, zone)
    except ValueError as error:
        raise UsageError(f"--timezone {error}") from error


def open_choices(schema: Schema) -> tuple[str, ...]:
    """The options that a run of this schema needs."""
    choices = {
        "--timezone (times carry no offset)": column_without_timezone(schema) is not None,
        "--profiles": _profiles_are_open(schema),
    }
    return tuple(option for option, is_open in choices.items() if is_open)


def choose(
    loaded: LoadedSchema, *, timezone: str | None, profiles: Profiles | None
) -> tuple[LoadedSchema, Profiles]:
    """The schema in its zone, and what old orders may write about people.

    Raises UsageError with a line for each choice that the run needs and nobody made.
    """
    chosen = in_zone(loaded, timezone)
    schema = chosen.schema
    missing = []
    if (name := column_without_timezone(schema)) is not None:
        missing.append(
            f'the times of "{name}" carry no offset, and the schema {schema.name} names no zone: '
            "pass --timezone ZONE, that of the shop's clock, such as Europe/Berlin"
        )
    if profiles is None and _profiles_are_open(schema):
        missing.append(
            f"the schema {schema.name} maps more of a person than one identifier, and Klaviyo lets "
            "old orders overwrite what it knows: pass --profiles newest (a new account), none (an "
            "account in use) or every"
        )
    if missing:
        raise UsageError("\n".join(missing))
    return chosen, profiles or schema.profiles or "none"


def _profiles_are_open(schema: Schema) -> bool:
    return schema.profiles is None and schema.maps_attributes


def bounds_of(schema: Schema, until: str | None, api: Api, now: datetime) -> Bounds:
    """The earliest and the latest time of an event, and the time from which on none is wanted."""
    latest = int(now.timestamp()) + limits.MAX_FUTURE_S
    until_s = None if until is None else _until_s(schema, until)
    return Bounds(api.min_time_s, latest, until_s)


def _until_s(schema: Schema, until: str) -> int:
    try:
        time = datetime.fromisoformat(until)
    except ValueError as error:
        raise UsageError(
            f'--until "{until}" is no date; write 2026-11-01 or 2026-11-01T12:00:00+01:00'
        ) from error
    if time.tzinfo is None:
        time = time.replace(tzinfo=ZoneInfo(schema.source.timezone or "UTC"))
    return int(time.timestamp())
