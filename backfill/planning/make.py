"""The folder where both halves meet: an export's events in Parquet, judged, and its rejects."""

import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backfill.event import EVENTS, PROFILE_FIELDS, SEPARATOR
from backfill.mapping.compile import compile_schema
from backfill.mapping.file_names import with_file_names
from backfill.mapping.mapper import MEMBERS, REJECTS, Counts, Mapped, Mapper
from backfill.mapping.program import Bounds
from backfill.planning.judge import (
    Judgement,
    Known,
    Profiles,
    Rejected,
    Verdict,
    judge,
    order_code,
    order_of,
)
from backfill.planning.oversized import rejecting, within_limits
from backfill.schema.bind import BoundSchema
from backfill.sources.export import Export
from backfill.sources.spill import buckets_for, spill
from backfill.wire.interface import Limits

WORKERS: Final = 2
"""DuckDB and Arrow work outside Python's lock; two threads keep two cores busy."""

ROW_GROUP: Final = 131_072

_REPEATED: Final = ("metric", "currency", *PROFILE_FIELDS, "file")
"""Columns of few values; a dictionary of what is never the same twice is built for nothing."""


Look: TypeAlias = Callable[[Sequence[pa.ChunkedArray]], None]
"""Sees the cells of consecutive rows, all columns of the export in their order."""


@dataclass(frozen=True, slots=True)
class Reject:
    """Why an order is rejected."""

    reason: str
    column: str


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """Rows of one file, ascending, and for each the place of its reason in ``reasons``."""

    rows: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int32]
    reasons: tuple[Reject, ...]

    def __iter__(self) -> Iterator[tuple[int, Reject]]:
        for row, code in zip(self.rows.tolist(), self.codes.tolist(), strict=True):
            yield row, self.reasons[code]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one run would do, on disk; ``judgement`` says what is sent."""

    folder: Path
    counts: Counts
    judgement: Judgement
    profiles: Profiles
    reasons: Mapping[str, int]
    """Rejected orders by reason."""

    @property
    def to_send(self) -> int:
        return self.judgement.events - self.judgement.already

    @property
    def parts(self) -> list[Path]:
        """The files of events, in the order of the verdicts."""
        return _parts(self.folder)

    def pending(self, limit: int | None = None) -> Iterator[pa.RecordBatch]:
        """The events to send, at most ``limit``, as ``event.EVENTS`` with two bools.

        ``carries``: with the person's attributes. ``noted``: the ledger keeps the person's time;
        where nobody's attributes may be written, all, so that no later run thinks them new.
        """
        left = self.to_send if limit is None else min(limit, self.to_send)
        for path, verdicts in zip(_parts(self.folder), self.judgement.verdicts, strict=True):
            start = 0
            for batch in pq.ParquetFile(path).iter_batches(8_192):
                if left <= 0:
                    return
                here = verdicts[start : start + batch.num_rows]
                start += batch.num_rows
                carries = here == Verdict.CARRY
                noted = carries | (self.profiles == "none")
                flags = {"carries": pa.array(carries), "noted": pa.array(noted)}
                for name, flag in flags.items():
                    batch = batch.append_column(name, flag)  # noqa: PLW2901
                wanted = batch.filter(pa.array(here <= Verdict.CARRY))
                wanted = wanted.slice(0, min(left, wanted.num_rows))
                left -= wanted.num_rows
                if wanted.num_rows:
                    yield wanted

    def rejected_orders(self) -> Iterator[tuple[tuple[int, int], Reject]]:
        """Each rejected order by file and row of its beginning."""
        for path in sorted(self.folder.glob("rejects-*.parquet")):
            for row in pq.read_table(path).to_pylist():
                at = (row["file"], row["row"])
                if at == (row["order_file"], row["order_row"]):
                    yield at, Reject(row["reason"], row["column"])
        for lost in self.judgement.rejected:
            for code in lost.orders.tolist():
                yield order_of(code), Reject(lost.reason, lost.column)

    def rejected_rows(self) -> dict[int, RejectedRows]:
        """For each file, the rows of rejected orders."""
        tables = [
            pq.read_table(path, columns=["file", "row", "reason", "column"])
            for path in sorted(self.folder.glob("rejects-*.parquet"))
        ]
        rows = pa.concat_tables([*tables, *map(self._rows_of, self.judgement.rejected)])
        why = pc.binary_join_element_wise(rows["reason"], rows["column"], SEPARATOR)
        coded = why.combine_chunks().dictionary_encode()
        reasons = tuple(Reject(*text.split(SEPARATOR, 1)) for text in coded.dictionary.to_pylist())
        files, places = rows["file"].to_numpy(), rows["row"].to_numpy()
        codes = coded.indices.to_numpy()
        found = {}
        for file in np.unique(files).tolist():
            here = np.flatnonzero(files == file)
            here = here[np.argsort(places[here])]
            found[file] = RejectedRows(places[here], codes[here], reasons)
        return found

    def _rows_of(self, lost: Rejected) -> pa.Table:
        """All rows of the orders that were judged to be rejects."""
        orders = [order_of(code) for code in lost.orders.tolist()]
        pairs = [np.array(orders, np.int64).reshape(-1, 2)]
        for path in sorted(self.folder.glob("members-*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches():
                file, row, order_file, order_row = (column.to_numpy() for column in batch.columns)
                codes = order_code(order_file.astype(np.int64), order_row)
                here = np.isin(codes, lost.orders)
                pairs.append(np.stack([file[here].astype(np.int64), row[here]], axis=1))
        rows = np.concatenate(pairs)
        return pa.table(
            {
                "file": pa.array(rows[:, 0].astype(np.int32)),
                "row": pa.array(rows[:, 1]),
                "reason": pa.repeat(lost.reason, len(rows)),
                "column": pa.repeat(lost.column, len(rows)),
            }
        )


def make_plan(
    bound: BoundSchema,
    export: Export,
    folder: Path,
    *,
    profiles: Profiles,
    bounds: Bounds,
    limits: Limits,
    known: Known,
    on_rows: Callable[[int], None] = lambda _: None,
    look: Look | None = None,
) -> Plan:
    """Read all of an export, map it, judge it; ``folder`` is made and left with the plan.

    ``look`` is given all cells of each batch, those that the schema does not use among them.
    Raises ExportError where the export cannot be read to its end.
    """
    folder.mkdir(mode=0o700, parents=True)
    making = _Making(bound, export, folder, profiles, bounds, limits, on_rows, look)
    outcomes = making.map_all()
    counts = sum((outcome.counts for outcome in outcomes), Counts())
    reasons = sum((outcome.reasons for outcome in outcomes), Counter[str]())
    on_rows(0)
    judgement = judge(
        _parts(folder),
        [outcome.events for outcome in outcomes],
        folder / "spill",
        profiles,
        known,
        shared_limit=bound.schema.source.shared_identity_limit,
    )
    plan = Plan(folder, counts, judgement, profiles, reasons)
    for lost in judgement.rejected:
        rows = plan._rows_of(lost).num_rows  # noqa: SLF001
        plan = replace(
            plan,
            counts=rejecting(plan.counts, len(lost.orders), rows),
            reasons=Counter(plan.reasons) + Counter({lost.reason: len(lost.orders)}),
        )
    _assert_adds_up(plan)
    return plan


def _assert_adds_up(plan: Plan) -> None:
    """Nothing may vanish between the export and the plan."""
    counts = plan.counts
    parts = counts.rows_accepted + counts.rows_rejected + counts.rows_left_out
    if counts.rows != parts or sum(plan.reasons.values()) != counts.orders_rejected:
        raise AssertionError(f"rows do not add up: {counts}, {dict(plan.reasons)}")


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("events-*.parquet"))


@dataclass(frozen=True, slots=True)
class _Outcome:
    counts: Counts
    reasons: Counter[str]
    events: int

    def __add__(self, other: "_Outcome") -> "_Outcome":
        return _Outcome(
            self.counts + other.counts, self.reasons + other.reasons, self.events + other.events
        )


class _Making:
    def __init__(
        self,
        bound: BoundSchema,
        export: Export,
        folder: Path,
        profiles: Profiles,
        bounds: Bounds,
        limits: Limits,
        on_rows: Callable[[int], None],
        look: Look | None,
    ) -> None:
        self.folder = folder
        self.limits = limits
        self.across_files = bound.schema.source.across_files
        self.carries = profiles != "none"
        self.on_rows = on_rows
        self.look = look
        self.program = compile_schema(bound, export.temporal, bounds, attributes=self.carries)
        self._export = export
        self._reading = threading.Lock()
        self._stopped = False

    def map_all(self) -> list[_Outcome]:
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
        used = self._export.batches(self.program.columns)
        batches = self._counted(used if self.look is None else self._looked_at(self.look))
        if not self.program.order:
            yield from batches
            return
        buckets = buckets_for(self._export.text_bytes)
        folder, cell = self.folder / "spill", self.program.cell
        yield from spill(batches, self.program.order, folder, buckets, cell=cell)

    def _looked_at(self, look: Look) -> Iterator[pa.Table]:
        """What the schema uses of batches that were shown whole."""
        used = self.program.columns
        others = [place for place in range(len(self._export.columns)) if place not in used]
        ats = {place: at for at, place in enumerate([*used, *others])}
        unseen = [f"c{len(used) + at}" for at in range(len(others))]
        for batch in self._export.batches(used, others):
            look([batch.column(ats[place]) for place in range(len(ats))])
            yield batch.drop_columns(unseen)

    def _counted(self, batches: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for batch in batches:
            if self._stopped:
                return
            self.on_rows(batch.num_rows)
            yield with_file_names(batch, self.program, self._export.files)

    def _next(self, slices: Iterator[pa.Table]) -> pa.Table | None:
        with self._reading:
            return None if self._stopped else next(slices, None)

    def _work(self, at: int, slices: Iterator[pa.Table]) -> _Outcome:
        outcome = _Outcome(Counts(), Counter(), 0)
        mapper = Mapper(self.program, self.across_files)
        try:
            with _Writer(self.folder, at) as writer:
                while (rows := self._next(slices)) is not None:
                    self.on_rows(0)  # whoever listens may stop it
                    outcome += self._written(mapper.map(rows), writer)
                    del rows  # else it stays while the next slice is read
        except BaseException:
            self._stopped = True
            raise
        finally:
            mapper.close()
        return outcome

    def _written(self, mapped: Mapped, writer: "_Writer") -> _Outcome:
        """One slice brought into the plan; its events are let go before the next is mapped."""
        mapped = within_limits(mapped, self.limits, carries=self.carries)
        writer.write(mapped)
        return _Outcome(mapped.counts, _orders_by_reason(mapped.rejects), mapped.events.num_rows)


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
