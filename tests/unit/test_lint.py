"""What ``plan`` reports of an export that looks wrong: a line each, with column and count."""

import pandas as pd
import pyarrow as pa
import pytest

import backfill as bf
from backfill.lint.cells import CellScan
from backfill.lint.columns import Role, roles
from backfill.lint.finding import MAX_LINES, Finding, lines
from backfill.running.prepare import bind_export
from backfill.schema.load import load_schema
from backfill.sources.export import open_export

SCHEMA = """\
name: shop
source: {order: no, line: [sku, qty]}
columns: {at: time, qty: integer}
customer_properties: {$email: mail, $zip: zip, City: city}
profiles: none
events:
  - event: Placed Order
    time: at
    properties: {$event_id: "{no}", $value: {sum: "qty"}, Note: note, Size: size}
  - event: Ordered Product
    per: line
    time: at
    properties: {$event_id: "{no}-{sku}", SKU: sku, Stock: stock}
"""
HEADER = ["no", "mail", "zip", "city", "at", "note", "size", "sku", "qty", "stock", "more"]


def role(name="column", **said):
    said = {"used": True, "of_order": False, "time": False, "text": False, **said}
    return Role(name=name, **{"amount": True, "currency": False, **said})


def found(cells, of=role(), orders=0):  # noqa: B008
    """What is said of one column; it comes in two batches."""
    scan = CellScan([of])
    half = len(cells) // 2
    for batch in (cells[:half], cells[half:]):
        scan.add([pa.chunked_array([pa.array(batch, pa.string())])])
    return [(one.kind, one.count) for one in scan.findings(orders)]


@pytest.mark.parametrize(
    ("cells", "of", "expected"),
    [
        pytest.param(["a", "b"] * 20, role(used=False), [("unused", 40)], id="no event uses it"),
        pytest.param([None, ""] * 20, role(used=False), [], id="nothing is in what no event uses"),
        pytest.param(["a"] * 19 + [None] * 21, role(), [("empty", 21)], id="over half is empty"),
        pytest.param(["a"] * 20 + [None] * 20, role(), [], id="half is empty"),
        pytest.param(["a"] + [""] * 199, role(), [("nearly_empty", 1)], id="nearly all is empty"),
        pytest.param(["a"] + [""] * 99, role(), [("empty", 99)], id="one in a hundred is filled"),
        pytest.param(
            ["x", "#N/A", "#REF!", "#DIV/0!", "########", "#WERT!", "#NV", "#1001", "# 5", "#"] * 2,
            role(),
            [("spreadsheet_error", 12)],
            id="a spreadsheet's errors, and no order's number",
        ),
        pytest.param(
            ["#WERT!", "#NV", "#¡VALOR!", "x"] * 2,
            role(),
            [("spreadsheet_error", 6)],
            id="errors of German and Spanish spreadsheets",
        ),
        pytest.param(
            ["1-Mar", "31-Dec", "Mar-01", "Marie", "1-Mai", "1-Mar-2020", "x"] * 2,
            role(),
            [("spreadsheet_date", 6)],
            id="dates made of codes",
        ),
        pytest.param(
            ["1-Mar"] * 9, role(time=True, used=False), [("unused", 9)], id="a time's own"
        ),
        pytest.param(
            ["5277630000000000000", "1234567890123450", "1234567890123456"],
            role(),
            [("rounded_id", 2)],
            id="ids of which Excel kept fifteen digits",
        ),
        pytest.param(
            ["1234567890123450", "1234567890123456", "1234567890123457"],
            role(),
            [],
            id="one long id in ten ends in a zero by itself",
        ),
        pytest.param(["100000000000000"] * 3, role(), [], id="fifteen digits are whole"),
        pytest.param(
            ["1", "-2.50", "", "30"], role(text=True), [("numbers_as_text", 3)], id="numbers"
        ),
        pytest.param(
            ["1234567890123456", "1"], role(text=True), [], id="a number would lose digits"
        ),
        pytest.param(["1", "2", "x"], role(text=True), [], id="not all numbers"),
        pytest.param(["x", "2", "3"], role(text=True), [], id="not all numbers at first"),
        pytest.param(["1", "02"], role(text=True), [], id="zeros in front"),
        pytest.param(
            ["1", "2"], role(text=True, amount=False), [], id="digits that name something"
        ),
        pytest.param(["1", "2"], role(), [], id="the schema says a type"),
        pytest.param(
            ["1.0", "17850.0"], role(text=True, amount=False), [("doubles", 2)], id="ids as doubles"
        ),
        pytest.param(
            ["2023-01-01 00:00:00", "2023-01-02T00:00Z"] * 20,
            role(time=True),
            [("midnight", 40)],
            id="midnight",
        ),
        pytest.param(
            ["1/2/2023 12:00 AM"] * 40, role(time=True), [("midnight", 40)], id="by twelve"
        ),
        pytest.param(["2023-01-01"] * 40, role(time=True), [("midnight", 40)], id="days alone"),
        pytest.param(
            ["2023-01-01 00:00"] * 39 + ["2023-01-01 00:01"], role(time=True), [], id="one is not"
        ),
        pytest.param(["2023-01-01 10:00:00 -0700"] * 40, role(time=True), [], id="a full hour"),
        pytest.param(["2023-01-01 00:00"] * 5, role(time=True), [], id="a handful may be chance"),
    ],
)
def test_a_columns_cells(cells, of, expected):
    assert found(cells, of) == expected


def test_of_a_column_of_orders_not_every_row_needs_a_cell():
    cells = ["a", None, None, None] * 10
    assert found(cells, role(of_order=True), orders=10) == []
    assert found(cells, role(of_order=True), orders=21) == [("empty", 11)]
    assert found(["a", None, None], role()) == []  # a handful says nothing
    assert found(cells, role()) == [("empty", 30)]


def test_the_columns_of_rejects_that_are_fed_in_again_are_ours():
    assert found(["#N/A"] * 40, role(name="_reason", used=False)) == []


def test_the_role_of_a_column():
    export = open_export([pa.table({name: ["1"] for name in HEADER})][0])
    _, bound = bind_export(load_schema(SCHEMA), pa.table({name: ["1"] for name in HEADER}))
    by_name = {one.name: one for one in roles(bound, export.columns)}
    assert {n for n, one in by_name.items() if not one.used} == {"more"}
    assert {n for n, one in by_name.items() if one.time} == {"at"}
    assert {n for n, one in by_name.items() if not one.of_order} == {"no", "sku", "qty"}
    assert {n for n, one in by_name.items() if one.text and one.amount} == {
        "city", "note", "size", "stock"
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["customer_id", "Id", "OrderNumber", "Billing Zip", "PLZ", "SKU", "Phone", "EAN", "Kunden-Nr"],
)
def test_digits_under_such_names_are_no_amounts(name):
    text = SCHEMA.replace("Note: note", f"Note: '{name}'")
    header = {one: ["1"] for one in (*HEADER, name)}
    _, bound = bind_export(load_schema(text), pa.table(header))
    [here] = [one for one in roles(bound, list(header)) if one.name == name]
    assert here.text
    assert not here.amount


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (Finding("midnight", "at", 40), '"at": 40 times and all at midnight: the export may know'),
        (
            Finding("empty", "a", 1, {"unit": "order", "total": 1_500, "percent": 66}),
            '"a": 1 order without a value, of 1,500: 66 %',
        ),
        (Finding("numbers_as_text", "a", 2), '"a": 2 cells that hold numbers throughout'),
        (Finding("spreadsheet_date", "a", 2), '"a": 2 cells like 1-Mar: a spreadsheet makes'),
        (Finding("rounded_id", "a", 2), '"a": 2 long numbers with zeros behind the 15th digit'),
    ],
    ids=lambda value: value.kind if isinstance(value, Finding) else "",
)
def test_a_finding_is_a_line_for_people(finding, line):
    assert str(finding).startswith(line)


def test_the_most_harmful_is_first_and_the_rest_is_counted():
    many = [Finding("doubles", f"c{at}", at) for at in range(MAX_LINES + 4)]
    said = list(lines([*many, Finding("spreadsheet_error", "Id", 1)]))
    assert said[0] == '"Id": 1 cell with a spreadsheet\'s error, such as #N/A'
    assert said[1].startswith('"c23": 23 cells written like 1.0 throughout')
    assert said[MAX_LINES:] == ["and 5 more that weigh less"]


def test_many_unused_columns_are_one_line():
    """A platform's export has dozens of columns that its schema leaves out on purpose."""
    three = [Finding("unused", f"c{at}", at) for at in (1, 2, 3)]
    assert len(list(lines(three))) == 3
    many = [Finding("unused", f"c{at:02}", 7) for at in range(14)]
    [id_, rest] = lines([*many, Finding("rounded_id", "Id", 1)])
    assert id_.startswith('"Id": 1 long number with zeros')
    assert rest.startswith('14 columns used by no event, with their filled cells: "c00" 7, "c01" 7')
    assert rest.endswith('"c11" 7 and 2 more')


# whole plans ------------------------------------------------------------------------------------

SIMPLE = """\
name: shop
source: {timezone: Europe/Berlin}
columns: {total: money}
customer_properties: {$email: mail}
events:
  - event: Placed Order
    time: at
    properties: {$event_id: "{no}", $value: total, Coupon: coupon}
"""


def orders(count=400, **columns):
    frame = {
        "no": [str(at) for at in range(count)],
        "mail": [f"p{at}@x.example" for at in range(count)],
        "at": [f"2023-01-{at % 28 + 1:02} 12:{at % 60:02}:00" for at in range(count)],
        "total": ["1.00"] * count,
        "coupon": ["x"] * count,
    }
    return pd.DataFrame(frame | columns)


def said(tmp_path, frame, schema=SIMPLE, **options):
    plan = bf.plan(schema, frame, state=tmp_path / "state", **options)
    notes = plan.summary.notes
    assert '"' not in "".join(note for note in notes if not note.startswith('"'))
    return [note for note in notes if note.startswith('"')]


def test_an_export_in_order_gives_no_line(tmp_path):
    assert said(tmp_path, orders()) == []


def test_times_before_any_shop_sold(tmp_path):
    at = ["1992-05-05T00:00:00Z"] * 2 + ["2023-05-05T12:00:00Z"] * 398
    assert said(tmp_path, orders(at=at), api="bulk") == [
        '"at": 2 times of "Placed Order" before 1995'
    ]


def test_times_in_the_future(tmp_path):
    later = pd.Timestamp.now("UTC") + pd.Timedelta(hours=6)
    at = [later.isoformat()] + ["2023-05-05T12:00:00Z"] * 399
    expected = ['"at": 1 time of "Placed Order" in the future']
    assert said(tmp_path, orders(at=at)) == expected
    twice = pd.concat([orders(at=at)] * 2, ignore_index=True)  # the same events: they are one
    assert said(tmp_path, twice) == expected


def test_currencies_beside_a_value_that_names_none(tmp_path):
    frame = orders(Currency=["EUR", "usd"] * 200)
    schema = SIMPLE.replace("Coupon: coupon", "Coupon: coupon, Currency: Currency")
    assert said(tmp_path, frame, schema) == [
        '"Currency": 2 codes (EUR, USD), and "Placed Order" says no currency: amounts add up as if '
        "they were of one"
    ]
    named = schema.replace("time: at", "time: at\n    currency: Currency")
    assert said(tmp_path, frame, named) == []
    one = orders(Currency=["EUR"] * 400)
    assert said(tmp_path, one, schema) == []


def test_currencies_on_the_lines_of_one_order(tmp_path):
    schema = SIMPLE.replace("{timezone", "{order: no, line: [total, Currency], timezone")
    schema = schema.replace("$value: total", "$value: {sum: total}, C: {each: Currency}")
    frame = orders(no=[str(at // 2) for at in range(400)], mail=["a@x.example"] * 400)
    frame["Currency"] = ["EUR"] * 390 + ["EUR", "USD"] * 5
    found = said(tmp_path, frame, schema)
    assert '"Currency": 5 orders with lines of several currencies, and $value sums them up' in found


def test_the_lines_of_one_order_are_told_as_the_plan_tells_them(tmp_path):
    schema = SIMPLE.replace("{timezone", "{order: no, line: [total, Currency], timezone")
    schema = schema.replace("$value: total", "$value: {sum: total}, C: {each: Currency}")
    numbers = [f'="{at // 2}"' if at % 2 else f" {at // 2}" for at in range(398)]
    frame = orders(no=[*numbers, "", " "], mail=["a@x.example"] * 400)
    frame["Currency"] = ["EUR"] * 388 + ["EUR", "USD"] * 6
    found = said(tmp_path, frame, schema)
    assert '"Currency": 5 orders with lines of several currencies, and $value sums them up' in found


def test_a_person_with_a_large_part_of_all_orders(tmp_path):
    mail = ["desk@shop.example"] * 130 + [f"p{at}@x.example" for at in range(270)]
    assert said(tmp_path, orders(mail=mail)) == [
        '"mail": 130 orders of one person, 32 % of all events: is it the shop?'
    ]


def test_an_address_of_many_people(tmp_path):
    mail = ["till@shop.example"] * 25 + [f"p{at}@x.example" for at in range(375)]
    schema = SIMPLE.replace("{$email: mail}", "{$email: mail, $first_name: who}\nprofiles: newest")
    frame = orders(mail=mail, who=[f"Ada{at}" for at in range(400)])
    said_of_it = '"mail": 25 orders of one identity for over 20 people: set source.shared_identity'
    assert any(line.startswith(said_of_it) for line in said(tmp_path, frame, schema))
    once = orders(mail=mail, who=["Ada"] * 400)
    assert not any("identity" in line for line in said(tmp_path, once, schema))


def test_a_person_with_most_orders_of_a_small_export(tmp_path):
    desk = ["desk@shop.example"] * 20
    assert said(tmp_path, orders(30, mail=desk + [f"p{at}@x.example" for at in range(10)])) == [
        '"mail": 20 orders of one person, 66 % of all events: is it the shop?'
    ]
    assert said(tmp_path, orders(40, mail=desk + [f"p{at}@x.example" for at in range(20)])) == []


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["Caf\u00c3\u00a9", "M\u00c3\u00bcller", "\u00e2\u20ac\u0153x"], [("mojibake", 3)]),
        (["Caf\u00e9", "\u00c2ngela", "SAO JO\u00c3O", "\u00c3"], []),
        (["Zo&euml;", "A &amp; B", "x &#233;", "&#xE9;"], [("entity", 4)]),
        (["A & B", "R&D;", "x&y"], []),
        (["Jos\ufffd"], [("replaced", 1)]),
        (["null", "None", "N/A", "nan", "undefined"], [("null_word", 5)]),
        (["Nullmeier", "None of it", "nankeen"], []),
    ],
)
def test_text_that_is_no_text(cells, expected):
    assert found(cells) == expected


def test_addresses_that_a_marketplace_made(tmp_path):
    relays = ["a1@marketplace.amazon.com", "b2@marketplace.amazon.de", "c@members.ebay.co.uk"]
    relays += ["d@dcc.paypal.com", "e@scs.tiktokw.us"]
    mail = relays + [f"p{at}@amazon.example" for at in range(395)]
    assert said(tmp_path, orders(mail=mail)) == [
        '"mail": 5 orders of an address that a marketplace made for the order, and that no mail of '
        "yours reaches"
    ]


def test_addresses_that_mix_letters_that_look_alike(tmp_path):
    """Cyrillic and Greek letters are written as escapes: they look like Latin ones."""
    mixed = ["p\u0430ul@shop.example", "paul@sh\u043ep.example", "\u0440aul@shop.example"]
    mixed += ["paul@a.b.\u03bfn.example", "paul.\u0456@shop.example"]
    whole = ["\u043f\u0430\u0432\u0435\u043b@shop.example", "\u03c0@b.example"]
    whole += ["paul@\u043f\u043e\u0447\u0442\u0430.example", "jos\u00e9@m\u00fcller.example"]
    whole += ["\u7530\u4e2da@shop.example"]
    mail = mixed + whole + [f"p{at}@shop.example" for at in range(390)]
    told = said(tmp_path, orders(mail=mail))
    assert told == [
        '"mail": 5 orders of an address that mixes Latin with Cyrillic or Greek letters, as a '
        "look-alike does"
    ]
    assert "@" not in told[0]


def test_orders_without_a_value_and_of_a_negative_one(tmp_path):
    frame = orders(total=[None] * 3 + ["-5"] * 2 + ["12.50"] * 395)
    assert said(tmp_path, frame) == [
        '"$value": 3 events of "Placed Order" without a value, of 400',
        '"$value": 2 events of "Placed Order" with a negative value: returns?',
    ]


def test_a_property_that_hardly_any_event_has(tmp_path):
    coupon = ["x"] * 3 + [None] * 397
    assert said(tmp_path, orders(coupon=coupon)) == [
        '"coupon": 3 rows with a value, of 400: less than 1 %'
    ]
    schema = SIMPLE.replace("Coupon: coupon", "Coupon: {sql: \"nullif(coupon, 'x')\"}")
    assert said(tmp_path, orders(coupon=["y"] * 3 + ["x"] * 397), schema) == [
        '"Coupon": 3 events of "Placed Order" with this property, of 400: less than 1 %'
    ]


def test_a_run_inspects_only_what_it_sends(tmp_path):
    frame = orders(more=["x"] * 400)
    assert said(tmp_path, frame) == ['"more": 400 filled cells used by no event']
    with bf.Sandbox() as sandbox:
        ran = bf.run(SIMPLE, frame, state=tmp_path / "state", url=sandbox.url)
    assert not [note for note in ran.summary.notes if "more" in note]


def test_lint_changes_neither_events_nor_digest(tmp_path):
    frame = orders(more=[b"\xff"] * 400)  # no text, and nobody asked for it
    plan = bf.plan(SIMPLE, frame, state=tmp_path / "state")
    with bf.Sandbox() as sandbox:
        ran = bf.run(SIMPLE, frame, state=tmp_path / "state", url=sandbox.url)
    assert plan.summary.digest == ran.summary.digest
    assert '"more": 400 filled cells used by no event' in plan.summary.notes


def test_a_parquet_file_with_a_column_of_bytes_is_planned(tmp_path):
    frame = orders(more=[b"\xff"] * 400)
    frame.to_parquet(tmp_path / "o.parquet")
    plan = bf.plan(SIMPLE, tmp_path / "o.parquet", state=tmp_path / "state")
    assert plan.summary.events == 400
    assert '"more": 400 filled cells used by no event' in plan.summary.notes
