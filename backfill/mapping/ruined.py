"""Ids that a spreadsheet spoiled: they no longer tell orders apart."""

from collections.abc import Sequence
from typing import Final

from backfill.mapping.faults import Fault
from backfill.mapping.leaves import LeafCompiler
from backfill.mapping.query import Stage, sql

_RUINED: Final = (
    "[0-9]([.,][0-9]+)?[eE][+][0-9]+"
    "|#{3,}|#(N/A|REF!|VALUE!|NAME[?]|DIV/0!|NULL!|NUM!|NV|WERT!|BEZUG!)"
)
"""What Excel makes of a long number, of a narrow column, and of a formula that found nothing."""


def faults_of_ruined_ids(leaves: LeafCompiler, ids: Sequence[str], stage: Stage) -> list[Fault]:
    """Those of the columns ``ids`` that can be read at ``stage``."""
    return [
        Fault(
            sql(f"regexp_full_match($cell, '{_RUINED}')", cell=leaves.columns[name]),
            "ruined_by_excel",
            name,
        )
        for name in dict.fromkeys(ids)
        if leaves.has([name]) and leaves.columns[name].stage is stage
    ]
