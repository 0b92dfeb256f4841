"""The events of a draft: what happened, when, under which id, worth what."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from backfill.draft.facts import Column
from backfill.draft.properties import add_amounts, add_item_members, add_order, counted_lines
from backfill.draft.roles import Roles
from backfill.draft.sample import Key
from backfill.draft.times import Time
from backfill.draft.vocabulary import status_of
from backfill.draft.yaml import (
    QUESTION,
    Block,
    fits_template,
    flow_text,
    leaf,
    sql_name,
    template,
)
from backfill.mapping.query import quote
from backfill.schema.document import YamlValue

_STATUS_WORDS: Final = 2
"""A status of more words is a note, and may name a person."""


@dataclass(frozen=True, slots=True)
class _Condition:
    sql: str
    evidence: str
    time: Time | None = None
    """When it became true, if the export has a column for that."""


def event_blocks(roles: Roles, types: Block) -> list[Block]:
    """The events, Placed Order first; ``types`` takes what they need under ``columns``."""
    found = [_placed_order(roles, types)]
    if roles.key is not None and roles.lines and roles.of_line:
        found.append(_ordered_product(roles.key, roles, types))
    found += _later_events(roles, types)
    return found


def _event(name: str, condition: _Condition | None, *, per_line: bool = False) -> Block:
    event = Block(indent=4)
    event.add("event", name)
    if per_line:
        event.add("per", "line")
    if condition is not None:
        event.add("where", condition.sql, "" if per_line else condition.evidence)
    return event


def _properties() -> Block:
    return Block(indent=6, reserved=("OrderId",))


def _placed_order(roles: Roles, types: Block) -> Block:
    event = _event("Placed Order", _both(_key_is("not like", roles), _purchase(roles)))
    if unknown := _unknown_statuses(roles):
        event.comment(unknown)
    _add_order_time(event, roles, types, explained=True)
    _add_currency(event, roles, explained=True)
    properties = _properties()
    _add_ids(properties, roles)
    if roles.value is None:
        event.comment("no $value: no column holds amounts; join the table that holds them")
    else:
        add_amounts(roles.value.columns, types, roles.of_order.get("currency"))
        properties.add("$value", roles.value.of_order, roles.value.evidence)
    add_order(properties, roles, types)
    event.add("properties", properties)
    return event


def _ordered_product(key: Key, roles: Roles, types: Block) -> Block:
    lines = _both(_product_row(roles), _positive_line(roles))
    condition = _both(_key_is("not like", roles), _purchase(roles), lines)
    event = _event("Ordered Product", condition, per_line=True)
    _add_order_time(event, roles, types, explained=False)
    _add_currency(event, roles, explained=True)
    properties = _properties()
    keys, line = key.names, roles.line_id
    if line is not None and fits_template(line.name):
        line_id, why = template([*keys, line.name]), f"no {line.name} repeats within an order"
    else:
        line_id = template(keys, "-{line}")
        why = "no column tells an order's lines apart: {line} counts its rows in file order"
    properties.add("$event_id", line_id, why)
    if roles.value is not None and roles.value.of_line:
        properties.add("$value", roles.value.of_line)
    properties.add("OrderId", leaf(keys[-1]))
    add_item_members(properties, roles, types)
    event.add("properties", properties)
    return event


def _later_events(roles: Roles, types: Block) -> Iterator[Block]:
    conditions = {
        "Fulfilled Order": _has_time("Fulfilled Order", roles),
        "Cancelled Order": _cancelled(roles),
        "Refunded Order": _refunded(roles),
    }
    for name, condition in conditions.items():
        if condition is None or roles.ordered is None:
            continue
        event = _event(name, condition)
        if condition.time is None:
            _add_order_time(event, roles, types, explained=False)
        else:
            _add_time(event, condition.time, roles, types)
        _add_currency(event, roles, explained=False)
        properties = _properties()
        _add_ids(properties, roles)
        if name == "Refunded Order" and "refund" in roles.of_order and "$event_id" in properties:
            event.add("refunds", "difference", "a later export may show more of them")
        _add_later_value(properties, name, roles, types)
        product = roles.of_line.get("product")
        if product is not None and roles.lines and roles.key is not None:
            properties.add("ItemNames", {"each": leaf(product.name), **counted_lines(roles)})
        event.add("properties", properties)
        yield event


def _add_later_value(properties: Block, name: str, roles: Roles, types: Block) -> None:
    refund = roles.of_order.get("refund")
    if name == "Refunded Order" and refund is not None:
        add_amounts([refund], types, roles.of_order.get("currency"))
        negative = refund.count("negative")
        amount: YamlValue = {"sql": f"abs({sql_name(refund.name)})"}
        properties.add("$value", amount if negative else leaf(refund.name))
    elif roles.value is not None:
        negative = name == "Cancelled Order" and roles.cancellation is not None
        negative = negative or name == "Refunded Order"
        properties.add("$value", roles.value.negated if negative else roles.value.of_order)


def _key_is(like: Literal["like", "not like"], roles: Roles) -> _Condition | None:
    """A condition for the orders that are cancellations by their key, or for the others."""
    if roles.cancellation is None or roles.key is None:
        return None
    name, prefix = sql_name(roles.key.names[-1]), quote(roles.cancellation.prefix + "%").text
    return _Condition(f"{name} {like} {prefix}", roles.cancellation.evidence)


def _has_time(event: str, roles: Roles) -> _Condition | None:
    time = roles.later.get(event)
    if time is None:
        return None
    why = f"by name; {time.column.filled:,} rows have it"
    return _Condition(f"{sql_name(time.column.name)} is not null", why, time)


def _cancelled(roles: Roles) -> _Condition | None:
    status = roles.of_order.get("status")
    found = _key_is("like", roles) or _has_time("Cancelled Order", roles)
    if found is not None or status is None:
        return found
    words = [value for value in status.values if status_of(value) == "cancelled"]
    if not words:
        return None
    why = "the export does not say when, so this is the time of the order"
    return _Condition(f"{sql_name(status.name)} in ({_quoted(words)})", why)


def _refunded(roles: Roles) -> _Condition | None:
    refund, time = roles.of_order.get("refund"), roles.later.get("Refunded Order")
    why = "" if time else "; the export does not say when, so this is the time of the order"
    if refund is not None:
        if not refund.count("negative"):
            return _Condition(f"{sql_name(refund.name)} > 0", f"by name{why}", time)
        why = f"by name; {refund.count('negative'):,} amounts are negative{why}"
        return _Condition(f"{sql_name(refund.name)} <> 0", why, time)
    total = _negative_total(roles)
    if total is None:
        return None
    why = f"{total.count('negative'):,} amounts are negative: returns, which are no purchase{why}"
    return _Condition(f"{sql_name(total.name)} < 0", why, time)


def _both(*conditions: _Condition | None) -> _Condition | None:
    """All of these conditions as one."""
    found = [condition for condition in conditions if condition is not None]
    if not found:
        return None
    why = "; ".join(condition.evidence for condition in found if condition.evidence)
    return _Condition(" and ".join(condition.sql for condition in found), why)


def _purchase(roles: Roles) -> _Condition | None:
    """Which orders were paid: by their status, and by an amount that is not negative."""
    return _both(_paid(roles), _not_negative(roles))


def _not_negative(roles: Roles) -> _Condition | None:
    total = _negative_total(roles)
    if total is None:
        return None
    return _Condition(f"coalesce({sql_name(total.name)}, 0) >= 0", "a negative amount is a return")


def _negative_total(roles: Roles) -> Column | None:
    """The column of the order's value, if some of its amounts are negative."""
    value = roles.value
    if value is None or value.is_open or value.kind == "sum" or not value.used:
        return None
    total = value.used[0]
    return total if total.count("negative") and not total.is_member else None


def _paid(roles: Roles) -> _Condition | None:
    """Orders whose status does not mean that they were never paid, cancelled or refunded."""
    status = roles.of_order.get("status")
    if status is None or status.is_member:
        return None
    meanings = {value: status_of(value) for value in status.values}
    out = [value for value, meaning in meanings.items() if meaning not in ("", "paid")]
    if not out:
        return None
    sql = f"coalesce({sql_name(status.name)}, '') not in ({_quoted(out)})"
    return _Condition(sql, f"never paid, cancelled or refunded: {_counted(out, roles)}")


def _unknown_statuses(roles: Roles) -> str:
    """Which words of the status column have no known meaning; empty for none.

    Only short ones are quoted: a longer cell is a note, and may name a person.
    """
    status = roles.of_order.get("status")
    if status is None or status.is_member:
        return ""
    unknown = [value for value in status.values if not status_of(value)]
    words = [value for value in unknown if len(value.split()) <= _STATUS_WORDS]
    return (
        f'Decide which of these words of "{status.name}" are no purchase, and leave them out by '
        f"where: {_counted(words, roles)}"
        if words
        else ""
    )


def _counted(values: Iterable[str], roles: Roles) -> str:
    return ", ".join(f"{value} ({roles.statuses.get(value, 0):,})" for value in sorted(values))


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(quote(value).text for value in sorted(values))


def _product_row(roles: Roles) -> _Condition | None:
    return None if roles.row_kinds is None else _Condition(roles.row_kinds.where, "")


def _positive_line(roles: Roles) -> _Condition | None:
    quantity = roles.of_line.get("quantity")
    if quantity is None or quantity.is_member or not quantity.count("negative"):
        return None
    return _Condition(f"coalesce({sql_name(quantity.name)}, 1) > 0", "")


def _add_time(event: Block, time: Time, roles: Roles, types: Block) -> None:
    _add_time_type(time, types)
    zone = _zone(time, roles)
    event.add("time", {"column": time.column.name, **zone} if zone else leaf(time.column.name))


def _add_time_type(time: Time, types: Block) -> None:
    types.add_once(time.column.name, time.spec, _time_evidence(time))


def _add_order_time(event: Block, roles: Roles, types: Block, *, explained: bool) -> None:
    """Add the time of the order; two columns may hold its day and its time of day."""
    time, clock = roles.ordered, roles.clock
    if time is None:
        return
    if roles.time_doubt:
        for some in roles.times.values():
            _add_time_type(some, types)
        event.add("time", QUESTION, _time_question(roles) if explained else "")
        return
    if clock is None:
        _add_time(event, time, roles, types)
        return
    form = QUESTION if time.is_open else f"{time.form or '%Y-%m-%d'} {clock.form}"
    both = f"{{{time.column.name}}} {{{clock.column.name}}}"
    why = _time_evidence(time, clock.form) + f"; the time of day is in {clock.column.name}"
    value: dict[str, YamlValue] = {"template": both, "as": {"time": form}, **_zone(time, roles)}
    event.add("time", value, why if explained else "")


def _time_question(roles: Roles) -> str:
    names = ", ".join(f'"{time.column.name}"' for time in roles.times.values())
    return (
        f"OPEN: {roles.time_doubt}: write the column that says when the order was placed "
        f"(columns of times: {names}); without one, draft from another export"
    )


def _zone(time: Time, roles: Roles) -> dict[str, YamlValue]:
    return {"zone": roles.zone.name} if roles.zone is not None and time.naive else {}


def _time_evidence(time: Time, clock: str = "") -> str:
    if not time.is_open:
        return time.evidence
    if time.is_unread:
        return f"OPEN: {time.evidence}"
    answers: list[YamlValue] = [
        f"{form} {clock}" if clock else {"time": form} for form in time.rivals
    ]
    forms = " or ".join(map(flow_text, answers))
    return f"OPEN: {time.evidence}; nothing proves one of these: write {forms}"


def _add_currency(event: Block, roles: Roles, *, explained: bool) -> None:
    currency = roles.of_order.get("currency")
    if currency is not None:
        codes = ", ".join(sorted(value.upper() for value in currency.values[:8]))
        event.add("currency", leaf(currency.name), codes if explained else "")


def _add_ids(properties: Block, roles: Roles) -> None:
    if roles.key is not None:
        properties.add("$event_id", template(roles.key.names))
        properties.add("OrderId", leaf(roles.key.names[-1]))
