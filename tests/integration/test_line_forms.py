"""Lines of an order in rows, numbered columns, a JSON cell, pairs or list<struct>: one plan."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backfill as bf

pytestmark = pytest.mark.slow

MEMBERS = ("name", "sku", "quantity", "total")


def schema(prefix: str, columns: dict[str, Any]) -> str:
    def named(member: str) -> str:
        return f"{prefix}{member}"

    line = {"N": named("name"), "S": named("sku"), "Q": named("quantity")}
    event = {"time": "at"}
    return (
        json.dumps(
            {
                "name": "lines",
                "source": {"order": "order", "line": list(MEMBERS)},
                "columns": {"at": "time", named("total"): "money", named("quantity"): "integer"}
                | columns,
                "customer_properties": {"$email": "email"},
                "events": [
                    event
                    | {
                        "event": "Placed Order",
                        "properties": {
                            "$event_id": "order",
                            "$value": {"sum": f'"{named("total")}"'},
                            "Items": {"each": line},
                        },
                    },
                    event
                    | {
                        "event": "Ordered Product",
                        "per": "line",
                        "properties": {"$event_id": "{order}-{line}", "$value": named("total")}
                        | line,
                    },
                ],
            }
        )
        + "\n"
    )


def orders() -> list[tuple[list[str], list[dict[str, str]]]]:
    draw = random.Random(3)
    found = []
    for number in range(80):
        head = [str(number), f"2024-05-{number % 28 + 1:02}T10:00:00Z", f"p{number}@shop.example"]
        lines = [
            {
                "name": draw.choice(["Tea: green", 'Mug "blue"', "Käse", "5' pot"]),
                "sku": draw.choice(["", "0012", "A-1"]),
                "quantity": str(draw.randrange(1, 4)),
                "total": f"{draw.randrange(1, 99999) / 100:.2f}",
            }
            for _ in range(draw.randrange(1, 6))
        ]
        found.append((head, lines))
    return found


def pairs(line: dict[str, str]) -> str:
    return "|".join(f"{key}:{value}" for key, value in line.items())


FORMS = {
    "rows": ("", {}, list(MEMBERS), None),
    "numbered cells of pairs": (
        "line_item_<n>.",
        {"line_item_<n>": {"pairs": "|"}},
        [f"line_item_{at}" for at in range(1, 6)],
        lambda lines: [pairs(line) for line in lines] + [""] * (5 - len(lines)),
    ),
    "numbered columns": (
        "item <n> ",
        {},
        [f"item {at} {member}" for at in range(1, 6) for member in MEMBERS],
        lambda lines: [
            lines[at][member] if at < len(lines) else "" for at in range(5) for member in MEMBERS
        ],
    ),
    "a cell of JSON": ("items[].", {}, ["items"], lambda lines: [json.dumps(lines)]),
    "a cell of pairs": (
        "items[].",
        {"items": {"pairs": {"lines": ";", "between": "|"}}},
        ["items"],
        lambda lines: [";".join(map(pairs, lines))],
    ),
}


def digest(tmp_path: Path, schema: str, export: Path) -> str:
    plan = bf.plan(schema, export, state=tmp_path / "state", key="SHOP01")
    assert plan.summary.rejected == 0
    assert plan.summary.orders == 80
    return plan.summary.digest


@pytest.fixture
def by_rows(tmp_path: Path) -> str:
    prefix, columns, header, _ = FORMS["rows"]
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order", "at", "email", *header])
        for head, lines in orders():
            writer.writerows([*head, *line.values()] for line in lines)
    return digest(tmp_path, schema(prefix, columns), path)


@pytest.mark.parametrize("form", [form for form in FORMS if form != "rows"])
def test_lines_in_a_row_are_planned_as_rows_are(tmp_path: Path, by_rows: str, form: str):
    prefix, columns, header, cells = FORMS[form]
    assert cells is not None
    path = tmp_path / "wide.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order", "at", "email", *header])
        writer.writerows([*head, *cells(lines)] for head, lines in orders())
    assert digest(tmp_path, schema(prefix, columns), path) == by_rows


def test_a_list_of_structs_is_planned_as_rows_are(tmp_path: Path, by_rows: str):
    found = orders()
    heads = list(zip(*(head for head, _ in found), strict=True))
    typed = [
        [
            line | {"quantity": int(line["quantity"]), "total": float(line["total"])}
            for line in lines
        ]
        for _, lines in found
    ]
    columns = dict(zip(("order", "at", "email"), map(pa.array, heads), strict=True))
    path = tmp_path / "items.parquet"
    pq.write_table(pa.table(columns | {"items": pa.array(typed)}), path)
    assert digest(tmp_path, schema("items[].", {}), path) == by_rows
