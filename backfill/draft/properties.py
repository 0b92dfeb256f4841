"""What an event tells beside its id, value and time: by Klaviyo's names, else the headers' own."""

import re
from collections.abc import Iterable
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.money import amount_of
from backfill.draft.roles import Roles
from backfill.draft.vocabulary import Role, address_of, mentions, rank
from backfill.draft.yaml import QUESTION, Block, leaf
from backfill.schema.document import Plain

_ITEM_NAMES: Final[tuple[tuple[Role, str], ...]] = (
    ("product_id", "ProductID"),
    ("sku", "SKU"),
    ("product", "ProductName"),
    ("quantity", "Quantity"),
    ("price", "ItemPrice"),
    ("row_total", "RowTotal"),
    ("url", "ProductURL"),
    ("image", "ImageURL"),
)
"""Roles of a line and what Klaviyo's guide calls them (INT, "Items" of Placed Order, 2026-11)."""

_ADDRESS: Final[tuple[tuple[Role, str], ...]] = (
    ("first_name", "FirstName"),
    ("last_name", "LastName"),
    ("name", "Name"),
    ("company", "Company"),
    ("address1", "Address1"),
    ("address2", "Address2"),
    ("city", "City"),
    ("region", "RegionCode"),
    ("country", "CountryCode"),
    ("zip", "Zip"),
    ("phone", "Phone"),
)

_DISCOUNT: Final[tuple[tuple[Role, str], ...]] = (
    ("discount_code", "DiscountCode"),
    ("discount", "DiscountValue"),
)
_LISTS: Final[tuple[tuple[Role, str], ...]] = (
    ("product", "ItemNames"),
    ("category", "Categories"),
    ("brand", "Brands"),
)
_AMOUNTS: Final[tuple[Role, ...]] = (
    "total",
    "subtotal",
    "shipping",
    "tax",
    "discount",
    "refund",
    "price",
    "row_total",
)


def add_amounts(amounts: Iterable[Column], columns: Block) -> None:
    """The types of amounts and quantities."""
    for column in amounts:
        if rank("quantity", column.called) is not None:
            kind = "integer" if column.all("integer") else "number"
            why = f"{column.fits.get(kind, 0):,} of {column.filled:,} cells"
            if negative := column.fits.get("negative", 0):
                why += f"; {negative:,} are negative: returns, which lower a sum"
            columns.add_once(column.name, kind, why)
        elif (amount := amount_of(column)) is not None:
            columns.add_once(column.name, amount.spec, amount.evidence)


def add_discount(properties: Block, roles: Roles, columns: Block) -> None:
    for role, name in _DISCOUNT:
        column = roles.at_order.get(role)
        if column is not None:
            if role == "discount":
                add_amounts([column], columns)
            properties.add(name, leaf(column.name))


def add_items(properties: Block, roles: Roles, columns: Block) -> None:
    """What the lines of an order are, as lists and as objects."""
    for role, name in _LISTS:
        column = roles.at_line.get(role)
        if column is not None:
            properties.add(name, {"each": leaf(column.name)})
    items = properties.nested()
    each = items.nested()
    add_item_members(each, roles, columns)
    items.add("each", each)
    properties.add("Items", items)


def add_item_members(block: Block, roles: Roles, columns: Block, *, others: bool = True) -> None:
    """What one line is; with ``others``, its columns that have no role too."""
    for role, name in _ITEM_NAMES:
        column = roles.at_line.get(role)
        if column is not None:
            if role in ("quantity", "price", "row_total"):
                add_amounts([column], columns)
            block.add(name, leaf(column.name))
    if not others:
        return
    value = roles.value
    if value is not None and value.is_product and "row_total" not in roles.at_line:
        block.add("RowTotal", value.line)
    used = {roles.at_line[role].name for role, _ in _ITEM_NAMES if role in roles.at_line}
    for column in roles.lines:
        if column.name not in used and column is not roles.line_id:
            _add_own_name(block, column, roles, columns)


def _add_own_name(block: Block, column: Column, roles: Roles, columns: Block) -> None:
    """A property by the header's own name."""
    name = re.sub(r"^.*\[\]\.?|^.*<n>\.?", "", column.name) or column.name
    name = name.lstrip("$") or "value"
    while name in block:
        name += " (export)"
    _add_type(column, roles, columns)
    block.add(name, leaf(column.name))


def _add_type(column: Column, roles: Roles, columns: Block) -> None:
    """Numbers, yes and no, and times: where each cell proves it; ids stay text."""
    time = roles.times.get(column.name)
    if column.place >= 0 and (column.all("list") or column.all("object")):
        columns.add_once(column.name, "json", f"all {column.filled:,} cells")
    elif time is not None:
        fits = [fit.cells for fit in column.formats if fit.form == time.form]
        whole = column.all("iso") or fits == [column.filled] or not time.naive
        if whole and not time.is_open:
            columns.add_once(column.name, time.spec, time.evidence)
    elif mentions("id", column.called):
        if column.share("doubles") == 1 and not column.fits.get("fraction"):
            why = "each ends in .0, which integer takes off"
            columns.add_once(column.name, "integer", why)
    elif spec := _number_type(column):
        why = f"all {column.filled:,} cells" if column.filled > 1 else "the one cell there is"
        columns.add_once(column.name, spec, why)


def _number_type(column: Column) -> Plain:
    """None where a cell is no number, or where it is not clear how one is written."""
    is_amount = any(rank(role, column.called) is not None for role in _AMOUNTS)
    words = {value.casefold() for value in column.values}
    if column.all("boolean") and words <= {"true", "false", "yes", "no", "t", "f", "y", "n"}:
        return "boolean"
    if column.fits.get("zeros"):
        return None
    amount = amount_of(column)
    if is_amount and amount is not None and amount.decimal != QUESTION:
        whole = column.all("money") if amount.decimal == "." else column.all("money_comma")
        return amount.spec if whole else None
    if column.all("integer"):
        return "integer"
    return "number" if column.all("number") else None


def add_addresses(properties: Block, roles: Roles) -> set[str]:
    """The addresses of an order that have several parts, and the columns that they take."""
    used: set[str] = set()
    for which, name in (("billing", "BillingAddress"), ("shipping", "ShippingAddress")):
        members = {
            member: column
            for role, member in _ADDRESS
            for column in roles.columns
            if address_of(column.called) == which
            and rank(role, column.called) is not None
            and not roles.is_line(column)
            and not column.share("email")
        }
        if len(members) > 1:
            address = properties.nested()
            parts = address.nested()
            for member, column in members.items():
                parts.add(member, leaf(column.name))
            address.add("object", parts)
            properties.add(name, address)
            used |= {column.name for column in members.values()}
    return used


def add_unused(properties: Block, roles: Roles, columns: Block, used: set[str]) -> None:
    """The order's columns that nothing stands for yet, by their own names.

    ``used`` are the columns of addresses.
    """
    country = roles.at_order.get("country")
    gone = used | roles.person.columns - ({country.name} if country is not None else set())
    told = [
        *(roles.key.columns if roles.key else ()),
        roles.ordered and roles.ordered.column,
        roles.clock and roles.clock.column,
        roles.zone,
        *(roles.at_order.get(role) for role in ("discount_code", "discount", "currency")),
        *(roles.at_line.values() if not roles.lines else ()),
        *(roles.value.columns if roles.value is not None and not roles.value.is_sum else ()),
    ]
    gone |= {column.name for column in told if column is not None}
    for column in roles.columns:
        if column.name not in gone and not roles.is_line(column):
            _add_own_name(properties, column, roles, columns)
