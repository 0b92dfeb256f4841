"""Columns made of the name of a row's file."""

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from backfill.errors import UsageError
from backfill.mapping.program import Program
from backfill.schema.bind import BoundSchema
from backfill.schema.columns import FileName
from backfill.schema.types import Type

_FOLDERS: Final = re.compile(r".*[/\\]")


def check_file_names(bound: BoundSchema, files: Sequence[str]) -> None:
    """Check that each file's name gives each column that the schema makes of it.

    Raises:
        UsageError: the name of a file does not.
    """
    if bound.origin is not None:
        return  # an export of rejects: each row names its own file
    columns = {name: one.rule for name, one in bound.derived.items() if isinstance(one, FileName)}
    for column, rule in columns.items():
        for file in files:
            if file_name_value(file, rule) is None:
                raise UsageError(
                    f'{file}: its name does not give the column "{column}"; rename the file, or '
                    "change file_name in the schema"
                )


def file_name_value(file: str, rule: Type | None) -> str | None:
    """The value of a column made of a file's name, without its folder.

    Args:
        file: the file's path.
        rule: a type with ``file_name``; None gives the name itself.

    Returns:
        None where the rule has no value for this name.
    """
    name = _FOLDERS.sub("", file)
    match None if rule is None else rule.file_name:
        case None:
            return name
        case str(pattern):
            found = re.search(pattern, name)
            return (found[found.re.groups] or None) if found else None
        case values:
            return dict(values).get(name)


def with_file_names(rows: pa.Table, program: Program, files: Sequence[str]) -> pa.Table:
    """``rows`` as an export gives them, with the columns of ``program.file_names``.

    A row of an export of rejects has the values of the file that it came from at first.
    """
    for column, rule in program.file_names:
        values = pa.array([file_name_value(file, rule) for file in files], pa.string())
        found = values.take(rows["_file"].combine_chunks())
        if program.origin is not None:
            coded = rows[program.origin].combine_chunks().dictionary_encode()
            named = [name and file_name_value(name, rule) for name in coded.dictionary.to_pylist()]
            original = pa.array(named, pa.string()).take(coded.indices)
            has_origin = pc.fill_null(pc.not_equal(rows[program.origin], ""), fill_value=False)
            found = pc.if_else(has_origin, original, found)
        rows = rows.append_column(column, found)
    return rows
