"""Compares the events that the ledger has as delivered with those that Klaviyo has.

Sums come first: a query for each metric and year gives count and value of every day. Only where a
day's sums differ are its ids read, event by event, and compared with those of the ledger
(``delivered_ids``). So a whole account costs a few requests, and a missing event is named.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final

from backfill.account.aggregates import DAY, Span, Tally, events_of, spans, tallies
from backfill.account.delivered_ids import Fate, Ids, Sum
from backfill.account.metrics import MetricStatus, metric_status, metrics_of
from backfill.account.reader import Reader
from backfill.account.visibility import Visibility, wait_until_visible
from backfill.errors import ScopeError
from backfill.ledger.ledger import Ledger
from backfill.planning.plan import Plan

HALF_A_CENT: Final = Decimal("0.005")
"""Ours: Klaviyo adds floats, so its sum may be off by up to this for each event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One metric's day of UTC: ``delivered`` = ``found`` + ``not_visible`` + ``missing``."""

    metric: str
    day: date
    delivered: int
    found: int
    not_visible: int
    """Not found, and acknowledged less than the visibility delay ago."""
    elsewhere: int
    """Of ``found``: those that Klaviyo has under another day."""
    unexpected: int
    """What Klaviyo has on this day and the ledger does not know: usually the shop's own."""
    value: str
    """The exact sum of what was delivered, by earlier runs too."""
    value_there: str
    """Klaviyo's sum."""
    values_differ: bool
    """The ids are those that were delivered, and their values are not."""
    places: tuple[tuple[int, int], ...] = ()
    """File and row where the orders of missing events begin, the first ``PLACES`` of them."""

    @property
    def missing(self) -> int:
        return self.delivered - self.found - self.not_visible

    @property
    def is_whole(self) -> bool:
        odd = self.not_visible, self.missing, self.elsewhere, self.unexpected, self.values_differ
        return not any(odd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Every day that delivered events have, and what Klaviyo has of it."""

    days: tuple[Day, ...]
    """By metric and day."""
    metrics: tuple[MetricStatus, ...]
    files: tuple[str, ...]
    """Of the export, as ``Day.places`` counts them."""
    not_sent: int
    """Events of the export that the ledger does not know: the next run sends them."""
    not_in_export: int
    """Events of the ledger that this export does not have: nobody looked for them."""
    delay_s: float
    """How long Klaviyo may hide an event that it acknowledged."""
    by_count: bool = False
    """The key may not read events, so days that differ were compared by their counts alone."""
    struck: int = 0
    """Missing events that were taken out of the ledger, so that the next run sends them."""

    @property
    def delivered(self) -> int:
        return sum(day.delivered for day in self.days)

    @property
    def found(self) -> int:
        return sum(day.found for day in self.days)

    @property
    def not_visible(self) -> int:
        return sum(day.not_visible for day in self.days)

    @property
    def missing(self) -> int:
        return sum(day.missing for day in self.days)

    @property
    def unexpected(self) -> int:
        return sum(day.unexpected for day in self.days)


def verify(
    plan: Plan,
    reader: Reader,
    ledger: Ledger,
    *,
    files: Sequence[str],
    visibility: Visibility = Visibility(),  # noqa: B008 - frozen
    run_id: str | None = None,
    resend: bool = False,
    on_events: Callable[[int], None] = lambda _: None,
) -> Verified:
    """Compare the delivered events of a plan with the account; nothing is sent.

    Args:
        plan: made with what ``ledger`` knew.
        reader: asks the account.
        ledger: of the account.
        files: of the export (``Export.files``).
        visibility: how long Klaviyo may hide an event, and whether to wait for it.
        run_id: compare what this run has delivered of the plan since the plan was made. None
            compares what the ledger knew then.
        resend: whether to strike what is missing from the ledger; what is not visible yet stays.
        on_events: is called with the number of events that were read, and with 0 before a request;
            it may raise to stop.

    Raises:
        ScopeError: the key may not read metrics; without ``run_id``, it may not read events.
        DeniedError: Klaviyo rejects the key.
        StoppedError: no answer, or the ledger cannot be written.
    """
    with Ids.of(plan, ledger, run_id) as ids:
        of_export = run_id is None
        newest_s = ledger.newest() or 0
        by_count_from_s = None if of_export else newest_s
        comparison = _Comparison(ids, ids.sums(), reader, on_events, by_count_from_s)
        not_sent = plan.to_send if of_export else 0
        not_in_export = ids.ledger_alone() if of_export else 0

        def compare() -> Verified:
            metrics, days = comparison.compare(visibility.now() - visibility.delay_s)
            return Verified(
                days=days,
                metrics=metrics,
                files=tuple(files),
                not_sent=not_sent,
                not_in_export=not_in_export,
                delay_s=visibility.delay_s,
                by_count=comparison.by_count,
            )

        verified = compare()
        if visibility.waits and verified.not_visible:
            verified = wait_until_visible(
                verified,
                visibility,
                newest_s=newest_s,
                compare=compare,
                gained=comparison.gained,
            )
        if resend and verified.missing and not visibility.stop.is_set():
            return replace(verified, struck=ledger.strike(ids.missing_keys()))
        return verified


class _Comparison:
    """Compares by sums, and by ids where they differ."""

    def __init__(
        self,
        ids: Ids,
        sums: Mapping[str, Mapping[date, Sum]],
        reader: Reader,
        on_events: Callable[[int], None],
        newest_s: int | None,
    ) -> None:
        """Ask nothing yet.

        Args:
            ids: those that are compared.
            sums: of ``ids``.
            reader: asks the account.
            on_events: as in ``verify``.
            newest_s: when the newest event was acknowledged, if counts suffice where the key may
                not read events; None if they do not.
        """
        self._newest_s = newest_s
        self._since_s = 0.0
        self.by_count = False
        """The days that differ are compared by their counts."""
        self._ids = ids
        self._sums = sums
        self._reader = reader
        self._on_events = on_events
        self._shown = 0
        """Events of the days in ``sums`` that the account showed at the last comparison."""

    def compare(self, since_s: float) -> tuple[tuple[MetricStatus, ...], tuple[Day, ...]]:
        """Give the metrics, and each day of each.

        Args:
            since_s: what was acknowledged later, in Unix seconds, is not called missing.
        """
        self._ids.restart(since_s)
        self._since_s = since_s
        metrics = self._metrics()
        there = {metric.name: self._tallies(metric) for metric in metrics}
        self._shown = self._total(there)
        days = [day for metric in metrics for day in self._days(metric, there[metric.name])]
        return metrics, tuple(days)

    def gained(self) -> int:
        """Ask how many more events the account shows than at the last comparison."""
        there = {metric.name: self._tallies(metric) for metric in self._metrics()}
        return self._total(there) - self._shown

    def _metrics(self) -> tuple[MetricStatus, ...]:
        metrics = metrics_of(self._reader) if self._sums else []
        return tuple(metric_status(name, metrics) for name in self._sums)

    def _tallies(self, metric: MetricStatus) -> dict[date, Tally]:
        if metric.id is None:
            return {}
        self._on_events(0)
        days = self._sums[metric.name].keys()
        return tallies(self._reader, metric.id, days | _beside(days))

    def _total(self, there: Mapping[str, Mapping[date, Tally]]) -> int:
        return sum(
            there[metric].get(day, Tally()).events
            for metric, days in self._sums.items()
            for day in days
        )

    def _days(self, metric: MetricStatus, there: Mapping[date, Tally]) -> Iterator[Day]:
        sums = self._sums[metric.name]
        differing = {
            day for day, delivered in sums.items() if not _agrees(delivered, there.get(day))
        }
        fates: dict[date, Fate] = {}
        unexpected: dict[date, int] = {}
        if differing:
            fates, unexpected = self._compare_differing(metric, there, differing)
        for day, delivered in sums.items():
            tally, fate = there.get(day, Tally()), fates.get(day, Fate())
            not_found = fate.missing + fate.not_visible
            ids_differ = not_found or fate.elsewhere or unexpected.get(day)
            same_count = not ids_differ and tally.events == delivered.all_events
            yield Day(
                metric=metric.name,
                day=day,
                delivered=delivered.events,
                found=delivered.events - not_found,
                not_visible=fate.not_visible,
                elsewhere=fate.elsewhere,
                unexpected=unexpected.get(day, 0),
                value=_exact(delivered.all_value),
                value_there=f"{tally.value:.15g}",
                values_differ=same_count and not _agrees(delivered, tally),
                places=fate.places,
            )

    def _compare_differing(
        self, metric: MetricStatus, there: Mapping[date, Tally], days: set[date]
    ) -> tuple[dict[date, Fate], dict[date, int]]:
        try:
            return self._compare_ids(metric, there, days)
        except ScopeError:
            if self._newest_s is None:
                raise
            self.by_count = True
            return self._compare_counts(metric, there, days)

    def _compare_counts(
        self, metric: MetricStatus, there: Mapping[date, Tally], days: set[date]
    ) -> tuple[dict[date, Fate], dict[date, int]]:
        """Take what a day has too few of for missing, and what it has too many of for another's."""
        is_young = self._newest_s is not None and self._newest_s > self._since_s
        fates, unexpected = {}, {}
        for day in days:
            delivered = self._sums[metric.name][day]
            more = there.get(day, Tally()).events - delivered.all_events
            if more < 0:
                lost = min(-more, delivered.events)
                fates[day] = Fate(not_visible=lost) if is_young else Fate(missing=lost)
            elif more > 0:
                unexpected[day] = more
        return fates, unexpected

    def _compare_ids(
        self, metric: MetricStatus, there: Mapping[date, Tally], days: set[date]
    ) -> tuple[dict[date, Fate], dict[date, int]]:
        """Give the fates of the days, and how many unexpected events each has."""
        self._ids.begin()
        self._read(metric, there, days)
        self._ids.match(metric.name, days)
        fates = self._ids.fates()
        # An event may stand under the day before or after, where a clock or a zone was misread.
        near = _beside(day for day, fate in fates.items() if fate.missing) - days
        near = {day for day in near if there.get(day, Tally()).events}
        if near:
            self._read(metric, there, near)
            self._ids.match(metric.name, days | near)
            fates = self._ids.fates()
        self._ids.keep_missing()
        return fates, self._ids.unexpected()

    def _read(self, metric: MetricStatus, there: Mapping[date, Tally], days: set[date]) -> None:
        if metric.id is None:
            return
        for span in read_spans(days, there):
            self._on_events(0)
            for page in events_of(self._reader, metric.name, metric.id, span):
                self._ids.add(page)
                self._on_events(len(page))


def read_spans(days: Iterable[date], there: Mapping[date, Tally]) -> list[Span]:
    """Put days together into as few spans as hold them all and no event of another day."""

    def joins(span: Span, day: date) -> bool:
        between = (span.end + DAY * at for at in range((day - span.end).days))
        # A day that nobody asked about may hold any number.
        return not any(there[one].events if one in there else math.inf for one in between)

    return spans(days, joins)


def _agrees(delivered: Sum, there: Tally | None) -> bool:
    if there is None or there.events != delivered.all_events:
        return False
    difference = abs(Decimal(repr(there.value)) - delivered.all_value)
    return difference <= HALF_A_CENT * delivered.all_events


def _beside(days: Iterable[date]) -> set[date]:
    return {day + step for day in days for step in (-DAY, DAY)}


def _exact(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
