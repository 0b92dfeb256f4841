"""Faults: the conditions that make an order a reject, each with its reason and its column."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from backfill.event import SEPARATOR
from backfill.mapping.cell_sql import matches
from backfill.mapping.query import Query, Sql, Stage, case, quote
from backfill.sources.spreadsheets import ERROR_VALUE, RUINED_NUMBER


@dataclass(frozen=True, slots=True)
class Fault:
    """A condition that makes an order a reject."""

    condition: Sql
    reason: str
    column: str

    @property
    def of_line(self) -> bool:
        """Is it a condition on a single line, not on the whole order?"""
        return self.condition.stage is Stage.LINE


def first_fault(faults: Iterable[Fault]) -> Sql:
    """``reason U+001F column`` of the first fault whose condition holds, NULL where none does."""
    return case(
        (fault.condition, quote(fault.reason + SEPARATOR + fault.column))
        for fault in dict.fromkeys(faults)
    )


def order_faults(faults: Sequence[Fault], query: Query) -> tuple[Fault, ...]:
    """The same faults as conditions on an order: a line's fault holds where any line has it."""
    return tuple(
        replace(fault, condition=query.aggregated("any", fault.condition))
        if fault.of_line
        else fault
        for fault in faults
    )


def ruined_id_faults(columns: Mapping[str, Sql], ids: Sequence[str], stage: Stage) -> list[Fault]:
    """The faults of ids that a spreadsheet ruined: they no longer tell orders apart.

    Args:
        columns: the export's columns by name.
        ids: the names of columns that tell orders or people apart.
        stage: the table whose columns are checked.
    """
    ruined = f"{RUINED_NUMBER}|{ERROR_VALUE}"
    return [
        Fault(matches(columns[name], ruined), "ruined_by_excel", name)
        for name in dict.fromkeys(ids)
        if name in columns and columns[name].stage is stage
    ]
