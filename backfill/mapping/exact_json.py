"""JSON read and written with its numbers as they stand: no float in between."""

import json
from typing import Any


class Number(str):
    """The digits of a number, as the JSON has them."""

    __slots__ = ()


def read_exact(text: str) -> Any:
    """Raises ValueError, or RecursionError: no JSON, a key that stands twice, NaN or Infinity."""
    return json.loads(
        text, parse_float=Number, parse_int=Number, parse_constant=_refuse, object_pairs_hook=_once
    )


def write_exact(value: Any) -> str:
    match value:
        case Number():
            return str(value)
        case dict():
            members = (f"{write_exact(key)}:{write_exact(item)}" for key, item in value.items())
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(map(write_exact, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice")
    return dict(pairs)
