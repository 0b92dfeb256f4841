"""What verify found: as lines for a terminal, and as one object for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from backfill.account.metrics import MetricStatus
from backfill.account.verify import Day, Verified
from backfill.account.visibility import spoken
from backfill.display import counted, plain, shortened

_DAYS_SHOWN: Final = 40
"""Of one metric; ``--json`` has all."""
_DAYS_SHOWN_OF_RUN: Final = 10


def lines(verified: Verified) -> Iterator[str]:
    """A line for each metric, then one for each of its days that is not complete."""
    if not verified.delivered:
        yield "nothing of this export is in the ledger: there is nothing to verify"
    width = max((len(_name(metric)) for metric in verified.metrics), default=0)
    for metric in verified.metrics:
        days = [day for day in verified.days if day.metric == metric.name]
        yield f"{_name(metric):<{width}}  {_span(days)}: {_counts(days)}"
        if metric.id is None:
            yield "    the account has no metric of this name from the API"
            continue
        yield from _incomplete([day for day in days if not day.is_whole], verified.files)
    yield from _notes(verified)


def as_dict(verified: Verified) -> dict[str, Any]:
    """All days, the complete ones too."""
    return {
        "delivered": verified.delivered,
        "found": verified.found,
        "not_visible": verified.not_visible,
        "missing": verified.missing,
        "unexpected": verified.unexpected,
        "struck": verified.struck,
        "not_sent": verified.not_sent,
        "not_in_export": verified.not_in_export,
        "visibility_delay_s": verified.delay_s,
        "metrics": [
            {
                "metric": metric.name,
                "id": metric.id,
                "doubles": metric.doubles,
                "others": list(metric.others),
            }
            for metric in verified.metrics
        ],
        "days": [_day(day, verified.files) for day in verified.days],
    }


def run_notes(verified: Verified) -> Iterator[str]:
    """What a run says of the account, beside the counts of its summary."""
    for metric in verified.metrics:
        odd = [
            day
            for day in verified.days
            if day.metric == metric.name
            and (day.missing or day.not_visible or day.elsewhere or day.values_differ)
        ]
        for line in _incomplete(odd, verified.files, _DAYS_SHOWN_OF_RUN, "backfill verify --json"):
            yield f'account, "{plain(metric.name)}" {line.strip()}'
    if verified.missing:
        yield (
            f"{counted(verified.missing, 'event')} delivered and missing in the account: backfill "
            "verify --resend lets the next run send them again"
        )
    if verified.not_visible:
        yield (
            f"{counted(verified.not_visible, 'event')} delivered and not visible yet: backfill "
            "verify looks again"
        )
    if verified.unexpected:
        yield (
            f"{counted(verified.unexpected, 'event')} of these metrics and days in the account "
            "that the ledger does not know: another integration or the shop itself sent them"
        )
    if verified.by_count:
        yield (
            "the key lacks the scope events:read, so counts alone were compared: where another "
            "sends the same metric, its events may stand in for missing ones"
        )


def _day(day: Day, files: Sequence[str]) -> dict[str, Any]:
    shown = asdict(day) | {"day": day.day.isoformat(), "missing": day.missing}
    del shown["places"]
    return shown | {"rows": [{"file": files[file], "row": row} for file, row in day.places]}


def _name(metric: MetricStatus) -> str:
    return shortened(plain(metric.name))


def _span(days: Sequence[Day]) -> str:
    first, last = days[0].day, days[-1].day
    return f"{first}" if first == last else f"{first} … {last}"


def _counts(days: Sequence[Day]) -> str:
    delivered, found = sum(day.delivered for day in days), sum(day.found for day in days)
    counts = [f"{delivered:,} delivered", f"{found:,} found"]
    if not_visible := sum(day.not_visible for day in days):
        counts.append(f"{not_visible:,} not visible yet")
    if missing := sum(day.missing for day in days):
        counts.append(f"{missing:,} missing")
    if unexpected := sum(day.unexpected for day in days):
        counts.append(f"{unexpected:,} unexpected")
    return ", ".join(counts)


def _incomplete(
    days: Sequence[Day], files: Sequence[str], most: int = _DAYS_SHOWN, all_by: str = "--json"
) -> Iterator[str]:
    """If there are too many days to show, those with missing events are shown."""
    shown = sorted(days, key=lambda day: not (day.missing or day.not_visible))[:most]
    for day in sorted(shown, key=lambda day: day.day):
        yield f"    {day.day}: {_counts([day])}{_places(day, files)}"
        if day.elsewhere:
            yield f"        {day.elsewhere:,} found under another day: a wrong clock or zone"
        if day.values_differ:
            yield (
                f"        the values add up to {day.value_there}, those of the export to "
                f"{day.value}: orders that changed since, or a currency that Klaviyo converts"
            )
    if len(days) > len(shown):
        rest = [day for day in days if day not in shown]
        yield f"    and {len(rest):,} days more ({_counts(rest)}); {all_by} has them all"


def _places(day: Day, files: Sequence[str]) -> str:
    if not day.missing:
        return ""
    by_file: dict[int, list[str]] = {}
    for file, row in day.places:
        by_file.setdefault(file, []).append(str(row))
    named = "; ".join(
        f"{plain(files[file])} row{'s' if len(rows) > 1 else ''} {', '.join(rows)}"
        for file, rows in by_file.items()
    )
    return f" ({named}{' …' if day.missing > len(day.places) else ''})"


def _notes(verified: Verified) -> Iterator[str]:
    for metric in verified.metrics:
        name = plain(metric.name)
        if metric.doubles:
            yield (
                f'note: the API has {metric.doubles + 1} metrics of the name "{name}"; verify '
                "looks at the oldest"
            )
        if metric.others:
            others = ", ".join(plain(other) or "another integration" for other in metric.others)
            yield (
                f'note: {others} has a metric "{name}" too; it is another metric, and verify does '
                "not look at it"
            )
    missing, struck = (counted(n, "event") for n in (verified.missing, verified.struck))
    if verified.not_in_export:
        events = counted(verified.not_in_export, "event")
        yield f"note: {events} of the ledger not in this export: not looked at"
    if verified.not_sent:
        events = counted(verified.not_sent, "event")
        yield f"note: {events} of this export not delivered yet: run sends them"
    if verified.not_visible:
        yield (
            f"note: {counted(verified.not_visible, 'event')} delivered less than "
            f"{spoken(verified.delay_s)} ago and not visible yet: Klaviyo may show what it took "
            "some minutes later, so the ledger keeps them; verify again, or with --wait"
        )
    if verified.struck:
        yield f"{struck} struck from the ledger: the next run sends them again"
    elif verified.missing:
        yield f"{missing} missing; --resend lets the next run send them again"
