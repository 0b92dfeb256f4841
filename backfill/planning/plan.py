"""A plan on disk: an export's events and rejects in Parquet, and the judgement of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backfill.event import EVENTS, SEPARATOR
from backfill.mapping.mapper import Counts
from backfill.planning.judgement import (
    Judgement,
    Orders,
    Profiles,
    Rejected,
    Verdict,
    order_code,
    order_of,
)

TO_SEND: Final = frozenset({Verdict.SEND, Verdict.CARRY})

_BATCH_ROWS: Final = 8_192


@dataclass(frozen=True, slots=True)
class Reject:
    """Why an order is rejected."""

    reason: str
    column: str


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """The rejected rows of one file."""

    rows: npt.NDArray[np.int64]
    """The rows' numbers, ascending."""
    codes: npt.NDArray[np.int32]
    """The place of each row's reason in ``reasons``."""
    reasons: tuple[Reject, ...]

    def __iter__(self) -> Iterator[tuple[int, Reject]]:
        for row, code in zip(self.rows.tolist(), self.codes.tolist(), strict=True):
            yield row, self.reasons[code]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All events that a run would send, on disk, and all rejects."""

    folder: Path
    """The Parquet files: events, rejects and members, numbered by worker."""
    counts: Counts
    """What became of the export's rows and orders, judged ones among them."""
    judgement: Judgement
    """The verdict on each event, and the sums."""
    profiles: Profiles
    reasons: Mapping[str, int]
    """Rejected orders by reason."""
    equal_rows: int = 0
    """Orders with rows that are equal in every column, if they are too many for a chance."""
    last_lines_end: bool | None = None
    """Does every CSV file end its last line? None where the export has no CSV file with rows."""

    @property
    def to_send(self) -> int:
        """The number of events that are to be sent."""
        return self.judgement.events - self.judgement.already

    @property
    def parts(self) -> list[Path]:
        """The files of events, in the order of the judgement's verdicts."""
        return files_of_events(self.folder)

    def events(
        self,
        verdicts: Collection[Verdict] = TO_SEND,
        columns: Sequence[str] = EVENTS.names,
        *,
        batch_rows: int = _BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """The plan's events that have one of these verdicts.

        Args:
            verdicts: the verdicts; by default those of events that are sent.
            columns: the columns of ``event.EVENTS`` to read.
            batch_rows: the number of rows that are read at once.

        Returns:
            Batches of the columns, then ``part`` (int32, the number of the file), ``n`` (int64, the
            event's place in it) and ``carries`` (bool, does it carry its person's attributes?).
        """
        wanted = list(verdicts)
        for part, (path, judged) in enumerate(
            zip(self.parts, self.judgement.verdicts, strict=True)
        ):
            start = 0
            for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(
                batch_rows, columns=list(columns)
            ):
                here = judged[start : start + batch.num_rows]
                added = {
                    "part": pa.repeat(pa.scalar(part, pa.int32()), batch.num_rows),
                    "n": pa.array(np.arange(start, start + batch.num_rows)),
                    "carries": pa.array(here == Verdict.CARRY),
                }
                start += batch.num_rows
                for name, values in added.items():
                    batch = batch.append_column(name, values)  # noqa: PLW2901
                found = batch.filter(pa.array(np.isin(here, wanted)))
                if found.num_rows:
                    yield found

    def pending(self, limit: int | None = None) -> Iterator[pa.RecordBatch]:
        """The events that are to be sent.

        Args:
            limit: at most so many; None gives all.

        Returns:
            Batches of ``event.EVENTS`` with two bools. ``carries``: does the event carry its
            person's attributes? ``noted``: does the ledger keep the event's time for the person?
            With ``profiles: none`` it keeps all of them, so that no later run takes them for new.
        """
        left = self.to_send if limit is None else min(limit, self.to_send)
        for batch in self.events():
            if left <= 0:
                return
            sent = batch.slice(0, left).drop_columns(["part", "n"])
            left -= sent.num_rows
            noted = sent["carries"]
            if self.profiles == "none":
                noted = pa.repeat(pa.scalar(value=True), sent.num_rows)
            yield sent.append_column("noted", noted)

    def rejected_orders(self) -> Iterator[tuple[tuple[int, int], Reject]]:
        """The rejected orders, each with the file and the row where it begins."""
        for path in self.reject_files:
            for row in pq.read_table(path, pre_buffer=False).to_pylist():
                at = (row["file"], row["row"])
                if at == (row["order_file"], row["order_row"]):
                    yield at, Reject(row["reason"], row["column"])
        for rejected in self.judgement.rejected:
            for code in rejected.orders.tolist():
                yield order_of(code), Reject(rejected.reason, rejected.column)

    def rejected_rows(self) -> dict[int, RejectedRows]:
        """The rows of rejected orders, by the number of their file."""
        tables = [
            pq.read_table(path, columns=["file", "row", "reason", "column"], pre_buffer=False)
            for path in self.reject_files
        ]
        tables += [_judged_rows(self.folder, rejected) for rejected in self.judgement.rejected]
        return _by_file(pa.concat_tables(tables))

    def undecided_rows(self) -> dict[int, RejectedRows]:
        """The rows of orders left out because an empty cell leaves a ``where`` unknown, by file."""
        paths = sorted(self.folder.glob("undecided-*.parquet"))
        return _by_file(pa.concat_tables([pq.read_table(path, pre_buffer=False) for path in paths]))

    @property
    def reject_files(self) -> list[Path]:
        """The files of orders that were rejected when they were mapped, ``mapper.REJECTS``."""
        return sorted(self.folder.glob("rejects-*.parquet"))


def _by_file(rows: pa.Table) -> dict[int, RejectedRows]:
    """Rows with reason and column, by the number of their file."""
    texts = pc.binary_join_element_wise(rows["reason"], rows["column"], SEPARATOR)
    coded = texts.combine_chunks().dictionary_encode()
    reasons = tuple(Reject(*text.split(SEPARATOR, 1)) for text in coded.dictionary.to_pylist())
    files, places = rows["file"].to_numpy(), rows["row"].to_numpy()
    codes = coded.indices.to_numpy()
    found = {}
    for file in np.unique(files).tolist():
        here = np.flatnonzero(files == file)
        here = here[np.argsort(places[here])]
        found[file] = RejectedRows(places[here], codes[here], reasons)
    return found


def files_of_events(folder: Path) -> list[Path]:
    """The Parquet files of a plan's events, in their order."""
    return sorted(folder.glob("events-*.parquet"))


def rows_of_orders(folder: Path, orders: Orders) -> npt.NDArray[np.int64]:
    """All rows of orders that were accepted when they were mapped, as pairs of file and row."""
    pairs = [np.stack(order_of(orders), axis=1)]
    for path in sorted(folder.glob("members-*.parquet")):
        for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches():
            file, row, order_file, order_row = (column.to_numpy() for column in batch.columns)
            here = np.isin(order_code(order_file.astype(np.int64), order_row), orders)
            pairs.append(np.stack([file[here].astype(np.int64), row[here]], axis=1))
    return np.concatenate(pairs)


def _judged_rows(folder: Path, rejected: Rejected) -> pa.Table:
    """All rows of orders that the judgement rejects."""
    rows = rows_of_orders(folder, rejected.orders)
    return pa.table(
        {
            "file": pa.array(rows[:, 0].astype(np.int32)),
            "row": pa.array(rows[:, 1]),
            "reason": pa.repeat(rejected.reason, len(rows)),
            "column": pa.repeat(rejected.column, len(rows)),
        }
    )
