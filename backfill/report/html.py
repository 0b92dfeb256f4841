"""A run, and the orders of a preview, as HTML; whatever an export says is escaped in one place."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from backfill.report.reasons import REASONS
from backfill.report.summary import Summary, iso
from backfill.report.summary_text import lines

_STYLE: Final = """<style>
.backfill { font: 14px/1.45 system-ui, sans-serif }
.backfill h3 { font-size: 1em; margin: 1.2em 0 .3em } .backfill h3 small { font-weight: normal }
.backfill .pair { display: flex; flex-wrap: wrap; gap: 1em; align-items: flex-start }
.backfill .pair > * { flex: 1 1 22em; min-width: 0; overflow-x: auto }
.backfill table { border-collapse: collapse; margin: 0 }
.backfill th, .backfill td { text-align: left; vertical-align: top; white-space: pre-wrap;
  padding: .1em .7em .1em 0; border-bottom: 1px solid #8883; font-size: 13px }
.backfill .wide { overflow-x: auto } .backfill td { overflow-wrap: break-word; max-width: 40em }
.backfill th { font-weight: 600; white-space: pre }
.backfill .n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums }
.backfill .unused { opacity: .5; font-weight: normal }
.backfill pre { margin: 0 0 .5em; white-space: pre-wrap; overflow-wrap: anywhere;
  border-left: 3px solid #8886; padding-left: .7em }
.backfill .bad { border-left: 3px solid #c33; padding-left: .7em }
</style>"""

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'">
<title>backfill {run}</title>
<style>:root {{ color-scheme: light dark }} body {{ margin: 2em auto; max-width: 70em }}</style>
</head>
<body>
{body}
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class ShownOrder:
    """One order of an export: its rows, and what becomes of them."""

    place: str
    rows: Sequence[tuple[int, Sequence[str]]]
    """Row number and cells."""
    payloads: Sequence[str] = ()
    """JSON texts."""
    reason: str | None = None
    column: str = ""


def order_page(orders: Iterable[ShownOrder], columns: Sequence[str], used: Iterable[str]) -> str:
    """Source rows on the left, payloads or the reason on the right; unused columns are pale."""
    known = frozenset(used)
    return _framed(_order(order, columns, known) for order in orders)


def summary_page(summary: Summary, orders: str = "", *, trouble: str = "") -> str:
    """A run's counts, its events by month and metric, its rejects by reason."""
    parts = [f"<h3>{_cell(summary.schema)} <small>{summary.run}, {summary.state}</small></h3>"]
    if trouble:
        parts.append(f'<p class="bad">{_cell(trouble)}</p>')
    parts.append(_counts(summary))
    if summary.months:
        parts.append("<h3>Events by month <small>(UTC)</small></h3>" + _months(summary))
    if summary.reasons:
        parts.append("<h3>Rejected orders by reason</h3>" + _reasons(summary.reasons))
    notes = [line.removeprefix("note: ") for line in lines(summary) if line.startswith("note: ")]
    if notes:
        said = "".join(f"<li>{_cell(note)}</li>" for note in notes)
        parts.append(f"<h3>Notes</h3><ul>{said}</ul>")
    return _framed([*parts, orders])


def whole_page(summary: Summary) -> str:
    """``report.html`` of a run's folder: counts alone, nobody's cells."""
    return _PAGE.format(run=_cell(summary.run), body=summary_page(summary))


def rejected_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], rejected: int) -> str:
    """The first rows of rejects.csv, each beside its reason."""
    more = f" <small>(the first {len(rows):,} rows of {rejected:,} orders)</small>"
    told = [_said(row) for row in rows]
    cells = [[why, *row[2:]] for why, row in zip(told, rows, strict=True)]
    table = _table(["why", *columns[2:]], cells)
    return f'<h3>Rejects{more}</h3><div class="wide">{table}</div>'


def _said(row: Sequence[str]) -> str:
    reason, column = row[0], row[1]
    return f"{column}: {REASONS[reason]}" if column else REASONS[reason]


def _framed(parts: Iterable[str]) -> str:
    return f'{_STYLE}<div class="backfill">{"".join(parts)}</div>'


def _order(order: ShownOrder, columns: Sequence[str], used: frozenset[str]) -> str:
    return (
        f'<h3>{_cell(order.place)}</h3><div class="pair">'
        f"<div>{_source(order, columns, used)}</div><div>{_fate(order)}</div></div>"
    )


def _source(order: ShownOrder, columns: Sequence[str], used: frozenset[str]) -> str:
    """The rows stand on end: exports are wide, and an order has few rows."""
    head = "".join(f'<th class="n">{number}</th>' for number, _ in order.rows)
    body = []
    for at, name in enumerate(columns):
        cells = [cells[at] if at < len(cells) else "" for _, cells in order.rows]
        if name in used or any(cells):
            pale = "" if name in used else ' class="unused"'
            shown = "".join(f"<td>{_cell(cell)}</td>" for cell in cells)
            body.append(f"<tr{pale}><th>{_cell(name)}</th>{shown}</tr>")
    return f"<table><tr><th>row</th>{head}</tr>{''.join(body)}</table>"


def _fate(order: ShownOrder) -> str:
    if order.reason is not None:
        column = f"column {order.column}: " if order.column else ""
        return f'<p class="bad">reject: {_cell(column + REASONS[order.reason])}</p>'
    return "".join(_event(json.loads(payload)) for payload in order.payloads)


def _event(payload: dict[str, Any]) -> str:
    head = f"{_cell(payload['event'])} <small>{iso(payload['time'])}</small>"
    return f"<div>{head}</div><pre>{_cell(json.dumps(payload, indent=2, ensure_ascii=False))}</pre>"


def _counts(summary: Summary) -> str:
    counts = {
        "rows": summary.rows,
        "left out": summary.rows_left_out,
        "orders": summary.orders,
        "rejected": summary.rejected,
        "events": summary.events,
        "people": summary.people,
        "already delivered": summary.already,
        "delivered": summary.delivered,
        "refused": summary.refused,
        "to send" if summary.state == "planned" else "left": summary.left,
    }
    told = {name: count for name, count in counts.items() if count or name in _ALWAYS}
    rows = [[f"{count:,}" for count in told.values()]]
    return _table(list(told), rows, numbers=range(len(told))) + _digest(summary)


_ALWAYS: Final = ("rows", "orders", "rejected", "events")


def _digest(summary: Summary) -> str:
    return f"<p>digest <code>{_cell(summary.digest)}</code></p>"


def _months(summary: Summary) -> str:
    metrics = sorted({count.metric for count in summary.months})
    by_month: dict[str, dict[str, str]] = {}
    for count in summary.months:
        by_month.setdefault(count.month, {})[count.metric] = f"{count.events:,}"
    rows = [
        [month, *(counts.get(metric, "") for metric in metrics)]
        for month, counts in sorted(by_month.items())
    ]
    rows.append(["all", *(f"{metric.events:,}" for metric in summary.metrics)])
    rows.append(["value", *(metric.value for metric in summary.metrics)])
    return _table(["month", *metrics], rows, numbers=range(1, len(metrics) + 1))


def _reasons(reasons: Mapping[str, int]) -> str:
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = [[f"{orders:,}", reason, REASONS[reason]] for reason, orders in ordered]
    return _table(["orders", "reason", ""], rows, numbers=(0,))


def _table(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()
) -> str:
    right = frozenset(numbers)
    body = "".join(_row("td", row, right) for row in rows)
    return f"<table>{_row('th', titles, right)}{body}</table>"


def _row(tag: str, cells: Sequence[str], right: frozenset[int]) -> str:
    made = (
        f"<{tag}{_NUMBER if at in right else ''}>{_cell(cell)}</{tag}>"
        for at, cell in enumerate(cells)
    )
    return f"<tr>{''.join(made)}</tr>"


_NUMBER: Final = ' class="n"'


def _cell(text: Any) -> str:
    """Every text passes here: what an export holds is shown, never obeyed."""
    return escape(str(text))
