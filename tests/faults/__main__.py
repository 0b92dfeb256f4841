"""`python -m tests.faults --seed N` plays one scenario, `--count 1000 --jobs 2` many."""

import argparse
import multiprocessing
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import fields

from tests.faults.play import FailedError, Played, play
from tests.faults.pool import serve_here, take
from tests.faults.scenario import KINDS, scenario
from tests.faults.starts import serving


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one, and show it")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--from", type=int, default=1, dest="first")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    if asked.seed is not None:
        return _one(asked.seed)
    return _many(range(asked.first, asked.first + asked.count), asked.jobs)


def _one(seed: int) -> int:
    what = scenario(seed)
    for name in fields(what):
        _say(f"{name.name:>12} {getattr(what, name.name)}")
    with serving() as server:
        try:
            played = play(seed, server)
        except FailedError as error:
            _say(str(error))
            return 1
    _say(f"{'played':>12} {'; '.join(played.steps)}")
    return 0


def _many(seeds: Sequence[int], jobs: int) -> int:
    began = time.monotonic()
    table: dict[str, list[Played]] = defaultdict(list)
    whole: list[Played] = []
    failed = 0
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, spawning, serve_here) as pool:
        for done in as_completed([pool.submit(take, seed) for seed in seeds]):
            result = done.result()
            if isinstance(result, str):
                failed += 1
                _say(result)
                continue
            whole.append(result)
            for kind in result.kinds:
                table[kind].append(result)
    for line in _table(table, whole):
        _say(line)
    took_s = time.monotonic() - began
    _say(f"{len(whole)} of {len(seeds)} scenarios in {took_s:,.0f} s, {failed} failed")
    return int(failed > 0)


def _table(table: dict[str, list[Played]], whole: list[Played]) -> Iterator[str]:
    names = ("scenarios", "struck", "starts", "requests", "recorded", "merged", "seconds")
    yield f"{'fault':<32}" + "".join(f"{name:>11}" for name in names)
    for kind in KINDS:
        yield _row(kind, table[kind])
    yield _row("all (a scenario may have several)", whole)


def _row(name: str, played: list[Played]) -> str:
    sums = [sum(getattr(one, of) for one in played) for of in _SUMMED]
    seconds = sum(one.seconds for one in played)
    return (
        f"{name[:32]:<32}{len(played):>11,}"
        + "".join(f"{s:>11,}" for s in sums)
        + (f"{seconds:>11,.0f}")
    )


_SUMMED = ("struck", "starts", "requests", "recorded", "merged")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
