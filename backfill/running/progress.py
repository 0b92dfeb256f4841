"""tqdm's bars for a run, on a terminal or in a notebook."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from backfill.delivery.delivery import Delivery
from backfill.report.summary import Summary
from backfill.running.settings import Confirm, Hooks


class _Bar(tqdm):  # type: ignore[misc]
    monitor_interval = 0
    """No thread that watches for bars that stand still."""


class Bars:
    """A bar while the export is read, and one while events are sent; none without a terminal.

    A bar that cannot be drawn stops no run.
    """

    def __init__(self, bar: type["tqdm[Any]"] = _Bar, **options: Any) -> None:
        """``bar`` is a class of tqdm, and ``options`` are its arguments."""
        self._kind = bar
        self._options = {"disable": None, "dynamic_ncols": True, "leave": False, **options}
        self._lock = threading.Lock()
        self._bar = bar(desc="reading", unit=" rows", unit_scale=True, **self._options)
        self._done = 0

    def close(self) -> None:
        with self._drawn():
            self._bar.close()

    def hooks(self, stop: threading.Event, confirm: Confirm, echo: Callable[[str], None]) -> Hooks:
        """What a run calls.

        Args:
            stop: ends the run.
            confirm: asks the person.
            echo: shows a line to the person.
        """

        def tell(line: str) -> None:
            with self._lock, self._drawn():
                self._bar.clear()
            echo(line)

        return Hooks(
            on_rows=self._rows,
            on_plan=self._planned,
            on_progress=self._sent,
            confirm=confirm,
            tell=tell,
            stop=stop,
        )

    def _rows(self, rows: int) -> None:
        with self._lock, self._drawn():
            self._bar.update(rows)

    def _planned(self, summary: Summary) -> None:
        self.close()
        total = summary.left
        with self._drawn():
            self._bar = self._kind(desc="sending", unit=" events", total=total, **self._options)

    def _sent(self, delivery: Delivery) -> None:
        done = delivery.delivered + delivery.refused
        with self._drawn():
            self._bar.update(done - self._done)
        self._done = done

    @contextmanager
    def _drawn(self) -> Iterator[None]:
        """A full disk, a closed stream, or a notebook that went away, is the bar's end."""
        try:
            yield
        except (OSError, ValueError, RuntimeError):
            self._bar.disable = True
