"""Amounts of three digits behind one mark, and the decimals that a currency has."""

import csv
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import backfill as bf
from backfill.report.summary_text import notes
from backfill.schema.id_rule import id_rules
from backfill.schema.load import load_schema
from tests.platforms import SCHEMAS, events, mapped

SHOP = """\
name: shop
source: {{order: Order}}
columns: {{Total: {kind}, Placed: time}}
customer_properties: {{$email: Email}}
events:
  - event: Placed Order
    time: Placed
    {currency}
    properties: {{$event_id: Order, $value: {value}}}
"""


def schema_of(kind="money", currency="", value="Total"):
    return SHOP.format(kind=kind, currency=currency, value=value)


def rows_of(totals, codes=None):
    codes = codes or ["USD"] * len(totals)
    return [
        {
            "Order": str(at),
            "Email": f"ada{at}@shop.example",
            "Placed": "2024-05-01T10:00:00Z",
            "Total": total,
            "Currency": code,
        }
        for at, (total, code) in enumerate(zip(totals, codes, strict=True))
    ]


def export_of(folder, totals, codes=None):
    path = folder / "orders.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["Order", "Email", "Placed", "Total", "Currency"])
        writer.writeheader()
        writer.writerows(rows_of(totals, codes))
    return path


def found(tmp_path, totals, kind="money", *, codes=None, currency="", value="Total"):
    """The value of each order, or the reason of its reject, in the order of the export."""
    export = export_of(tmp_path, totals, codes)
    whole = mapped(schema_of(kind, currency, value), [export], tmp_path / "state", profiles="none")
    outcomes = {
        order["row"]: order["events"][0]["properties"].get("$value") for order in whole["orders"]
    }
    outcomes |= {one["row"]: one["reason"] for one in whole["rejects"]}
    return [outcomes[row] for row in sorted(outcomes)]


UNCLEAR = "unclear_amount"


@pytest.mark.parametrize(
    ("totals", "outcomes"),
    [
        (["15.900", "100"], [UNCLEAR, 100]),
        (["1.234"], [UNCLEAR]),
        (["1,234", "7"], [UNCLEAR, 7]),
        (["$15.900", "€1,234", "1.234 €", "-1.234"], [UNCLEAR] * 4),
        # the column shows its mark
        (["15.900", "12.50"], [15.9, 12.5]),
        (["1,234", "12.50"], [1234, 12.5]),
        (["1,234", "1,234,567"], [1234, 1234567]),
        (["1,234", "1,234.50"], [1234, 1234.5]),
        (["15.900", "1234.500"], [15.9, 1234.5]),
        (["15.900", "0.500"], [15.9, 0.5]),
        # a sign with a point shows nothing
        (["1.234", "Rs.500"], [UNCLEAR, 500]),
        # the column shows a comma, or both
        (["15.900", "1.234,00"], [UNCLEAR, "not_money"]),
        (["15.900", "12,50"], [UNCLEAR, "not_money"]),
        (["15.900", "12.50", "12,50"], [UNCLEAR, 12.5, "not_money"]),
        # nothing to decide
        (["1 234", "1'234"], [1234, 1234]),
        (["0.500", "100"], [0.5, 100]),
    ],
)
def test_the_column_decides_what_three_digits_behind_a_mark_are(tmp_path, totals, outcomes):
    assert found(tmp_path, totals) == outcomes


@pytest.mark.parametrize(
    ("decimal", "outcome"),
    [(".", [15.9, 1234]), (",", [15900, 1.23])],
)
def test_a_schema_that_names_the_mark_is_not_asked(tmp_path, decimal, outcome):
    kind = f'{{money: {{decimal: "{decimal}"}}}}'
    assert found(tmp_path, ["15.900", "1,234"], kind) == outcome


@pytest.mark.parametrize("value", ["{sql: Total * 2}", "{sum: Total}", "{sql: Total, as: money}"])
def test_an_unclear_amount_inside_sql_makes_no_event(tmp_path, value):
    assert found(tmp_path, ["1.234"], value=value) == [UNCLEAR]


def test_every_row_of_an_order_with_an_unclear_line_is_a_reject(tmp_path):
    path = export_of(tmp_path, ["1.234", "5", "6"])
    path.write_text(path.read_text().replace("\n1,", "\n0,").replace("ada1@", "ada0@"))
    schema = schema_of(value="{sum: Total}").replace(
        "source: {order: Order}", "source: {order: Order, line: [Total]}"
    )
    report = bf.plan(schema, [str(path)], state=tmp_path / "state", profiles="none")
    assert report.summary.reasons == {UNCLEAR: 1}
    assert (report.summary.orders, report.summary.rejected, report.summary.events) == (2, 1, 1)


def test_one_column_proves_nothing_for_another(tmp_path):
    export = export_of(tmp_path, ["1.234", "5"])
    text = export.read_text().replace("Currency", "Tax").replace("USD", "1.50")
    export.write_text(text)
    schema = schema_of().replace("columns: {", "columns: {Tax: money, ")
    schema = schema.replace("$value: Total", "$value: Total, Tax: Tax")
    whole = mapped(schema, [export], tmp_path / "state", profiles="none")
    assert [one["reason"] for one in whole["rejects"]] == [UNCLEAR]


def test_the_proof_may_stand_in_another_file(tmp_path):
    files = []
    for name, totals in (("a", ["1,234"]), ("b", ["5", "6", "12.50"])):
        (tmp_path / name).mkdir()
        files.append(export_of(tmp_path / name, totals))
    files[1].write_text(files[1].read_text().replace("\n0,", "\n9,"))
    whole = mapped(schema_of(), files, tmp_path / "state", profiles="none")
    assert sorted(one["properties"]["$value"] for one in events(whole)) == [5, 6, 12.5, 1234]


@pytest.mark.parametrize(
    "totals",
    [pa.array([15.125, 3.0]), pa.array([Decimal("15.900"), Decimal("1.234")]), pa.array([1, 2])],
)
def test_numbers_of_a_typed_file_are_clear(tmp_path, totals):
    table = pa.Table.from_pylist(rows_of(["1", "2"])).drop_columns(["Total"])
    pq.write_table(table.append_column("Total", totals), tmp_path / "orders.parquet")
    whole = mapped(schema_of(), [tmp_path / "orders.parquet"], tmp_path / "state", profiles="none")
    assert len(events(whole)) == 2


def test_numbers_of_a_frame_are_clear(tmp_path):
    frame = pd.DataFrame(rows_of(["1", "2", "3"]))
    for totals in ([15.125, 2.0, 1.5], [Decimal("1.234"), Decimal(2), Decimal(3)]):
        frame["Total"] = totals
        report = bf.plan(schema_of(), frame, state=tmp_path / "state", profiles="none")
        assert report.summary.events == 3
    frame["Total"] = ["1.234", "2", "3"]
    report = bf.plan(schema_of(), frame, state=tmp_path / "state", profiles="none")
    assert report.summary.reasons == {UNCLEAR: 1}


def test_numbers_inside_json_are_clear(tmp_path):
    export = export_of(tmp_path, ["1"])
    with export.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Order", "Email", "Placed", "Cart"])
        writer.writerow(["1", "ada@shop.example", "2024-05-01T10:00:00Z", '{"total": 15.125}'])
    schema = schema_of("money", value="Cart.total").replace("Total: money", "Cart.total: money")
    whole = mapped(schema, [export], tmp_path / "state", profiles="none")
    assert [one["properties"]["$value"] for one in events(whole)] == [15.13]


@pytest.mark.parametrize(
    ("total", "code", "value"),
    [
        ("15.900", "CLP", 15900),
        ("1.234.567", "KRW", 1234567),
        ("1,234", "JPY", 1234),
        ("12.345", "KWD", 12.345),
        ("1,234", "KWD", UNCLEAR),
        ("15.900", "EUR", UNCLEAR),
    ],
)
@pytest.mark.parametrize("given", ["column", "constant"])
def test_the_events_currency_says_how_many_decimals_there_are(tmp_path, total, code, value, given):
    currency = "currency: Currency" if given == "column" else f"currency: {{value: {code}}}"
    assert found(tmp_path, [total], codes=[code], currency=currency) == [value]


def test_an_amount_that_is_rounded_is_counted(tmp_path):
    export = export_of(tmp_path, ["55.50", "12.345", "9.99", "1.005"], ["JPY", "KWD", "USD", "USD"])
    schema = schema_of(currency="currency: Currency")
    report = bf.plan(schema, [str(export)], state=tmp_path / "state", profiles="none")
    assert report.summary.rounded == {"Total": 2}
    told = '2 orders with a "Total" of more decimals than its currency has: rounded'
    assert told in list(notes(report.summary))


def test_magento_does_not_send_a_thousandth_of_a_peso_order(tmp_path):
    sample = (SCHEMAS.parent / "tests/data/platforms/magento2_orders/export.csv").read_text()
    header, *rows = csv.reader(sample.splitlines())
    columns = [at for at, name in enumerate(header) if name.startswith(("Grand Total", "Subtotal"))]
    assert columns
    path = tmp_path / "export.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            cells = ["$15.900" if at in columns else cell for at, cell in enumerate(row)]
            writer.writerow(cells)
    schema = SCHEMAS / "magento2_orders.yaml"
    whole = mapped(schema, [path], tmp_path / "state", profiles="newest", timezone="Etc/UTC")
    assert not [one for one in events(whole) if one["properties"].get("$value")]
    assert UNCLEAR in {one["reason"] for one in whole["rejects"]}


def test_a_preview_does_not_show_an_unclear_amount(tmp_path):
    export = export_of(tmp_path, ["1.234", "5"])
    shown = bf.preview(schema_of(), [str(export)], profiles="none")
    assert str(shown) == "<preview of 2 orders: 1 events, 1 rejects>"


def test_ids_do_not_change_by_naming_the_point():
    rules = []
    for kind in ("money", '{money: {decimal: "."}}'):
        text = schema_of(kind).replace("$event_id: Order", '$event_id: "{Order}-{Total}"')
        rules.append(id_rules(load_schema(text).schema))
    assert rules[0] == rules[1]
