"""tqdm's bars for a run, on a terminal or in a notebook."""

import threading
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from backfill.delivery.delivery import Delivery
from backfill.report.summary import Summary
from backfill.running.settings import Confirm, Hooks


class Bars:
    """One bar while the export is read, one while events are sent; none where nobody looks."""

    def __init__(self, bar: type["tqdm[Any]"] = tqdm, **options: Any) -> None:
        """``bar``: tqdm's kind of bar, as for a notebook."""
        self._kind = bar
        self._options = {"disable": None, "dynamic_ncols": True, "leave": False, **options}
        self._lock = threading.Lock()
        self._bar = bar(desc="reading", unit=" rows", unit_scale=True, **self._options)
        self._done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._bar.close()

    def hooks(self, stop: threading.Event, confirm: Confirm) -> Hooks:
        return Hooks(self._rows, self._planned, self._sent, confirm, stop)

    def _rows(self, rows: int) -> None:
        with self._lock:
            self._bar.update(rows)

    def _planned(self, summary: Summary) -> None:
        self._bar.close()
        total = summary.left
        self._bar = self._kind(desc="sending", unit=" events", total=total, **self._options)

    def _sent(self, delivery: Delivery) -> None:
        done = delivery.delivered + delivery.refused
        self._bar.update(done - self._done)
        self._done = done
