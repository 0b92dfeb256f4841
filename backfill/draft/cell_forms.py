"""How cells that hold more than one value are written, and what is in them."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backfill.schema.document import Plain

_MOST: Final = 0.9
_MEMBERS: Final = 60


@dataclass(frozen=True, slots=True)
class Form:
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
    def spec(self) -> Plain:
        """The type in YAML; None for JSON, which a schema takes a cell for by itself."""
        if self.kind != "pairs":
            return None
        if not self.lines and self.sign == ":":
            return {"pairs": self.between}
        lines: dict[str, Plain] = {"lines": self.lines} if self.lines else {}
        return {"pairs": {**lines, "between": self.between, "sign": self.sign}}


def form_of(cells: Sequence[str]) -> Form:
    starts = Counter(cell[0] for cell in cells)
    if starts["["] > len(cells) * _MOST:
        return Form("list", listed=True)
    if starts["{"] > len(cells) * _MOST:
        return Form("object")
    best, hits = Form(), len(cells) * _MOST
    for between in ("|", "\n", ";", ","):
        for sign in (":", "="):
            several = sum(_pairs(cell, between, sign) is not None for cell in cells)
            if several > hits:
                best, hits = Form("pairs", between=between, sign=sign), several
    if best.kind:
        for lines in (";", "\n", "||"):
            if lines != best.between and _repeats(cells, best, lines):
                return Form("pairs", True, best.between, best.sign, lines)
    return best


def _repeats(cells: Sequence[str], form: Form, lines: str) -> bool:
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


def parts_of(cells: Sequence[str], form: Form) -> Iterator[Any]:
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


def members_of(base: str, parts: Sequence[Any]) -> dict[str, list[str | None]]:
    """The members, deeper ones with points, each with its texts."""
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
