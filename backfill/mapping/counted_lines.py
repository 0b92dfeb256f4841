"""The lines that a sum or a list counts: all of an order's, or those that its ``where`` chooses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from backfill.mapping.computed import Computed
from backfill.mapping.faults import Fault
from backfill.mapping.query import Query, Sql, Stage, sql


@dataclass(frozen=True, slots=True)
class CountedLines:
    """Which lines of an order count."""

    where: Sql | None
    """A condition on a line; None where all lines count."""
    where_faults: tuple[Fault, ...] = ()
    """The faults of the condition itself, among them that it is neither true nor false."""

    def value(self, value: Sql) -> Sql:
        """A line's value, NULL where the line does not count."""
        if self.where is None:
            return value
        return sql("(case when $where then $value end)", where=self.where, value=value)

    def condition(self, condition: Sql) -> Sql:
        """A condition on a line that holds only where the line counts."""
        if self.where is None:
            return condition
        return sql("($where and $condition)", where=self.where, condition=condition)

    def faults(self, faults: Sequence[Fault]) -> tuple[Fault, ...]:
        """The faults of lines that count, behind those of ``where``."""
        counted = (replace(fault, condition=self.condition(fault.condition)) for fault in faults)
        return (*self.where_faults, *counted)


ALL_LINES: Final = CountedLines(None)


def counted_lines(found: Computed, text: str, query: Query) -> CountedLines:
    """The lines for which a condition is true.

    Args:
        found: the compiled condition.
        text: the condition as the schema has it, for the fault.
        query: in which it is computed.
    """
    where = query.named(found.sql, Stage.LINE)
    unknown = query.named(sql("($where is null)", where=where), Stage.LINE)
    return CountedLines(where, (*found.faults, Fault(unknown, "unknown_where", text)))
