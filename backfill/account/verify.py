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
from backfill.ledger.ledger import Ledger
from backfill.planning.plan import Plan

DELAY_S: Final = 600
"""For so long an event that was acknowledged may not be visible: "up to a few minutes", so ten.

Source: docs/klaviyo.md, "Events API"."""

HALF_A_CENT: Final = Decimal("0.005")
"""Ours: Klaviyo adds floats, so its sum may be off by up to this for each event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One metric's day of UTC: ``delivered`` = ``found`` + ``missing``."""

    metric: str
    day: date
    delivered: int
    found: int
    elsewhere: int
    """Of ``found``: those that Klaviyo has under another day."""
    unexpected: int
    """What Klaviyo has on this day and the ledger does not know: usually the shop's own."""
    value: str
    """The exact sum of what was delivered."""
    value_there: str
    """Klaviyo's sum."""
    values_differ: bool
    """The ids are those that were delivered, and their values are not."""
    places: tuple[tuple[int, int], ...] = ()
    """File and row where the orders of missing events begin, the first ``PLACES`` of them."""

    @property
    def missing(self) -> int:
        return self.delivered - self.found

    @property
    def is_whole(self) -> bool:
        return not (self.missing or self.elsewhere or self.unexpected or self.values_differ)


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
    recent: bool
    """The last event was acknowledged less than ``DELAY_S`` ago."""
    struck: int = 0
    """Missing events that were taken out of the ledger, so that the next run sends them."""

    @property
    def delivered(self) -> int:
        return sum(day.delivered for day in self.days)

    @property
    def found(self) -> int:
        return sum(day.found for day in self.days)

    @property
    def missing(self) -> int:
        return self.delivered - self.found

    @property
    def unexpected(self) -> int:
        return sum(day.unexpected for day in self.days)


def verify(
    plan: Plan,
    reader: Reader,
    ledger: Ledger,
    *,
    files: Sequence[str],
    now_s: float,
    resend: bool = False,
    on_events: Callable[[int], None] = lambda _: None,
) -> Verified:
    """Compare the delivered events of a plan with the account; nothing is sent.

    Args:
        plan: made with what ``ledger`` knows.
        reader: asks the account.
        ledger: of the account.
        files: of the export (``Export.files``).
        now_s: Unix seconds.
        resend: whether to strike what is missing from the ledger.
        on_events: is called with the number of events that were read, and with 0 before a request;
            it may raise to stop.

    Raises:
        ScopeError: the key may not read metrics or events.
        DeniedError: Klaviyo rejects the key.
        StoppedError: no answer, or the ledger cannot be written.
    """
    with Ids.of(plan, ledger) as ids:
        sums = ids.sums()
        metrics = metrics_of(reader) if sums else []
        statuses = tuple(metric_status(name, metrics) for name in sums)
        comparison = _Comparison(ids, reader, on_events)
        days = [day for metric in statuses for day in comparison.days(metric, sums[metric.name])]
        newest_s = ledger.newest()
        verified = Verified(
            days=tuple(days),
            metrics=statuses,
            files=tuple(files),
            not_sent=plan.to_send,
            not_in_export=ids.ledger_alone(),
            recent=newest_s is not None and now_s - newest_s < DELAY_S,
        )
        if resend and verified.missing:
            return replace(verified, struck=ledger.strike(ids.missing_keys()))
        return verified


@dataclass(frozen=True, slots=True)
class _Comparison:
    ids: Ids
    reader: Reader
    on_events: Callable[[int], None]

    def days(self, metric: MetricStatus, sums: Mapping[date, Sum]) -> Iterator[Day]:
        there: dict[date, Tally] = {}
        if metric.id is not None:
            self.on_events(0)
            there = tallies(self.reader, metric.id, sums.keys() | _beside(sums))
        differing = {
            day for day, delivered in sums.items() if not _agrees(delivered, there.get(day))
        }
        fates: dict[date, Fate] = {}
        unexpected: dict[date, int] = {}
        if differing:
            fates, unexpected = self._compare_ids(metric, there, differing)
        for day, delivered in sums.items():
            tally, fate = there.get(day, Tally()), fates.get(day, Fate())
            ids_differ = fate.missing or fate.elsewhere or unexpected.get(day)
            same_count = not ids_differ and tally.events == delivered.events
            yield Day(
                metric=metric.name,
                day=day,
                delivered=delivered.events,
                found=delivered.events - fate.missing,
                elsewhere=fate.elsewhere,
                unexpected=unexpected.get(day, 0),
                value=_exact(delivered.value),
                value_there=f"{tally.value:.15g}",
                values_differ=same_count and not _agrees(delivered, tally),
                places=fate.places,
            )

    def _compare_ids(
        self, metric: MetricStatus, there: Mapping[date, Tally], days: set[date]
    ) -> tuple[dict[date, Fate], dict[date, int]]:
        """Give the fates of the days, and how many unexpected events each has."""
        self.ids.begin()
        self._read(metric, there, days)
        self.ids.match(metric.name, days)
        fates = self.ids.fates()
        # An event may stand under the day before or after, where a clock or a zone was misread.
        near = _beside(day for day, fate in fates.items() if fate.missing) - days
        near = {day for day in near if there.get(day, Tally()).events}
        if near:
            self._read(metric, there, near)
            self.ids.match(metric.name, days | near)
            fates = self.ids.fates()
        self.ids.keep_missing()
        return fates, self.ids.unexpected()

    def _read(self, metric: MetricStatus, there: Mapping[date, Tally], days: set[date]) -> None:
        if metric.id is None:
            return
        for span in read_spans(days, there):
            self.on_events(0)
            for page in events_of(self.reader, metric.name, metric.id, span):
                self.ids.add(page)
                self.on_events(len(page))


def read_spans(days: Iterable[date], there: Mapping[date, Tally]) -> list[Span]:
    """Put days together into as few spans as hold them all and no event of another day."""

    def joins(span: Span, day: date) -> bool:
        between = (span.end + DAY * at for at in range((day - span.end).days))
        # A day that nobody asked about may hold any number.
        return not any(there[one].events if one in there else math.inf for one in between)

    return spans(days, joins)


def _agrees(delivered: Sum, there: Tally | None) -> bool:
    if there is None or there.events != delivered.events:
        return False
    return abs(Decimal(repr(there.value)) - delivered.value) <= HALF_A_CENT * delivered.events


def _beside(days: Iterable[date]) -> set[date]:
    return {day + step for day in days for step in (-DAY, DAY)}


def _exact(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
