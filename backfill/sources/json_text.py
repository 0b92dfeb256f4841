"""Columns of lists and structs as JSON text, built from whole columns of their members."""

import json
from collections.abc import Callable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

_TEXT: Final = pa.string()

Written = Callable[[pa.Array], "pa.StringArray"]


def json_text(column: pa.Array, written: Written) -> "pa.StringArray":
    """One JSON text for each cell that is not null.

    Args:
        column: of lists, structs or maps, to any depth.
        written: a scalar column as text; numbers and booleans stand in JSON as they come.
    """
    kind = column.type
    if pa.types.is_map(kind):
        return _maps(column, written)
    if pa.types.is_struct(kind):
        return _structs(column, written)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(column, written)
    return pa.array(  # unions and list views: rare enough for a slow way
        [None if cell is None else _quoted(cell) for cell in column.to_pylist()], _TEXT
    )


def _member(column: pa.Array, written: Written) -> "pa.StringArray":
    """A column as it stands within JSON, with ``null`` where it has nothing."""
    kind = column.type
    texts = written(column)
    if _stands_quoted(kind):
        texts = _escaped(texts)
    elif pa.types.is_floating(kind):
        finite = pc.match_substring_regex(texts, "[0-9]")
        texts = pc.if_else(finite, texts, pc.binary_join_element_wise('"', texts, '"', ""))
    return pc.fill_null(texts, "null")


def _stands_quoted(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _stands_quoted(kind.value_type)
    bare = (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_nested(kind)
    )
    return not bare


def _escaped(texts: "pa.StringArray") -> "pa.StringArray":
    coded = texts.dictionary_encode()
    quoted = [_quoted(text) for text in coded.dictionary.to_pylist()]
    return pa.array(quoted, _TEXT).take(coded.indices)


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _lists(column: pa.Array, written: Written) -> "pa.StringArray":
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int64())
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends])
    members = pa.LargeListArray.from_arrays(offsets, _member(pc.list_flatten(column), written))
    joined = pc.binary_join_element_wise("[", pc.binary_join(members, ","), "]", "")
    return _null_as(column, joined)


def _structs(column: pa.Array, written: Written) -> "pa.StringArray":
    pieces: list[pa.Array | str] = []
    for place, member in enumerate(column.type):
        comma = "," if place else "{"
        pieces += [f"{comma}{_quoted(member.name)}:"]
        pieces += [_member(pc.struct_field(column, [place]), written)]
    if not pieces:
        return _null_as(column, pa.array(["{}"] * len(column), _TEXT))
    return _null_as(column, pc.binary_join_element_wise(*pieces, "}", ""))


def _maps(column: pa.Array, written: Written) -> "pa.StringArray":
    entries = column.cast(pa.list_(pa.struct([column.type.key_field, column.type.item_field])))
    pairs = pc.list_flatten(entries)
    keys = _escaped(written(pc.struct_field(pairs, [0])))
    values = _member(pc.struct_field(pairs, [1]), written)
    lengths = pc.fill_null(pc.list_value_length(entries), 0).cast(pa.int64())
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
    members = pa.LargeListArray.from_arrays(offsets, pc.binary_join_element_wise(keys, values, ":"))
    joined = pc.binary_join_element_wise("{", pc.binary_join(members, ","), "}", "")
    return _null_as(column, joined)


def _null_as(column: pa.Array, texts: "pa.StringArray") -> "pa.StringArray":
    return pc.if_else(column.is_valid(), texts, pa.scalar(None, _TEXT))
