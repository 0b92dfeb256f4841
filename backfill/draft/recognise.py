"""Which shipped schema an export is of, by its columns and by how its first orders read."""

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Final

from backfill.draft.yaml import comment
from backfill.errors import SchemaError
from backfill.limits import MAX_FUTURE_S, TRACK_MIN_TIME_S
from backfill.mapping.program import Bounds
from backfill.planning.preview import PreviewedOrder, preview_orders
from backfill.schema.bind import BoundSchema, bind
from backfill.schema.columns import CellPart
from backfill.schema.load import LoadedSchema, load_schema
from backfill.schema.shipped import paths
from backfill.schema.shop_timezone import column_without_timezone, with_timezone
from backfill.schema.uses import needed_columns
from backfill.sources.export import Export
from backfill.sources.spreadsheets import REJECT_COLUMNS

EXAMPLES: Final = ("adventureworks_sales", "online_retail")
"""Shipped for the tests' sake; nobody's shop writes such files."""

PLAIN: Final = ("orders", "order_lines")
"""Plain tables, of whose columns hardly one is asked for: many an export has those."""

_PLAIN_SHARE: Final = 0.6
_ORDERS: Final = 100
_WIDTH: Final = 98
_KINDS: Final = (
    "not_a_",
    "not_an_",
    "not_money",
    "out_of_range",
    "no_time",
    "not_json",
    "not_pairs",
)
"""Reasons that say: this export is not written as the platform writes."""


@dataclass(frozen=True, slots=True)
class Recognised:
    name: str
    text: str
    """The platform's schema, ready to run, with a head that says how it was recognised."""
    note: str


@dataclass(frozen=True, slots=True)
class _Fit:
    name: str
    bound: BoundSchema
    used: frozenset[int]
    """Places of the export's columns that the schema uses."""


def recognise(export: Export, today: date, timezone: str | None) -> tuple[Recognised | None, str]:
    """The schema that fits best, if one does; and a note where one came near.

    Raises ExportError.
    """
    found = sorted(_fits(export), key=lambda fit: len(fit.used), reverse=True)
    if not found:
        return None, ""
    best = found[0]
    orders = _read(best, export, today, timezone)
    misread = Counter(
        (order.reason, order.column)
        for order in orders
        if order.reason and order.reason.startswith(_KINDS)
    )
    if misread.total() * 2 > len(orders):
        (reason, column), _ = misread.most_common(1)[0]
        return None, (
            f"the columns are those of {best.name}, but {misread.total()} of the first "
            f"{len(orders)} "
            f'orders do not read so ({reason} in "{column}"): the roles are guessed'
        )
    return _recognised(best, export, orders, timezone), ""


def _fits(export: Export) -> Iterator[_Fit]:
    for name, path in paths().items():
        if name in EXAMPLES:
            continue
        try:
            bound = bind(_loaded(path), export.columns, export.lacking)
        except SchemaError:
            continue
        fit = _Fit(name, bound, frozenset(_places(bound)))
        named = [
            column for column in export.columns if column.strip() and column not in REJECT_COLUMNS
        ]
        if name in PLAIN and len(fit.used) < _PLAIN_SHARE * len(named):
            continue
        if _says_when_and_who(bound):
            yield fit


@functools.cache
def _loaded(path: Path) -> LoadedSchema:
    return load_schema(path)


def _places(bound: BoundSchema) -> Iterator[int]:
    yield from bound.columns.values()
    for column in bound.derived.values():
        if isinstance(column, CellPart):
            yield from column.positions.values()


def _says_when_and_who(bound: BoundSchema) -> bool:
    """Has the export a column of the first event's time, and one of somebody's identity?"""
    schema = bound.schema
    leaves = [schema.events[0].time]
    people = [schema.customer_properties[f"${name}"] for name in schema.identifiers]

    def there(name: str) -> bool:
        return name in bound.columns or isinstance(bound.derived.get(name), CellPart)

    when = any(there(name) for leaf in leaves for name in needed_columns(schema, leaf))
    return when and any(there(name) for leaf in people for name in needed_columns(schema, leaf))


def _read(fit: _Fit, export: Export, today: date, timezone: str | None) -> list[PreviewedOrder]:
    zone = timezone or fit.bound.schema.source.timezone or "UTC"
    loaded = with_timezone(fit.bound.loaded, zone)
    now = datetime.combine(today, time(12), UTC)
    bounds = Bounds(TRACK_MIN_TIME_S, int(now.timestamp()) + MAX_FUTURE_S, None)
    bound = bind(loaded, export.columns, export.lacking)
    return preview_orders(bound, export, profiles="none", bounds=bounds, limit=_ORDERS)


def _recognised(
    fit: _Fit, export: Export, orders: Sequence[PreviewedOrder], timezone: str | None
) -> Recognised:
    schema = fit.bound.schema
    named = [
        at for at, name in enumerate(export.columns) if name.strip() and name not in REJECT_COLUMNS
    ]
    unused = [export.columns[at] for at in named if at not in fit.used]
    rejects = Counter(order.reason for order in orders if order.reason)
    read = f"{len(orders) - rejects.total():,} of the first {len(orders):,} orders"
    told = f"{len(fit.used)} of the export's {len(named)} columns are those of {fit.name}"
    head = [
        f"Recognised by `backfill init` as {fit.name}: {told}; {read} read as its schema says"
        + "".join(f", {count} {reason}" for reason, count in rejects.most_common())
        + ". What follows is that schema, to run as it is or to edit.",
    ]
    if unused:
        head.append(
            f"Columns of {Path(export.files[0]).name} that it does not use: {', '.join(unused)}."
        )
    body = paths()[fit.name].read_text(encoding="utf-8")
    zone_open = column_without_timezone(schema) is not None
    written = "\n".join([*_commented(head), _opened(body, zone_open, timezone)])
    return Recognised(
        fit.name, written, f"recognised as {fit.name}: {told}; {read} read as it says"
    )


def _commented(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences:
        line = "#"
        for word in comment(sentence).split():
            if len(line) + len(word) + 1 > _WIDTH:
                yield line
                line = "#"
            line += f" {word}"
        yield line


_PROFILES: Final = (
    "profiles: none   # the safe one, for an account in use; newest, for a new account: each\n"
    "                 # person's newest order writes names and places\n\n"
)
_ZONE: Final = (
    "  # OPEN: the times carry no offset: put the shop's zone here, or say --timezone when you "
    "plan\n"
    "  # and run\n"
    "  # timezone: Europe/Berlin\n"
)


def _opened(body: str, zone_open: bool, timezone: str | None) -> str:  # noqa: FBT001
    """The schema with what it leaves open put in, so that it runs as it is."""
    if not re.search("^profiles:", body, re.MULTILINE):
        body = re.sub("^(?=customer_properties:)", _PROFILES, body, count=1, flags=re.MULTILINE)
    if not zone_open:
        return body
    zone = f"  timezone: {timezone}   # as --timezone said\n" if timezone else _ZONE
    if re.search("^source:", body, re.MULTILINE):
        return re.sub(
            "^source:.*\n", lambda found: found.group() + zone, body, count=1, flags=re.MULTILINE
        )
    return re.sub("^(?=events:|columns:)", f"source:\n{zone}\n", body, count=1, flags=re.MULTILINE)
