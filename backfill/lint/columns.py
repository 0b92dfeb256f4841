"""What each column of an export is to a schema, as far as a look at its cells needs to know."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.schema.bind import BoundSchema
from backfill.schema.columns import CellPart
from backfill.schema.model import Leaf, Schema
from backfill.schema.uses import is_line_column, leaf_type, needed_columns, uses

_NOT_COUNTED: Final = re.compile(
    r"(?i)(^|[^a-z])(id|ids|no|nr|num|number|numero|zip|plz|postal|postcode|post|phone|telefon|tel|"
    r"mobile|sku|ean|upc|gtin|isbn|barcode|code|ref|reference|year|vat)($|[^a-z])|id$|number$|code$"
)
"""Names of columns whose digits are no amounts."""

_CURRENCY: Final = re.compile(
    r"(?i)(^|[^a-z])(currency|moneda|moeda|devise|währung|valuta)($|[^a-z])"
)

_PEOPLE: Final = frozenset({"$id", "$zip", "$phone_number", "$event_id"})


@dataclass(frozen=True, slots=True)
class Role:
    """One column."""

    name: str
    used: bool
    of_order: bool
    """Has one value an order, of which not every row need have one."""
    time: bool
    text: bool
    """Sent as it stands, where a type could be said."""
    amount: bool
    """The same, and nothing says that its digits are a name for something."""
    currency: bool


def roles(bound: BoundSchema, header: Sequence[str]) -> tuple[Role, ...]:
    """For each column of the header."""
    schema, used = bound.schema, set(bound.columns.values())
    for column in bound.derived.values():
        if isinstance(column, CellPart):
            used.update(column.positions.values())
    orders = set(schema.source.order or ())
    times, texts, named = set[str](), set[str](), set(orders)
    for leaf, field in _leaves(schema):
        for name in needed_columns(schema, leaf):
            if field in _PEOPLE:
                named.add(name)
        if leaf.column is None:
            continue
        kind = leaf_type(schema, leaf, field)
        if kind.kind == "time" and kind.unit is None:
            times.add(leaf.column)
        if kind.kind == "text" and leaf.as_ is None and leaf.map is None:
            texts.add(leaf.column)
    times |= {
        name for name, kind in schema.columns.items() if kind.kind == "time" and kind.unit is None
    }
    by_order = schema.source.order is not None
    currencies = {name for name, kind in schema.columns.items() if kind.kind == "currency"}
    return tuple(
        Role(
            name=name,
            used=place in used,
            of_order=by_order and name not in orders and not is_line_column(schema, name),
            time=name in times,
            text=place in used and name in texts and name not in schema.columns,
            amount=name not in named and _NOT_COUNTED.search(name) is None,
            currency=name in currencies or _CURRENCY.search(name) is not None,
        )
        for place, name in enumerate(header)
    )


def _leaves(schema: Schema) -> Iterator[tuple[Leaf, str | None]]:
    for use in uses(schema):
        field = use.field
        if field is None and use.path[0] == "customer_properties":
            field = str(use.path[1])
        yield use.leaf, field
