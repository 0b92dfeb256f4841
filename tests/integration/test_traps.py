"""What becomes of each trap that real exports hold: one table, to be read from top to bottom.

Each row is the smallest export that has the trap, as a CSV file or an Arrow table. Columns whose
name says what they are (Email, Phone, At …) are mapped by ``SCHEMA``; ``more`` adds to it. What is
expected is either the reason of the reject, or a part of what is sent: a person's fields, or the
event's ``time``, ``$value`` and properties.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backfill.planning.preview import PreviewedOrder
from backfill.running.prepare import prepare
from backfill.schema.load import load_schema
from backfill.wire.track import Track

FIELDS = {"Email": "$email", "Phone": "$phone_number", "Customer": "$id", "Zip": "$zip"}
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def schema_of(header: list[str], more: dict[str, Any]) -> str:
    """The columns that ``header`` has, mapped; ``more`` adds to each part of the schema."""
    kinds = {"At": "time", "Total": "money", "Quantity": "integer", "Price": "money"}
    person = {field: name for name, field in FIELDS.items() if name in header}
    known = {} if {"$email", "$phone_number", "$id"} & person.keys() else {"$id": {"value": "7"}}
    event: dict[str, Any] = {
        "event": "Placed Order",
        "time": "At" if "At" in header else {"value": "2024-05-01T10:00:00Z"},
        "properties": {"$event_id": "{Order}"},
    }
    if "Total" in header:
        event["properties"]["$value"] = "Total"
    event["properties"] |= more.get("properties", {})
    event |= more.get("event", {})
    schema = {
        "name": "trap",
        "source": {"order": "Order"} | more.get("source", {}),
        "columns": {name: kind for name, kind in kinds.items() if name in header}
        | more.get("columns", {}),
        "profiles": "every",
        "customer_properties": known | person | more.get("person", {}),
        "events": [event, *more.get("events", [])],
    }
    return json.dumps(schema) + "\n"


def first(
    folder: Path, export: str | bytes | dict[str, str] | pa.Table, more: dict[str, Any]
) -> list[PreviewedOrder]:
    files = export if isinstance(export, dict) else {"export.csv": export}
    paths = []
    for name, content in files.items():
        path = folder / name
        paths.append(path)
        if isinstance(content, pa.Table):
            paths[-1] = path.with_suffix(".parquet")
            pq.write_table(content, paths[-1])
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    header = more.get("header") or _header(next(iter(files.values())))
    loaded = load_schema(schema_of(header, more))
    return prepare(loaded, paths, now=NOW).preview(50, Track())


def _header(content: str | bytes | pa.Table) -> list[str]:
    if isinstance(content, pa.Table):
        return list(content.column_names)
    assert isinstance(content, str)
    line = content.lstrip("\ufeff").splitlines()[0]
    return [name.strip('"') for name in line.split(";" if ";" in line else ",")]


def told(orders: list[PreviewedOrder]) -> Iterator[dict[str, Any] | str]:
    """What is sent of each order, flat; or the reason why nothing is."""
    for order in orders:
        if order.reason:
            yield order.reason
        for text in order.payloads:
            payload = json.loads(text, parse_float=Decimal)
            time = datetime.fromtimestamp(payload["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            yield (
                payload["customer_properties"]
                | payload["properties"]
                | {
                    "time": time,
                    "event": payload["event"],
                }
            )


def trap(name: str, export: Any, expected: Any, **more: Any) -> Any:
    """``expected``: what the first orders come to, a part of a payload or a reason each."""
    found = expected if isinstance(expected, list) else [expected]
    return pytest.param(export, found, more, id=name)


ITEMS = {"source": {"line": ["Item", "Quantity", "Price"]}}
EACH = {"Items": {"each": {"Name": "Item", "Quantity": "Quantity"}}}
REFUND = {
    "event": "Refunded Order",
    "where": "Refunded > 0",
    "time": "At",
    "properties": {"$event_id": "{Order}", "$value": "Refunded"},
}


def dated(form: str) -> dict[str, Any]:
    return {"columns": {"At": {"time": form}}, "source": {"timezone": "Europe/Madrid"}}


DATE_AND_TIME = {"template": "{Date} {Time}", "as": {"time": "%b %d, %Y %I:%M:%S %p"}}
ZONED = {
    "template": "{Date} {Time}",
    "as": {"time": "%m/%d/%y %H:%M:%S"},
    "zone": "Time Zone",
}
PHONES = {"columns": {"Phone": {"phone": {"country": "Country", "region": "US"}}}}

TRAPS = [
    # rows and orders
    trap(
        "a continuation row carries nothing but the order and its line",
        "Order,Email,Total,Item,Quantity,Price\n#1,a@shop.example,6.50,Tea,1,4\n#1,,,Mug,1,2.5\n",
        {
            "$value": Decimal("6.5"),
            "Items": [{"Name": "Tea", "Quantity": 1}, {"Name": "Mug", "Quantity": 1}],
        },
        properties=EACH,
        **ITEMS,
    ),
    trap(
        "rows of one order are not next to each other, after somebody sorted the file",
        "Order,Email,Item,Quantity,Price\n#1,a@shop.example,Tea,1,4\n#2,b@shop.example,Mug,1,2\n"
        "#1,,Pot,2,9\n",
        [
            {"Items": [{"Name": "Tea", "Quantity": 1}, {"Name": "Pot", "Quantity": 2}]},
            {"Items": [{"Name": "Mug", "Quantity": 1}]},
        ],
        properties=EACH,
        **ITEMS,
    ),
    trap(
        "empty rows of commas at the end are no orders",
        "Order,Email,Total\n1,a@shop.example,5\n,,\n,,\n",
        [{"$value": 5}],
    ),
    trap(
        "a row with cells and no order",
        "Order,Email,Total\n1,a@shop.example,5\n,b@shop.example,6\n",
        [{"$value": 5}, "no_order"],
    ),
    trap(
        "rows of one order that disagree about the person",
        "Order,Email\n1,a@shop.example\n1,b@shop.example\n",
        "differs_in_order",
    ),
    trap(
        "two shops have an order of one name",
        {
            "eu.csv": "Order,Email\n#1001,a@shop.example\n",
            "us.csv": "Order,Email\n#1001,b@shop.example\n",
        },
        "differs_across_files",
    ),
    trap(
        "the same, told apart by the file's name",
        {
            "eu.csv": "Order,Email\n#1001,a@shop.example\n",
            "us.csv": "Order,Email\n#1001,b@shop.example\n",
        },
        [{"$event_id": "eu-#1001"}, {"$event_id": "us-#1001"}],
        source={"order": ["shop", "Order"]},
        columns={"shop": {"file_name": "(.*)[.]csv"}},
        properties={"$event_id": "{shop}-{Order}"},
    ),
    trap(
        "exports overlap: an order that stands in both files counts once",
        {"a.csv": "Order,Email\n1,a@shop.example\n", "b.csv": "Order,Email\n1,a@shop.example\n"},
        [{"$event_id": "1"}],
    ),
    trap(
        "a column that only this year's layout has",
        {
            "a.csv": "Order,Email,Duties\n1,a@shop.example,3\n",
            "b.csv": "Order,Email\n2,b@shop.example\n",
        },
        [{"Duties": "3"}, {"$event_id": "2"}],
        source={"optional": ["Duties"]},
        properties={"Duties": "Duties"},
    ),
    trap(
        "a column that the schema names stands twice: the second is meant by its number",
        "Order,Email,Delivery city,Delivery city\n1,a@shop.example,Ulm,Bern\n",
        {"First": "Ulm", "Second": "Bern"},
        properties={"First": "Delivery city (1)", "Second": "Delivery city (2)"},
    ),
    trap(
        "line items in numbered columns, as many as the largest order has",
        "Order,Email,line_item_1,line_item_2\n"
        "1,a@shop.example,name:Tea|quantity:2|total:13.00,name:Mug|quantity:1|total:2.50\n"
        "2,b@shop.example,name:Pot|quantity:1|total:9,\n",
        [{"Names": ["Tea", "Mug"], "$value": Decimal("15.5")}, {"Names": ["Pot"], "$value": 9}],
        columns={"line_item_<n>": {"pairs": "|"}, "line_item_<n>.total": "money"},
        properties={
            "Names": {"each": "line_item_<n>.name"},
            "$value": {"sum": '"line_item_<n>.total" * 1'},
        },
    ),
    trap(
        "a product's name holds the sign between pairs",
        "Order,Email,line_item_1\n1,a@shop.example,name:Tea|Green|total:13.00\n",
        "not_pairs",
        columns={"line_item_<n>": {"pairs": "|"}},
        properties={"Names": {"each": "line_item_<n>.name"}},
    ),
    trap(
        "all lines in one cell",
        "Order,Email,Items\n1,a@shop.example,name=Tea|qty=2;name=Mug|qty=1\n",
        {"Names": ["Tea", "Mug"]},
        columns={"Items": {"pairs": {"lines": ";", "between": "|", "sign": "="}}},
        properties={"Names": {"each": "Items[].name"}},
    ),
    trap(
        "all lines in one cell of JSON",
        'Order,Email,Items\n1,a@shop.example,"[{""sku"":""A"",""n"":2},{""sku"":""B"",""n"":1}]"\n',
        {"Skus": ["A", "B"]},
        properties={"Skus": {"each": "Items[].sku"}},
    ),
    trap(
        "line items as list<struct> in Parquet",
        pa.table({"Order": ["1"], "Items": [[{"sku": "A", "n": 2}, {"sku": "B", "n": 1}]]}),
        {"Skus": ["A", "B"], "N": 3},
        columns={"Items[].n": "integer"},
        properties={"Skus": {"each": "Items[].sku"}, "N": {"sum": '"Items[].n"'}},
    ),
    trap(
        "JSON that a writer cut off",
        'Order,Email,Items\n1,a@shop.example,"[{""sku"":""A"""\n',
        "not_json",
        properties={"Skus": {"each": "Items[].sku"}},
    ),
    # ids
    trap("an id that Excel ruined", "Order,Email\n5.27763E+12,a@shop.example\n", "ruined_by_excel"),
    trap("the same with a comma", 'Order,Email\n"5,27763E+12",a@shop.example\n', "ruined_by_excel"),
    trap("the same, round", "Order,Email\n5E+12,a@shop.example\n", "ruined_by_excel"),
    trap("a cell that was too narrow", "Order,Email\n########,a@shop.example\n", "ruined_by_excel"),
    trap(
        "an id that is a double",
        pa.table({"Order": [1.0, 2.0], "Customer": [17850.0, 3.0]}),
        [{"$event_id": "1", "$id": "17850"}, {"$event_id": "2", "$id": "3"}],
        columns={"Order": "integer", "Customer": "integer"},
    ),
    trap("no e-mail, phone or id", "Order,Email,Phone\n1,,\n", "no_identity"),
    # people
    trap(
        "an e-mail in mixed case",
        "Order,Email\n1, Ada@Shop.Example \n",
        {"$email": "ada@shop.example"},
    ),
    trap(
        "an e-mail with an apostrophe",
        "Order,Email\n1,'ada@shop.example\n",
        {"$email": "ada@shop.example"},
    ),
    trap("a masked e-mail", "Order,Email\n1,XXXXXXXXX\n", "masked_email"),
    trap("another masked e-mail", "Order,Email\n1,a***@shop.example\n", "masked_email"),
    trap(
        "an address of a domain that Klaviyo discards",
        "Order,Email\n1,a@example.com\n",
        "test_domain",
    ),
    trap(
        "a phone number alone",
        "Order,Email,Phone\n1,,+49 30 1234567\n",
        {"$phone_number": "+49301234567"},
    ),
    trap(
        "phone numbers by the row's country",
        "Order,Phone,Country\n1,030 1234567,DE\n2,(212) 555-0134,United States\n"
        "3,020 7946 0018,Reino Unido\n",
        [
            {"$phone_number": "+49301234567"},
            {"$phone_number": "+12125550134"},
            {"$phone_number": "+442079460018"},
        ],
        **PHONES,
    ),
    trap(
        "a phone number with an apostrophe",
        "Order,Phone\n1,'+49 30 1234567\n",
        {"$phone_number": "+49301234567"},
    ),
    trap(
        "a phone number that is none", "Order,Email,Phone\n1,a@shop.example,n/a 12\n", "not_a_phone"
    ),
    trap(
        "the same, where the schema lets it go",
        "Order,Email,Phone\n1,a@shop.example,n/a 12\n",
        {"$email": "a@shop.example"},
        person={"$phone_number": {"column": "Phone", "unfit": "leave_out"}},
    ),
    trap(
        "first and last name out of one",
        'Order,Email,Name\n1,a@shop.example,Ada King Lovelace\n2,b@shop.example,"Byron, George"\n',
        [
            {"$first_name": "Ada", "$last_name": "King Lovelace"},
            {"$first_name": "George", "$last_name": "Byron"},
        ],
        person={
            "$first_name": {"column": "Name", "take": "first_name"},
            "$last_name": {"column": "Name", "take": "last_name"},
        },
    ),
    trap(
        "a zip with an apostrophe", "Order,Email,Zip\n1,a@shop.example,'02134\n", {"$zip": "02134"}
    ),
    trap(
        'a zip as ="02134"', 'Order,Email,Zip\n1,a@shop.example,"=""02134"""\n', {"$zip": "02134"}
    ),
    trap(
        "an apostrophe that is a part of the name",
        "Order,Email,City\n1,a@shop.example,'s-Gravenhage\n",
        {"City": "'s-Gravenhage"},
        properties={"City": "City"},
    ),
    trap(
        "a country's name",
        "Order,Email,Country\n1,a@shop.example,Deutschland\n2,b@shop.example,USA\n"
        "3,c@shop.example,fr\n",
        [{"Country": "DE"}, {"Country": "US"}, {"Country": "FR"}],
        columns={"Country": "country"},
        properties={"Country": "Country"},
    ),
    # words for nothing
    trap(
        "NA and NULL are words for nothing",
        "Order,Email,Phone,Note\n1,a@shop.example,NULL,NA\n2,NA,-,x\n",
        [{"$email": "a@shop.example"}, "no_identity"],
        source={"null_values": ["NA", "NULL", "-"]},
        properties={"Note": "Note"},
    ),
    trap(
        "the same words where the schema does not say so",
        "Order,Email,Note\n1,a@shop.example,NA\n2,NULL,x\n",
        [{"Note": "NA"}, "not_an_email"],
        properties={"Note": "Note"},
    ),
    trap(
        'a cell of ="" is empty',
        'Order;Email;Note\n"1";"a@shop.example";"="""""\n',
        {"$event_id": "1"},
        properties={"Note": "Note"},
    ),
    # money
    trap(
        "money with a symbol",
        "Order,Email,Total\n1,a@shop.example,$8.00\n2,b@shop.example,-$7.00\n",
        [{"$value": 8}, {"$value": -7}],
    ),
    trap("money in brackets", "Order,Email,Total\n1,a@shop.example,($7.00)\n", {"$value": -7}),
    trap(
        "money with thousands marks",
        'Order,Email,Total\n1,a@shop.example,"1,234.50"\n',
        {"$value": Decimal("1234.5")},
    ),
    trap(
        "money with a decimal comma",
        "Order;Email;Total\n1;a@shop.example;1.234,50\n",
        {"$value": Decimal("1234.5")},
        columns={"Total": {"money": {"decimal": ","}}},
    ),
    trap(
        "the decimal comma that nobody declared",
        "Order;Email;Total\n1;a@shop.example;34,50\n",
        "not_money",
    ),
    trap(
        "Refunded Amount does not lower Total",
        "Order,Email,At,Total,Refunded\n1,a@shop.example,2024-05-01 10:00:00 +0200,50,20\n",
        [{"event": "Placed Order", "$value": 50}, {"event": "Refunded Order", "$value": 20}],
        columns={"Refunded": "money"},
        events=[REFUND],
    ),
    # times
    trap(
        "the shop's offset changes with daylight saving",
        "Order,Email,At\n1,a@shop.example,2023-11-05 01:01:35 -0700\n"
        "2,b@shop.example,2023-11-05 01:01:35 -0800\n",
        [{"time": "2023-11-05T08:01:35Z"}, {"time": "2023-11-05T09:01:35Z"}],
    ),
    trap(
        "a time without an offset, and no zone",
        "Order,Email,At\n1,a@shop.example,2026-04-26 21:32:57\n",
        "time_without_zone",
    ),
    trap(
        "a time in the site's zone",
        "Order,Email,At\n1,a@shop.example,2026-04-26 21:32:57\n",
        {"time": "2026-04-26T19:32:57Z"},
        source={"timezone": "Europe/Madrid"},
    ),
    trap(
        "an hour that the clock skipped moves forward",
        "Order,Email,At\n1,a@shop.example,2024-03-31 02:30:00\n",
        {"time": "2024-03-31T01:30:00Z"},
        source={"timezone": "Europe/Madrid"},
    ),
    trap(
        "an hour that the clock showed twice is the first",
        "Order,Email,At\n1,a@shop.example,2024-10-27 02:30:00\n",
        {"time": "2024-10-27T00:30:00Z"},
        source={"timezone": "Europe/Madrid"},
    ),
    trap(
        "month first, no zone",
        "Order,Email,At\n1,a@shop.example,7/25/2018 21:06\n",
        {"time": "2018-07-25T19:06:00Z"},
        **dated("%m/%d/%Y %H:%M"),
    ),
    trap(
        "day first where month first is declared",
        "Order,Email,At\n1,a@shop.example,25/7/2018 21:06\n",
        "day_for_month",
        **dated("%m/%d/%Y %H:%M"),
    ),
    trap(
        "day first with seconds",
        "Order,Email,At\n1,a@shop.example,30/09/2025 23:50:38\n",
        {"time": "2025-09-30T21:50:38Z"},
        **dated("%d/%m/%Y %H:%M:%S"),
    ),
    trap(
        "date and time are two columns",
        'Order,Email,Date,Time\n1,a@shop.example,"Dec 8, 2024",9:15:51 AM\n',
        {"time": "2024-12-08T08:15:51Z"},
        source={"timezone": "Europe/Madrid"},
        event={"time": DATE_AND_TIME},
    ),
    trap(
        "date, time and zone are three columns",
        "Order,Email,Date,Time,Time Zone\n"
        "1,a@shop.example,07/04/24,09:15:51,Eastern Time (US & Canada)\n"
        "2,b@shop.example,07/04/24,09:15:51,Pacific Standard Time\n"
        "3,c@shop.example,01/04/24,09:15:51,CET\n"
        "4,d@shop.example,01/04/24,09:15:51,IST\n",
        [
            {"time": "2024-07-04T13:15:51Z"},
            {"time": "2024-07-04T16:15:51Z"},
            {"time": "2024-01-04T08:15:51Z"},
            "not_a_zone",
        ],
        event={"time": ZONED},
    ),
    trap(
        "epoch milliseconds as int64",
        pa.table({"Order": ["1"], "At": [1714557600000]}),
        {"time": "2024-05-01T10:00:00Z"},
        columns={"At": {"epoch": "ms"}},
    ),
    trap(
        "the same, taken for seconds",
        pa.table({"Order": ["1"], "At": [1714557600000]}),
        "time_out_of_range",
        columns={"At": {"epoch": "s"}},
    ),
    trap(
        "a zoned timestamp of nanoseconds",
        pa.table(
            {
                "Order": ["1"],
                "At": pa.array([1714557600123456789], pa.timestamp("ns", "Europe/Madrid")),
            }
        ),
        {"time": "2024-05-01T10:00:00Z"},
    ),
    trap(
        "a naive timestamp",
        pa.table({"Order": ["1"], "At": pa.array([1714557600000000], pa.timestamp("us"))}),
        {"time": "2024-05-01T08:00:00Z"},
        source={"timezone": "Europe/Madrid"},
    ),
    trap(
        "an order of 1970",
        "Order,Email,At\n1,a@shop.example,1970-01-01T00:00:00Z\n",
        "time_out_of_range",
    ),
    # typed columns
    trap(
        "decimal128 and large_string",
        pa.table(
            {"Order": pa.array(["1"], pa.large_string()), "Total": pa.array([Decimal("19.9900")])}
        ),
        {"$event_id": "1", "$value": Decimal("19.99")},
    ),
    trap(
        "a zip as integer has lost its zero, and nobody can tell",
        pa.table({"Order": ["1"], "Zip": [2134]}),
        {"$zip": "2134"},
    ),
    trap(
        "the same, where the schema knows how long a zip is",
        pa.table({"Order": ["1"], "Zip": [2134]}),
        {"$zip": "02134"},
        person={"$zip": {"sql": "lpad(Zip, 5, '0')"}},
    ),
    # text
    trap(
        "a note with line breaks",
        'Order,Email,Note\n1,a@shop.example,"one\ntwo"\n',
        {"Note": "one\ntwo"},
        properties={"Note": "Note"},
    ),
    trap(
        "a byte order mark before the first header",
        "\ufeffOrder,Email\n1,a@shop.example\n",
        {"$event_id": "1"},
    ),
    trap(
        "ISO-8859-1, semicolons, accents in the header",
        'N\xfamero;Email\n"1";"a@shop.example"\n'.encode("latin-1"),
        {"$event_id": "1"},
        header=["Email"],
        source={"order": "Número"},
        properties={"$event_id": "{Número}"},
    ),
]


@pytest.mark.parametrize(("export", "expected", "more"), TRAPS)
def test_each_trap_comes_out_as_the_table_says(
    export: Any, expected: list[dict[str, Any] | str], more: dict[str, Any], tmp_path: Path
):
    found = list(told(first(tmp_path, export, more)))
    assert len(found) == len(expected), found
    for one, wanted in zip(found, expected, strict=True):
        if isinstance(wanted, str) or isinstance(one, str):
            assert one == wanted
        else:
            assert {name: one.get(name) for name in wanted} == wanted


def test_what_is_empty_is_left_out_and_never_null(tmp_path: Path):
    export = "Order,Email,Note,City\n1,a@shop.example,,'\n"
    [sent] = told(first(tmp_path, export, {"properties": {"Note": "Note"}}))
    assert isinstance(sent, dict)
    assert "Note" not in sent
