"""What looks wrong in an export and in its plan, for a person to know before anything is sent."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from backfill.lint.cells import CellScan
from backfill.lint.columns import roles
from backfill.lint.currencies import LineCurrencies, mixed_currencies
from backfill.lint.events import event_findings
from backfill.lint.finding import Finding
from backfill.planning.plan import Plan
from backfill.schema.bind import BoundSchema
from backfill.schema.model import Schema


class Lint:
    """Gets each batch of an export while it is planned, then gives what it found in the plan."""

    def __init__(self, bound: BoundSchema, header: Sequence[str], folder: Path) -> None:
        """``folder`` is where the plan will be; what this writes there is removed with it."""
        self._schema = bound.schema
        columns = roles(bound, header)
        self._cells = CellScan(columns)
        self._lines: LineCurrencies | None = None
        currencies = [role.name for role in columns if role.currency]
        order = self._schema.source.order or ()
        if currencies and order and _sums_lines(self._schema) and set(order) <= set(header):
            path = folder / "currencies.parquet"
            self._lines = LineCurrencies(self._schema, header, path, currencies[0])

    def add(self, columns: Sequence[pa.ChunkedArray]) -> None:
        """All columns of consecutive rows, in the order of the header."""
        self._cells.add(columns)
        if self._lines is not None:
            self._lines.add(columns)

    def findings(self, plan: Plan, now_s: int) -> Iterator[Finding]:
        orders = plan.counts.orders_accepted + plan.counts.orders_rejected
        currencies = self._cells.currencies()
        yield from self._cells.findings(orders)
        yield from mixed_currencies(self._schema, currencies)
        if self._lines is not None:
            yield from self._lines.findings(plan.folder / "spill", several=bool(currencies))
        yield from event_findings(self._schema, plan, now_s)


def _sums_lines(schema: Schema) -> bool:
    """Whether an event's value is a sum over its lines."""
    values = (event.properties.get("$value") for event in schema.events)
    return any(leaf is not None and leaf.sum is not None for leaf in values)
