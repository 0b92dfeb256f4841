"""Exports of people who do not exist, and what ``init`` makes of them."""

import csv
import re
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

from backfill.draft.draft import Draft, draft_schema
from backfill.errors import SchemaError
from backfill.schema.load import load_schema
from backfill.schema.model import Schema
from tests.platforms import events, mapped

TODAY: Final = date(2026, 11, 23)
Row = Sequence[object]


def person(number: int) -> str:
    return f"person{number % 7}@mail.example"


def csv_file(
    folder: Path,
    header: Row,
    rows: Iterable[Row],
    *,
    name: str = "export.csv",
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> Path:
    path = folder / name
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def drafted(*files: Path, timezone: str | None = None) -> Draft:
    return draft_schema([str(file) for file in files], today=TODAY, timezone=timezone)


def schema_of(draft: Draft) -> Schema:
    assert not draft.questions, draft.questions
    return load_schema(draft.text).schema


def problems_of(draft: Draft) -> list[str]:
    """What ``check`` says of the draft."""
    try:
        load_schema(draft.text)
    except SchemaError as error:
        return [str(problem) for problem in error.problems]
    return []


def evidence(draft: Draft, line: str) -> str:
    """The comment beside a line of the draft, or above it, as one line."""
    lines = draft.text.splitlines()
    at = next(at for at, text in enumerate(lines) if text.strip().startswith(line))
    beside = lines[at].partition("  # ")[2]
    above = []
    while not beside and at and re.match(" *# ", lines[at - 1]):
        at -= 1
        above.insert(0, lines[at].strip().removeprefix("# "))
    return beside or " ".join(above)


def ran(draft: Draft, files: Sequence[Path], state: Path) -> dict[str, Any]:
    """The whole export through the draft."""
    zone = None if "  timezone: " in draft.text.replace("# timezone: ", "") else "UTC"
    return mapped(draft.text, files, state, **({"timezone": zone} if zone else {}))


__all__ = [
    "TODAY",
    "csv_file",
    "drafted",
    "events",
    "evidence",
    "person",
    "problems_of",
    "ran",
    "schema_of",
]
