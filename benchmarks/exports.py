"""Exports that no shop wrote: invented people, and a fixed seed for everything."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Shape = Literal["flat", "scattered"]
Ints = npt.NDArray[np.int64]

SEED: Final = 20_261_123
LINES: Final = (1, 2, 3, 4)
"""As many orders have each of these numbers of lines: 2.5 on average."""
ORDERS_A_PERSON: Final = 3
CHUNK_ROWS: Final = 200_000

FIRST_NAMES: Final = ("Ada", "Bo", "Chloé", "Dmitri", "Esi", "Farid", "Grete", "Hiroko", "Íris")
LAST_NAMES: Final = ("Okafor", "Lindqvist", "Marsh", "Dvořák", "Tanaka", "O'Neill", "Reyes")
ITEMS: Final = (
    "Linen shirt",
    '"Mug, blue"',  # as it stands in a CSV: two of eight are quoted
    "Desk lamp",
    "Wool blanket 140x200",
    '"Vinyl 12"" sleeve"',
    "Notebook A5",
    "Jar of honey",
    "Ceramic planter",
)
OFFSETS: Final = ("Z", "+01:00", "-08:00", "+05:30")
FIRST_SECOND: Final = int(datetime(2019, 1, 1, tzinfo=UTC).timestamp())
SECONDS: Final = 5 * 365 * 86_400


def write(path: Path, shape: Shape, rows: int) -> None:
    """A CSV of exactly so many rows."""
    orders = np.arange(rows) if shape == "flat" else _shuffled_lines(rows)
    people = max(1, int(orders.max()) // ORDERS_A_PERSON)
    with path.open("wb") as file:
        for start in range(0, rows, CHUNK_ROWS):
            chunk = orders[start : start + CHUNK_ROWS]
            columns = _order(chunk, people) | (_flat(chunk) if shape == "flat" else _line(chunk))
            if not start:
                file.write(",".join(columns).encode() + b"\n")
            records = pc.binary_join_element_wise(*columns.values(), ",")
            file.write(pc.binary_join(_one_list(records), "\n")[0].as_buffer())
            file.write(b"\n")


def _one_list(texts: pa.Array) -> pa.ListArray:
    return pa.ListArray.from_arrays([0, len(texts)], texts)


def _shuffled_lines(rows: int) -> Ints:
    """Each row's order number, an order's rows anywhere."""
    random = np.random.default_rng(SEED)
    lines = np.array(LINES)[random.integers(0, len(LINES), rows)]  # more orders than needed
    orders = np.repeat(np.arange(rows), lines)[:rows]
    random.shuffle(orders)
    return orders


def _order(orders: Ints, people: int) -> dict[str, pa.Array]:
    """What is the same on all rows of an order; it depends on the order's number alone."""
    person = _mixed(orders, 0) % people
    seconds = FIRST_SECOND + _mixed(orders, 1) % SECONDS
    local = pc.strftime(pa.array(seconds, pa.timestamp("s")), "%Y-%m-%dT%H:%M:%S")
    return {
        "order_id": _joined("A", _text(orders + 100_000_000)),
        "email": _joined("person", _text(person), "@mail.shop.example"),
        "first_name": _picked(FIRST_NAMES, person, 2),
        "last_name": _picked(LAST_NAMES, person, 3),
        "ordered_at": _joined(local, _picked(OFFSETS, orders, 4)),
        "currency": _picked(("EUR", "USD", "GBP"), orders, 5),
    }


def _flat(orders: Ints) -> dict[str, pa.Array]:
    return {"total": _money(orders, 6), "item": _picked(ITEMS, orders, 7)}


def _line(orders: Ints) -> dict[str, pa.Array]:
    lines = orders * 31 + np.arange(len(orders))
    return {
        "sku": _joined("SKU-", _text(_mixed(lines, 8) % 5_000)),
        "item": _picked(ITEMS, lines, 7),
        "quantity": _text(_mixed(lines, 9) % 5 + 1),
        "price": _money(lines, 6),
    }


def _mixed(numbers: Ints, salt: int) -> Ints:
    """Numbers that look random and depend on nothing but their arguments (splitmix64)."""
    z = numbers.astype(np.uint64) + np.uint64((SEED + salt) * 0x9E3779B97F4A7C15 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(1)).astype(np.int64)


def _picked(choices: tuple[str, ...], numbers: Ints, salt: int) -> pa.Array:
    return pa.array(choices).take(pa.array(_mixed(numbers, salt) % len(choices)))


def _money(numbers: Ints, salt: int) -> pa.Array:
    cents = _mixed(numbers, salt) % 30_000 + 100
    digits = pc.utf8_lpad(_text(cents % 100), 2, padding="0")
    return pc.binary_join_element_wise(_text(cents // 100), digits, ".")


def _text(numbers: Ints) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _joined(*parts: str | pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")
