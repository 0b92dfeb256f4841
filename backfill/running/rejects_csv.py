"""rejects.csv: all rows of each rejected order, ready to be mended and fed in again."""

import csv
from collections.abc import Mapping
from pathlib import Path

from backfill.planning.plan import RejectedRows
from backfill.running.folder import private_file
from backfill.sources.export import Export
from backfill.sources.spreadsheets import REJECT_COLUMNS, escape_formulas


def write_rejects(path: Path, export: Export, rejected: Mapping[int, RejectedRows]) -> None:
    """A second look at the export for the cells of rejected rows; the file is the owner's alone.

    People open it in a spreadsheet, so no cell stands there that would run as a formula.
    """
    own = [at for at, name in enumerate(export.columns) if name not in REJECT_COLUMNS]
    marked = {name: at for at, name in enumerate(export.columns) if name in REJECT_COLUMNS}
    again = {"_file", "_row"} <= marked.keys()
    with private_file(path) as file:
        # with an LF alone at its line ends, the writer leaves a cell with a CR without quotes
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(
            [*REJECT_COLUMNS, *(escape_formulas(export.columns[place]) for place in own)]
        )
        cells_of = export.rows({at: found.rows for at, found in rejected.items()})
        reasons = (why for at in sorted(rejected) for _, why in rejected[at])
        for (at, row, cells), why in zip(cells_of, reasons, strict=True):
            surplus = cells[len(export.columns) :]
            kept = [cells[place] for place in own]
            # a reject that is fed in again keeps the place where it stood at first
            place = [cells[marked["_file"]], cells[marked["_row"]]] if again else ["", ""]
            place = place if place[0] else [export.files[at], str(row)]
            writer.writerow(map(escape_formulas, [why.reason, why.column, *place, *kept, *surplus]))
