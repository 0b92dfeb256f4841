"""Ids that a spreadsheet spoiled: they no longer tell orders apart."""

from collections.abc import Sequence
from typing import Final

from backfill.mapping.leaves import LeafCompiler
from backfill.mapping.results import Fault
from backfill.schema.uses import Level

_RUINED: Final = (
    "[0-9]([.,][0-9]+)?[eE][+][0-9]+"
    "|#{3,}|#(N/A|REF!|VALUE!|NAME[?]|DIV/0!|NULL!|NUM!|NV|WERT!|BEZUG!)"
)
"""What Excel makes of a long number, of a narrow column, and of a formula that found nothing."""


def ruined(leaves: LeafCompiler, ids: Sequence[str], level: Level) -> list[Fault]:
    """Those of the columns ``ids`` that are of one level."""
    return [
        Fault(f"regexp_full_match({leaves.raw(name)}, '{_RUINED}')", "ruined_by_excel", name, level)
        for name in dict.fromkeys(ids)
        if leaves.has([name]) and leaves.level_of(name) == level
    ]
