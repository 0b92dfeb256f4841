"""The sandbox's page for people: one HTML file that loads nothing and trusts nothing it shows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Content-Security-Policy: a second lock behind the escaping."""

_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>backfill sandbox</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #888 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2.5rem }
p { color: var(--soft) } section { overflow-x: auto }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2rem }
dt { color: var(--soft) } dd { font-size: 1.4rem; margin: 0 }
table { border-collapse: collapse; min-width: 100% }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left }
th { color: var(--soft); font-weight: normal } .n { text-align: right }
th, td, dd { font-variant-numeric: tabular-nums } td { overflow-wrap: anywhere }
</style>
</head>
<body>
<h1>A local Klaviyo</h1>
<p>Nothing here has left this machine.</p>
"""

_NUMBER: Final = ' class="n"'

_COUNTS: Final = (
    ("requests", "requests"),
    ("received", "events received"),
    ("recorded", "recorded"),
    ("merged", "merged as repeats"),
    ("merged_different", "of these different"),
    ("discarded", "discarded"),
    ("refused", "refused"),
    ("limited", "over the rate limit"),
    ("profiles", "profiles"),
    ("profile_merges", "profiles merged"),
    ("would_trigger_flows", "would start flows"),
)


def page(
    stats: Mapping[str, Any],
    months: Sequence[tuple[str, str, int]],
    last: Iterable[Mapping[str, Any]],
) -> str:
    parts = (_HEAD, _counts(stats), _faults(stats["faults"]), _by_month(months), _last(last))
    return "".join(parts) + "</body>\n</html>\n"


def _counts(stats: Mapping[str, Any]) -> str:
    pairs = (f"<div><dt>{label}</dt><dd>{stats[key]:,}</dd></div>\n" for key, label in _COUNTS)
    return f"<dl>\n{''.join(pairs)}</dl>\n"


def _faults(faults: Mapping[str, int]) -> str:
    if not faults:
        return ""
    rows = [(answer, f"{count:,}") for answer, count in sorted(faults.items())]
    return "<h2>Faults played</h2>\n" + _table(("Answer", "Requests"), rows, numbers={1})


def _by_month(months: Sequence[tuple[str, str, int]]) -> str:
    metrics = sorted({metric for metric, _, _ in months})
    by_month: dict[str, dict[str, int]] = {}
    for metric, month, count in months:
        by_month.setdefault(month, {})[metric] = count
    rows = [
        (month, *(f"{counts[metric]:,}" if metric in counts else "" for metric in metrics))
        for month, counts in by_month.items()
    ]
    numbers = set(range(1, len(metrics) + 1))
    return "<h2>Events by month</h2>\n" + _table(("Month", *metrics), rows, numbers=numbers)


def _last(last: Iterable[Mapping[str, Any]]) -> str:
    titles = ("Time (UTC)", "Metric", "Event id", "Profile", "Value", "Account")
    rows = [
        (
            datetime.fromtimestamp(event["time"], UTC).strftime("%Y-%m-%d %H:%M:%S"),
            event["metric"],
            event["event_id"] or "",
            _known_as(event["profile"]),
            "" if event["value"] is None else str(event["value"]),
            event["token"],
        )
        for event in last
    ]
    return "<h2>The last events</h2>\n" + _table(titles, rows, numbers={4})


def _known_as(profile: Mapping[str, str | None]) -> str:
    return profile["email"] or profile["phone_number"] or profile["external_id"] or ""


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: set[int]) -> str:
    if not rows:
        return "<p>None yet.</p>\n"
    head = _cells("th", titles, numbers)
    body = "".join(_cells("td", row, numbers) for row in rows)
    return f"<section><table>\n{head}{body}</table></section>\n"


def _cells(tag: str, cells: Sequence[str], numbers: set[int]) -> str:
    """Every text that comes from a request goes through here, and is escaped here."""
    made = (
        f"<{tag}{_NUMBER if index in numbers else ''}>{escape(cell)}</{tag}>"
        for index, cell in enumerate(cells)
    )
    return f"<tr>{''.join(made)}</tr>\n"
