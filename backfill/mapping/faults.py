"""What makes an order a reject: conditions, each with its reason and its column."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from backfill.event import SEPARATOR
from backfill.mapping.cell_sql import matches
from backfill.mapping.query import NULL, Query, Sql, Stage, join, quote, sql
from backfill.sources.spreadsheets import ERROR_VALUE, RUINED_NUMBER


@dataclass(frozen=True, slots=True)
class Fault:
    """A condition that makes an order a reject."""

    condition: Sql
    reason: str
    column: str

    @property
    def of_line(self) -> bool:
        """Does it hold of a single line, not of its whole order?"""
        return self.condition.stage is Stage.LINE


def first_fault(faults: Iterable[Fault]) -> Sql:
    """``reason U+001F column`` of the first fault that holds, NULL where none does."""
    arms = [
        sql(
            "when $condition then $code",
            condition=fault.condition,
            code=quote(fault.reason + SEPARATOR + fault.column),
        )
        for fault in dict.fromkeys(faults)
    ]
    return sql("(case $arms end)", arms=join(" ", arms)) if arms else NULL


def of_order(faults: Sequence[Fault], query: Query) -> tuple[Fault, ...]:
    """The same faults over an order: those of single lines hold where any line has them."""
    return tuple(
        replace(fault, condition=query.gathered("any", fault.condition)) if fault.of_line else fault
        for fault in faults
    )


def faults_of_ruined_ids(
    columns: Mapping[str, Sql], ids: Sequence[str], stage: Stage
) -> list[Fault]:
    """Ids that a spreadsheet ruined no longer tell orders apart.

    Args:
        columns: of the export, by their names.
        ids: names of columns that tell orders or people apart.
        stage: only those of them that can be read there are looked at.
    """
    ruined = f"{RUINED_NUMBER}|{ERROR_VALUE}"
    return [
        Fault(matches(columns[name], ruined), "ruined_by_excel", name)
        for name in dict.fromkeys(ids)
        if name in columns and columns[name].stage is stage
    ]
