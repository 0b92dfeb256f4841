"""Parses JSON strictly: most parsers take texts that are not JSON."""

import json
import math
from collections.abc import Sequence
from typing import NoReturn

from backfill.sandbox.store.event import RefusedError

_SHOWN_CHARS = 60


def parse(text: str) -> dict[str, object]:
    """The one object that ``text`` is.

    Raises:
        RefusedError: it is not JSON or not an object, has a key twice, NaN, Infinity or 1e999, half
            of a surrogate pair, or is nested deeper than Python follows.
    """
    try:
        parsed = _decode(text)
    except RecursionError:
        raise RefusedError("json", "the JSON is nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, and integers of thousands of digits
        where = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise RefusedError("json", f"this is not JSON{where}") from None
    if not isinstance(parsed, dict):
        raise RefusedError("object", "the JSON is not an object")
    if "\\u" in text:
        _check_surrogates(parsed)
    return parsed


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RefusedError("repeated_key", f"the key {twice[:_SHOWN_CHARS]!a} is given twice")
    return made


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        _not_a_number(digits)
    return number


def _not_a_number(_: str) -> NoReturn:
    raise RefusedError("json", "NaN and Infinity are not JSON numbers")


def _check_surrogates(parsed: object) -> None:
    try:
        json.dumps(parsed, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RefusedError("encoding", r"a \u escape is half of a surrogate pair") from None


_decode = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_number, parse_constant=_not_a_number
).decode
