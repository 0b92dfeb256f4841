"""Columns that the name of a row's file says."""

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
    """Raises UsageError for a file whose name does not say what the schema wants of it."""
    if bound.origin is not None:
        return  # rejects that are fed in again: each row names its own file
    rules = {name: made.rule for name, made in bound.derived.items() if isinstance(made, FileName)}
    for column, rule in rules.items():
        for file in files:
            if said(file, rule) is None:
                raise UsageError(
                    f'{file}: its name does not say the column "{column}"; rename the file, or '
                    "change file_name in the schema"
                )


def said(file: str, rule: Type | None) -> str | None:
    """What a file's name says, its folder left out; None where it says nothing."""
    name = _FOLDERS.sub("", file)
    how = None if rule is None else rule.file_name
    match how:
        case None:
            return name
        case str():
            found = re.search(how, name)
            return (found[found.re.groups] or None) if found else None
        case _:
            return dict(how).get(name)


def with_file_names(rows: pa.Table, program: Program, files: Sequence[str]) -> pa.Table:
    """``rows`` as an export gives them, with ``program.files`` behind their cells.

    A row of rejects that are fed in again stands for the file that it came from at first.
    """
    for column, rule in program.files:
        values = pa.array([said(file, rule) for file in files], pa.string())
        found = values.take(rows["_file"].combine_chunks())
        if program.origin is not None:
            coded = rows[program.origin].combine_chunks().dictionary_encode()
            told = [name and said(name, rule) for name in coded.dictionary.to_pylist()]
            first = pa.array(told, pa.string()).take(coded.indices)
            there = pc.fill_null(pc.not_equal(rows[program.origin], ""), fill_value=False)
            found = pc.if_else(there, first, found)
        rows = rows.append_column(column, found)
    return rows
