"""The content of cells with several values, and of numbered columns.

A cell may hold a list, an object or key:value pairs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import duckdb

from backfill.draft.cell_forms import CellForm, form_of, members_of
from backfill.draft.facts import NULL_WORDS, Column
from backfill.draft.profile import profile_members
from backfill.draft.vocabulary import LINE_ROLES, mentions, rank
from backfill.schema.columns import LIST_MARK, NUMBER_MARK
from backfill.schema.document import YamlValue
from backfill.sources.export import Export
from backfill.sources.spreadsheets import clean_cells

CELLS: Final = 2_000
"""Cells of a column whose content is read."""

_UNFOLDED: Final = re.compile(r"^.*(?:\[\]|<n>)\.?")
"""The part before a member's own name in ``items[].sku`` or ``line_item_<n>.sku``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nested:
    """The columns whose cells are taken apart, and what they hold."""

    members: tuple[Column, ...] = ()
    types: Mapping[str, YamlValue]
    """What the cells are, as under ``columns``; JSON needs no type."""
    evidence: Mapping[str, str]
    """What the cells hold, by the column's name."""
    places: frozenset[int]
    """Of the export's columns that are taken apart."""
    lines: frozenset[str]
    """Names of which each element or number is a line."""

    def without_lines(self) -> "Nested":
        """The same without lines, which need a column that tells orders apart."""
        gone = {name for name in self.evidence if any(line.startswith(name) for line in self.lines)}
        return replace(
            self,
            members=tuple(member for member in self.members if member.name not in self.lines),
            types={name: spec for name, spec in self.types.items() if name not in gone},
            evidence={
                name: f"{why}; no column tells orders apart, so these lines are left out"
                if name in gone
                else why
                for name, why in self.evidence.items()
            },
            lines=frozenset(),
        )


def numbered_columns(header: Sequence[str]) -> dict[str, list[int]]:
    """Names such as ``line_item_<n>`` with the places of their columns.

    The numbers are two or more without a gap, begin with 0 or 1, and belong to an item by name.
    """
    groups: dict[str, dict[int, int]] = {}
    for place, name in enumerate(header):
        for number in re.finditer("[0-9]{1,3}", name):
            pattern = f"{name[: number.start()]}{NUMBER_MARK}{name[number.end() :]}"
            groups.setdefault(pattern, {})[int(number[0])] = place
    return {
        pattern: [places[number] for number in sorted(places)]
        for pattern, places in groups.items()
        if len(places) > 1
        and min(places) in (0, 1)
        and max(places) - min(places) == len(places) - 1
        and header.count(pattern) == 0
        and mentions("items", pattern.replace(NUMBER_MARK, " "))
        and pattern.count(NUMBER_MARK) == 1
        and not mentions("taxes", pattern)
    }


def read_nested(
    connection: duckdb.DuckDBPyConnection,
    export: Export,
    columns: Sequence[Column],
    latest: str,
) -> Nested:
    """Take apart what holds several values. Raises ExportError.

    ``latest`` is the last day that a time may be of, as ISO 8601 writes it.
    """
    places = numbered_columns(export.columns)
    numbered = {place for group in places.values() for place in group}
    for column in columns:
        is_nested = any(map(column.mostly, ("list", "object", "pairs")))
        if column.place not in numbered and is_nested:
            places[column.name] = [column.place]
    cells = {name: _first_cells(export, group) for name, group in places.items()}
    forms = {name: form_of(texts) for name, texts in cells.items()}
    members = {name: members_of(name, cells[name], form) for name, form in forms.items()}
    unfolded = _unfolded(forms, members)
    taken = [name for name, form in forms.items() if name in unfolded or not form.listed]
    texts = {member: texts for name in taken for member, texts in members[name].items()}
    labels = {name: _label(name) for name in texts}
    return Nested(
        members=tuple(profile_members(connection, texts, labels, latest)) if texts else (),
        types={name: forms[name].spec for name in taken if forms[name].spec is not None},
        evidence={
            name: f"{len(cells[name]):,} cells hold {forms[name].words}"
            for name in taken
            if forms[name].kind
        },
        places=frozenset(place for name in taken for place in places[name]),
        lines=frozenset(member for name in taken if name in unfolded for member in members[name]),
    )


def _first_cells(export: Export, places: Sequence[int]) -> list[str]:
    """The first cells of these columns that hold something."""

    def filled() -> Iterator[str]:
        for batch in export.batches(places):
            for at in range(len(places)):
                yield from clean_cells(batch.column(at), NULL_WORDS).drop_null().to_pylist()

    return list(islice(filled(), CELLS))


def _unfolded(
    forms: Mapping[str, CellForm], members: Mapping[str, Mapping[str, object]]
) -> frozenset[str]:
    """The cells of which each element is a line of the order: one list, or all that is numbered.

    The tags of an order, its taxes and its shipments are lists as well, and nothing it sells.
    """
    if numbered := [name for name in forms if NUMBER_MARK in name]:
        return frozenset(numbered)

    def likelihood(name: str) -> tuple[bool, int]:
        if mentions("no_items", name):
            return False, 0
        own_names = [re.sub(r"^.*\[\]\.?", "", member) for member in members[name]]
        roles = {
            role for role in LINE_ROLES for own in own_names if own and rank(role, own) is not None
        }
        return mentions("items", name), len(roles)

    listed = [name for name, form in forms.items() if form.listed]
    best = max(listed, key=likelihood, default=None)
    return frozenset([best] if best is not None and any(likelihood(best)) else [])


def _label(name: str) -> str:
    """``items[].name`` is the name of an item, ``Item <n> Qty`` its quantity."""
    if LIST_MARK not in name and NUMBER_MARK not in name:
        return name
    if re.search(r"(\[\]|<n>)\.", name) and (member := _UNFOLDED.sub("", name)):
        known = any(rank(role, member) is not None for role in LINE_ROLES)
        return member if known else f"item {member}"
    bare = name.replace(NUMBER_MARK, " ").replace(LIST_MARK, " ").strip()
    return bare if rank("line_id", bare) is None else "item name"
