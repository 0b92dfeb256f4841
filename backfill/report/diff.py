"""The difference of two schemas as lines for a terminal."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.cells import cell_len, set_cell_size

from backfill.display import plain, plain_json, truncate
from backfill.planning.difference import Comparison, Sample
from backfill.report.reasons import REASONS
from backfill.report.summary import iso

_SIDE_MIN: Final = 8
"""Columns of each side of a sample, however narrow the terminal is."""


def lines(compared: Comparison, width: int) -> Iterator[str]:
    found = compared.difference
    yield f"{found.events_old:>12,} events by the old schema, {found.events_new:,} by the new one"
    yield f"{found.changed:>12,} that both make differ{':' if found.changed else ''}"
    for name, events in found.fields.items():
        yield f"{events:>14,} {plain(name)}"
    yield from _only_in(found.gone, "the old schema alone makes")
    yield from _only_in(found.added, "the new schema alone makes")
    yield from _orders(found.rejected, "the new schema alone rejects")
    yield from _orders(found.accepted, "the old schema alone rejects")
    if found.samples:
        yield ""
        yield "old | new"
    for sample in found.samples:
        yield from _sample(sample, compared.files, width)
    yield ""
    yield from _ids(compared)


def _only_in(events: Mapping[str, int], whose: str) -> Iterator[str]:
    for metric, count in events.items():
        yield f'{count:>12,} events "{plain(metric)}" {whose}'


def _orders(reasons: Mapping[str, int], whose: str) -> Iterator[str]:
    if reasons:
        yield f"{sum(reasons.values()):>12,} orders {whose}"
    for reason, orders in reasons.items():
        yield f"{orders:>14,} {reason}: {REASONS[reason]}"


def _sample(sample: Sample, files: tuple[str, ...], width: int) -> Iterator[str]:
    yield truncate(plain(f"{files[sample.file]} row {sample.row}: {sample.metric}"), width)
    names = [plain(name) for name in sample.old]
    first = min(max(map(cell_len, names)), width // 3)
    side = max((width - first - len("    | ") - 2) // 2, _SIDE_MIN)
    for name, old, new in zip(names, sample.old.values(), sample.new.values(), strict=True):
        left, right = _side_by_side(_shown(name, old), _shown(name, new), side)
        label = set_cell_size(truncate(name, first), first)
        yield truncate(f"  {label}  {set_cell_size(left, side)} | {right}", width)


def _shown(name: str, value: str | None) -> str:
    if value is None:
        return "(none)"
    return iso(int(value)) if name == "time" else plain_json(value)


def _side_by_side(old: str, new: str, width: int) -> tuple[str, str]:
    """Both cut to ``width``; from where they differ on, if ``width`` would cut that off."""
    same = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    if max(cell_len(old), cell_len(new)) > width and same > width // 2:
        start = same - width // 4
        old, new = f"…{old[start:]}", f"…{new[start:]}"
    return truncate(old, width), truncate(new, width)


def _ids(compared: Comparison) -> Iterator[str]:
    found = compared.difference
    for metric, events in found.ids.items():
        yield f'ids change: {events:,} events "{plain(metric)}" have another id'
    for (old, new), events in found.renamed.items():
        yield f'ids change: {events:,} events "{plain(old)}" are called "{plain(new)}" now'
    if compared.makes_copies:
        yield "a run with the new schema would make a second copy of what was delivered"
    for metric in (name for name in compared.rules if name not in found.ids):
        yield (
            f'note: the rule of the ids of "{plain(metric)}" was edited, and no id of this export '
            "changes; a run stops there until --new-ids says that it is meant"
        )
    if not compared.makes_copies:
        yield "ids stay"


def as_dict(compared: Comparison) -> dict[str, Any]:
    found = compared.difference
    return {
        "events": {"old": found.events_old, "new": found.events_new},
        "changed": found.changed,
        "fields": dict(found.fields),
        "ids_changed": dict(found.ids),
        "renamed": [
            {"old": old, "new": new, "events": events}
            for (old, new), events in found.renamed.items()
        ],
        "id_rules_edited": list(compared.rules),
        "events_old_alone": dict(found.gone),
        "events_new_alone": dict(found.added),
        "orders_rejected_by_new_alone": dict(found.rejected),
        "orders_rejected_by_old_alone": dict(found.accepted),
        "samples": [
            {
                "event": sample.metric,
                "file": compared.files[sample.file],
                "row": sample.row,
                "old": _values(sample.old),
                "new": _values(sample.new),
            }
            for sample in found.samples
        ],
    }


def _values(texts: Mapping[str, str | None]) -> dict[str, Any]:
    return {name: None if text is None else json.loads(text) for name, text in texts.items()}
