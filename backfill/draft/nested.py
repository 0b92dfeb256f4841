"""What stands within cells: lists, objects, key:value pairs, and columns that are numbered."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import duckdb
import pyarrow as pa

from backfill.draft.column import Column
from backfill.draft.kinds import NOTHING
from backfill.draft.names import LINE_ROLES, normal, rank
from backfill.draft.profile import profile_within
from backfill.schema.columns import LISTED, NUMBER
from backfill.sources.export import Export
from backfill.tidy import tidy

CELLS: Final = 2_000
"""Cells of a column that are looked into."""

_MOST: Final = 0.9
_MEMBERS: Final = 60
_ITEMS: Final = (
    r"\b(line ?items?|items?|lines?|products?|skus?|articles?|artikel|productos?|produits?)\b"
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
    for name, places in bases.items():
        cells = _cells(export, places)
        form = _form(cells)
        parts = list(_parts(cells, form))
        if form.kind:
            told[name] = f"{len(cells):,} cells hold {form.words}"
        if form.spec:
            types[name] = form.spec
        base = f"{name}[]" if form.listed else name
        unfolds = form.listed or "<n>" in name
        for member, texts in _columns(base, parts, len(cells)).items():
            found[member] = texts
            if unfolds:
                lines.add(member)
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


def _label(name: str) -> str:
    """``items[].name`` is the name of an item, ``Item <n> Qty`` its quantity."""
    if LISTED not in name and NUMBER not in name:
        return ""
    member = re.sub(r"^.*(?:\[\]|<n>)\.?", "", name) if re.search(r"(\[\]|<n>)\.", name) else ""
    if member:
        known = any(rank(role, member) is not None for role in LINE_ROLES)
        return member if known else f"item {member}"
    bare = name.replace(NUMBER, " ").replace(LISTED, " ").strip()
    return bare if rank("line_id", bare) is None else "item name"


def _cells(export: Export, places: Sequence[int]) -> list[str]:
    """The first cells of these columns that hold something."""

    def filled() -> Iterator[str]:
        for batch in export.batches(places):
            for at in range(len(places)):
                yield from tidy(batch.column(at), NOTHING).drop_null().to_pylist()

    return list(islice(filled(), CELLS))


@dataclass(frozen=True, slots=True)
class _Form:
    kind: str = ""
    listed: bool = False
    between: str = ""
    sign: str = ""
    lines: str = ""

    @property
    def words(self) -> str:
        return {"list": "a JSON list", "object": "a JSON object"}.get(
            self.kind, f"pairs such as key{self.sign}value{self.between.replace(chr(10), ' ')}…"
        )

    @property
    def spec(self) -> str:
        """Its type in YAML; JSON is what is taken where nothing stands."""
        if self.kind != "pairs":
            return ""
        if not self.lines and self.sign == ":":
            return f"{{pairs: {json.dumps(self.between)}}}"
        lines = f"lines: {json.dumps(self.lines)}, " if self.lines else ""
        return (
            f"{{pairs: {{{lines}between: {json.dumps(self.between)}, "
            f"sign: {json.dumps(self.sign)}}}}}"
        )


def _form(cells: Sequence[str]) -> _Form:
    starts = Counter(cell[0] for cell in cells)
    if starts["["] > len(cells) * _MOST:
        return _Form("list", listed=True)
    if starts["{"] > len(cells) * _MOST:
        return _Form("object")
    best, hits = _Form(), len(cells) * _MOST
    for between in ("|", "\n", ";", ","):
        for sign in (":", "="):
            several = sum(_pairs(cell, between, sign) is not None for cell in cells)
            if several > hits:
                best, hits = _Form("pairs", between=between, sign=sign), several
    if best.kind:
        for lines in (";", "\n", "||"):
            if lines != best.between and _repeats(cells, best, lines):
                return _Form("pairs", True, best.between, best.sign, lines)
    return best


def _repeats(cells: Sequence[str], form: _Form, lines: str) -> bool:
    """Does some cell hold the same keys several times, this sign between them?"""
    for cell in cells:
        parts = [
            _pairs(part, form.between, form.sign) for part in cell.split(lines) if part.strip()
        ]
        keys = [next(iter(part)) for part in parts if part]
        if len(parts) > 1 and len(keys) == len(parts) and len(set(keys)) == 1:
            return True
    return False


def _pairs(cell: str, between: str, sign: str) -> dict[str, str] | None:
    parts = [part.partition(sign) for part in cell.split(between) if part.strip()]
    if len(parts) < 2 or not all(found for _, found, _ in parts):  # noqa: PLR2004
        return None
    keys = [key.strip() for key, _, _ in parts]
    if not all(re.fullmatch(r"[A-Za-z_][\w .-]{0,60}", key) for key in keys):
        return None
    return {key: value.strip() for key, (_, _, value) in zip(keys, parts, strict=True)}


def _parts(cells: Sequence[str], form: _Form) -> Iterator[Any]:
    """Each line, or each cell where it is one, as what it holds."""
    for cell in cells:
        if form.kind == "pairs":
            pieces = cell.split(form.lines) if form.lines else [cell]
            yield from (_pairs(piece, form.between, form.sign) or {} for piece in pieces)
        elif form.kind:
            try:
                value = json.loads(cell, parse_float=str, parse_int=str)
            except ValueError:
                continue
            yield from value if isinstance(value, list) else [value]
        else:
            yield cell


def _columns(base: str, parts: Sequence[Any], cells: int) -> dict[str, list[str | None]]:
    """The members, deeper ones with points, each with its texts."""
    del cells
    flat = [_flat(part) for part in parts]
    paths = list(dict.fromkeys(path for members in flat for path in members))[:_MEMBERS]
    return {
        f"{base}.{path}" if path else base: [members.get(path) for members in flat]
        for path in paths
    }


def _flat(part: Any, path: str = "") -> dict[str, str]:
    match part:
        case dict():
            deeper = (
                _flat(value, f"{path}.{key}" if path else str(key)) for key, value in part.items()
            )
            return {name: text for members in deeper for name, text in members.items()}
        case None | "" | []:
            return {}
        case bool():
            return {path: str(part).lower()}
        case list():
            return {path: json.dumps(part, ensure_ascii=False)}
        case _:
            return {path: str(part)}
