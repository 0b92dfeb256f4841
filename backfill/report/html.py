"""A run, and the orders of a preview, as HTML. The templates escape all text of an export."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from backfill.planning.preview import PreviewedOrder
from backfill.report.reasons import REASONS
from backfill.report.summary import Summary, iso
from backfill.report.summary_text import notes, sorted_reasons

_TEMPLATES: Final = Environment(
    loader=PackageLoader("backfill.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ALWAYS: Final = ("rows", "orders", "rejected", "events")
"""Counts that are shown even where they are 0."""


def preview_fragment(
    orders: Iterable[PreviewedOrder],
    cells: Mapping[tuple[int, int], Sequence[str]],
    columns: Sequence[str],
    used: frozenset[str],
) -> str:
    """Source rows on the left, payloads or the reason on the right, for a notebook.

    Args:
        orders: with the places of their rows.
        cells: of each row, by file and row, as ``columns`` names them.
        columns: the export's.
        used: the columns that the schema uses. The others are pale, and hidden where empty.
    """
    return _TEMPLATES.get_template("preview.html").render(
        orders=[_shown(order, cells, columns, used) for order in orders]
    )


def _shown(
    order: PreviewedOrder,
    cells: Mapping[tuple[int, int], Sequence[str]],
    columns: Sequence[str],
    used: frozenset[str],
) -> dict[str, Any]:
    rows = [cells[place] for place in order.rows]
    by_column = [(name, name in used, [row[at] for row in rows]) for at, name in enumerate(columns)]
    return {
        "place": f"{order.file} row {order.row}",
        "rows": [row for _, row in order.rows],
        "columns": [shown for shown in by_column if shown[1] or any(shown[2])],
        "reject": order.reason and _why(order.reason, order.column and f"column {order.column}"),
        "events": [_event(json.loads(payload)) for payload in order.payloads],
    }


def _event(payload: dict[str, Any]) -> dict[str, str]:
    return {
        "metric": payload["event"],
        "time": iso(payload["time"]),
        "payload": json.dumps(payload, indent=2, ensure_ascii=False),
    }


def summary_fragment(
    summary: Summary,
    *,
    trouble: str = "",
    reject_columns: Sequence[str] = (),
    reject_rows: Sequence[Sequence[str]] = (),
) -> str:
    """Counts, events by month and metric, rejects by reason, notes, for a notebook.

    Args:
        summary: the run's.
        trouble: why the run ended early.
        reject_columns: the header of rejects.csv.
        reject_rows: its first rows.
    """
    rows = [[_why(reason, column), *rest] for reason, column, *rest in reject_rows]
    return _TEMPLATES.get_template("summary.html").render(
        _of_summary(summary),
        trouble=trouble,
        reject_titles=["why", *reject_columns[2:]],
        reject_rows=rows,
    )


def report_page(summary: Summary) -> str:
    """``report.html`` of a run's folder."""
    return _TEMPLATES.get_template("report.html").render(
        _of_summary(summary), trouble="", reject_rows=()
    )


def _why(reason: str, column: str) -> str:
    return f"{column}: {REASONS[reason]}" if column else REASONS[reason]


def _of_summary(summary: Summary) -> dict[str, Any]:
    """What the summary's template shows; each table as its titles and its rows."""
    counts = {
        "rows": summary.rows,
        "left out": summary.rows_left_out,
        "blank": summary.rows_blank,
        "undecided": summary.rows_undecided,
        "orders": summary.orders,
        "rejected": summary.rejected,
        "events": summary.events,
        "people": summary.people,
        "already delivered": summary.already,
        "delivered": summary.delivered,
        "refused": summary.refused,
        "to send" if summary.state == "planned" else "left": summary.left,
    }
    if summary.in_account is not None:
        counts |= {
            "found in the account": summary.in_account.found,
            "not visible yet": summary.in_account.not_visible,
            "missing in the account": summary.in_account.missing,
        }
    return {
        "summary": summary,
        "counts": {name: f"{n:,}" for name, n in counts.items() if n or name in _ALWAYS},
        "months": _months(summary),
        "reasons": [
            (f"{orders:,}", reason, REASONS[reason]) for reason, orders in sorted_reasons(summary)
        ],
        "notes": list(notes(summary)),
    }


def _months(summary: Summary) -> list[Sequence[str]]:
    """A row a month under the names of the metrics, then two rows of totals."""
    metrics = [metric.metric for metric in summary.metrics]
    by_month: dict[str, dict[str, str]] = {}
    for count in summary.months:
        by_month.setdefault(count.month, {})[count.metric] = f"{count.events:,}"
    return [
        ["month", *metrics],
        *(
            [month, *(own.get(name, "") for name in metrics)]
            for month, own in sorted(by_month.items())
        ),
        ["all", *(f"{metric.events:,}" for metric in summary.metrics)],
        ["value", *(metric.value for metric in summary.metrics)],
    ]
