"""What a notebook gets back: frames to work with, and itself as HTML to look at."""

import json
import weakref
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backfill.errors import BackfillError, UsageError
from backfill.event import IDENTIFIERS
from backfill.planning.judgement import Verdict
from backfill.planning.preview import PreviewedOrder
from backfill.report.html import preview_fragment, summary_fragment
from backfill.running.folder import RunFolder
from backfill.running.settings import RunResult
from backfill.sources.export import Export, open_export
from backfill.sources.spreadsheets import REJECT_COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from backfill.report.summary import Summary

_SHOWN_REJECTS: Final = 5
_NARROW: Final = ("metric", "time", "event_id", "value", "currency", *IDENTIFIERS, "file", "row")


class Preview:
    """The first orders of an export: source rows beside payloads, or beside the reason.

    In a notebook its HTML shows both. In its frames, a name that begins with ``_`` is ours, all
    others are the export's.
    """

    def __init__(
        self, orders: Sequence[PreviewedOrder], export: Export, used: frozenset[str]
    ) -> None:
        self._orders = tuple(orders)
        self._columns = export.columns
        self._files = export.files
        self._used = used
        self._cells = dict(_cells_of(export, orders))

    def __repr__(self) -> str:
        rejects = sum(order.reason is not None for order in self._orders)
        events = sum(len(order.payloads) for order in self._orders)
        return f"<preview of {len(self._orders)} orders: {events} events, {rejects} rejects>"

    def _repr_html_(self) -> str:
        return preview_fragment(self._orders, self._cells, self._columns, self._used)

    @property
    def orders(self) -> pd.DataFrame:
        """A row an order: where it begins, how many rows and events it has, why it is a reject."""
        return pd.DataFrame(
            [
                (o.file, o.row, len(o.rows), len(o.payloads), o.reason, o.column or None)
                for o in self._orders
            ],
            columns=["_file", "_row", "rows", "events", "reason", "column"],
        )

    @property
    def events(self) -> pd.DataFrame:
        """A row an event; ``payload`` is what is sent, with PUBKEY in place of the key."""
        rows = []
        for order in self._orders:
            for text in order.payloads:
                sent = json.loads(text)
                own = sent["properties"]
                time = pd.Timestamp(sent["time"], unit="s", tz="UTC")
                row = (sent["event"], time, own.get("$event_id"), own.get("$value"), sent)
                rows.append((order.file, order.row, *row))
        names = ["_file", "_row", "event", "time", "event_id", "value", "payload"]
        return pd.DataFrame(rows, columns=names)

    @property
    def rejects(self) -> pd.DataFrame:
        """The rows of rejected orders with all their cells, after the reason."""
        return self._source(order for order in self._orders if order.reason is not None)

    @property
    def rows(self) -> pd.DataFrame:
        """The source rows of all these orders, every cell as text."""
        return self._source(self._orders)

    def _source(self, orders: Any) -> pd.DataFrame:
        rows = []
        for order in orders:
            for file, row in order.rows:
                cells = self._cells[file, row][: len(self._columns)]
                rows.append((order.reason, order.column or None, self._files[file], row, *cells))
        return pd.DataFrame(rows, columns=[*REJECT_COLUMNS, *self._columns])


def _cells_of(
    export: Export, orders: Sequence[PreviewedOrder]
) -> Iterator[tuple[tuple[int, int], list[str]]]:
    wanted: dict[int, list[int]] = {}
    for order in orders:
        for file, row in order.rows:
            wanted.setdefault(file, []).append(row)
    for file, row, cells in export.rows({at: sorted(rows) for at, rows in wanted.items()}):
        yield (file, row), cells


class Report:
    """What a run did, or what a plan would do; the plan's files live as long as this does."""

    def __init__(
        self,
        result: RunResult,
        folder: RunFolder,
        files: Sequence[str],
        delivered: pa.Array | None = None,
    ) -> None:
        """``delivered``: the keys that a stopped run has delivered; None for any other run."""
        self.summary: Summary = result.summary
        """All counts; they add up."""
        self.error: BackfillError | None = result.error
        """Why the run ended early: a person stopped it, or it reached its limit."""
        self._plan = result.plan
        self._folder = folder
        self._files = tuple(files)
        self._delivered = delivered
        weakref.finalize(self, result.release_plan)

    def __repr__(self) -> str:
        done = self.summary
        return (
            f"<{done.state} run {done.run} of {done.schema}: {done.events} events, "
            f"{done.rejected} rejected orders>"
        )

    def _repr_html_(self) -> str:
        columns, rows = self._reject_rows()
        return summary_fragment(
            self.summary,
            trouble=str(self.error or ""),
            reject_columns=columns,
            reject_rows=[[cell or "" for cell in row] for row in islice(rows, _SHOWN_REJECTS)],
        )

    @property
    def events(self) -> pd.DataFrame:
        """A row an event of the plan, without its properties (``preview`` shows those).

        ``time`` is UTC, ``value`` a float; ``state`` is to send, already, delivered, refused or
        left; ``_file`` and ``_row`` say where its order begins.
        """
        tables = []
        for path, verdicts in zip(self._plan.parts, self._plan.judgement.verdicts, strict=True):
            table = pq.read_table(path, columns=["key", *_NARROW], pre_buffer=False)
            states = self._states(table["key"], verdicts)
            kept = pa.array(verdicts < Verdict.REPEAT)
            tables.append(table.drop_columns("key").append_column("state", states).filter(kept))
        whole = pa.concat_tables(tables).combine_chunks()
        columns = {
            "event": whole["metric"],
            "time": whole["time"].cast(pa.timestamp("s", "UTC")),
            "event_id": whole["event_id"],
            "value": whole["value"].cast(pa.float64()),
            **{name: whole[name] for name in ("currency", *IDENTIFIERS, "state")},
            "_file": pa.array(self._files).take(whole["file"].combine_chunks()),
            "_row": whole["row"],
        }
        frame: pd.DataFrame = pa.table(columns).to_pandas()
        return frame.sort_values(["_file", "_row", "event"], ignore_index=True, kind="stable")

    @property
    def orders(self) -> pd.DataFrame:
        """A row an order: where it begins, and its events or the reason why it is a reject."""
        by_order = self.events.groupby(["_file", "_row"])
        accepted = by_order.agg(events=("event", "size"), time=("time", "min")).reset_index()
        rejected = pd.DataFrame(
            [
                (self._files[file], row, 0, why.reason, why.column or None)
                for (file, row), why in self._plan.rejected_orders()
            ],
            columns=["_file", "_row", "events", "reason", "column"],
        )
        both = pd.concat([accepted, rejected], ignore_index=True)
        both = both.astype({"_file": "str", "events": "int64", "reason": "str", "column": "str"})
        return both.sort_values(["_file", "_row"], ignore_index=True)

    @property
    def rejects(self) -> pd.DataFrame:
        """rejects.csv: the rows of rejected orders, every cell as text, after the reason."""
        columns, rows = self._reject_rows()
        return pd.DataFrame(rows, columns=list(columns), dtype="str")

    @property
    def refusals(self) -> pd.DataFrame:
        """A row an event that Klaviyo refused, by the hash of its key."""
        lines = (
            self._folder.refusals.read_text("utf-8").splitlines() if self.summary.refused else []
        )
        names = ["key", "metric", "status", "code", "detail"]
        return pd.DataFrame([json.loads(line) for line in lines], columns=names)

    @property
    def months(self) -> pd.DataFrame:
        """Events by month (in UTC), a column a metric."""
        counted = [(found.month, found.metric, found.events) for found in self.summary.months]
        long = pd.DataFrame(counted, columns=["month", "event", "events"])
        return long.pivot_table(
            index="month", columns="event", values="events", fill_value=0, aggfunc="sum"
        )

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Events by month and metric as stacked bars. Raises UsageError without matplotlib."""
        try:
            # only the extra `notebook` installs it
            import matplotlib.pyplot as plt  # noqa: PLC0415
            from matplotlib.ticker import MaxNLocator  # noqa: PLC0415
        except ImportError as error:
            raise UsageError("matplotlib is missing: pip install 'backfill[notebook]'") from error
        ax = ax or plt.subplots(figsize=(9, 3.5))[1]
        months = self.months
        every = pd.period_range(months.index.min(), months.index.max(), freq="M").astype("str")
        floor = np.zeros(len(every))
        for metric, counts in months.reindex(every, fill_value=0).items():
            ax.bar(every, counts, bottom=floor, width=0.9, label=str(metric))
            floor = floor + counts.to_numpy()
        ax.set_ylabel("events")
        ax.set_title(f"{self.summary.schema}: events by month")
        ax.xaxis.set_major_locator(MaxNLocator(12, integer=True))
        plt.setp(ax.get_xticklabels(), rotation=45, ha="right")
        ax.legend(frameon=False)
        return ax

    def _states(self, keys: pa.ChunkedArray, verdicts: "npt.NDArray[np.uint8]") -> pa.Array:
        fresh = {"planned": "to send", "gated": "to send"}.get(self.summary.state, "delivered")
        states = np.full(len(keys), fresh, dtype=object)
        if self._delivered is not None:
            states[~pc.is_in(keys, self._delivered).to_numpy()] = "left"
        if self.summary.refused:
            refused = pa.array([bytes.fromhex(key) for key in self.refusals["key"]], pa.binary(16))
            states[pc.is_in(keys, refused).to_numpy()] = "refused"
        states[verdicts == Verdict.KNOWN] = "already"
        return pa.array(states, pa.string())

    def _reject_rows(self) -> tuple[Sequence[str], Iterator[tuple[str | None, ...]]]:
        """The header of rejects.csv, and its rows."""
        if not self.summary.rejected:
            return REJECT_COLUMNS, iter(())
        export = open_export([self._folder.rejects])
        batches = export.batches(range(len(export.columns)))
        cells = (
            [table[f"c{at}"].to_pylist() for at in range(len(export.columns))] for table in batches
        )
        return export.columns, (row for columns in cells for row in zip(*columns, strict=True))
