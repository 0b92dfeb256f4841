"""rejects.csv: all rows of each rejected order, ready to be mended and fed in again."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from backfill.plan import RejectedRows
from backfill.sources.export import Export
from backfill.state import private_file

MARKS: Final = ("_reason", "_column", "_file", "_row")
"""Stand in front of the export's own columns; a file that has them is read without them."""


def write_rejects(path: Path, export: Export, rejected: Mapping[int, RejectedRows]) -> None:
    """A second look at the export for the cells of rejected rows; the file is the owner's alone."""
    own = [place for place, name in enumerate(export.columns) if name not in MARKS]
    with private_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*MARKS, *(export.columns[place] for place in own)])
        cells_of = export.rows({at: found.rows for at, found in rejected.items()})
        reasons = (why for at in sorted(rejected) for _, why in rejected[at])
        for (at, row, cells), why in zip(cells_of, reasons, strict=True):
            surplus = cells[len(export.columns) :]
            kept = [cells[place] for place in own]
            writer.writerow([why.reason, why.column, export.files[at], row, *kept, *surplus])
