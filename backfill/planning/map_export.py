"""An export's rows mapped into the files of a plan, by two workers."""

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

from backfill.engine.bounded import bounded
from backfill.event import EVENTS, PROFILE_FIELDS
from backfill.mapping.duplicates import AcrossFiles
from backfill.mapping.file_names import with_file_names
from backfill.mapping.mapper import MEMBERS, REJECTS, Counts, Mapped, Mapper
from backfill.mapping.program import Program
from backfill.planning.oversized import within_limits
from backfill.sources.export import Export
from backfill.sources.spill import buckets_for, spill
from backfill.wire.interface import Limits

WORKERS: Final = 2
"""DuckDB and Arrow work outside Python's lock; two threads keep two cores busy."""

ROW_GROUP: Final = 131_072

_REPEATED: Final = ("metric", "currency", *PROFILE_FIELDS, "file")
"""Columns of few values. A dictionary of values that never repeat would be built for nothing."""

Look: TypeAlias = Callable[[Sequence[pa.ChunkedArray]], None]
"""Sees the cells of consecutive rows, all columns of the export in their order."""


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
    """Maps all of an export into a plan's folder."""

    program: Program
    export: Export
    folder: Path
    limits: Limits
    across_files: AcrossFiles | None
    carries: bool
    """May an event carry its person's attributes?"""
    on_rows: Callable[[int], None]
    """Told how many rows were read; what it raises stops the mapping."""
    look: Look | None
    """Sees all cells, also those that the schema does not use."""
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def map_all(self) -> list[Outcome]:
        """What each worker mapped, in the order of the plan's files. Raises ExportError."""
        slices = self._slices()
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="backfill-map") as threads:
            tasks = [threads.submit(self._work, at, slices) for at in range(WORKERS)]
            try:
                return [task.result() for task in tasks]
            finally:
                self._stopped = True
                for task in tasks:
                    task.exception()
                slices.close()

    def _slices(self) -> Generator[pa.Table]:
        used = self.export.batches(self.program.columns)
        batches = self._counted(used if self.look is None else self._looked_at(self.look))
        if not self.program.order:
            yield from batches
            return
        buckets = buckets_for(self.export.text_bytes)
        cell = self.program.cell
        yield from spill(batches, self.program.order, self.folder / "spill", buckets, cell=cell)

    def _looked_at(self, look: Look) -> Iterator[pa.Table]:
        """What the schema uses of batches that were shown whole."""
        used = self.program.columns
        others = [place for place in range(len(self.export.columns)) if place not in used]
        ats = {place: at for at, place in enumerate([*used, *others])}
        unseen = [f"c{len(used) + at}" for at in range(len(others))]
        for batch in self.export.batches(used, others):
            look([batch.column(ats[place]) for place in range(len(ats))])
            yield batch.drop_columns(unseen)

    def _counted(self, batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for batch in batches:
            if self._stopped:
                return
            self.on_rows(batch.num_rows)
            yield with_file_names(batch, self.program, self.export.files)

    def _next(self, slices: Iterator[pa.Table]) -> pa.Table | None:
        with self._reading:
            return None if self._stopped else next(slices, None)

    def _work(self, at: int, slices: Iterator[pa.Table]) -> Outcome:
        outcome = Outcome(Counts(), Counter(), 0)
        mapper = Mapper(self.program, self.across_files)
        try:
            with _Writer(self.folder, at) as writer:
                while (rows := self._next(slices)) is not None:
                    self.on_rows(0)  # whoever listens may stop it
                    outcome += self._written(map_slice(mapper, rows), writer)
                    del rows  # else it stays while the next slice is read
        except BaseException:
            self._stopped = True
            raise
        finally:
            mapper.close()
        return outcome

    def _written(self, mapped: Mapped, writer: "_Writer") -> Outcome:
        """Write one slice into the plan; its events are freed before the next is mapped."""
        mapped = within_limits(mapped, self.limits, carries=self.carries)
        writer.write(mapped)
        return Outcome(mapped.counts, _orders_by_reason(mapped.rejects), mapped.events.num_rows)


def map_slice(mapper: Mapper, rows: pa.Table) -> Mapped:
    """One slice mapped, in bounded memory and time. Raises SchemaError where it takes too much."""
    with bounded(mapper.connection, mapper.program.place):
        return mapper.map(rows)


def _orders_by_reason(rejects: pa.Table) -> Counter[str]:
    same_row = np.logical_and(
        rejects["file"].to_numpy() == rejects["order_file"].to_numpy(),
        rejects["row"].to_numpy() == rejects["order_row"].to_numpy(),
    )
    return Counter(rejects["reason"].filter(pa.array(same_row)).to_pylist())


class _Writer:
    """One worker's files of the plan."""

    def __init__(self, folder: Path, at: int) -> None:
        for what in ("events", "rejects", "members"):
            (folder / f"{what}-{at}.parquet").touch(mode=0o600)  # before a byte is in it
        self._events = pq.ParquetWriter(
            folder / f"events-{at}.parquet",
            EVENTS,
            compression="lz4",
            use_dictionary=list(_REPEATED),
            write_statistics=False,
        )
        self._rejects = pq.ParquetWriter(folder / f"rejects-{at}.parquet", REJECTS)
        self._members = pq.ParquetWriter(folder / f"members-{at}.parquet", MEMBERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for writer in (self._events, self._rejects, self._members):
            writer.close()

    def write(self, mapped: Mapped) -> None:
        if mapped.events.num_rows:
            self._events.write_table(mapped.events.cast(EVENTS), ROW_GROUP)
        if mapped.rejects.num_rows:
            self._rejects.write_table(mapped.rejects)
        if mapped.members.num_rows:
            self._members.write_table(mapped.members)
