"""How cells that hold more than one value are written, and what is in them."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from backfill.draft.facts import MOST
from backfill.schema.document import YamlValue

_MEMBERS: Final = 60
"""Of one column; the others are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellForm:
    """How the cells of one column hold several values."""

    kind: Literal["", "list", "object", "pairs"] = ""
    """Empty where each cell is one value."""
    listed: bool = False
    """Whether a cell holds several lines."""
    between: str = ""
    """Of pairs: the sign between them."""
    sign: str = ""
    """Of pairs: between a key and its value."""
    lines: str = ""
    """Of pairs: between the lines of a cell."""

    @property
    def words(self) -> str:
        between = self.between.replace("\n", " ")
        pairs = f"pairs such as key{self.sign}value{between}…"
        return {"list": "a JSON list", "object": "a JSON object"}.get(self.kind, pairs)

    @property
    def spec(self) -> YamlValue:
        """The type in YAML; None for JSON, which a schema takes a cell for by itself."""
        if self.kind != "pairs":
            return None
        if not self.lines and self.sign == ":":
            return {"pairs": self.between}
        lines: dict[str, YamlValue] = {"lines": self.lines} if self.lines else {}
        return {"pairs": {**lines, "between": self.between, "sign": self.sign}}


def form_of(cells: Sequence[str]) -> CellForm:
    starts = Counter(cell[0] for cell in cells)
    if starts["["] > len(cells) * MOST:
        return CellForm(kind="list", listed=True)
    if starts["{"] > len(cells) * MOST:
        return CellForm(kind="object")
    best, hits = CellForm(), len(cells) * MOST
    for between in ("|", "\n", ";", ","):
        for sign in (":", "="):
            several = sum(_pairs(cell, between, sign) is not None for cell in cells)
            if several > hits:
                best, hits = CellForm(kind="pairs", between=between, sign=sign), several
    if best.kind:
        for lines in (";", "\n", "||"):
            if lines != best.between and _repeats(cells, best, lines):
                return replace(best, listed=True, lines=lines)
    return best


def _repeats(cells: Sequence[str], form: CellForm, lines: str) -> bool:
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


def members_of(column: str, cells: Sequence[str], form: CellForm) -> dict[str, list[str | None]]:
    """What the cells hold, by its name in a schema: the text of each cell, or of each line.

    ``items[].price.amount`` is a member of each element of a list, ``customer.email`` one of the
    cell itself; without a form the cell is its own member.
    """
    base = f"{column}[]" if form.listed else column
    flat = [_flat(value) for cell in cells for value in _values(cell, form)]
    paths = list(dict.fromkeys(path for members in flat for path in members))[:_MEMBERS]
    return {
        f"{base}.{path}" if path else base: [members.get(path) for members in flat]
        for path in paths
    }


def _values(cell: str, form: CellForm) -> list[Any]:
    """A cell's lines, or the cell as the one there is."""
    if form.kind == "pairs":
        lines = cell.split(form.lines) if form.lines else [cell]
        return [_pairs(line, form.between, form.sign) or {} for line in lines]
    if not form.kind:
        return [cell]
    try:
        value = json.loads(cell, parse_float=str, parse_int=str)
    except ValueError:
        return []
    return value if isinstance(value, list) else [value]


def _flat(value: Any, path: str = "") -> dict[str, str]:
    """The texts within a value by their paths, with points between the keys."""
    match value:
        case dict():
            deeper = (_flat(part, f"{path}.{key}" if path else key) for key, part in value.items())
            return {name: text for members in deeper for name, text in members.items()}
        case None | "" | []:
            return {}
        case bool():
            return {path: str(value).lower()}
        case list():
            return {path: json.dumps(value, ensure_ascii=False)}
        case _:
            return {path: str(value)}
