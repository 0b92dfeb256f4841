"""A look at an export while it is planned, and at its plan: what a person should know first."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from backfill.lint.cells import Cells
from backfill.lint.columns import roles
from backfill.lint.currencies import Lines, mixed
from backfill.lint.events import events_look
from backfill.lint.finding import Finding
from backfill.planning.plan import Plan
from backfill.schema.bind import BoundSchema
from backfill.schema.model import Schema


class Lint:
    """Sees each batch of an export; says what it found once the plan is made.

    ``folder`` is where the plan will be; what is set aside there goes with it.
    """

    def __init__(self, bound: BoundSchema, header: Sequence[str], folder: Path) -> None:
        self._schema = bound.schema
        self._roles = roles(bound, header)
        self._cells = Cells(self._roles)
        self._lines: Lines | None = None
        currencies = [role.name for role in self._roles if role.currency]
        order = self._schema.source.order or ()
        if currencies and order and _sums(self._schema) and set(order) <= set(header):
            path = folder / "currencies.parquet"
            self._lines = Lines(self._schema, header, path, currencies[0])

    def look(self, columns: Sequence[pa.ChunkedArray]) -> None:
        self._cells.look(columns)
        if self._lines is not None:
            self._lines.look(columns)

    def findings(self, plan: Plan, now_s: int) -> Iterator[Finding]:
        orders = plan.counts.orders_accepted + plan.counts.orders_rejected
        currencies = self._cells.currencies()
        yield from self._cells.findings(orders)
        yield from mixed(self._schema, currencies)
        if self._lines is not None:
            yield from self._lines.findings(plan.folder / "spill", several=bool(currencies))
        yield from events_look(self._schema, plan, now_s)


def _sums(schema: Schema) -> bool:
    """Does an event's value add its lines up?"""
    values = (event.properties.get("$value") for event in schema.events)
    return any(leaf is not None and leaf.sum is not None for leaf in values)
