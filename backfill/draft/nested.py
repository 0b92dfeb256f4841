"""What stands within cells: lists, objects, key:value pairs, and columns that are numbered."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import duckdb
import pyarrow as pa

from backfill.draft.cell_forms import Form, form_of, members_of, parts_of
from backfill.draft.facts import Column
from backfill.draft.kinds import NOTHING
from backfill.draft.profile import profile_within
from backfill.draft.vocabulary import LINE_ROLES, normal, rank
from backfill.schema.columns import LIST_MARK, NUMBER_MARK
from backfill.sources.export import Export
from backfill.sources.spreadsheets import clean_cells

CELLS: Final = 2_000
"""Cells of a column that are looked into."""

_MOST: Final = 0.9
_ITEMS: Final = (
    r"\b(line ?items?|items?|lines?|products?|skus?|articles?|artikel|productos?|produits?)\b"
)
_NO_ITEMS: Final = (
    r"\b(tax|taxes|discounts?|coupons?|fees?|shipping|shipments?|fulfil\w*|refunds?|returns?|payments?|"
    r"transactions?|tags?|notes?)\b"
)
_NUMBERED: Final = re.compile(r"([0-9]{1,3})")


@dataclass(frozen=True, slots=True)
class Nested:
    """What was found, and what of the export's own columns it stands for."""

    columns: tuple[Column, ...]
    types: Mapping[str, str]
    """What the cells are, as YAML under ``columns``; JSON needs no word."""
    used: frozenset[int]
    """Places of the columns that are taken apart."""
    lines: frozenset[str]
    """Names of which each element or number is a line."""
    told: Mapping[str, str]
    """Evidence for each cell that is taken apart, by its name."""


def numbered(header: Sequence[str]) -> dict[str, list[int]]:
    """Names such as ``line_item_<n>`` with the places they stand for.

    Two numbers or more that begin with 0 or 1, of something that is called an item.
    """
    groups: dict[str, dict[int, int]] = {}
    for place, name in enumerate(header):
        for number in _NUMBERED.finditer(name):
            pattern = f"{name[: number.start()]}<n>{name[number.end() :]}"
            groups.setdefault(pattern, {})[int(number[1])] = place
    return {
        pattern: [places[number] for number in sorted(places)]
        for pattern, places in groups.items()
        if len(places) > 1
        and min(places) in (0, 1)
        and max(places) - min(places) == len(places) - 1
        and header.count(pattern) == 0
        and re.search(_ITEMS, normal(pattern.replace("<n>", " ")))
        and pattern.count("<n>") == 1
        and not re.search(r"\btax(es)?\b", normal(pattern))
    }


def look_within(
    connection: duckdb.DuckDBPyConnection,
    export: Export,
    columns: Sequence[Column],
    latest: str,
) -> Nested:
    """Raises ExportError."""
    groups = numbered(export.columns)
    places = {place for places in groups.values() for place in places}
    bases: dict[str, list[int]] = dict(groups)
    for column in columns:
        several = max(column.share("list"), column.share("object"), column.share("pairs"))
        if column.place not in places and several >= _MOST:
            bases[column.name] = [column.place]
    if not bases:
        return Nested((), {}, frozenset(), frozenset(), {})
    return _within(connection, export, bases, latest)


def _within(
    connection: duckdb.DuckDBPyConnection,
    export: Export,
    bases: Mapping[str, Sequence[int]],
    latest: str,
) -> Nested:
    found: dict[str, list[str | None]] = {}
    types: dict[str, str] = {}
    told: dict[str, str] = {}
    lines: set[str] = set()
    cells = {name: _cells(export, places) for name, places in bases.items()}
    forms = {name: form_of(texts) for name, texts in cells.items()}
    members = {
        name: members_of(f"{name}[]" if form.listed else name, list(parts_of(cells[name], form)))
        for name, form in forms.items()
    }
    unfolding = _unfolding(forms, members)
    bases = {
        name: places
        for name, places in bases.items()
        if name in unfolding or not forms[name].listed
    }
    for name in bases:
        form = forms[name]
        if form.kind:
            told[name] = f"{len(cells[name]):,} cells hold {form.words}"
        if form.spec:
            types[name] = form.spec
        found |= members[name]
        if name in unfolding:
            lines |= set(members[name])
    rows = max((len(texts) for texts in found.values()), default=0)
    table = pa.table(
        {
            **{
                f"c{at}": pa.array([*texts, *[None] * (rows - len(texts))], pa.string())
                for at, texts in enumerate(found.values())
            },
            "_file": pa.array([0] * rows, pa.int32()),
            "_row": pa.array(range(rows), pa.int64()),
        }
    )
    inside = [
        replace(
            column,
            rows=len(found[column.name]),
            looked=len(found[column.name]),
            label=_label(column.name),
        )
        for column in profile_within(connection, table, list(found), latest)
    ]
    used = frozenset(place for places in bases.values() for place in places)
    return Nested(tuple(inside), types, used, frozenset(lines), told)


def _unfolding(
    forms: Mapping[str, Form], members: Mapping[str, Mapping[str, object]]
) -> frozenset[str]:
    """The cells of which each element is a line of the order: one list, or all that is numbered.

    The tags of an order, its taxes and its shipments are lists as well, and nothing it sells.
    """
    if counted := [name for name in forms if NUMBER_MARK in name]:
        return frozenset(counted)

    def sells(name: str) -> tuple[bool, int]:
        inside = [re.sub(r"^.*\[\]\.?", "", member) for member in members[name]]
        roles = {
            role for role in LINE_ROLES for one in inside if one and rank(role, one) is not None
        }
        other = re.search(_NO_ITEMS, normal(name)) is not None
        return not other and re.search(_ITEMS, normal(name)) is not None, 0 if other else len(roles)

    listed = [name for name, form in forms.items() if form.listed]
    best = max(listed, key=sells, default=None)
    return frozenset([best] if best is not None and any(sells(best)) else [])


def _label(name: str) -> str:
    """``items[].name`` is the name of an item, ``Item <n> Qty`` its quantity."""
    if LIST_MARK not in name and NUMBER_MARK not in name:
        return ""
    member = re.sub(r"^.*(?:\[\]|<n>)\.?", "", name) if re.search(r"(\[\]|<n>)\.", name) else ""
    if member:
        known = any(rank(role, member) is not None for role in LINE_ROLES)
        return member if known else f"item {member}"
    bare = name.replace(NUMBER_MARK, " ").replace(LIST_MARK, " ").strip()
    return bare if rank("line_id", bare) is None else "item name"


def _cells(export: Export, places: Sequence[int]) -> list[str]:
    """The first cells of these columns that hold something."""

    def filled() -> Iterator[str]:
        for batch in export.batches(places):
            for at in range(len(places)):
                yield from clean_cells(batch.column(at), NOTHING).drop_null().to_pylist()

    return list(islice(filled(), CELLS))
