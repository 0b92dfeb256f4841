"""The whole way, from a flat CSV into Bulk Create Events, and two peers on the same way.

Ours is ``backfill run`` itself, a process from its start to its end: plan, ledger and report
included. A peer's seconds begin after its imports, and it may have fewer rows; what it says is a
rate. Every way posts to a sink of its own, which must have got each event once.
"""

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks import given
from benchmarks.processes import measured
from benchmarks.tables import table

Found = dict[str, Any]

SCHEMA: Final = Path(__file__).parent / "flat.yaml"
LATENCY_S: Final = 0.2
KEY: Final = {"KLAVIYO_PRIVATE_KEY": "pk_LOCAL1_bench"}

OURS: Final = "backfill"
FAR: Final = "backfill, 200 ms"
SDK: Final = "SDK's call, pandas"
DLT: Final = ("dlt, parquet", "dlt, typed-jsonl")
DLT_THREADS: Final = 4  # on two cores 20 are no faster, and one is a fourth slower

REJECT_COLUMNS: Final = (
    ("events/s", "at least", 80_000),
    ("CPU µs/event", "at most", 16),
    ("times the SDK's call", "at least", 20),
    ("times dlt's best mode", "at least", 3),
    ("% of it at 200 ms", "at least", 90),
)


@dataclass(frozen=True, slots=True)
class Asked:
    api: str = "bulk"
    rows: int = 1_000_000
    peer_rows: int = 1_000_000
    """At most so many for dlt; the slower ways have ``slow_rows`` at most."""
    slow_rows: int = 50_000
    profiles: str = "newest"
    concurrency: int = 64
    """Answers that take 200 ms let 16 requests of 1,000 events carry 80,000 events a second."""
    turns: int = 3


@dataclass(frozen=True, slots=True)
class Way:
    name: str
    rows: int
    latency_s: float = 0.0
    peer: tuple[object, ...] = ()
    """Its module and what follows the sink's URL; empty is ours."""


def ways(asked: Asked) -> Iterator[Way]:
    """Those that can be measured here."""
    yield Way(OURS, asked.rows)
    yield Way(FAR, asked.rows, LATENCY_S)
    fast, slow = min(asked.rows, asked.peer_rows), min(asked.rows, asked.slow_rows)
    if find_spec("klaviyo_api"):
        yield Way(SDK, slow, peer=("sdk_loop",))
    if find_spec("dlt"):
        yield Way(DLT[0], fast, peer=("dlt_destination", "parquet", DLT_THREADS))
        yield Way(DLT[1], slow, peer=("dlt_destination", "typed-jsonl", DLT_THREADS))


def compared(folder: Path, asked: Asked) -> Found:
    """Each way in its turn, several times."""
    able = list(ways(asked))
    runs: dict[str, list[Found]] = {way.name: [] for way in able}
    with ExitStack() as held:
        sizes = {way.rows for way in able}
        exports = {n: held.enter_context(given.export(folder, "flat", n)) for n in sizes}
        for _ in range(asked.turns):
            for way in able:
                runs[way.name].append(_run(way, exports[way.rows], asked))
    return {
        "api": asked.api,
        "profiles": asked.profiles,
        "concurrency": asked.concurrency,
        "ways": [_medians(way, runs[way.name]) for way in able],
        "marks": marks(runs),
    }


def _run(way: Way, export: Path, asked: Asked) -> Found:
    with (
        given.sink(way.latency_s) as sink,
        tempfile.TemporaryDirectory(prefix="benchmark-state-") as state,
    ):
        if way.peer:
            module, *more = way.peer
            found = measured(f"benchmarks.peers.{module}", export, sink.url, *more)
            seconds, cpu_s = found.said["seconds"], found.said["cpu_s"]
        else:
            found = measured(
                "backfill",
                *("run", SCHEMA, export, "--url", sink.url, "--api", asked.api),
                *("--rate", "none", "--profiles", asked.profiles, "--state", state),
                *("--concurrency", asked.concurrency, "--yes", "--json"),
                environment=KEY,
            )
            seconds, cpu_s = found.seconds, found.cpu_s
    if sink.taken.get("events") != way.rows:
        raise SystemExit(f"{way.name}: the sink has {sink.taken} of {way.rows} events")
    return {
        "events_per_s": way.rows / seconds,
        "cpu_us": cpu_s / way.rows * 1e6,
        "peak_mb": found.peak_mb,
        "requests": sink.taken["requests"],
        "bytes_per_event": sink.taken["bytes"] / way.rows,
    }


def _medians(way: Way, runs: Sequence[Found]) -> Found:
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return {"way": way.name, "rows": way.rows, **medians, "runs": runs}


def marks(runs: dict[str, list[Found]]) -> list[Found]:
    """What was asked for, and what was found; ratios are medians of those of one turn.

    A mark whose peer is not installed has no ``found``.
    """

    def of(name: str, figure: str = "events_per_s") -> list[float]:
        return [run[figure] for run in runs.get(name, ())]

    ours, far = of(OURS), of(FAR)
    dlt = max((of(name) for name in DLT), key=lambda speeds: statistics.median(speeds or [0]))
    founds = (
        ours,
        of(OURS, "cpu_us"),
        [one / other for one, other in zip(ours, of(SDK), strict=False)],
        [one / other for one, other in zip(ours, dlt, strict=False)],
        [100 * one / other for one, other in zip(far, ours, strict=True)],
    )
    return [
        {"mark": mark, "bound": bound, "asked": wanted, **_judged(found, bound, wanted)}
        for (mark, bound, wanted), found in zip(REJECT_COLUMNS, founds, strict=True)
    ]


def _judged(found: Sequence[float], bound: str, wanted: float) -> Found:
    if not found:
        return {"found": None, "met": None}
    median = statistics.median(found)
    return {"found": median, "met": median >= wanted if bound == "at least" else median <= wanted}


# words -------------------------------------------------------------------------------------------


def told(found: Found) -> list[str]:
    head = ("way", "rows", "events/s", "CPU µs/event", "peak MB", "requests", "B/event", "spread")
    lines = [
        f"The whole way by --api {found['api']} --profiles {found['profiles']} "
        f"--concurrency {found['concurrency']} (medians; peers without their start)",
        *table(head, [_row(one) for one in found["ways"]]),
        "",
        *table(("mark", "asked", "found", ""), [_mark(one) for one in found["marks"]]),
    ]
    if any(one["met"] is None for one in found["marks"]):
        lines += ["A peer that is not installed is left out: pip install '.[bench]' brings both."]
    return lines


def _row(one: Found) -> tuple[str, ...]:
    speeds = [run["events_per_s"] for run in one["runs"]]
    return (
        one["way"],
        f"{one['rows']:,}",
        f"{one['events_per_s']:,.0f}",
        f"{one['cpu_us']:.1f}",
        f"{one['peak_mb']:,.0f}",
        f"{one['requests']:,.0f}",
        f"{one['bytes_per_event']:,.0f}",
        f"{min(speeds):,.0f} to {max(speeds):,.0f}",
    )


def _mark(one: Found) -> tuple[str, ...]:
    wanted = f"{one['bound']} {one['asked']:,}"
    if one["met"] is None:
        return (one["mark"], wanted, "", "not measured")
    shown = f"{one['found']:,.0f}" if one["found"] >= 1_000 else f"{one['found']:.2f}"
    return (one["mark"], wanted, shown, "pass" if one["met"] else "FAIL")
