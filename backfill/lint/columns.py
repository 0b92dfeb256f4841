"""What each column of an export means to a schema, as far as the scan of its cells needs it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from backfill.schema.bind import BoundSchema
from backfill.schema.column_uses import is_line_column, leaf_type, needed_columns, uses
from backfill.schema.columns import CellPart
from backfill.schema.model import Leaf, Schema
from backfill.schema.types import Type

_NO_AMOUNT: Final = re.compile(
    r"(?i)(^|[^a-z])(id|ids|no|nr|num|number|numero|zip|plz|postal|postcode|post|phone|telefon|tel|"
    r"mobile|sku|ean|upc|gtin|isbn|barcode|code|ref|reference|year|vat)($|[^a-z])|id$|number$|code$"
)
"""Names of columns whose digits are no amounts."""

_CURRENCY: Final = re.compile(
    r"(?i)(^|[^a-z])(currency|moneda|moeda|devise|währung|valuta)($|[^a-z])"
)

_NO_AMOUNT_FIELDS: Final = frozenset({"$id", "$zip", "$phone_number", "$event_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One column."""

    name: str
    used: bool
    """Some event needs it."""
    of_order: bool
    """An order has one value of it, and not every row needs to have it."""
    time: bool
    text: bool
    """It is sent as it is, although the schema could give it a type."""
    amount: bool
    """Its digits may be an amount: neither its name nor its use makes them an identifier."""
    currency: bool


def roles(bound: BoundSchema, header: Sequence[str]) -> tuple[Role, ...]:
    """The role of each column of the header."""
    schema, used = bound.schema, set(bound.columns.values())
    for column in bound.derived.values():
        if isinstance(column, CellPart):
            used.update(column.positions.values())
    orders = set(schema.source.order or ())
    no_amounts = set(orders)
    texts = set[str]()
    times = {name for name, kind in schema.columns.items() if _is_clock_time(kind)}
    for leaf, field in _leaves(schema):
        if field in _NO_AMOUNT_FIELDS:
            no_amounts.update(needed_columns(schema, leaf))
        if leaf.column is None:
            continue
        kind = leaf_type(schema, leaf, field)
        if _is_clock_time(kind):
            times.add(leaf.column)
        if kind.kind == "text" and leaf.as_ is None and leaf.map is None:
            texts.add(leaf.column)
    by_order = schema.source.order is not None
    currencies = {name for name, kind in schema.columns.items() if kind.kind == "currency"}
    return tuple(
        Role(
            name=name,
            used=at in used,
            of_order=by_order and name not in orders and not is_line_column(schema, name),
            time=name in times,
            text=at in used and name in texts and name not in schema.columns,
            amount=name not in no_amounts and _NO_AMOUNT.search(name) is None,
            currency=name in currencies or _CURRENCY.search(name) is not None,
        )
        for at, name in enumerate(header)
    )


def _is_clock_time(kind: Type) -> bool:
    """A time that is no count since 1970."""
    return kind.kind == "time" and kind.unit is None


def _leaves(schema: Schema) -> Iterator[tuple[Leaf, str | None]]:
    """Each leaf with the field that it fills, if it is a field of Klaviyo's."""
    for use in uses(schema):
        field = use.field
        if field is None and use.path[0] == "customer_properties":
            field = str(use.path[1])
        yield use.leaf, field
