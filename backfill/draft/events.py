"""The events of a draft: what happened, when, under which id, worth what."""

import re
from collections.abc import Iterator
from typing import Final

from backfill.draft.lines import Line, Types
from backfill.draft.properties import addresses, amounts, discount, item_members, items, rest
from backfill.draft.roles import Clock, Roles
from backfill.draft.times import OPEN, Time
from backfill.draft.yaml import in_template, leaf, sql_name, sql_text, template, text

_CANCELLED: Final = r"[a-z_-]*(cancel|storn|annul|anulad|void)[a-z_-]*"


def events(roles: Roles, types: Types) -> Iterator[Line]:
    yield from _placed(roles, types)
    if roles.key is not None and roles.lines and roles.at_line:
        yield Line("")
        yield from _ordered_product(roles, types)
    for event in ("Fulfilled Order", "Cancelled Order", "Refunded Order"):
        found = list(_later(event, roles, types))
        if found:
            yield Line("")
            yield from found


def _begin(
    event: str, roles: Roles, types: Types, *, where: Line, line: bool = False
) -> Iterator[Line]:
    yield Line(f"  - event: {event}")
    if line:
        yield Line("    per: line")
    if where.text:
        yield Line(f"    where: {text(where.text)}", where.why)
    yield from _time(roles, types, says_why=not line)
    currency = roles.at_order.get("currency") or roles.at_line.get("currency")
    if currency is not None:
        codes = ", ".join(sorted(value.upper() for value in currency.values[:8]))
        yield Line(f"    currency: {leaf(currency.name)}", codes)


def _time(
    roles: Roles, types: Types, time: Time | None = None, *, says_why: bool = False
) -> Iterator[Line]:
    at = time or roles.ordered
    if at is None:
        return
    clock = roles.clock if time is None else None
    zone = f", zone: {text(roles.zone.name)}" if roles.zone is not None and at.naive else ""
    if clock is None:
        types.add(at.column, at.spec, _open(at))
        name = leaf(at.column.name)
        yield Line(
            f"    time: {{column: {text(at.column.name)}{zone}}}" if zone else f"    time: {name}"
        )
        return
    form = OPEN if at.is_open else text(f"{at.form or '%Y-%m-%d'} {clock.form}")
    both = text(f"{{{at.column.name}}} {{{clock.column.name}}}")
    why = _open(at) if not at.is_open else _open_apart(at, clock)
    told = f"{why}; the time of day stands in {clock.column.name}" if says_why else ""
    yield Line(f"    time: {{template: {both}, as: {{time: {form}}}{zone}}}", told)


def _open(time: Time) -> str:
    if not time.is_open:
        return time.evidence
    forms = " or ".join(f"{{time: {text(form)}}}" for form in time.rivals)
    return f"OPEN: {time.evidence}; nothing proves one of them: write {forms}"


def _open_apart(time: Time, clock: Clock) -> str:
    forms = " or ".join(text(f"{form} {clock.form}") for form in time.rivals)
    return f"OPEN: {time.evidence}; nothing proves one of them: write {forms}"


def _placed(roles: Roles, types: Types) -> Iterator[Line]:
    yield from _begin("Placed Order", roles, types, where=_placed_where(roles))
    yield Line("    properties:")
    yield from _id_lines(roles)
    yield from _value_lines(roles, types)
    taken = {"$event_id", "$value", "OrderId"}
    yield from discount(roles, types, taken)
    if roles.key is not None and roles.lines:
        yield from items(roles, types, taken)
    else:
        yield from item_members(roles, types, taken, indent=6, others=False)
    yield from addresses(roles, taken)
    yield from rest(roles, types, taken)


def _placed_where(roles: Roles) -> Line:
    """The condition that leaves out what the key tells to be a cancellation."""
    if roles.cancelled is None or roles.key is None:
        return Line("")
    name = sql_name(roles.key.columns[-1].name)
    prefix = sql_text(roles.cancelled.prefix + "%")
    return Line(f"{name} not like {prefix}", roles.cancelled.evidence)


def _id_lines(roles: Roles) -> Iterator[Line]:
    key = roles.key
    if key is None:
        return
    names = [column.name for column in key.columns]
    yield Line(f"      $event_id: {template(names)}")
    yield Line(f"      OrderId: {leaf(names[-1])}")


def _value_lines(roles: Roles, types: Types) -> Iterator[Line]:
    value = roles.value
    if value is None:
        yield Line("      # $value: there is no column of amounts; join the table that has them")
        return
    amounts(value.columns, types)
    yield Line(f"      $value: {value.order}", value.evidence)


def _ordered_product(roles: Roles, types: Types) -> Iterator[Line]:
    where = Line(_placed_where(roles).text)
    yield from _begin("Ordered Product", roles, types, where=where, line=True)
    names = [column.name for column in roles.key.columns] if roles.key else []
    line = roles.line_id
    own = line is not None and in_template(line.name)
    told = (
        f"no {line.name} stands twice in an order"
        if line is not None and own
        else "no column tells an order's lines apart: {line} counts its rows in file order"
    )
    number = f"-{{{line.name}}}" if line is not None and own else "-{line}"
    yield Line("    properties:")
    yield Line(f"      $event_id: {template(names, number)}", told)
    taken = {"$event_id", "$value", "OrderId"}
    if roles.value is not None and roles.value.line:
        yield Line(f"      $value: {roles.value.line}")
    if names:
        yield Line(f"      OrderId: {leaf(names[-1])}")
    yield from item_members(roles, types, taken, indent=6)


def _later(event: str, roles: Roles, types: Types) -> Iterator[Line]:
    where, why, time = _later_where(event, roles, types)
    if not where or roles.ordered is None:
        return
    yield Line(f"  - event: {event}")
    yield Line(f"    where: {text(where)}", why)
    yield from _time(roles, types, time)
    currency = roles.at_order.get("currency")
    if currency is not None:
        yield Line(f"    currency: {leaf(currency.name)}")
    yield Line("    properties:")
    yield from _id_lines(roles)
    refund = roles.at_order.get("refund")
    if event == "Refunded Order" and refund is not None:
        amounts([refund], types)
        yield Line(f"      $value: {leaf(refund.name)}")
    elif roles.value is not None:
        turned = event == "Cancelled Order" and roles.cancelled is not None
        order = roles.value.order
        if turned:
            kind = "sum" if order.startswith("{sum") else "sql"
            order = f"{{{kind}: {text('-' + roles.value.sql)}}}"
        yield Line(f"      $value: {order}")
    product = roles.at_line.get("product")
    if product is not None and roles.lines and roles.key is not None:
        yield Line(f"      ItemNames: {{each: {leaf(product.name)}}}")


def _later_where(event: str, roles: Roles, types: Types) -> tuple[str, str, Time | None]:
    """The condition of an event after the order, why, and its own time where the export has one."""
    time = roles.later.get(event)
    refund, status = roles.at_order.get("refund"), roles.at_order.get("status")
    if event == "Refunded Order":
        if refund is None or not refund.filled:
            return "", "", None
        amounts([refund], types)
        told = "" if time else "; the export does not say when: the time of the order stands here"
        return f"{sql_name(refund.name)} > 0", f"by its name{told}", time
    if event == "Cancelled Order" and roles.cancelled is not None and roles.key is not None:
        name = sql_name(roles.key.columns[-1].name)
        return (
            f"{name} like {sql_text(roles.cancelled.prefix + '%')}",
            roles.cancelled.evidence,
            None,
        )
    if time is not None:
        told = f"by its name; {time.column.filled:,} rows have it"
        return f"{sql_name(time.column.name)} is not null", told, time
    if event == "Cancelled Order" and status is not None:
        words = [value for value in status.values if re.fullmatch(_CANCELLED, value.casefold())]
        if words:
            listed = ", ".join(sql_text(word) for word in sorted(words))
            told = "the export does not say when: the time of the order stands here"
            return f"{sql_name(status.name)} in ({listed})", told, None
    return "", "", None
