"""Real exports through the command line into the sandbox, and what landed there."""

import csv
import gzip
import json
from collections import Counter, defaultdict
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from backfill.sandbox import Sandbox
from tests.conftest import RETAIL, RETAIL_SCHEMA, SALES, SALES_SCHEMA, Tool

ORDERS, LINES = 16_459, 32_718


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory):
    """AdventureWorks in a sandbox, and what the tool said."""
    tool = Tool(tmp_path_factory.mktemp("sales-run"))
    with Sandbox() as sandbox:
        said = tool("run", SALES_SCHEMA, SALES, "--url", sandbox.url, "--rate", "none", "--json")
        again = tool("run", SALES_SCHEMA, SALES, "--url", sandbox.url, "--rate", "none", "--json")
        yield said, again, sandbox.stats(), sandbox.events(), sandbox.profiles()


@pytest.fixture(scope="module")
def rows():
    with gzip.open(SALES, "rt", encoding="utf-8", newline="") as file:
        orders = defaultdict(list)
        for row in csv.DictReader(file):
            orders[row["SalesOrderNumber"]].append(row)
    return orders


@pytest.mark.slow
def test_all_of_adventureworks_lands_once(landed):
    said, _, stats, *_ = landed
    assert said.code == 0, said.err
    assert said.summary["delivered"] == ORDERS + LINES
    assert stats["metrics"] == {"Placed Order": ORDERS, "Ordered Product": LINES}
    assert stats["received"] == stats["recorded"] == ORDERS + LINES


@pytest.mark.slow
def test_a_second_run_sends_nothing(landed):
    _, again, stats, *_ = landed
    assert again.code == 0
    assert (again.summary["already"], again.summary["delivered"]) == (ORDERS + LINES, 0)
    assert again.summary["requests"] == 0
    assert stats["requests"] == ORDERS + LINES


@pytest.mark.slow
def test_each_order_is_whole_and_its_value_is_the_exact_sum(landed, rows):
    placed = {e["event_id"]: e for e in landed[3] if e["metric"] == "Placed Order"}
    assert placed.keys() == rows.keys()
    for number, lines in rows.items():
        event = placed[number]
        total = sum(
            int(row["Quantity"]) * Decimal(row["UnitPrice"]) + Decimal(row["TaxAmount"])
            for row in lines
        )
        rounded = total.quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert Decimal(str(event["value"])) == rounded
        assert event["properties"]["ItemNames"] == [row["Item"].strip() for row in lines]


@pytest.mark.slow
def test_the_scattered_orders_are_whole(landed, rows):
    seen: list[str] = []
    with gzip.open(SALES, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not seen or seen[-1] != row["SalesOrderNumber"]:
                seen.append(row["SalesOrderNumber"])
    scattered = {number for number, runs in Counter(seen).items() if runs > 1}
    assert len(scattered) == 23
    placed = {e["event_id"]: e for e in landed[3] if e["metric"] == "Placed Order"}
    for number in scattered:
        assert len(placed[number]["properties"]["Items"]) == len(rows[number])


@pytest.mark.slow
def test_each_person_has_the_name_of_the_newest_order(landed, rows):
    names = {p["email"]: p["attributes"].get("$first_name") for p in landed[4]}
    newest: dict[str, tuple[str, str]] = {}
    for lines in rows.values():
        email = lines[0]["EmailAddress"].strip().lower()
        newest[email] = max(
            newest.get(email, ("", "")), (lines[0]["OrderDate"], lines[0]["CustomerName"])
        )
    assert names.keys() == newest.keys()
    same_day = {email for email, (_, name) in newest.items() if names[email] != name.split()[0]}
    assert not same_day


@pytest.mark.slow
def test_text_and_typed_parquet_make_the_same_bytes(sales_csv: Path, tool: Tool):
    text_options = pa.csv.ConvertOptions(
        column_types=dict.fromkeys(
            ["OrderDate", "Quantity", "UnitPrice", "TaxAmount", "SalesOrderLineNumber"], pa.string()
        )
    )
    typed_options = pa.csv.ConvertOptions(
        column_types={"UnitPrice": pa.decimal128(12, 4), "TaxAmount": pa.decimal128(12, 4)}
    )
    pq.write_table(
        pa.csv.read_csv(sales_csv, convert_options=text_options), tool.folder / "t.parquet"
    )
    typed = pa.csv.read_csv(sales_csv, convert_options=typed_options)
    assert pa.types.is_date(typed.schema.field("OrderDate").type)
    pq.write_table(typed, tool.folder / "typed.parquet")
    doubles = pa.csv.read_csv(sales_csv)
    assert pa.types.is_floating(doubles.schema.field("UnitPrice").type)
    pq.write_table(doubles, tool.folder / "doubles.parquet")
    exports = [sales_csv, "t.parquet", "typed.parquet", "doubles.parquet"]
    digests = {tool("plan", SALES_SCHEMA, export, "--json").summary["digest"] for export in exports}
    assert len(digests) == 1


def test_default_ids_that_clash_reject_the_orders_that_stand_later(tool: Tool, sales_csv: Path):
    text = SALES_SCHEMA.read_text().split("  - event: Ordered Product")[0]
    schema = tool.folder / "schema.yaml"
    schema.write_text(text.replace('      $event_id: "{SalesOrderNumber}"\n', ""))
    said = tool("plan", schema, sales_csv, "--json")
    assert said.code == 1
    assert said.summary["reasons"] == {"id_clash": 25}
    assert said.summary["events"] == ORDERS - 25
    [rejects] = tool.folder.glob(".backfill/runs/*/rejects.csv")
    with rejects.open(newline="", encoding="utf-8") as file:
        rejected = list(csv.DictReader(file))
    assert len(rejected) == 60
    assert {row["_reason"] for row in rejected} == {"id_clash"}
    first_rows = _first_rows(sales_csv)
    for row in rejected:
        same = first_rows[row["EmailAddress"], row["OrderDate"]]
        assert first_rows_of_order(first_rows, row) > min(same.values())


def _first_rows(path: Path) -> dict[tuple[str, str], dict[str, int]]:
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            order = found[row["EmailAddress"], row["OrderDate"]]
            order.setdefault(row["SalesOrderNumber"], number)
    return found


def first_rows_of_order(first_rows, row) -> int:
    return first_rows[row["EmailAddress"], row["OrderDate"]][row["SalesOrderNumber"]]


@pytest.mark.slow
def test_december_of_online_retail(tool: Tool, sandbox: Sandbox):
    said = tool("run", RETAIL_SCHEMA, RETAIL, "--url", sandbox.url, "--rate", "none", "--json")
    assert said.code == 1, said.err
    assert said.summary["rows"] == 42_481
    assert said.summary["reasons"] == {"no_identity": 317}
    assert sandbox.stats()["metrics"] == {"Placed Order": 1_400, "Cancelled Order": 308}
    [rejects] = tool.folder.glob(".backfill/runs/*/rejects.csv")
    with rejects.open(encoding="utf-8", newline="") as file:
        assert sum(1 for _ in csv.reader(file)) - 1 == 15_631
    people = {profile["external_id"] for profile in sandbox.profiles()}
    assert "17850" in people
    assert not any("." in person for person in people)


def test_rejects_mended_and_fed_in_alone_complete_the_export(tool: Tool, sandbox: Sandbox):
    (tool.folder / "s.yaml").write_text(SMALL)
    (tool.folder / "a.csv").write_text(
        "No,Mail,At,Sum\n1,a@x.example,2020-01-01T00:00:00Z,10\n2,b at x,2020-01-02T00:00:00Z,20\n"
    )
    first = tool("run", "s.yaml", "a.csv", "--url", sandbox.url, "--json")
    assert first.code == 1
    [rejects] = tool.folder.glob(".backfill/runs/*/rejects.csv")
    assert rejects.read_text().splitlines() == [
        "_reason,_column,_file,_row,No,Mail,At,Sum",
        "not_an_email,Mail,a.csv,3,2,b at x,2020-01-02T00:00:00Z,20",
    ]
    rejects.write_text(rejects.read_text().replace("b at x", "b@x.example"))
    second = tool("run", "s.yaml", rejects, "--url", sandbox.url, "--json")
    assert (second.code, second.summary["delivered"]) == (0, 1)
    assert json.dumps(sorted(e["event_id"] for e in sandbox.events())) == '["1", "2"]'


SMALL = """
name: small
columns: {Sum: money}
customer_properties: {$email: Mail}
events:
  - event: Placed Order
    time: At
    properties: {$event_id: "{No}", $value: Sum}
"""
