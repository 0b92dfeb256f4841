"""A summary as lines for a terminal."""

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from backfill.display import brief, counted, shortened
from backfill.report.reasons import REASONS
from backfill.report.summary import InAccount, Summary

_Count: TypeAlias = tuple[int, str, str]
"""How many, of what, and what is true of them."""

_MOST_OF_A_KIND: Final = 10
"""Columns that get a line each: an export may have thousands."""


def lines(summary: Summary) -> Iterator[str]:
    yield f"{_aligned(summary.rows, 'row')}{_left_out(summary)}"
    rejects = f", {summary.rejected:,} of them rejects" if summary.rejected else ""
    yield f"{_aligned(summary.orders, 'order')}{rejects}"
    for reason, orders in sorted_reasons(summary):
        yield f"{orders:>14,} {reason}: {REASONS[reason]}"
    people = counted(summary.people, "person", "people")
    yield f"{_aligned(summary.events, 'event')} of {people}"
    names = [shortened(metric.metric) for metric in summary.metrics]
    width = max(map(len, names), default=0)
    for metric, name in zip(summary.metrics, names, strict=True):
        span = f"{metric.first} … {metric.last}"
        yield f"{metric.events:>14,} {name:<{width}}  {span}  value {metric.value}"
    yield from _progress(summary)
    for note in notes(summary):
        yield f"note: {note}"


def sorted_reasons(summary: Summary) -> list[tuple[str, int]]:
    """The reasons of rejects with their orders, the most frequent first."""
    return sorted(summary.reasons.items(), key=lambda pair: (-pair[1], pair[0]))


def notes(summary: Summary) -> Iterator[str]:
    """Sentences about what a person should know, beside the counts."""
    counts = (
        (summary.repeats, "event", "that repeat others of the plan: sent once"),
        (
            summary.changed_orders,
            "order",
            "changed since delivered; events that Klaviyo has of them stay as they are (if these "
            "are another shop's orders, their numbers clash: put the shop into $event_id)",
        ),
        (
            summary.clock_skipped,
            "order",
            "with a local time that the clock skipped (moved forward)",
        ),
        (
            summary.clock_doubled,
            "order",
            "with a local time that the clock showed twice (taken for the first)",
        ),
        *_most(
            (orders, "order", f'with rows that disagree in "{column}": the first counts')
            for column, orders in summary.disagreements.items()
        ),
        *_most(
            (orders, "order", f'with a "{column}" that is {reason}: left out (unfit: leave_out)')
            for column, reasons in summary.left_out_cells.items()
            for reason, orders in reasons.items()
        ),
        *_most(
            (orders, "order", f'with a "{column}" of more decimals than its currency has: rounded')
            for column, orders in summary.rounded.items()
        ),
        *_most(_undecided(summary)),
        (
            summary.equal_rows,
            "order",
            f"of {summary.orders:,} with rows that are equal in every column, and each counts as a "
            "line: did a join double them? (a run stops until --equal-rows says that they are "
            "meant)",
        ),
    )
    yield from (brief(f"{counted(count, unit)} {text}") for count, unit, text in counts if count)
    yield from map(brief, summary.notes)


def _most(counts: Iterable[_Count]) -> Iterator[_Count]:
    """The greatest counts of one kind, in their order, and how many columns have others."""
    found = list(counts)
    shown = sorted(found, key=lambda one: -one[0])[:_MOST_OF_A_KIND]
    yield from (one for one in found if one in shown)
    if more := len(found) - len(shown):
        yield more, "column", "more of which the same is true: summary.json has all"


def _left_out(summary: Summary) -> str:
    """``, 5 left out (2 blank, 3 undecided)``: the others are left out by ``where``."""
    if not summary.rows_left_out:
        return ""
    kinds = {"blank": summary.rows_blank, "undecided": summary.rows_undecided}
    told = ", ".join(f"{rows:,} {kind}" for kind, rows in kinds.items() if rows)
    return f", {summary.rows_left_out:,} left out" + (f" ({told})" if told else "")


def _undecided(summary: Summary) -> Iterator[tuple[int, str, str]]:
    """Counts of orders of which an empty cell leaves a ``where`` unknown.

    An event that most orders do not make, such as a refund, has a ``where`` that ordinary empty
    cells leave unknown: it is not told of accepted orders.
    """
    for metric, columns in summary.undecided.items():
        for names, orders in columns.items():
            yield (
                orders,
                "order",
                f'left out as undecided: "{names}" is empty, so where of "{metric}" is neither '
                "true nor false (undecided.csv has the rows; coalesce in where decides)",
            )
    events = {metric.metric: metric.events for metric in summary.metrics}
    for metric, columns in summary.undecided_events.items():
        if sum(columns.values()) >= events.get(metric, 0):
            continue
        for names, orders in columns.items():
            yield (
                orders,
                "order",
                f'without "{metric}": "{names}" is empty, so where is neither true nor false '
                "(coalesce in where decides)",
            )


def _progress(summary: Summary) -> Iterator[str]:
    if summary.already:
        yield f"{summary.already:>12,} already delivered by an earlier run"
    requests = counted(summary.requests, "request")
    if summary.state == "planned":
        yield f"{summary.left:>12,} to send: {requests}, {_size(summary.bytes)}"
        yield f"{'':>13}digest {summary.digest}"
        return
    yield f"{summary.delivered:>12,} delivered in {requests}"
    if summary.in_account is not None:
        yield _in_account(summary.in_account)
    if summary.phones_dropped:
        yield f"{summary.phones_dropped:>14,} of them without a phone number that it turned down"
    if summary.refused:
        yield f"{summary.refused:>12,} refused by Klaviyo"
    if summary.left:
        yield f"{summary.left:>12,} left"


def _in_account(there: InAccount) -> str:
    """``12 found in the account, all that was delivered``."""
    kinds = {"not visible yet": there.not_visible, "missing": there.missing}
    rest = ", ".join(f"{events:,} {kind}" for kind, events in kinds.items() if events)
    return f"{there.found:>12,} found in the account, {rest or 'all that was delivered'}"


def _aligned(count: int, unit: str) -> str:
    """The count at the end of twelve columns, then its unit."""
    number, _, unit = counted(count, unit).partition(" ")
    return f"{number:>12} {unit}"


def _size(size: int) -> str:
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= step:
            return f"{size / step:.1f} {unit}"
    return f"{size} bytes"
