"""Something that looks wrong: its kind, the column, a count, and a line for people."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from backfill.display import counted, listed

_TEXTS: Final[Mapping[str, Mapping[str, str]]] = tomllib.loads(
    Path(__file__).with_name("findings.toml").read_text(encoding="utf-8")
)
_RANKS: Final = {kind: rank for rank, kind in enumerate(_TEXTS)}

MAX_LINES: Final = 20
"""As many as a person reads; the rest is counted."""

_UNUSED_LINES: Final = 3
"""Up to so many unused columns get a line each; more of them get one line together."""

_UNUSED_NAMES: Final = 12


@dataclass(frozen=True, slots=True)
class Finding:
    kind: str
    """A table of ``findings.toml``."""
    column: str
    count: int
    facts: Mapping[str, object] = field(default_factory=dict)
    """What the kind's texts name in braces."""

    def __str__(self) -> str:
        texts = _TEXTS[self.kind]
        of, text = (texts[name].format_map(self.facts) for name in ("of", "text"))
        return f'"{self.column}": {counted(self.count, of)} {text}'


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """The most harmful first, at most ``MAX_LINES``."""
    ranked = sorted(findings, key=lambda found: (_RANKS[found.kind], -found.count, found.column))
    unused = [found for found in ranked if found.kind == "unused"]
    if len(unused) > _UNUSED_LINES:
        shown = [*map(str, ranked[: -len(unused)]), _together(unused)]
    else:
        shown = [*map(str, ranked)]
    yield from shown[:MAX_LINES]
    if len(shown) > MAX_LINES:
        yield f"and {len(shown) - MAX_LINES} more that weigh less"


def _together(unused: Sequence[Finding]) -> str:
    named = listed([f'"{one.column}" {one.count:,}' for one in unused], _UNUSED_NAMES)
    return f"{len(unused)} columns used by no event, with their filled cells: {named}"
