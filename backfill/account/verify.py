"""What the ledger says was delivered, held against what Klaviyo says that it has."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final, Protocol

from backfill.account import delivered_ids
from backfill.account.aggregates import DAY, Span, Tally, events_of, tallies
from backfill.account.delivered_ids import Fate, Ids, Sum
from backfill.account.metrics import MetricStatus, Reader, metrics_of, standing
from backfill.planning.plan import Plan

DELAY_S: Final = 600
"""For so long an event that was acknowledged may not be visible yet.

Source: developers.klaviyo.com, events_api_overview ("up to a few minutes"), read 2026-11-23; ten to
be sure."""

HALF_A_CENT: Final = Decimal("0.005")
"""Klaviyo adds floats: for each event its sum may be off by less than this. Ours."""


class Deliveries(delivered_ids.Deliveries, Protocol):
    """What verify asks of a ledger."""

    def newest(self) -> int | None:
        """When the last event was acknowledged, in Unix seconds."""

    def strike(self, keys: Iterable[bytes]) -> int:
        """Take events out, so that the next run sends them; how many there were."""


@dataclass(frozen=True, slots=True)
class Day:
    """One metric's day of UTC: ``delivered`` = ``found`` + ``missing``."""

    metric: str
    day: date
    delivered: int
    found: int
    elsewhere: int
    """Of ``found``: those that Klaviyo has under another day."""
    unexpected: int
    """What Klaviyo has on this day and the ledger does not know: the shop's own, as a rule."""
    value: str
    """The exact sum of what was delivered."""
    value_there: str
    """What Klaviyo adds up."""
    values_differ: bool
    """The ids are those that were delivered, and their values are not."""
    places: tuple[tuple[int, int], ...] = ()
    """File and row where the orders of missing events begin, the first ``PLACES`` of them."""

    @property
    def missing(self) -> int:
        return self.delivered - self.found

    @property
    def is_whole(self) -> bool:
        odd = self.missing or self.elsewhere or self.unexpected or self.values_differ
        return not odd


@dataclass(frozen=True, slots=True)
class Verified:
    """The answer: every day of which something was delivered, and what Klaviyo has of it."""

    days: tuple[Day, ...]
    """By metric and day."""
    metrics: tuple[MetricStatus, ...]
    files: tuple[str, ...]
    """Of the export, as ``Day.places`` counts them."""
    not_sent: int
    """Events of the export that the ledger does not know: the next run sends them."""
    not_in_export: int
    """Events of the ledger that this export does not have: nobody looked at them."""
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
    ledger: Deliveries,
    *,
    files: Sequence[str],
    now_s: float,
    resend: bool = False,
    on_events: Callable[[int], None] = lambda _: None,
) -> Verified:
    """Hold plan ∩ ledger against the account; nothing is sent.

    ``plan`` was made with what ``ledger`` knows, from ``files`` (``Export.files``). ``resend``
    strikes what is missing from the ledger. ``on_events`` is told how many events were looked at,
    and 0 before a request; whoever wants to stop raises there.

    Raises DeniedError (ScopeError where the key may not read metrics or events), StoppedError, and
    what ``ledger`` raises.
    """
    with Ids.of(plan, ledger) as ids:
        planned = ids.sums()
        metrics = metrics_of(reader) if planned else []
        metric_statuses = tuple(standing(name, metrics) for name in planned)
        looking = _Looking(ids, reader, on_events)
        days = [day for one in metric_statuses for day in looking.days(one, planned[one.name])]
        newest = ledger.newest()
        found = Verified(
            tuple(days),
            metric_statuses,
            tuple(files),
            plan.to_send,
            ids.ledger_alone(),
            newest is not None and now_s - newest < DELAY_S,
        )
        if resend and found.missing:
            return replace(found, struck=ledger.strike(ids.missing_keys()))
        return found


@dataclass(frozen=True, slots=True)
class _Looking:
    """By sums first; the ids of a day are asked for only where its sums differ."""

    ids: Ids
    reader: Reader
    on_events: Callable[[int], None]

    def days(self, metric: MetricStatus, planned: Mapping[date, Sum]) -> Iterator[Day]:
        landed: dict[date, Tally] = {}
        if metric.id is not None:
            self.on_events(0)
            wanted = planned.keys() | _beside(planned)
            landed = tallies(self.reader, metric.id, wanted)
        looked = {day for day, sums in planned.items() if not _agrees(sums, landed.get(day))}
        fates: dict[date, Fate] = {}
        unexpected: dict[date, int] = {}
        if looked:
            fates, unexpected = self._by_ids(metric, landed, looked)
        for day, sums in planned.items():
            there, fate = landed.get(day, Tally()), fates.get(day, Fate())
            odd = fate.missing or fate.elsewhere or unexpected.get(day)
            yield Day(
                metric.name,
                day,
                sums.events,
                sums.events - fate.missing,
                fate.elsewhere,
                unexpected.get(day, 0),
                _exact(sums.value),
                f"{there.value:.15g}",
                not odd and there.events == sums.events and not _agrees(sums, there),
                fate.places,
            )

    def _by_ids(
        self, metric: MetricStatus, landed: Mapping[date, Tally], days: set[date]
    ) -> tuple[dict[date, Fate], dict[date, int]]:
        """Fates of the days, and how many unexpected events each has."""
        self.ids.begin()
        self._read(metric, landed, days)
        self.ids.match(metric.name, days)
        fates = self.ids.fates()
        # An event may stand under the day before or after, where a clock or a zone was misread.
        near = _beside(day for day, fate in fates.items() if fate.missing) - days
        near = {day for day in near if landed.get(day, Tally()).events}
        if near:
            self._read(metric, landed, near)
            self.ids.match(metric.name, days | near)
            fates = self.ids.fates()
        self.ids.keep_missing()
        return fates, self.ids.unexpected()

    def _read(self, metric: MetricStatus, landed: Mapping[date, Tally], days: set[date]) -> None:
        if metric.id is None:
            return
        for span in spans(days, landed):
            self.on_events(0)
            for page in events_of(self.reader, metric.name, metric.id, span):
                self.ids.add(page)
                self.on_events(len(page))


def spans(days: Iterable[date], landed: Mapping[date, Tally]) -> Iterator[Span]:
    """As few spans as hold all days, none of them with an event of another day."""
    first = last = None
    for day in sorted(days):
        if first is None or last is None:
            first = day
        elif any(_events(landed, last + DAY * at) for at in range(1, (day - last).days)):
            yield Span(first, last + DAY)
            first = day
        last = day
    if first is not None and last is not None:
        yield Span(first, last + DAY)


def _events(landed: Mapping[date, Tally], day: date) -> float:
    """A day that nobody asked about may hold any number."""
    return landed[day].events if day in landed else math.inf


def _agrees(planned: Sum, landed: Tally | None) -> bool:
    if landed is None or landed.events != planned.events:
        return False
    return abs(Decimal(repr(landed.value)) - planned.value) <= HALF_A_CENT * planned.events


def _beside(days: Iterable[date]) -> set[date]:
    return {day + step for day in days for step in (-DAY, DAY)}


def _exact(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
