"""How fast, and in how much memory: ``python -m benchmarks``, some six minutes on two cores.

Planning is measured by the rows, orders and events that a process of its own brings into a plan in
a second, and by its peak; Track delivery by the events a second that ``deliver`` posts to a sink on
this machine, in turn with the bare transport that it is built on; the ledger by a plan of a
thousand rows beside many keys; and the whole way, a process from a CSV to the last answer, in turn
with what else is used for it. Other work on the machine
moves the seconds; CPU seconds, peaks and ratios move less.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import bulk
from benchmarks.given import export, sink
from benchmarks.processes import measured
from benchmarks.tables import table

HERE: Final = Path(__file__).parent

SHAPES: Final = {"flat": "flat", "scattered": "scattered", "lines": "scattered"}
"""Schema and the export that it maps."""

WAYS: Final = ("deliver", "httpx", "transport")

URL: Final = "http://127.0.0.1:9"
ACCOUNT: Final = "BENCH1"
PLANNED_ROWS: Final = 1_000

LEDGER_HEAD: Final = (
    "keys",
    "MB",
    "open s",
    "record ms",
    "p99",
    "strike s",
    "none s",
    "peak MB",
    "newest s",
    "peak MB",
)

Found = dict[str, Any]


def main(arguments: Sequence[str]) -> None:
    asked = _arguments(arguments)
    found: Found = {"machine": _machine(), "planning": [], "delivery": []}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        if not asked.only or asked.only == "planning":
            found["planning"] = [
                measure
                for rows in asked.rows
                for measure in _planning(Path(folder), asked.cases, rows, asked.repeat)
            ]
            found["growth"] = _growth(found["planning"])
        if not asked.only or asked.only == "delivery":
            found["delivery"] = _delivery(Path(folder), asked.events, asked.pairs)
        if not asked.only or asked.only == "ledger":
            found["ledger"] = [_ledger(Path(folder), keys) for keys in asked.keys]
        if not asked.only or asked.only == "bulk":
            found["bulk"] = bulk.compared(Path(folder), _whole_way(asked))
    print(json.dumps(found, indent=2) if asked.json else _told(found))


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    usual = bulk.Asked()
    add = parser.add_argument
    add("--rows", type=_numbers, default=[1_000_000], metavar="N,N", help="rows of the exports")
    add("--large", action="store_true", help="the same as --rows 1000000,5000000")
    add("--cases", type=_cases, default=["flat", "scattered"], help=", ".join(SHAPES))
    add("--repeat", type=int, default=2, help="plans of each export")
    add("--events", type=int, default=30_000, help="events that are posted each time")
    add("--pairs", type=int, default=3, help="times that each way of posting has its turn")
    add("--keys", type=_numbers, default=[0, 1_000_000], metavar="N,N", help="of the ledgers")
    add("--api", choices=["bulk", "events", "track"], default=usual.api, help="of the whole way")
    add("--bulk-rows", type=int, default=usual.rows, help="rows of the whole way")
    add("--peer-rows", type=int, default=usual.peer_rows, help="the same, dlt's at most")
    add("--slow-rows", type=int, default=usual.slow_rows, help="of slower peers at most")
    add("--profiles", choices=["none", "newest"], default=usual.profiles, help="of the whole way")
    add("--concurrency", type=int, default=usual.concurrency, help="of the whole way")
    add("--only", choices=["planning", "delivery", "ledger", "bulk"])
    add("--json", action="store_true", help="figures for programs")
    asked = parser.parse_args(arguments)
    if asked.large:
        asked.rows = [1_000_000, 5_000_000]
    return asked


def _whole_way(asked: argparse.Namespace) -> bulk.Asked:
    return bulk.Asked(
        api=asked.api,
        rows=asked.bulk_rows,
        peer_rows=asked.peer_rows,
        slow_rows=asked.slow_rows,
        profiles=asked.profiles,
        concurrency=asked.concurrency,
        turns=asked.pairs,
    )


def _numbers(text: str) -> list[int]:
    return [int(part.replace("_", "")) for part in text.split(",")]


def _cases(text: str) -> list[str]:
    cases = text.split(",")
    if unknown := set(cases) - set(SHAPES):
        raise argparse.ArgumentTypeError(f"no such case: {', '.join(sorted(unknown))}")
    return cases


def _machine() -> Found:
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


# planning ----------------------------------------------------------------------------------------


def _planning(folder: Path, cases: Sequence[str], rows: int, repeat: int) -> Iterator[Found]:
    for case in cases:
        with export(folder, SHAPES[case], rows) as path:
            runs = [_planned(folder, case, path) for _ in range(repeat)]
        first = runs[0]
        if any(run["digest"] != first["digest"] or run["rejected"] for run in runs):
            raise SystemExit(f"the plans of one export differ, or have rejects: {runs}")
        medians = {
            name: statistics.median(run[name] for run in runs)
            for name in ("seconds", "cpu_s", "peak_mb")
        }
        counts = {name: first[name] for name in ("rows", "orders", "events", "digest")}
        yield {"case": case, **counts, **medians, "runs": runs}


def _planned(folder: Path, case: str, path: Path) -> Found:
    plan = folder / "plan"
    found = measured("benchmarks.planning", HERE / f"{case}.yaml", path, plan)
    shutil.rmtree(plan)
    return {**found.said, "cpu_s": found.cpu_s, "peak_mb": found.peak_mb}


def _growth(planning: Sequence[Found]) -> Found:
    """For each case, the peak at the most rows over that at the fewest."""
    growth = {}
    for case in dict.fromkeys(found["case"] for found in planning):
        sizes = sorted((f["rows"], f["peak_mb"]) for f in planning if f["case"] == case)
        if len(sizes) > 1:
            growth[case] = sizes[-1][1] / sizes[0][1]
    return growth


# delivery ----------------------------------------------------------------------------------------


def _delivery(folder: Path, events: int, pairs: int) -> list[Found]:
    plan = folder / "plan"
    with export(folder, "flat", events) as path:
        measured("benchmarks.planning", HERE / "flat.yaml", path, plan)
    runs: dict[str, list[Found]] = {way: [] for way in WAYS}
    with sink() as listening:
        for _ in range(pairs):
            for way in WAYS:
                found = measured("benchmarks.posting", way, plan, listening.url, events)
                if found.said["events"] != events:
                    raise SystemExit(f"{way} posted {found.said['events']} of {events} events")
                speed = events / found.said["seconds"]
                runs[way].append({"events_per_s": speed, "cpu_us": found.cpu_s / events * 1e6})
    if listening.taken["events"] != events * pairs * len(WAYS):
        raise SystemExit(f"the sink has {listening.taken}, of {events:,} events each time")
    shutil.rmtree(plan)
    return [
        {
            "way": way,
            "events": events,
            **{name: statistics.median(run[name] for run in found) for name in found[0]},
            "of": {
                other: statistics.median(
                    run["events_per_s"] / bare["events_per_s"]
                    for run, bare in zip(found, runs[other], strict=True)
                )
                for other in WAYS[1:]
            },
            "runs": found,
        }
        for way, found in runs.items()
    ]


# ledger ------------------------------------------------------------------------------------------


def _ledger(folder: Path, keys: int) -> Found:
    """What a ledger takes by itself, and what a plan takes beside it."""
    state = folder / "state"
    found = dict(measured("benchmarks.ledger", state / "ledger.sqlite", URL, ACCOUNT, keys).said)
    with export(folder, "flat", PLANNED_ROWS) as path:
        for profiles in ("none", "newest"):
            asked = ("plan", HERE / "flat.yaml", path, "--url", URL, "--api", "track", "--json")
            state_of = ("--state", state, "--profiles", profiles)
            environment = {"KLAVIYO_PUBLIC_KEY": ACCOUNT}
            plan = measured("backfill", *asked, *state_of, environment=environment)
            found[profiles] = {
                "seconds": plan.seconds,
                "cpu_s": plan.cpu_s,
                "peak_mb": plan.peak_mb,
            }
    shutil.rmtree(state)
    return found


# words -------------------------------------------------------------------------------------------


def _told(found: Found) -> str:
    machine = found["machine"]
    lines = [
        f"{machine['cores']} cores, load {machine['load']} before, {machine['system']}, "
        f"Python {machine['python']}"
    ]
    if found["planning"]:
        lines += ["", "Planning (medians)"]
        head = ("case", "rows", "rows/s", "orders/s", "events/s", "seconds", "CPU s", "peak MB")
        lines += table(head, [_planning_row(one) for one in found["planning"]])
        lines += [
            f"peak of {case} at the most rows: {ratio:.2f} times that at the fewest"
            for case, ratio in found["growth"].items()
        ]
    if found["delivery"]:
        lines += ["", "Track delivery to a sink (medians; ratios of one turn)"]
        posted = ("way", "events", "events/s", "CPU µs/event", "of httpx", "of transport", "spread")
        lines += table(posted, [_delivery_row(one) for one in found["delivery"]])
    if "ledger" in found:
        lines += ["", f"A ledger, and a plan of {PLANNED_ROWS:,} rows beside it"]
        lines += table(LEDGER_HEAD, [_ledger_row(one) for one in found["ledger"]])
    if "bulk" in found:
        lines += ["", *bulk.told(found["bulk"])]
    return "\n".join(lines)


def _planning_row(one: Found) -> tuple[str, ...]:
    speeds = (f"{one[name] / one['seconds']:,.0f}" for name in ("rows", "orders", "events"))
    return (
        one["case"],
        f"{one['rows']:,}",
        *speeds,
        f"{one['seconds']:.1f}",
        f"{one['cpu_s']:.1f}",
        f"{one['peak_mb']:,.0f}",
    )


def _delivery_row(one: Found) -> tuple[str, ...]:
    speeds = [run["events_per_s"] for run in one["runs"]]
    return (
        one["way"],
        f"{one['events']:,}",
        f"{one['events_per_s']:,.0f}",
        f"{one['cpu_us']:,.0f}",
        *(f"{ratio:.0%}" for ratio in one["of"].values()),
        f"{min(speeds):,.0f} to {max(speeds):,.0f}",
    )


def _ledger_row(one: Found) -> tuple[str, ...]:
    plans = (
        f"{one[profiles][name]:,.{digits}f}"
        for profiles in ("none", "newest")
        for name, digits in (("seconds", 1), ("peak_mb", 0))
    )
    return (
        f"{one['keys']:,}",
        f"{one['size_mb']:,.0f}",
        f"{one['open_s']:.2f}",
        f"{one['record_ms']:.1f}",
        f"{one['record_p99_ms']:.1f}",
        f"{one['strike_s']:.1f}",
        *plans,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
