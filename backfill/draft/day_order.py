"""Which order of day and month the cells of a platform's export prove, and the question if none."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Final

from backfill.draft.formats import in_words
from backfill.draft.profile import text_stream
from backfill.draft.yaml import QUESTION, wrapped
from backfill.schema.document import read_document
from backfill.schema.types import swap_day_and_month
from backfill.sources.export import Export

_KINDS: Final = ("time", "date")


def days_settled(body: str, export: Export) -> tuple[str, str]:
    """A schema's text with the order of day and month that the export proves, and one that asks.

    The two are the same where the cells prove one order. All cells of a column count, also those of
    rows that make no event; columns that are written one way prove it for each other.

    Args:
        body: the text of a shipped schema. Its typed columns are those of which a shop's settings
            decide the order; a form inside an event is the platform's own.
        export: read once where the schema has such a column.

    Raises ExportError.
    """
    forms = {name: form for name, form in _open_forms(body) if name in export.columns}
    text = asked = body
    for form in dict.fromkeys(forms.values()):
        rival = swap_day_and_month(form) or form
        names = [name for name, its in forms.items() if its in (form, rival)]
        kept, swapped = _proofs(export, names, form, rival)
        if kept and not swapped:
            continue
        if swapped and not kept:
            comment = f"{swapped} proves {in_words(rival)}"
            text, asked = (_written(old, names, form, rival, comment) for old in (text, asked))
            continue
        comment = f"OPEN: which is it, {in_words(form)} or {in_words(rival)}? " + (
            f"{kept} fits only the first, {swapped} only the second"
            if kept
            else "each cell fits both"
        )
        asked = _written(asked, names, form, QUESTION, comment)
    return text, asked


def _open_forms(body: str) -> Iterator[tuple[str, str]]:
    """The schema's columns of numbered days and months, each with its form."""
    values = read_document(body, "schema").values
    columns = values.get("columns") if isinstance(values, dict) else None
    for name, kind in columns.items() if isinstance(columns, dict) else ():
        for form in kind.values() if isinstance(kind, dict) and set(kind) & {*_KINDS} else ():
            if isinstance(form, str) and swap_day_and_month(form):
                yield str(name), form


def _proofs(export: Export, names: list[str], form: str, rival: str) -> tuple[str, str]:
    """A cell that fits the form alone, and one that fits the rival alone; empty where none does."""
    kept = swapped = ""
    for batch in text_stream(export, [export.columns.index(name) for name in names]):
        for at in range(len(names)):
            for cell in batch.column(at).unique().to_pylist():
                fits, turned = _fits(cell, form), _fits(cell, rival)
                kept = kept or (cell if fits and not turned else "")
                swapped = swapped or (cell if turned and not fits else "")
        if kept and swapped:
            break
    return kept, swapped


def _fits(cell: str | None, form: str) -> bool:
    with suppress(ValueError):
        return bool(cell) and datetime.strptime(str(cell), form) is not None  # noqa: DTZ007
    return False


def _written(body: str, names: list[str], form: str, answer: str, comment: str) -> str:
    """The text with ``answer`` in place of ``form`` for these columns, and why above the first."""
    places, lines = read_document(body, "schema").lines, body.splitlines(keepends=True)
    at = sorted(places["columns", name] - 1 for name in names)
    for line in at:
        lines[line] = lines[line].replace(f'"{form}"', f'"{answer}"')
    lines[at[0] : at[0]] = [f"  # {line}\n" for line in wrapped(comment, indent=2)]
    return "".join(lines)
