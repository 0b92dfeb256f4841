"""Which shipped schema an export is of, by its columns and by how its first orders read."""

import functools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Final

from backfill.draft.day_order import days_settled
from backfill.draft.write import PROFILES_EVIDENCE, ZONE_QUESTION
from backfill.draft.yaml import QUESTION, Block, dump, wrapped
from backfill.errors import SchemaError
from backfill.limits import MAX_FUTURE_S, TRACK_MIN_TIME_S
from backfill.mapping.program import Bounds
from backfill.planning.preview import PreviewedOrder, preview_orders
from backfill.schema.bind import BoundSchema, bind
from backfill.schema.column_uses import needed_columns
from backfill.schema.columns import CellPart
from backfill.schema.document import read_document
from backfill.schema.load import LoadedSchema, load_schema
from backfill.schema.model import Leaf
from backfill.schema.shipped import paths
from backfill.schema.shop_timezone import column_without_timezone, with_timezone
from backfill.sources.export import Export
from backfill.sources.spreadsheets import REJECT_COLUMNS

EXAMPLES: Final = ("adventureworks_sales", "online_retail")
"""Shipped for the tests; no shop writes such files."""

PLAIN: Final = ("orders", "order_lines")
"""Plain tables: they need few columns, and many exports have those."""

_PLAIN_SHARE: Final = 0.6
_ORDERS: Final = 100
_MISREAD: Final = re.compile("not_an?_|not_money|not_json|not_pairs|no_time|out_of_range")
"""Reasons which show that the export is not written as the platform writes."""


@dataclass(frozen=True, slots=True)
class _Match:
    """A shipped schema that takes the export's header."""

    name: str
    bound: BoundSchema
    used: frozenset[int]
    """Places of the export's columns that the schema uses."""


def recognise(export: Export, today: date, timezone: str | None) -> tuple[str | None, str]:
    """The text of the platform's schema that fits best, ready to run, and a note.

    The text is None where no schema fits; the note is empty where none came near. Raises
    ExportError.
    """
    match = max(_matches(export), key=lambda match: len(match.used), default=None)
    if match is None:
        return None, ""
    body, asked = days_settled(paths()[match.name].read_text(encoding="utf-8"), export)
    match = replace(match, bound=bind(load_schema(body), export.columns, export.lacking))
    orders = _read(match, export, today, timezone)
    misread = Counter(
        (order.reason, order.column)
        for order in orders
        if order.reason and _MISREAD.match(order.reason)
    )
    if misread.total() * 2 > len(orders):
        (reason, column), _ = misread.most_common(1)[0]
        return None, (
            f"the columns are those of {match.name}, but {misread.total()} of the first "
            f'{len(orders)} orders do not fit it ({reason} in "{column}"), so roles are guessed'
        )
    return _recognised(match, export, orders, timezone, asked)


def _named_places(export: Export) -> list[int]:
    """The columns that are the shop's own and have a name."""
    return [
        place
        for place, name in enumerate(export.columns)
        if name.strip() and name not in REJECT_COLUMNS
    ]


def _matches(export: Export) -> Iterator[_Match]:
    for name, path in paths().items():
        if name in EXAMPLES:
            continue
        try:
            bound = bind(_loaded(path), export.columns, export.lacking)
        except SchemaError:
            continue
        match = _Match(name, bound, frozenset(_places(bound)))
        if name in PLAIN and len(match.used) < _PLAIN_SHARE * len(_named_places(export)):
            continue
        if _says_when_and_who(bound):
            yield match


@functools.cache
def _loaded(path: Path) -> LoadedSchema:
    return load_schema(path)


def _places(bound: BoundSchema) -> Iterator[int]:
    yield from bound.columns.values()
    for column in bound.derived.values():
        if isinstance(column, CellPart):
            yield from column.positions.values()


def _says_when_and_who(bound: BoundSchema) -> bool:
    """Whether the export has a column of the first event's time, and one of an identifier."""
    schema = bound.schema
    people = [schema.customer_properties[f"${name}"] for name in schema.identifiers]

    def is_there(leaf: Leaf) -> bool:
        return any(
            name in bound.columns or isinstance(bound.derived.get(name), CellPart)
            for name in needed_columns(schema, leaf)
        )

    return is_there(schema.events[0].time) and any(map(is_there, people))


def _read(match: _Match, export: Export, today: date, timezone: str | None) -> list[PreviewedOrder]:
    """The export's first orders, as the schema reads them."""
    zone = match.bound.schema.source.timezone or timezone or "UTC"
    now = datetime.combine(today, time(12), UTC)
    bounds = Bounds(TRACK_MIN_TIME_S, int(now.timestamp()) + MAX_FUTURE_S, None)
    bound = bind(with_timezone(match.bound.loaded, zone), export.columns, export.lacking)
    return preview_orders(bound, export, profiles="none", bounds=bounds, limit=_ORDERS)


def _recognised(
    match: _Match,
    export: Export,
    orders: Sequence[PreviewedOrder],
    timezone: str | None,
    body: str,
) -> tuple[str, str]:
    """The schema with a head that says how it was recognised, and a note; ``body`` is its text."""
    places = _named_places(export)
    unused = [export.columns[place] for place in places if place not in match.used]
    rejects = Counter(order.reason for order in orders if order.reason)
    used = f"{len(match.used)} of the export's {len(places)} columns are those of {match.name}"
    read = f"{len(orders) - rejects.total():,} of the first {len(orders):,} orders read as"
    reasons = "".join(f", {count} {reason}" for reason, count in rejects.most_common())
    head = [
        f"Recognised by `backfill init` as {match.name}: {used}; {read} its schema says{reasons}. "
        "The rest of this file is that schema: "
        + ("answer where it asks." if f'"{QUESTION}"' in body else "run it as it is, or edit it.")
    ]
    if unused:
        file = Path(export.files[0]).name
        head.append(f"Columns of {file} that it does not use: {', '.join(unused)}.")
    text = "".join(f"# {line}\n" for sentence in head for line in wrapped(sentence))
    zone_open = column_without_timezone(match.bound.schema) is not None
    skipped = max(export.skipped_lines)
    text += _completed(body, zone_open=zone_open, timezone=timezone, skipped=skipped)
    return text, f"recognised as {match.name}: {used}; {read} it says"


def _completed(body: str, *, zone_open: bool, timezone: str | None, skipped: int) -> str:
    """The schema with what it leaves open put in, so that it runs as it is.

    The rest of its text stays as it is: writing it from its values would move the comments.
    """
    places, lines = read_document(body, "schema").lines, body.splitlines(keepends=True)
    added: dict[int, str] = {}
    if ("profiles",) not in places:
        profiles = Block()
        profiles.add("profiles", "none", PROFILES_EVIDENCE)
        added[places["customer_properties",] - 1] = dump(profiles.node) + "\n"
    if zone_open and timezone:
        added[places["source",]] = f"  timezone: {timezone}  # from --timezone\n"
    elif zone_open:
        question = [*wrapped(ZONE_QUESTION, indent=2), "timezone: Europe/Berlin"]
        added[places["source",]] = "".join(f"  # {line}\n" for line in question)
    rule = f"  skip_lines: {skipped}  # the header is below them\n"
    if ("source", "skip_lines") in places:
        lines[places["source", "skip_lines"] - 1] = rule
    elif skipped:
        added[places["source",]] = rule + added.get(places["source",], "")
    for line in sorted(added, reverse=True):
        lines.insert(line, added[line])
    return "".join(lines)
