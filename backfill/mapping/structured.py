"""Cells with several values: JSON, lists and key:value pairs, read without a change to a value."""

import functools
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from backfill.engine.duck import add_function
from backfill.schema.types import Type


class Number(str):
    """A number as the JSON writes it."""

    __slots__ = ()


def read_exact(text: str) -> Any:
    """Parse JSON; numbers stay as they are written.

    Raises:
        ValueError: it is no JSON, repeats a key, or holds NaN or Infinity.
        RecursionError: it nests too deep.
    """
    return json.loads(
        text,
        parse_float=Number,
        parse_int=Number,
        parse_constant=_refuse,
        object_pairs_hook=_object,
    )


def write_exact(value: Any) -> str:
    """The JSON of a value that ``read_exact`` gave, without blanks."""
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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


CACHE: Final = 4_096
"""The number of distinct cells that are remembered; most orders' lines are unlike others."""

_KEY: Final = re.compile(r"[\w.$#/()-]+(?: [\w.$#/()-]+)*")


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Add the functions ``backfill_parts(cell, spec)`` and ``backfill_pairs(cell, spec)``.

    ``spec`` is the text of ``spec_of``. The first function gives a list of lines, each a list with
    the text at every path of ``spec``, NULL where there is none; for a cell that does not fit, one
    line of ``fault``. The second gives a cell of pairs as JSON, NULL where it does not fit.
    """
    lines_of = functools.lru_cache(CACHE)(_lines)
    json_of = functools.lru_cache(CACHE)(_pairs_json)

    def parts(cells: pa.ChunkedArray, specs: pa.ChunkedArray) -> pa.Array:
        spec = _spec(specs[0].as_py()) if len(specs) else None
        found = [[] if cell is None else lines_of(cell, spec) for cell in cells.to_pylist()]
        return pa.array(found, pa.list_(pa.list_(pa.string())))

    def pairs(cells: pa.ChunkedArray, specs: pa.ChunkedArray) -> pa.Array:
        spec = _spec(specs[0].as_py()) if len(specs) else None
        found = [None if cell is None else json_of(cell, spec) for cell in cells.to_pylist()]
        return pa.array(found, pa.string())

    add_function(connection, "backfill_parts", parts, "VARCHAR[][]")
    add_function(connection, "backfill_pairs", pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spec:
    """How a cell is read; ``schema.types.Type`` and ``spec_of`` say what the fields mean."""

    kind: str
    separator: str
    sign: str
    lines: str | None
    keys: tuple[str, ...]
    listed: bool
    paths: tuple[tuple[str, ...], ...]
    fault: str


def spec_of(
    cell_type: Type, *, listed: bool = False, paths: Sequence[tuple[str, ...]] = (), fault: str = ""
) -> str:
    """How a cell is read, as a text for SQL.

    Args:
        cell_type: json, pairs or list.
        listed: does the cell hold several lines?
        paths: the keys to each text that is wanted of a line.
        fault: stands for each text of a cell that does not fit.
    """
    options = {name: getattr(cell_type, name) for name in _TYPE_OPTIONS}
    more = {"listed": listed, "paths": paths, "fault": fault}
    return json.dumps(options | more, ensure_ascii=False)


_TYPE_OPTIONS: Final = ("kind", "separator", "sign", "lines", "keys")


@functools.cache
def _spec(text: str) -> _Spec:
    found = json.loads(text)
    paths = tuple(tuple(path) for path in found.pop("paths"))
    return _Spec(**found | {"keys": tuple(found["keys"])}, paths=paths)


def _lines(cell: str, spec: _Spec) -> list[list[str | None]]:
    try:
        lines = _elements(cell, spec)
        found = [[_text(_member(line, path)) for path in spec.paths] for line in lines]
        for text in itertools.chain(*found):
            (text or "").encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return [[spec.fault] * len(spec.paths)]
    return found


def _elements(cell: str, spec: _Spec) -> Sequence[Any]:
    """Raises ValueError where the cell is not what the schema says."""
    match spec.kind:
        case "list":
            if cell.startswith(("[", "{")):
                raise ValueError
            return [text for part in cell.split(spec.separator) if (text := part.strip())]
        case "pairs":
            lines = _split_lines(cell, spec) if spec.listed else [cell]
            return [_pairs(line, spec) for line in lines if line.strip()]
    value = read_exact(cell)
    if not spec.listed:
        if not isinstance(value, dict):
            raise ValueError
        return [value]
    match value:
        case None:
            return []
        case list():
            return [element for element in value if element is not None]
        case dict():  # some programs write one element without brackets
            return [value]
    raise ValueError


_REPEATED: Final = "\x1f"
"""Stands for the values of a key that is repeated: nothing says which of them is meant."""


def _pairs(text: str, spec: _Spec) -> dict[str, str]:
    """The pairs of a line.

    A key is one word or a few. A part without a key belongs to a value that holds the separator,
    but it may be an error too, so the cell does not fit. A repeated key, such as ``meta`` in
    WebToffee's exports, makes a cell unfit only where this key is asked for.

    Raises:
        ValueError: the line does not fit.
    """
    found, text = _leading_pairs(text, spec)
    has_leading = bool(found)
    last = ""
    for part in _split(text, spec.separator):
        if not part.strip():
            continue
        key, sign, value = f"{part.strip()} ".partition(spec.sign)
        key = key.strip()
        if not sign or not _KEY.fullmatch(key):
            if not has_leading:
                raise ValueError
            key = last  # a part of the last value; nobody asks for keys after the leading ones
        if key:
            found[key] = _REPEATED if key in found else _unescape(value.strip(), spec)
        last = key
    return found


def _leading_pairs(text: str, spec: _Spec) -> tuple[dict[str, str], str]:
    """The pairs of ``keys`` at the beginning of a line, if they are there, and the rest of it."""
    if not spec.keys or not (match := _leading_pattern(spec).match(text)):
        return {}, text
    values = [value.strip() for value in match.groups()]
    return dict(zip(spec.keys, values, strict=True)), text[match.end() :]


@functools.cache
def _leading_pattern(spec: _Spec) -> re.Pattern[str]:
    between, sign = re.escape(spec.separator), re.escape(spec.sign)
    *firsts, last = (rf"{re.escape(key)}\s*{sign}" for key in spec.keys)
    values = "".join(rf"{first}(.*?){between}\s*" for first in firsts)
    return re.compile(rf"\s*{values}{last}((?:(?!{between}).)*)", re.DOTALL)


def _split_lines(cell: str, spec: _Spec) -> list[str]:
    """The lines of a cell. With ``keys``, a line begins only where the first of them follows."""
    if spec.lines is None:
        return [cell]
    if not spec.keys:
        return _split(cell, spec.lines)
    first = rf"\s*{re.escape(spec.keys[0])}\s*{re.escape(spec.sign)}"
    return re.split(rf"{re.escape(spec.lines)}(?={first})", cell)


def _split(text: str, sign: str) -> list[str]:
    """Split at each ``sign`` without a backslash before it: SkyVerge's exports escape names so."""
    if "\\" not in text:
        return text.split(sign)
    return re.split(rf"(?<!\\){re.escape(sign)}", text)


def _unescape(value: str, spec: _Spec) -> str:
    for sign in filter(None, (spec.sign, spec.separator, spec.lines)):
        value = value.replace(f"\\{sign}", sign)
    return value


def _pairs_json(cell: str, spec: _Spec) -> str | None:
    try:
        lines = _split_lines(cell, spec)
        found = [_pairs(line, spec) for line in lines if line.strip()]
    except ValueError:
        return None
    if any(_REPEATED in line.values() for line in found):
        return None
    filled = [{key: value for key, value in line.items() if value} for line in found]
    return write_exact(filled if spec.lines else filled[0])


def _member(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _text(value: Any) -> str | None:
    match value:
        case str() if value == _REPEATED:
            raise ValueError
        case str():
            return value.strip() or None
        case bool():
            return "true" if value else "false"
        case None:
            return None
    return write_exact(value)
