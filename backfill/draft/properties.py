"""What an event tells beside its id, value and time: by Klaviyo's names, else the headers' own."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from backfill.draft.facts import Column
from backfill.draft.lines import Line, Types
from backfill.draft.money import amount_of
from backfill.draft.roles import Roles
from backfill.draft.times import OPEN
from backfill.draft.vocabulary import Role, address_of, mentions, rank
from backfill.draft.yaml import leaf, text

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


def amounts(columns: Iterable[Column], types: Types) -> None:
    for column in columns:
        if rank("quantity", column.called) is not None:
            spec = "integer" if column.all("integer") else "number"
            why = f"{column.fits.get(spec, 0):,} of {column.filled:,} cells"
            if negative := column.fits.get("negative", 0):
                why += f"; {negative:,} are negative: returns, which lower a sum"
            types.add(column, spec, why)
        elif (amount := amount_of(column)) is not None:
            types.add(column, amount.spec, amount.evidence)


def discount(roles: Roles, types: Types, taken: set[str]) -> Iterator[Line]:
    for role, name in _DISCOUNT:
        column = roles.at_order.get(role)
        if column is not None:
            taken.add(name)
            if role == "discount":
                amounts([column], types)
            yield Line(f"      {name}: {leaf(column.name)}")


def items(roles: Roles, types: Types, taken: set[str]) -> Iterator[Line]:
    for role, name in _LISTS:
        column = roles.at_line.get(role)
        if column is not None:
            taken.add(name)
            yield Line(f"      {name}: {{each: {leaf(column.name)}}}")
    taken.add("Items")
    yield Line("      Items:")
    yield Line("        each:")
    yield from item_members(roles, types, set(), indent=10)


def item_members(
    roles: Roles, types: Types, taken: set[str], *, indent: int, others: bool = True
) -> Iterator[Line]:
    blanks, used = " " * indent, set()
    for role, name in _ITEM_NAMES:
        column = roles.at_line.get(role)
        if column is not None:
            used.add(column.name)
            taken.add(name)
            if role in ("quantity", "price", "row_total"):
                amounts([column], types)
            yield Line(f"{blanks}{name}: {leaf(column.name)}")
    value = roles.value.line if roles.value is not None else None
    if others and value and " * " in value and "row_total" not in roles.at_line:
        yield Line(f"{blanks}RowTotal: {value}")
        taken.add("RowTotal")
    if others:
        for column in roles.lines:
            if column.name not in used and column is not roles.line_id:
                yield _as_it_is(column, types, taken, indent, roles)


def _as_it_is(column: Column, types: Types, taken: set[str], indent: int, roles: Roles) -> Line:
    """A property by the header's own name."""
    name = re.sub(r"^.*\[\]\.?|^.*<n>\.?", "", column.name) or column.name
    name = name.lstrip("$") or "value"
    while name in taken:
        name += " (export)"
    taken.add(name)
    if column.name not in types.specs:
        _property_type(column, types, roles)
    return Line(f"{' ' * indent}{text(name)}: {leaf(column.name)}")


def _property_type(column: Column, types: Types, roles: Roles) -> None:
    """Numbers, yes and no, and times: where each cell proves it; ids stay text."""
    if column.place >= 0 and (column.all("list") or column.all("object")):
        types.add(column, "json", f"all {column.filled:,} cells")
        return
    time = roles.times.get(column.name)
    if time is not None:
        fits = [fit.cells for fit in column.formats if fit.form == time.form]
        whole = column.all("iso") or fits == [column.filled] or not time.naive
        if whole and not time.is_open:
            types.add(column, time.spec, time.evidence)
        return
    if mentions("id", column.called):
        if column.share("doubles") == 1 and not column.fits.get("fraction"):
            types.add(column, "integer", "each ends in .0, which integer takes off")
        return
    spec = _number_type(column)
    if spec is not None:
        why = f"all {column.filled:,} cells"
        types.add(column, spec, why if column.filled > 1 else "the one cell there is")


def _number_type(column: Column) -> str | None:
    is_amount = any(rank(role, column.called) is not None for role in _AMOUNTS)
    words = {value.casefold() for value in column.values}
    if column.all("boolean") and words <= {"true", "false", "yes", "no", "t", "f", "y", "n"}:
        return "boolean"
    if column.fits.get("zeros"):
        return None
    amount = amount_of(column)
    if is_amount and amount is not None and OPEN not in amount.spec:
        whole = column.all("money") if amount.decimal == "." else column.all("money_comma")
        return amount.spec if whole else None
    if column.all("integer"):
        return "integer"
    return "number" if column.all("number") else None


def addresses(roles: Roles, taken: set[str]) -> Iterator[Line]:
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
            taken.add(name)
            yield Line(f"      {name}:")
            yield Line("        object:")
            for member, column in members.items():
                taken.add(f"\0{column.name}")
                yield Line(f"          {member}: {leaf(column.name)}")


def rest(roles: Roles, types: Types, taken: set[str]) -> Iterator[Line]:
    gone = roles.person.columns - {
        column.name for column in (roles.at_order.get("country"),) if column
    }
    gone |= {name[1:] for name in taken if name.startswith("\0")}
    gone |= {column.name for column in (roles.key.columns if roles.key else ())}
    gone |= {roles.ordered.column.name} if roles.ordered else set()
    gone |= {column.name for column in (roles.clock and roles.clock.column, roles.zone) if column}
    used = [roles.at_order.get(role) for role in ("discount_code", "discount", "currency")]
    used += list(roles.at_line.values()) if not roles.lines else []
    gone |= {column.name for column in used if column is not None}
    if roles.value is not None and not roles.value.order.startswith("{su"):
        gone |= {column.name for column in roles.value.columns if not roles.is_line(column)}
    for column in roles.columns:
        if column.name not in gone and not roles.is_line(column):
            yield _as_it_is(column, types, taken, 6, roles)
