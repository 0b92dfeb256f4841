"""Map a platform's sample export; ``python -m tests.platforms NAME …`` writes expected.json anew.

What it writes is read against the export by eye before it is kept: the file is the test.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

import backfill as bf
from backfill.wire.track import Track

ROOT: Final = Path(__file__).parent.parent
SCHEMAS: Final = ROOT / "schemas"
SAMPLES: Final = ROOT / "tests" / "data" / "platforms"
WIDTH: Final = 100


@dataclass(frozen=True)
class Platform:
    """A schema of ``schemas/`` and the folder of its sample.

    The folder holds ``export*.csv`` or ``.parquet`` (several are one export), ``expected.json``,
    and ``options.json`` where the schema leaves more open than ``profiles``:
    ``{"timezone": "Europe/Madrid", "profiles": "newest"}``.
    """

    name: str

    @property
    def schema(self) -> Path:
        return SCHEMAS / f"{self.name}.yaml"

    @property
    def folder(self) -> Path:
        return SAMPLES / self.name

    @property
    def exports(self) -> list[Path]:
        found = sorted(self.folder.glob("export*.*"))
        assert found, f"{self.folder} has no export"
        return found

    @property
    def options(self) -> dict[str, str]:
        path = self.folder / "options.json"
        return json.loads(path.read_text("utf-8")) if path.exists() else {}

    @property
    def expected(self) -> dict[str, Any]:
        return json.loads((self.folder / "expected.json").read_text("utf-8"))

    def mapped(self, state: Path) -> dict[str, Any]:
        options = {"profiles": "newest", **self.options}
        return mapped(self.schema, self.exports, state, **options)


def mapped(
    schema: Path | str, exports: Sequence[Path], state: Path, **options: Any
) -> dict[str, Any]:
    """All that a plan of the exports would send by Track, order by order, and all its rejects."""
    report = bf.plan(schema, [str(path) for path in exports], state=state, **options)
    orders: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for batch in report._plan.pending():
        table = pa.Table.from_batches([batch])
        columns = (table[name].to_pylist() for name in ("file", "row", "currency"))
        for file, row, currency, payload in zip(*columns, Track().payloads(table), strict=True):
            orders.setdefault((file, row), []).append(_event(json.loads(payload), currency))
    rejects = sorted(report._plan.rejected_orders(), key=lambda found: found[0])
    files = [Path(name).name for name in report._files]
    return {
        "orders": [
            {**_at(files, place), "events": sorted(orders[place], key=_by_metric)}
            for place in sorted(orders)
        ],
        "rejects": [
            {**_at(files, place), "reason": why.reason, "column": why.column}
            for place, why in rejects
        ],
        "left_out": report.summary.rows_left_out,
    }


def events(found: dict[str, Any], metric: str | None = None) -> list[dict[str, Any]]:
    """The events of a mapped export, of one metric or of all."""
    every = [event for order in found["orders"] for event in order["events"]]
    return [event for event in every if metric in (None, event["event"])]


def _at(files: list[str], place: tuple[int, int]) -> dict[str, Any]:
    file, row = place
    return {"file": files[file], "row": row} if len(files) > 1 else {"row": row}


def _event(sent: dict[str, Any], currency: str | None) -> dict[str, Any]:
    """As Track sends it, with a time to read, and the currency that Klaviyo's other APIs take."""
    time = datetime.fromtimestamp(sent["time"], UTC)
    return {
        "event": sent["event"],
        "time": f"{time:%Y-%m-%dT%H:%M:%SZ}",
        **({"currency": currency} if currency else {}),
        "customer_properties": sent["customer_properties"],
        "properties": sent["properties"],
    }


METRICS: Final = (
    "Placed Order",
    "Ordered Product",
    "Fulfilled Order",
    "Cancelled Order",
    "Refunded Order",
)


def _by_metric(event: dict[str, Any]) -> tuple[int, str, str]:
    """In an order's file: as its life goes; lines in their order."""
    name = event["event"]
    at = METRICS.index(name) if name in METRICS else len(METRICS)
    return at, name, str(event["properties"].get("$event_id"))


def readable(value: Any, indent: int = 0) -> str:
    """JSON in which what fits into a line stands in one."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or indent + len(flat) <= WIDTH:
        return flat
    inner = indent + 1
    if isinstance(value, dict):
        parts = [f"{json.dumps(k)}: {readable(v, inner)}" for k, v in value.items()]
        opening, closing = "{}"
    else:
        parts = [readable(v, inner) for v in value]
        opening, closing = "[]"
    lines = f",\n{' ' * inner}".join(parts)
    return f"{opening}\n{' ' * inner}{lines}\n{' ' * indent}{closing}"


def main(names: list[str]) -> None:
    for name in names:
        platform = Platform(name)
        with tempfile.TemporaryDirectory() as folder:
            found = platform.mapped(Path(folder))
        path = platform.folder / "expected.json"
        path.write_text(readable(found) + "\n", "utf-8")
        print(f"{path}: {len(found['orders'])} orders, {len(found['rejects'])} rejects")  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
