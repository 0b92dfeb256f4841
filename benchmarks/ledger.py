"""A ledger of many keys: how long it takes to open, to record and to strike; told as JSON.

    python -m benchmarks.ledger PATH URL ACCOUNT KEYS

The file stays, for a plan beside it. Keys are random, and a person's attributes went with two of
five events.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from backfill.ledger.ledger import CARRIER, DeliveredBatch, Ledger, Target

BATCH: Final = 1_000
RECORDED: Final = 200
STRUCK: Final = 500


def batches(count: int, seed: int) -> Iterator[DeliveredBatch]:
    random = np.random.default_rng(seed)
    carriers = BATCH * 2 // 5
    for _ in range(count):
        keys = random.bytes(16 * BATCH)
        people = random.bytes(16 * carriers)
        carried = b"".join(
            CARRIER.pack(people[at : at + 16], at, keys[at : at + 16])
            for at in range(0, 16 * carriers, 16)
        )
        yield DeliveredBatch(keys, random.bytes(8 * BATCH), carried, frozenset(["Placed Order"]))


def seconds(began: float) -> float:
    return time.perf_counter() - began


def main(path: Path, target: Target, keys: int) -> None:
    with Ledger.open(path, target) as ledger:
        for batch in batches(keys // BATCH, seed=1):
            ledger.record(batch, run_id="before", time_s=0)
    began = time.perf_counter()
    ledger = Ledger.open(path, target)
    open_s, taken = seconds(began), []
    for batch in batches(RECORDED, seed=2):
        began = time.perf_counter()
        ledger.record(batch, run_id="now", time_s=0)
        taken.append(seconds(began))
    began = time.perf_counter()
    ledger.strike(batch.keys[at : at + 16] for at in range(0, 16 * STRUCK, 16))
    strike_s = seconds(began)
    ledger.close()
    found = {
        "keys": keys,
        "open_s": open_s,
        "record_ms": 1_000 * float(np.median(taken)),
        "record_p99_ms": 1_000 * float(np.quantile(taken, 0.99)),
        "strike_s": strike_s,
        "size_mb": path.stat().st_size / 1e6,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    place, url, account, number = sys.argv[1:]
    main(Path(place), Target(url, account), int(number))
