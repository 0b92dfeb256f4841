"""One shop's orders in each layout that Shopify's export has had: the same payloads from all."""

import csv
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.platforms import SAMPLES, SCHEMAS, events, mapped

pytestmark = pytest.mark.slow

SCHEMA = SCHEMAS / "shopify_orders.yaml"
CLOCK = ZoneInfo("America/Los_Angeles")
with (SAMPLES / "shopify_orders" / "export.csv").open(encoding="utf-8", newline="") as _sample:
    TODAY = next(csv.reader(_sample))

# The names of 73 are those of a file of 2022 (a public repository's, read 2026-11-23): it has the
# terms of payment, and nothing of the till. 75 is the layout before terms of payment, of 2021.
LAYOUTS = {
    79: set(),
    78: {"Payment References"},
    75: {"Payment ID", "Payment Terms Name", "Next Payment Due At", "Payment References"},
    73: {"Outstanding Balance", "Employee", "Location", "Device ID", "Payment ID"}
    | {"Payment References"},
}
PRODUCTS = {
    "Black Tea - 50 g": ("BT-50", "8.00", "Kestrel"),
    "Cup, blue": ("", "19.95", "Wren & Co"),
    "Green Tea - 100 g": ("GT-100", "14.50", "Kestrel"),
    'Tin 5"': ("TIN-5", "0.10", "Wren & Co"),
}
PEOPLE = [
    ("Ada Vidal", "Ada.Vidal@Orchard.example", "(213) 555-0142", "'90001", "CA", "US"),
    ("Jörg Öztürk", "JOERG@ahorn.example", "'+49 30 23125 014", "'04103", "BE", "DE"),
    ("Noor", "noor@harbour.example", "n/a", "98101", "WA", "US"),
    ("Émilie Roy", "emilie@erable.example", "", "H2X 1Y4", "QC", "CA"),
]

Row = dict[str, str]


def orders(count: int) -> list[list[Row]]:
    """``count`` orders, each as the rows of a full export."""
    chosen = random.Random(20231105)
    start = datetime(2023, 11, 4, 12, 0, tzinfo=UTC)
    moments = sorted(start + timedelta(seconds=chosen.randrange(3 * 86_400)) for _ in range(count))
    return [order(at, moment, chosen) for at, moment in enumerate(moments)]


def order(at: int, moment: datetime, chosen: random.Random) -> list[Row]:
    # In the order of their names, which sorting the file by product keeps; names may repeat.
    lines = [line(name, chosen) for name in sorted(chosen.choices(list(PRODUCTS), k=1 + at % 4))]
    bought = sum((worth(row) for row in lines), Decimal(0))
    discount = (bought / 10).quantize(Decimal("0.01")) if at % 3 == 0 else Decimal(0)
    shipping, tax = Decimal("4.90"), (bought / 12).quantize(Decimal("0.01"))
    currency = ("USD", "EUR", "CAD")[at % 3]
    total = bought - discount + shipping + (0 if currency == "EUR" else tax)  # included in euros
    refunded = {0: total, 3: lines and Decimal(lines[0]["Lineitem price"])}.get(at % 8, Decimal(0))
    first = {
        "Financial Status": "paid",
        "Paid at": "" if at % 5 == 0 else clock(moment),
        "Fulfilled at": clock(moment + timedelta(hours=30)) if at % 2 else "",
        "Cancelled at": clock(moment + timedelta(hours=3)) if at % 8 == 0 else "",
        "Currency": currency,
        "Subtotal": str(bought - discount),
        "Shipping": str(shipping),
        "Taxes": str(tax),
        "Total": str(total),
        "Discount Code": "TENTH" if discount else "",
        "Discount Amount": str(discount),
        "Refunded Amount": str(refunded),
        "Notes": 'Ring twice,\n"thank you"\r\n' if at % 7 == 0 else "",
        "Note Attributes": "gift: yes\nfrom: Noor" if at % 9 == 0 else "",
        "Id": str(5_277_630_000_000 + at),
        "Tags": "vip, b2b" if at % 4 == 0 else "",
        "Source": "web",
        "Outstanding Balance": "0.00",
        "Location": "Main Street",
        "Payment ID": f"pay{at}",
        "Payment References": f"pay{at}",
    } | person(at)
    every = {"Name": f"#{1001 + at}", "Email": first["Email"], "Created at": clock(moment)}
    return [(first if place == 0 else {}) | every | row for place, row in enumerate(lines)]


def line(name: str, chosen: random.Random) -> Row:
    sku, price, vendor = PRODUCTS[name]
    return {
        "Lineitem quantity": str(chosen.randint(1, 3)),
        "Lineitem name": name,
        "Lineitem price": price,
        "Lineitem sku": sku,
        "Lineitem discount": "0.00",
        "Vendor": vendor,
    }


def person(at: int) -> Row:
    """Three of twenty orders have no e-mail; two of those have a phone."""
    name, mail, phone, zipped, region, country = PEOPLE[at % len(PEOPLE)]
    match at % 20:
        case 5:
            return {"Email": ""}
        case 10 | 15:
            return {"Email": "", "Phone": f"+1213555{100 + at:04}"}
    kinds = ("Billing", "Shipping")
    address = {"Name": name, "Address1": "1 Row", "City": "X", "Zip": zipped, "Province": region}
    address |= {"Country": country, "Phone": phone}
    mail = mail.upper() if at % 6 == 0 else mail
    return {f"{kind} {part}": value for kind in kinds for part, value in address.items()} | {
        "Email": mail
    }


def clock(moment: datetime) -> str:
    return f"{moment.astimezone(CLOCK):%Y-%m-%d %H:%M:%S %z}"


def worth(row: Row) -> Decimal:
    return int(row["Lineitem quantity"]) * Decimal(row["Lineitem price"])


def reduced(rows: list[Row]) -> list[Row]:
    """Continuation rows with nothing but their order's name and their line."""
    kept = {"Name", "Vendor", *(name for name in TODAY if name.startswith("Lineitem"))}
    return rows[:1] + [{name: row[name] for name in kept & row.keys()} for row in rows[1:]]


def saved(path: Path, rows: list[Row], layout: int = 79) -> Path:
    names = [name for name in TODAY if name not in LAYOUTS[layout]]
    assert len(names) == layout
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


@dataclass(frozen=True)
class Told:
    """What an export gives, wherever its rows stand."""

    events: list[dict[str, Any]]
    rejects: Counter[tuple[str, str]]


def told(path: Path) -> Told:
    found = mapped(SCHEMA, [path], path.parent / "state", profiles="newest")
    assert found["left_out"] == 0
    return Told(
        sorted(events(found), key=lambda one: (one["event"], one["properties"]["$event_id"])),
        Counter((reject["reason"], reject["column"]) for reject in found["rejects"]),
    )


COUNT = 120


@pytest.fixture(scope="module")
def generated() -> list[list[Row]]:
    return orders(COUNT)


@pytest.fixture(scope="module")
def full(generated: list[list[Row]], tmp_path_factory: pytest.TempPathFactory) -> Told:
    folder = tmp_path_factory.mktemp("full")
    return told(saved(folder / "orders.csv", [row for rows in generated for row in rows]))


@pytest.mark.parametrize("layout", [78, 75, 73])
def test_older_layouts_give_the_same_payloads(generated, full, tmp_path, layout):
    rows = [row for rows in generated for row in rows]
    assert told(saved(tmp_path / "orders.csv", rows, layout)) == full


def test_continuation_rows_with_nothing_but_their_line_give_the_same_payloads(
    generated, full, tmp_path
):
    rows = [row for rows in generated for row in reduced(rows)]
    assert told(saved(tmp_path / "orders.csv", rows)) == full


@pytest.mark.parametrize("column", ["Lineitem name", "Total"])
def test_a_file_that_people_sorted_gives_the_same_payloads(generated, full, tmp_path, column):
    """By product; by a column that only first rows have, which puts all others at the end."""
    rows = [row for rows in generated for row in reduced(rows)]
    rows.sort(key=lambda row: (not row.get(column), row.get(column, "")))
    names = [row["Name"] for row in rows]
    assert any(names[at] != names[at + 1] and names[at] in names[at + 2 :] for at in range(9))
    assert told(saved(tmp_path / "orders.csv", rows)) == full


def test_every_order_but_those_of_nobody_is_there(generated, full):
    nobody = [rows for rows in generated if not rows[0]["Email"] and "Phone" not in rows[0]]
    assert len(nobody) == COUNT // 20
    assert full.rejects == {("no_identity", ""): len(nobody)}
    counts = Counter(event["event"] for event in full.events)
    kept = [rows for rows in generated if rows not in nobody]
    assert counts == {
        "Placed Order": len(kept),
        "Ordered Product": sum(map(len, kept)),
        "Fulfilled Order": sum(bool(rows[0]["Fulfilled at"]) for rows in kept),
        "Cancelled Order": sum(bool(rows[0]["Cancelled at"]) for rows in kept),
        "Refunded Order": sum(Decimal(rows[0]["Refunded Amount"]) > 0 for rows in kept),
    }
    assert all(counts.values())


def test_money_adds_up_to_what_the_export_says(generated, full):
    kept = [rows for rows in generated if rows[0]["Email"] or "Phone" in rows[0]]
    columns = {"Placed Order": "Total", "Refunded Order": "Refunded Amount"}
    for metric, column in columns.items():
        raw: Counter[str] = Counter()
        for rows in kept:
            raw[rows[0]["Currency"]] += Decimal(rows[0][column])
        assert values(full, metric) == raw
    raw = Counter()
    for rows in kept:
        raw[rows[0]["Currency"]] += sum(map(worth, rows))
    assert values(full, "Ordered Product") == raw


def values(found: Told, metric: str) -> Counter[str]:
    sums: Counter[str] = Counter()
    for event in found.events:
        if event["event"] == metric:
            sums[event["currency"]] += Decimal(str(event["properties"]["$value"]))
    return sums


def test_what_is_sent_keeps_the_rule_of_subtotals(full):
    """Subtotal is what the lines are worth less the discount, and each line price times pieces."""
    placed = [event["properties"] for event in full.events if event["event"] == "Placed Order"]
    assert any(sent["DiscountValue"] for sent in placed)
    for sent in placed:
        lines = [
            {name: Decimal(str(item[name])) for name in ("Quantity", "ItemPrice", "RowTotal")}
            for item in sent["Items"]
        ]
        assert all(one["RowTotal"] == one["Quantity"] * one["ItemPrice"] for one in lines)
        less = sum(one["RowTotal"] for one in lines) - Decimal(str(sent["DiscountValue"]))
        assert less == Decimal(str(sent["Subtotal"]))


def test_people_come_out_of_dirty_cells(full):
    """Apostrophes before zips and phones, capitals in addresses, junk for a phone."""
    people = [event["customer_properties"] for event in full.events]
    assert {one["$email"] for one in people if "$email" in one} == {
        "ada.vidal@orchard.example",
        "joerg@ahorn.example",
        "noor@harbour.example",
        "emilie@erable.example",
    }
    assert {one["$zip"] for one in people if "$zip" in one} == {
        "90001",
        "04103",
        "98101",
        "H2X 1Y4",
    }
    known = {one["$phone_number"] for one in people if "$email" in one and "$phone_number" in one}
    assert known == {"+12135550142", "+493023125014"}
    assert len({one["$phone_number"] for one in people if "$email" not in one}) == COUNT // 10


def test_times_are_those_of_the_clock_before_and_after_it_goes_back(generated, full):
    kept = [rows[0] for rows in generated if rows[0]["Email"] or "Phone" in rows[0]]
    assert {row["Created at"][-5:] for row in kept} == {"-0700", "-0800"}
    written = {
        row["Id"]: datetime.strptime(row["Created at"], "%Y-%m-%d %H:%M:%S %z") for row in kept
    }
    placed = [event for event in full.events if event["event"] == "Placed Order"]
    sent = {one["properties"]["$event_id"]: datetime.fromisoformat(one["time"]) for one in placed}
    assert sent == written
