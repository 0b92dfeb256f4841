"""What a person can ask of a run, and what it needs to know before it begins."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Self, TypeAlias
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
from pydantic_core import PydanticCustomError

from backfill import limits
from backfill.delivery.delivery import Delivery
from backfill.errors import BackfillError, SchemaError, UsageError
from backfill.mapping.file_names import check_file_names
from backfill.mapping.program import Bounds
from backfill.planning.judgement import Profiles
from backfill.planning.plan import Plan
from backfill.report.summary import Summary
from backfill.schema.api_rules import api_problems
from backfill.schema.bind import BoundSchema, bind
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Schema
from backfill.schema.shop_timezone import column_without_timezone, with_timezone
from backfill.sources.export import Export, open_export
from backfill.sources.part import Reading
from backfill.transport.pace import Quota, Window
from backfill.wire.apis import TRACK, Api, Method

Exports: TypeAlias = Sequence[str | Path] | pd.DataFrame | pa.Table

ALL: Final = Quota()


@dataclass(frozen=True, slots=True)
class Share:
    """How many rejects are too many: a number of orders, or a share of them."""

    orders: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``5`` or ``2%``. Raises UsageError."""
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(%?)", text.strip())
        if found is None or (not found[2] and "." in found[1]):
            raise UsageError(f'--max-rejects "{text}" is neither a number of orders nor N%')
        return cls(percent=float(found[1])) if found[2] else cls(orders=int(found[1]))

    def exceeded(self, rejected: int, orders: int) -> bool:
        if self.orders is not None:
            return rejected > self.orders
        return self.percent is not None and rejected * 100 > self.percent * orders

    def __str__(self) -> str:
        return f"{self.percent:g}%" if self.percent is not None else str(self.orders)


@dataclass(frozen=True, slots=True)
class Options:
    """What a person can ask of a run beside schema and export."""

    profiles: Profiles | None = None
    timezone: str | None = None
    """Of the shop's clock; instead of the schema's ``source.timezone``."""
    limit: int | None = None
    until: str | None = None
    max_rejects: Share | None = None
    expect: str | None = None
    new_ids: bool = False
    method: Method = "post"
    lint: bool = False
    """Look at all cells and events, and say what looks wrong."""
    keep_plan: bool = False
    """Its files stay until a person takes them away."""
    hold_plan: bool = False
    """Its files stay until ``Ended.let_go`` is called, or this process ends."""
    concurrency: int = 16
    windows: tuple[Window, ...] | None = None
    """None is what the API documents."""
    quota: Quota = ALL
    """The share of what the API allows that the run may use."""
    backfill: bool = True
    """Old orders start no flows. Not for Track, which has no such thing."""


Confirm: TypeAlias = Callable[[Summary, Callable[[], Sequence[str]]], bool]
"""Says yes to a plan; what it is given to call asks the account about the plan's metrics."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a run tells while it works, and what it asks."""

    on_rows: Callable[[int], None] = lambda _: None
    on_plan: Callable[[Summary], None] = lambda _: None
    on_progress: Callable[[Delivery], None] = lambda _: None
    confirm: Confirm = lambda _, __: True
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that came as far as its summary; ``error`` says why it did not come further."""

    summary: Summary
    plan: Plan
    error: BackfillError | None = None
    let_go: Callable[[], None] = lambda: None
    """Call this when the plan's files are not looked at any more, where ``hold_plan`` was said."""


def prepare(loaded: LoadedSchema, exports: Exports, api: Api = TRACK) -> tuple[Export, BoundSchema]:
    """Raises ExportError, SchemaError."""
    if api.is_json_api and (problems := api_problems(loaded, api.name)):
        raise SchemaError(problems)
    source = loaded.schema.source
    reading = Reading(
        delimiter=source.delimiter,
        encoding=source.encoding,
        skip=source.skip_lines,
        pad_ragged=source.ragged == "pad",
    )
    export = open_export(exports, reading)
    more = f" and {len(export.files) - 1} more" if len(export.files) > 1 else ""
    dialect = export.notes[0].rpartition(": ")[2] if export.notes else "an export"
    where = f"{export.files[0]}{more} ({dialect})"
    bound = bind(loaded, export.columns, export.lacking, where)
    check_file_names(bound, export.files)
    return export, bound


def in_zone(loaded: LoadedSchema, asked: str | None) -> LoadedSchema:
    """The schema with the zone that was asked for. Raises UsageError where there is none such."""
    try:
        return with_timezone(loaded, asked)
    except PydanticCustomError as error:
        raise UsageError(f"--timezone {error.message()}") from error


def open_choices(schema: Schema) -> tuple[str, ...]:
    """The options that a run of this schema needs."""
    zone = (
        ["--timezone (times carry no offset)"]
        if column_without_timezone(schema) is not None
        else []
    )
    profiles = schema.profiles is None and schema.maps_attributes
    return (*zone, *(["--profiles"] if profiles else []))


def chosen(
    loaded: LoadedSchema, *, timezone: str | None, profiles: Profiles | None
) -> tuple[LoadedSchema, Profiles]:
    """The schema in its zone, and what old orders may write about people.

    Raises UsageError, a line each, where nobody chose and it matters.
    """
    found = in_zone(loaded, timezone)
    schema = found.schema
    missing = []
    if (name := column_without_timezone(schema)) is not None:
        missing.append(
            f'the times of "{name}" carry no offset, and the schema {schema.name} names no zone: '
            "say --timezone ZONE, that of the shop's clock, such as Europe/Berlin"
        )
    writes = profiles or schema.profiles
    if writes is None and schema.maps_attributes:
        missing.append(
            f"the schema {schema.name} maps more of a person than one identifier, and Klaviyo lets "
            "old orders overwrite what it knows: say --profiles newest (a new account), none (an "
            "account in use) or every"
        )
    if missing:
        raise UsageError("\n".join(missing))
    return found, writes or "none"


def bounds_of(
    schema: Schema, until: str | None, now: datetime, *, min_time_s: int = limits.TRACK_MIN_TIME_S
) -> Bounds:
    latest = int(now.timestamp()) + limits.MAX_FUTURE_S
    until_s = None if until is None else _until_s(schema, until)
    return Bounds(min_time_s, latest, until_s)


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
