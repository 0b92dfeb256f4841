"""Maps an export's rows into the files of a plan, with two workers."""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backfill.engine.query_limits import bounded
from backfill.event import EVENTS, PROFILE_FIELDS
from backfill.mapping.file_names import with_file_names
from backfill.mapping.mapper import MEMBERS, REJECTS, Counts, Mapped, Mapper
from backfill.mapping.program import Program
from backfill.mapping.refund_sums import RefundSums
from backfill.mapping.repeated_orders import AcrossFiles
from backfill.planning.oversized import reject_oversized
from backfill.sources.export import Export
from backfill.sources.spill import buckets_for, spill
from backfill.wire.interface import Limits

WORKERS: Final = 2
"""DuckDB and Arrow release Python's lock while they work, so two threads keep two cores busy."""

ROW_GROUP: Final = 131_072

_FEW_VALUES: Final = ("metric", "currency", *PROFILE_FIELDS, "file")
"""The columns that get a dictionary in Parquet: their values repeat."""

CellsListener: TypeAlias = Callable[[Sequence[pa.ChunkedArray]], None]
"""Called with the cells of consecutive rows: all columns of the export, in their order."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one worker mapped."""

    counts: Counts
    reasons: Counter[str]
    """Rejected orders by reason."""
    events: int

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.counts + other.counts, self.reasons + other.reasons, self.events + other.events
        )


@dataclass(slots=True, kw_only=True)
class ExportMapper:
    """Maps all of an export into a plan's folder; ``make_plan`` says what the arguments mean."""

    program: Program
    export: Export
    folder: Path
    limits: Limits
    across_files: AcrossFiles | None
    attributes: bool
    """Can an event carry its person's attributes?"""
    on_rows: Callable[[int], None]
    on_cells: CellsListener | None
    sums: RefundSums
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def map_all(self) -> list[Outcome]:
        """What each worker mapped, in the order of the plan's files.

        Raises:
            ExportError: the export cannot be read to its end.
            SchemaError: the schema's SQL takes too much memory or time.
        """
        slices = self._slices()
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="backfill-map") as threads:
            tasks = [threads.submit(self._map_slices, at, slices) for at in range(WORKERS)]
            try:
                return [task.result() for task in tasks]
            finally:
                self._stopped = True
                for task in tasks:
                    task.exception()
                slices.close()

    def _slices(self) -> Generator[pa.Table]:
        """Tables of whole orders."""
        batches = self._batches()
        if not self.program.order:
            yield from batches
            return
        buckets = buckets_for(self.export.text_bytes)
        cell = self.program.cell
        yield from spill(batches, self.program.order, self.folder / "spill", buckets, cell=cell)

    def _batches(self) -> Iterator[pa.Table]:
        used = self.program.columns
        listener = self.on_cells
        batches = self.export.batches(used) if listener is None else self._with_listener(listener)
        for batch in batches:
            if self._stopped:
                return
            self.on_rows(batch.num_rows)
            yield with_file_names(batch, self.program, self.export.files)

    def _with_listener(self, listener: CellsListener) -> Iterator[pa.Table]:
        """Batches of the columns that the schema uses, after the listener has all columns."""
        used = self.program.columns
        others = [place for place in range(len(self.export.columns)) if place not in used]
        ats = {place: at for at, place in enumerate([*used, *others])}
        unused = [f"c{len(used) + at}" for at in range(len(others))]
        for batch in self.export.batches(used, others):
            listener([batch.column(ats[place]) for place in range(len(ats))])
            yield batch.drop_columns(unused)

    def _next(self, slices: Iterator[pa.Table]) -> pa.Table | None:
        with self._reading:
            return None if self._stopped else next(slices, None)

    def _map_slices(self, worker: int, slices: Iterator[pa.Table]) -> Outcome:
        outcome = Outcome(Counts(), Counter(), 0)
        mapper = Mapper(self.program, self.across_files, self.sums)
        try:
            with _Writer(self.folder, worker) as writer:
                while (rows := self._next(slices)) is not None:
                    self.on_rows(0)  # it may stop the plan
                    outcome += self._write(map_slice(mapper, rows), writer)
                    del rows  # the table would stay while the next slice is read
        except BaseException:
            self._stopped = True
            raise
        finally:
            mapper.close()
        return outcome

    def _write(self, mapped: Mapped, writer: "_Writer") -> Outcome:
        """Write one slice into the plan; its events are freed before the next one is mapped."""
        mapped = reject_oversized(mapped, self.limits, attributes=self.attributes)
        writer.write(mapped)
        return Outcome(mapped.counts, _orders_by_reason(mapped.rejects), mapped.events.num_rows)


def map_slice(mapper: Mapper, rows: pa.Table) -> Mapped:
    """Map one slice in bounded memory and time. Raises SchemaError where it takes too much."""
    with bounded(mapper.connection, mapper.program.place):
        return mapper.map(rows)


def _orders_by_reason(rejects: pa.Table) -> Counter[str]:
    is_first_row = np.logical_and(
        rejects["file"].to_numpy() == rejects["order_file"].to_numpy(),
        rejects["row"].to_numpy() == rejects["order_row"].to_numpy(),
    )
    return Counter(rejects["reason"].filter(pa.array(is_first_row)).to_pylist())


class _Writer:
    """Writes one worker's files of the plan."""

    def __init__(self, folder: Path, worker: int) -> None:
        for name in ("events", "rejects", "members", "undecided"):
            (folder / f"{name}-{worker}.parquet").touch(mode=0o600)  # before a byte is in it
        self._events = pq.ParquetWriter(
            folder / f"events-{worker}.parquet",
            EVENTS,
            compression="lz4",
            use_dictionary=list(_FEW_VALUES),
            write_statistics=False,
        )
        self._rejects = pq.ParquetWriter(folder / f"rejects-{worker}.parquet", REJECTS)
        self._members = pq.ParquetWriter(folder / f"members-{worker}.parquet", MEMBERS)
        self._undecided = pq.ParquetWriter(folder / f"undecided-{worker}.parquet", REJECTS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in (self._events, self._rejects, self._members, self._undecided):
            writer.close()

    def write(self, mapped: Mapped) -> None:
        if mapped.events.num_rows:
            self._events.write_table(mapped.events.cast(EVENTS), ROW_GROUP)
        if mapped.rejects.num_rows:
            self._rejects.write_table(mapped.rejects)
        if mapped.members.num_rows:
            self._members.write_table(mapped.members)
        if mapped.undecided.num_rows:
            self._undecided.write_table(mapped.undecided)
