"""The properties of an event beside its id and value: by Klaviyo's names, else by the headers'."""

import re
from collections.abc import Iterable, Mapping

from backfill.draft.facts import WHOLE_FLOATS, Column
from backfill.draft.money import amount_of
from backfill.draft.roles import Roles
from backfill.draft.vocabulary import (
    AMOUNT_ROLES,
    KLAVIYO_NAMES,
    Role,
    address_of,
    mentions,
    rank,
)
from backfill.draft.yaml import QUESTION, Block, leaf
from backfill.schema.document import YamlValue
from backfill.schema.model import LEAF_KINDS


def add_amounts(amounts: Iterable[Column], types: Block, currency: Column | None = None) -> None:
    """The types of amounts and quantities; ``currency`` is the column that holds the order's."""
    for column in amounts:
        if currency is not None and mentions("cents", column.label):
            minor: YamlValue = {"minor": "true", "currency": currency.name}
            why = "by name, in the smallest units of the currency"
            types.add_once(column.name, {"money": minor}, why)
            continue
        if rank("quantity", column.label) is not None:
            kind = "integer" if column.all("integer") else "number"
            why = column.cells_of(kind)
            if negative := column.count("negative"):
                why += f"; {negative:,} are negative: returns, which reduce a sum"
            types.add_once(column.name, kind, why)
        elif (amount := amount_of(column)) is not None:
            types.add_once(column.name, amount.spec, amount.evidence)


def add_order(properties: Block, roles: Roles, types: Block) -> None:
    """What is known of an order: its discount, lines and addresses, then its other columns."""
    _add_discount(properties, roles, types)
    if roles.key is not None and roles.lines:
        _add_items(properties, roles, types)
    else:
        add_item_members(properties, roles, types, others=False)
    _add_unused(properties, roles, types, _add_addresses(properties, roles))


def _add_discount(properties: Block, roles: Roles, types: Block) -> None:
    for name, role, column in _named("order", roles.of_order):
        if role == "discount":
            add_amounts([column], types, roles.of_order.get("currency"))
        properties.add(name, leaf(column.name))


def _named(of: str, columns: Mapping[Role, Column]) -> list[tuple[str, Role, Column]]:
    """The columns that fill properties of Klaviyo's, by a table of ``KLAVIYO_NAMES``."""
    names = KLAVIYO_NAMES[of].items()
    return [(name, role, columns[role]) for name, role in names if role in columns]


def _add_items(properties: Block, roles: Roles, types: Block) -> None:
    """The lines of an order, as lists and as objects."""
    for name, _, column in _named("lists", roles.of_line):
        properties.add(name, {"each": leaf(column.name), **counted_lines(roles)})
    items = properties.nested()
    each = items.nested(reserved=(*LEAF_KINDS, "where"))  # beside these, no other key can be
    add_item_members(each, roles, types)
    items.add("each", each)
    for option, where in counted_lines(roles).items():
        items.add(option, where)
    properties.add("Items", items)


def counted_lines(roles: Roles) -> dict[str, YamlValue]:
    """The option of ``each`` that leaves out rows that are no products; {} where all are."""
    return {} if roles.row_kinds is None else {"where": roles.row_kinds.where}


def add_item_members(block: Block, roles: Roles, types: Block, *, others: bool = True) -> None:
    """The properties of one line; with ``others`` also its columns that have no role."""
    named = _named("item", roles.of_line)
    for name, role, column in named:
        if role in ("quantity", "price", "row_total"):
            add_amounts([column], types, roles.of_order.get("currency"))
        block.add(name, leaf(column.name))
    if not others:
        return
    value = roles.value
    if value is not None and value.is_product and "row_total" not in roles.of_line:
        block.add("RowTotal", value.of_line)
    used = {column.name for _, _, column in named}
    for column in roles.lines:
        if column.name not in used and column is not roles.line_id:
            _add_own_name(block, column, roles, types)


def _add_own_name(block: Block, column: Column, roles: Roles, types: Block) -> None:
    """A property by the header's own name."""
    name = re.sub(r"^.*\[\]\.?|^.*<n>\.?", "", column.name) or column.name
    name = name.lstrip("$") or "value"
    while name in block:
        name += " (export)"
    _add_type(column, roles, types)
    block.add(name, leaf(column.name))


def _add_type(column: Column, roles: Roles, types: Block) -> None:
    """Numbers, yes and no, and times: where each cell proves it; ids stay text."""
    time = roles.times.get(column.name)
    if not column.is_member and (column.all("list") or column.all("object")):
        types.add_once(column.name, "json", f"all {column.filled:,} cells")
    elif time is not None:
        read = [count.cells for count in column.formats if count.form == time.form]
        whole = column.all("iso") or read == [column.filled] or not time.naive
        if whole and not time.is_open:
            types.add_once(column.name, time.spec, time.evidence)
    elif mentions("id", column.label):
        if column.all("whole_float") and not column.count("fraction"):
            types.add_once(column.name, "integer", WHOLE_FLOATS)
    elif spec := _number_type(column):
        why = f"all {column.filled:,} cells" if column.filled > 1 else "the only cell"
        types.add_once(column.name, spec, why)


def _number_type(column: Column) -> YamlValue:
    """None where a cell is no number, or where it is not clear how one is written."""
    is_amount = any(rank(role, column.label) is not None for role in AMOUNT_ROLES)
    words = {value.casefold() for value in column.values}
    if column.all("boolean") and words <= {"true", "false", "yes", "no", "t", "f", "y", "n"}:
        return "boolean"
    if column.count("leading_zero"):
        return None
    amount = amount_of(column)
    if is_amount and amount is not None and amount.decimal != QUESTION:
        whole = column.all("money") if amount.decimal == "." else column.all("money_comma")
        return amount.spec if whole else None
    if column.all("integer"):
        return "integer"
    return "number" if column.all("number") else None


def _add_addresses(properties: Block, roles: Roles) -> set[str]:
    """The addresses of an order that have several parts, and the columns that they take."""
    used: set[str] = set()
    for which, name in (("billing", "BillingAddress"), ("shipping", "ShippingAddress")):
        members = {
            member: column
            for member, role in KLAVIYO_NAMES["address"].items()
            for column in roles.columns
            if address_of(column.label) == which
            and rank(role, column.label) is not None
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


def _add_unused(properties: Block, roles: Roles, types: Block, used: set[str]) -> None:
    """The order's columns that no property holds yet, by their own names.

    ``used`` are the columns of addresses.
    """
    country = roles.of_order.get("country")
    gone = used | roles.person.columns - ({country.name} if country is not None else set())
    elsewhere = [
        *(roles.key.columns if roles.key else ()),
        roles.ordered and roles.ordered.column,
        roles.clock and roles.clock.column,
        roles.zone,
        *(roles.of_order.get(role) for role in ("discount_code", "discount", "currency")),
        *(roles.of_line.values() if not roles.lines else ()),
        *(roles.value.used if roles.value is not None else ()),
    ]
    gone |= {column.name for column in elsewhere if column is not None}
    for column in roles.columns:
        if column.name not in gone and not roles.is_line(column):
            _add_own_name(properties, column, roles, types)
