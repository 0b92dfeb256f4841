"""rejects.csv, all rows of each rejected order, to be corrected and run as an export.

undecided.csv has the same form.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from backfill.planning.plan import RejectedRows
from backfill.running.own_file import private_file
from backfill.sources.export import Export
from backfill.sources.spreadsheets import REJECT_COLUMNS, escape_formulas


def write_rejects(path: Path, export: Export, rejected: Mapping[int, RejectedRows]) -> None:
    """Read the cells of rejected rows from the export. Only the owner can read the file.

    People open it in a spreadsheet, so it has no cell that would run as a formula.
    """
    own = [at for at, name in enumerate(export.columns) if name not in REJECT_COLUMNS]
    rejected_before = {name: at for at, name in enumerate(export.columns) if name in REJECT_COLUMNS}
    has_place = {"_file", "_row"} <= rejected_before.keys()
    with private_file(path) as file:
        # If lines end in a lone LF, the writer does not quote a cell that has a CR.
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(
            [*REJECT_COLUMNS, *(escape_formulas(export.columns[place]) for place in own)]
        )
        cells_of = export.rows({at: found.rows for at, found in rejected.items()})
        reasons = (why for at in sorted(rejected) for _, why in rejected[at])
        for (at, row, cells), why in zip(cells_of, reasons, strict=True):
            surplus = cells[len(export.columns) :]
            kept = [cells[place] for place in own]
            place = [export.files[at], str(row)]
            # A reject that is run again keeps its place in the original export.
            if has_place and cells[rejected_before["_file"]]:
                place = [cells[rejected_before[name]] for name in ("_file", "_row")]
            writer.writerow(map(escape_formulas, [why.reason, why.column, *place, *kept, *surplus]))
