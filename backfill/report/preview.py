"""Previewed orders as lines to read, to feed to a program, or to paste."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any, Final

from backfill.display import cells, cut, plain, plain_json
from backfill.planning.preview import PreviewedOrder
from backfill.report.pasted import HTML, learnq
from backfill.report.reasons import REASONS

_QUOTE: Final = "'"
_DEEPEST: Final = 3


def json_lines(orders: Iterable[PreviewedOrder]) -> Iterator[str]:
    """An order a line, as ``jq`` and every log tool take them; payloads digit by digit as sent."""
    for order in orders:
        head = f'{{"file": {_json(order.file)}, "row": {order.row}'
        if order.reason is None:
            payloads = ", ".join(map(plain_json, order.payloads))
            yield f'{head}, "payloads": [{payloads}]}}'
        else:
            why = {"reason": order.reason, "column": order.column, "why": REASONS[order.reason]}
            yield f'{head}, "reject": {_json(why)}}}'


def curl_lines(orders: Iterable[PreviewedOrder], pasted: Callable[[str], str]) -> Iterator[str]:
    """A command for each event that sends it; places and rejects as comments."""
    for order in orders:
        # In quotes, because zsh at a prompt takes a comment for a command.
        yield f"# '{plain(_place(order) + _fate(order), spoiling=_QUOTE)}'"
        for payload in order.payloads:
            yield pasted(payload)


def js_lines(orders: Iterable[PreviewedOrder]) -> Iterator[str]:
    """A call of klaviyo.js for each event; places and rejects as comments."""
    for order in orders:
        yield f"// {plain(_place(order) + _fate(order), spoiling=HTML)}"
        yield from map(learnq, order.payloads)


def table_lines(orders: Iterable[PreviewedOrder], width: int) -> Iterator[str]:
    """For people: each event's metric, time, value, person and properties, cut to ``width``."""
    for at, order in enumerate(orders):
        if at:
            yield ""
        yield from wrap(plain(_place(order) + _fate(order)), width, subsequent_indent="    ")
        for nth, payload in enumerate(order.payloads):
            if nth:
                yield ""
            yield from (cut(line, width) for line in _event(payload))


def _place(order: PreviewedOrder) -> str:
    return f"{order.file} row {order.row}: "


def _fate(order: PreviewedOrder) -> str:
    if order.reason is None:
        count = len(order.payloads)
        return f"{count} event{'' if count == 1 else 's'}"
    column = f' ("{order.column}")' if order.column else ""
    return f"reject {order.reason}{column}: {REASONS[order.reason]}"


def _json(value: object) -> str:
    return plain_json(json.dumps(value, ensure_ascii=False))


class _Digits(str):
    """A number as the JSON writes it; no float has all of a long amount's digits."""

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
    names = max(map(cells, [*people, *properties]), default=0)
    for section, members in (("person", people), ("properties", properties)):
        yield from _members(section, members, min(names, _LONGEST_NAME))


_LONGEST_NAME: Final = 24


def _members(section: str, members: Mapping[str, Any], names: int) -> Iterator[str]:
    for name, value in members.items():
        shown = cut(_shown(name), names)
        yield f"  {section:<12}{shown}{' ' * (names - cells(shown))}  {_shown(value)}"
        section = ""  # it stands once, before the first


def _shown(value: Any, depth: int = 0) -> str:
    match value:
        case str():
            return plain(value)
        case dict() | list() if value and depth == _DEEPEST:
            return "…"
        case dict():
            inner = (f"{plain(name)}: {_shown(it, depth + 1)}" for name, it in value.items())
            return f"{{{', '.join(inner)}}}"
        case list():
            return f"[{', '.join(_shown(it, depth + 1) for it in value)}]"
        case _:
            return json.dumps(value)  # true, false, null
