"""What Klaviyo has of one metric: sums by day of UTC, and ids event by event."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from backfill import event, limits
from backfill.account.metrics import expected_shape
from backfill.account.reader import Reader

MAX_DAYS: Final = 365
"""The most days in one query of sums: a third party's limit, the smaller of two readings.

Source: docs/klaviyo.md, "Metrics and aggregates"."""

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tally:
    """Events of one day, and the sum of their values."""

    events: int = 0
    value: float = 0.0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.events + other.events, self.value + other.value)


@dataclass(frozen=True, slots=True)
class Found:
    """One event that Klaviyo has; ``key`` is None where the event carries no id."""

    day: date
    key: bytes | None


@dataclass(frozen=True, slots=True)
class Span:
    """Days from ``first`` up to, not with, ``end``."""

    first: date
    end: date


def spans(days: Iterable[date], joins: Callable[[Span, date], bool]) -> list[Span]:
    """Put days together into spans, each of which begins and ends with one of them.

    Args:
        days: in any order.
        joins: whether a span may be extended to a later day.
    """
    found: list[Span] = []
    for day in sorted(days):
        if found and joins(found[-1], day):
            found[-1] = Span(found[-1].first, day + DAY)
        else:
            found.append(Span(day, day + DAY))
    return found


def query_spans(days: Iterable[date]) -> list[Span]:
    """Put days together into as few spans of ``MAX_DAYS`` as hold them all."""
    return spans(days, lambda span, day: (day - span.first).days < MAX_DAYS)


def tallies(reader: Reader, metric_id: str, days: Iterable[date]) -> dict[date, Tally]:
    """Ask for the sums of each day in the spans over ``days``, also of a day without events."""
    found: dict[date, Tally] = {}
    for span in query_spans(days):
        count = (span.end - span.first).days
        found |= {span.first + DAY * at: Tally() for at in range(count)}
        answer = reader.post(limits.AGGREGATES_PATH, _query(metric_id, span))
        with expected_shape(limits.AGGREGATES_PATH):
            for day, tally in _tallies(answer["data"]["attributes"]):
                if day in found:
                    found[day] += tally
    return found


def events_of(reader: Reader, metric: str, metric_id: str, span: Span) -> Iterator[Sequence[Found]]:
    """Read every event of a span of days, a page at a time.

    Args:
        reader: asks the account.
        metric: its name in the schema, from which an event's key is made.
        metric_id: its id in the account.
        span: of days in UTC.
    """
    query = {
        "filter": (
            f'and(equals(metric_id,"{metric_id}"),'
            f"greater-or-equal(datetime,{span.first.isoformat()}T00:00:00Z),"
            f"less-than(datetime,{span.end.isoformat()}T00:00:00Z))"
        ),
        "fields[event]": "datetime,event_properties,timestamp",
        "page[size]": str(limits.EVENTS_PAGE),
        "sort": "datetime",
    }
    for page in reader.pages(limits.EVENTS_PATH, query):
        with expected_shape(limits.EVENTS_PATH):
            found = [_found(metric, one["attributes"]) for one in page["data"]]
        yield found


def _query(metric_id: str, span: Span) -> dict[str, Any]:
    attributes = {
        "metric_id": metric_id,
        "measurements": ["count", "sum_value"],
        "interval": "day",
        "timezone": "UTC",
        "filter": [
            f"greater-or-equal(datetime,{span.first.isoformat()}T00:00:00)",
            f"less-than(datetime,{span.end.isoformat()}T00:00:00)",
        ],
    }
    return {"data": {"type": "metric-aggregate", "attributes": attributes}}


def _tallies(attributes: dict[str, Any]) -> Iterator[tuple[date, Tally]]:
    """Read ``dates`` and the lists that run beside them, a row for each dimension."""
    days = [_utc(text).date() for text in attributes["dates"]]
    for row in attributes["data"]:
        counts, sums = row["measurements"]["count"], row["measurements"]["sum_value"]
        for day, events, value in zip(days, counts, sums, strict=True):
            yield day, Tally(int(events), float(value))


def _found(metric: str, attributes: dict[str, Any]) -> Found:
    event_id = (attributes.get("event_properties") or {}).get("$event_id")
    time_s = attributes.get("timestamp")
    time = _utc(attributes["datetime"]) if time_s is None else datetime.fromtimestamp(time_s, UTC)
    # An id of digits alone may come back as a number.
    is_id = isinstance(event_id, str | int) and not isinstance(event_id, bool)
    return Found(time.date(), event.key(metric, str(event_id)) if is_id else None)


def _utc(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
