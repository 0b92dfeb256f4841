"""A summary as lines for a terminal."""

from collections.abc import Iterator

from backfill.report.reasons import REASONS
from backfill.report.summary import Summary


def lines(summary: Summary) -> Iterator[str]:
    yield f"{_count(summary.rows, 'row')}{_left_out(summary)}"
    rejects = f", {summary.rejected:,} of them rejects" if summary.rejected else ""
    yield f"{_count(summary.orders, 'order')}{rejects}"
    for reason, orders in sorted(summary.reasons.items(), key=lambda pair: (-pair[1], pair[0])):
        yield f"{orders:>14,} {reason}: {REASONS[reason]}"
    people = f"of {summary.people:,} {_plural('person', 'people', summary.people)}"
    yield f"{_count(summary.events, 'event')} {people}"
    width = max((len(metric.metric) for metric in summary.metrics), default=0)
    for metric in summary.metrics:
        span = f"{metric.first} … {metric.last}"
        yield f"{metric.events:>14,} {metric.metric:<{width}}  {span}  value {metric.value}"
    yield from _fate(summary)
    yield from _remarks(summary)


def _left_out(summary: Summary) -> str:
    return f", {summary.rows_left_out:,} left out" if summary.rows_left_out else ""


def _fate(summary: Summary) -> Iterator[str]:
    if summary.already:
        yield f"{summary.already:>12,} already delivered by an earlier run"
    if summary.state == "planned":
        size = _bytes(summary.bytes)
        yield f"{summary.left:>12,} to send: {_few(summary.requests, 'request')}, {size}"
        yield f"{'':>13}digest {summary.digest}"
        return
    yield f"{summary.delivered:>12,} delivered in {_few(summary.requests, 'request')}"
    if summary.phones_dropped:
        yield f"{summary.phones_dropped:>14,} of them without a phone number that it turned down"
    if summary.refused:
        yield f"{summary.refused:>12,} refused by Klaviyo"
    if summary.left:
        yield f"{summary.left:>12,} left"


def _remarks(summary: Summary) -> Iterator[str]:
    if summary.repeats:
        yield f"note: {_few(summary.repeats, 'event')} that stood in the plan already: sent once"
    if summary.changed_orders:
        yield (
            f"note: {_few(summary.changed_orders, 'order')} changed since delivered; events "
            "that Klaviyo has of them stay as they are (if these are another shop's orders, their "
            "numbers clash: put the shop into $event_id)"
        )
    if summary.clock_skipped:
        orders = _few(summary.clock_skipped, "order")
        yield f"note: {orders} with a local time that the clock skipped (moved forward)"
    if summary.clock_doubled:
        orders = _few(summary.clock_doubled, "order")
        yield f"note: {orders} with a local time that the clock showed twice (taken for the first)"
    for column, count in summary.disagreements.items():
        orders = _few(count, "order")
        yield f'note: {orders} with rows that disagree in "{column}": the first counts'
    for column, reasons in summary.left_out_cells.items():
        for reason, count in reasons.items():
            have = "has" if count == 1 else "have"
            what = f'{_few(count, "order")} {have} a "{column}" that is {reason}'
            yield f"note: {what}: left out (unfit: leave_out)"
    for note in summary.notes:
        yield f"note: {note}"


def _count(count: int, one: str) -> str:
    return f"{count:>12,} {_plural(one, one + 's', count)}"


def _few(count: int, one: str) -> str:
    return _count(count, one).strip()


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _bytes(size: int) -> str:
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size} bytes"
