"""Previewed orders as lines to read, to feed to a program, or to paste."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any, Final, Literal, TypeAlias

from rich.cells import cell_len, set_cell_size

from backfill.display import counted, plain, plain_json, truncate
from backfill.planning.preview import PreviewedOrder
from backfill.report.pasted import HTML, learnq
from backfill.report.reasons import REASONS

_QUOTE: Final = "'"
_LEVELS_SHOWN: Final = 3


Form: TypeAlias = Literal["table", "json", "curl", "js"]


def preview_lines(
    orders: Iterable[PreviewedOrder], form: Form, width: int, curl: Callable[[str], str]
) -> Iterator[str]:
    """The orders in one of the forms that ``preview --as`` offers.

    Args:
        orders: the previewed ones.
        form: what to show them as.
        width: columns of the terminal, for ``table``.
        curl: makes a payload a line for a shell, for ``curl``.
    """
    match form:
        case "table":
            return table_lines(orders, width)
        case "json":
            return json_lines(orders)
        case "curl":
            return curl_lines(orders, curl)
        case "js":
            return js_lines(orders)


def json_lines(orders: Iterable[PreviewedOrder]) -> Iterator[str]:
    """A line of JSON for each order; the payloads have the digits that are sent."""
    for order in orders:
        head = f'{{"file": {_json(order.file)}, "row": {order.row}'
        if order.reason is None:
            payloads = ", ".join(map(plain_json, order.payloads))
            yield f'{head}, "payloads": [{payloads}]}}'
        else:
            why = {"reason": order.reason, "column": order.column, "why": REASONS[order.reason]}
            yield f'{head}, "reject": {_json(why)}}}'


def curl_lines(orders: Iterable[PreviewedOrder], curl: Callable[[str], str]) -> Iterator[str]:
    """A command for each event that sends it; places and rejects as comments."""
    for order in orders:
        # In quotes, because zsh at a prompt reads a comment as a command.
        yield f"# '{plain(_heading(order), escape=_QUOTE)}'"
        for payload in order.payloads:
            yield curl(payload)


def js_lines(orders: Iterable[PreviewedOrder]) -> Iterator[str]:
    """A call of klaviyo.js for each event; places and rejects as comments."""
    for order in orders:
        yield f"// {plain(_heading(order), escape=HTML)}"
        yield from map(learnq, order.payloads)


def table_lines(orders: Iterable[PreviewedOrder], width: int) -> Iterator[str]:
    """For people: each event's metric, time, value, person and properties, cut to ``width``."""
    for at, order in enumerate(orders):
        if at:
            yield ""
        yield from wrap(plain(_heading(order)), width, subsequent_indent="    ")
        for nth, payload in enumerate(order.payloads):
            if nth:
                yield ""
            yield from (truncate(line, width) for line in _event(payload))


def _heading(order: PreviewedOrder) -> str:
    """Where the order begins, and what becomes of it."""
    place = f"{order.file} row {order.row}: "
    if order.reason is None:
        return place + counted(len(order.payloads), "event")
    column = f' ("{order.column}")' if order.column else ""
    return f"{place}reject {order.reason}{column}: {REASONS[order.reason]}"


def _json(value: object) -> str:
    return plain_json(json.dumps(value, ensure_ascii=False))


class _Digits(str):
    """A number as the JSON writes it, because a float loses digits of a long amount."""

    __slots__ = ()


def _event(payload: str) -> Iterator[str]:
    event = json.loads(payload, parse_float=_Digits, parse_int=_Digits)
    properties = event["properties"]
    value = properties.pop("$value", None)
    time = datetime.fromtimestamp(int(event["time"]), UTC)
    yield f"  metric      {_shown(event['event'])}"
    yield f"  time        {time:%Y-%m-%d %H:%M:%S} UTC"
    if value is not None:
        yield f"  value       {value}"
    people = event["customer_properties"]
    names = max(map(cell_len, [*people, *properties]), default=0)
    for section, members in (("person", people), ("properties", properties)):
        yield from _members(section, members, min(names, _LONGEST_NAME))


_LONGEST_NAME: Final = 24


def _members(section: str, members: Mapping[str, Any], names: int) -> Iterator[str]:
    for name, value in members.items():
        shown = set_cell_size(truncate(_shown(name), names), names)
        yield f"  {section:<12}{shown}  {_shown(value)}"
        section = ""  # only the first line names it


def _shown(value: Any, depth: int = 0) -> str:
    match value:
        case str():
            return plain(value)
        case dict() | list() if value and depth == _LEVELS_SHOWN:
            return "…"
        case dict():
            inner = (f"{plain(name)}: {_shown(it, depth + 1)}" for name, it in value.items())
            return f"{{{', '.join(inner)}}}"
        case list():
            return f"[{', '.join(_shown(it, depth + 1) for it in value)}]"
        case _:
            return json.dumps(value)  # true, false, null
