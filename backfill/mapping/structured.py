"""Cells with several values, taken apart exactly as they stand: JSON, lists and key:value pairs."""

import functools
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from backfill.schema.types import Type


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


CACHE: Final = 4_096
"""Distinct cells that are remembered; most orders' lines are their own."""

_KEY: Final = re.compile(r"[\w.$#/()-]+(?: [\w.$#/()-]+)*")


def teach(connection: duckdb.DuckDBPyConnection) -> None:
    """Make known ``backfill_parts(cell, spec)`` and ``backfill_pairs(cell, spec)``.

    The first gives a list of lines, each a list with the text of every path that ``spec`` asks for,
    NULL where there is none. Without ``listed`` a cell is one line. Of a cell that does not fit it
    is one line of ``misfit``. The second gives a cell of pairs as JSON, NULL where it does not fit.
    """
    lines_of = functools.lru_cache(CACHE)(_lines)
    written = functools.lru_cache(CACHE)(_pairs_json)

    def parts(cells: pa.ChunkedArray, specs: pa.ChunkedArray) -> pa.Array:
        spec = _spec(specs[0].as_py()) if len(specs) else None
        found = [[] if cell is None else lines_of(cell, spec) for cell in cells.to_pylist()]
        return pa.array(found, pa.list_(pa.list_(pa.string())))

    def pairs(cells: pa.ChunkedArray, specs: pa.ChunkedArray) -> pa.Array:
        spec = _spec(specs[0].as_py()) if len(specs) else None
        found = [None if cell is None else written(cell, spec) for cell in cells.to_pylist()]
        return pa.array(found, pa.string())

    for name, function, kind in (
        ("backfill_parts", parts, "VARCHAR[][]"),
        ("backfill_pairs", pairs, "VARCHAR"),
    ):
        connection.create_function(  # type: ignore[call-overload]  # its stubs take no texts
            name, function, ["VARCHAR", "VARCHAR"], kind, type="arrow", null_handling="special"
        )


@dataclass(frozen=True, slots=True)
class _Spec:
    form: str
    between: str
    sign: str
    lines: str | None
    keys: tuple[str, ...]
    listed: bool
    paths: tuple[tuple[str, ...], ...]
    misfit: str


def spec_of(
    form: Type, *, listed: bool = False, paths: Sequence[tuple[str, ...]] = (), misfit: str = ""
) -> str:
    """What the two functions are to do, as the text that SQL hands them."""
    return json.dumps(
        {
            "form": form.kind,
            "between": form.separator,
            "sign": form.sign,
            "lines": form.lines,
            "keys": form.keys,
            "listed": listed,
            "paths": paths,
            "misfit": misfit,
        },
        ensure_ascii=False,
    )


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
        return [[spec.misfit] * len(spec.paths)]
    return found


def _elements(cell: str, spec: _Spec) -> Sequence[Any]:
    """Raises ValueError where the cell is not what the schema says."""
    match spec.form:
        case "list":
            if cell.startswith(("[", "{")):
                raise ValueError
            return [text for part in cell.split(spec.between) if (text := part.strip())]
        case "pairs":
            lines = _cut(cell, spec) if spec.listed else [cell]
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
        case dict():  # one element that a writer left without its brackets
            return [value]
    raise ValueError


_TWICE: Final = "\x1f"
"""Stands for a key's values where it has several: which one is meant cannot be told."""


def _pairs(text: str, spec: _Spec) -> dict[str, str]:
    """A key is a word or a few: what has none is the rest of a value that holds the sign between.

    Which of the two it is cannot be told, so the cell does not fit. A key that stands twice, as
    ``meta`` does in WebToffee's exports, makes it unfit only where that key is asked for.
    """
    found, text = _head(text, spec)
    known = bool(found)
    last = ""
    for part in _split(text, spec.between):
        if not part.strip():
            continue
        key, sign, value = f"{part.strip()} ".partition(spec.sign)
        key = key.strip()
        if not sign or not _KEY.fullmatch(key):
            if not known:
                raise ValueError
            key = last  # of a value behind those that are known, where it is not asked for
        if key:
            found[key] = _TWICE if key in found else _bare(value.strip(), spec)
        last = key
    return found


def _head(text: str, spec: _Spec) -> tuple[dict[str, str], str]:
    """The values of ``keys``, where a line begins with them, and what stands behind."""
    if not spec.keys or not (match := _beginning(spec).match(text)):
        return {}, text
    values = [value.strip() for value in match.groups()]
    return dict(zip(spec.keys, values, strict=True)), text[match.end() :]


@functools.cache
def _beginning(spec: _Spec) -> re.Pattern[str]:
    between, sign = re.escape(spec.between), re.escape(spec.sign)
    *firsts, last = (rf"{re.escape(key)}\s*{sign}" for key in spec.keys)
    values = "".join(rf"{first}(.*?){between}\s*" for first in firsts)
    return re.compile(rf"\s*{values}{last}((?:(?!{between}).)*)", re.DOTALL)


def _cut(cell: str, spec: _Spec) -> list[str]:
    """The lines of a cell; with ``keys``, at the signs that the first of them stands behind."""
    if spec.lines is None:
        return [cell]
    if not spec.keys:
        return _split(cell, spec.lines)
    first = rf"\s*{re.escape(spec.keys[0])}\s*{re.escape(spec.sign)}"
    return re.split(rf"{re.escape(spec.lines)}(?={first})", cell)


def _split(text: str, sign: str) -> list[str]:
    """At each ``sign`` that no backslash stands before, as SkyVerge's exports have it in names."""
    if "\\" not in text:
        return text.split(sign)
    return re.split(rf"(?<!\\){re.escape(sign)}", text)


def _bare(value: str, spec: _Spec) -> str:
    for sign in filter(None, (spec.sign, spec.between, spec.lines)):
        value = value.replace(f"\\{sign}", sign)
    return value


def _pairs_json(cell: str, spec: _Spec) -> str | None:
    try:
        lines = _cut(cell, spec)
        found = [_without_empty(_pairs(line, spec)) for line in lines if line.strip()]
    except ValueError:
        return None
    if any(_TWICE in line.values() for line in found):
        return None
    return json.dumps(found if spec.lines else found[0], ensure_ascii=False, separators=(",", ":"))


def _without_empty(found: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in found.items() if value}


def _member(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _text(value: Any) -> str | None:
    match value:
        case str() if value == _TWICE:
            raise ValueError
        case str():
            return value.strip() or None
        case bool():
            return "true" if value else "false"
        case None:
            return None
    return write_exact(value)
