"""Which rows are an order, who ordered, what it is worth; each draft runs over its own export."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from backfill.errors import UsageError
from tests.drafts import csv_file, drafted, events, evidence, person, problems_of, ran, schema_of

pytestmark = pytest.mark.slow

LINES = ("Order ID", "Order date", "E-mail", "SKU", "Product", "Quantity", "Unit price")


def line_rows(orders=20):
    """Orders of one, two and three lines."""
    for order in range(orders):
        for line in range(order % 3 + 1):
            yield (
                f"A{order}",
                f"2023-05-{order % 28 + 1:02d} 10:00:00",
                person(order),
                f"S{line}",
                f"Tea {line}",
                line + 1,
                "2.50",
            )


def test_repeats_tell_the_order_and_what_differs_in_it_its_lines(tmp_path):
    draft = drafted(csv_file(tmp_path, LINES, line_rows()))
    source = schema_of(draft).source
    assert source.order == ("Order ID",)
    assert source.line == ("SKU", "Product", "Quantity", "Unit price")
    assert evidence(draft, "order:") == (
        "20 values in 39 rows; 13 repeat, 13 of these in neighbouring rows; Order date and E-mail "
        "are the same in all of them"
    )
    assert evidence(draft, "line:").startswith("orders whose rows differ: SKU 13")


def test_the_draft_gives_each_order_and_each_line_their_value(tmp_path):
    path = csv_file(tmp_path, LINES, line_rows(3))
    found = ran(drafted(path), [path], tmp_path / "state")
    assert found["rejects"] == []
    placed = [event["properties"] for event in events(found, "Placed Order")]
    assert [properties["$value"] for properties in placed] == [2.5, 7.5, 15]
    assert placed[1]["Items"] == [
        {"SKU": f"S{at}", "ProductName": f"Tea {at}", "Quantity": at + 1, "ItemPrice": 2.5}
        | {"RowTotal": 2.5 * (at + 1)}
        for at in (0, 1)
    ]
    ordered = [event["properties"] for event in events(found, "Ordered Product")]
    assert [line["$event_id"] for line in ordered][:3] == ["A0-1", "A1-1", "A1-2"]


def test_a_column_that_numbers_the_lines_stands_in_their_ids(tmp_path):
    rows = [(at // 2, at % 2 + 1, "2023-05-01", person(at // 2), "Tea") for at in range(20)]
    header = ("Order ID", "Order line number", "Date", "E-mail", "Item")
    draft = drafted(csv_file(tmp_path, header, rows))
    [_, line] = schema_of(draft).events
    assert line.event_id.template == "{Order ID}-{Order line number}"
    assert evidence(draft, '$event_id: "{Order ID}-').startswith(
        "no Order line number repeats within an order"
    )


def test_a_line_number_that_repeats_within_an_order_does_not(tmp_path):
    rows = [(at // 2, 1, "2023-05-01", person(at // 2), f"Tea {at}") for at in range(20)]
    header = ("Order ID", "Order line number", "Date", "E-mail", "Item")
    [_, line] = schema_of(drafted(csv_file(tmp_path, header, rows))).events
    assert line.event_id.template == "{Order ID}-{line}"


def test_a_key_that_is_unique_makes_each_row_an_order(tmp_path):
    rows = [(at, at % 5, "2023-05-01", "paid") for at in range(20)]
    draft = drafted(csv_file(tmp_path, ("id", "user_id", "order_date", "status"), rows))
    assert schema_of(draft).source.order == ("id",)
    assert evidence(draft, "order:") == "20 values in 20 rows, none repeats: each row is an order"
    assert schema_of(draft).customer_properties["$id"].column == "user_id"


def test_an_order_number_of_two_shops_takes_the_shop_along(tmp_path):
    rows = [
        (shop, at // 2, f"2023-{month}-{at // 2 + 1:02d}", person(at // 2 + month), f"Tea {at}")
        for shop, month in (("north", 10), ("south", 11))
        for at in range(40)
    ]
    path = csv_file(tmp_path, ("store", "order_number", "date", "email", "item"), rows)
    draft = drafted(path)
    assert schema_of(draft).source.order == ("store", "order_number")
    assert len(ran(draft, [path], tmp_path / "state")["orders"]) == 40


def test_without_an_order_number_one_person_in_one_second_is_one_order(tmp_path):
    rows = [
        (person(at // 2), f"2023-05-{at // 2 + 1:02d} 10:00:00", f"Tea {at}") for at in range(40)
    ]
    path = csv_file(tmp_path, ("Mail", "When placed date", "Product"), rows)
    draft = drafted(path)
    assert set(schema_of(draft).source.order or ()) == {"Mail", "When placed date"}
    assert len(events(ran(draft, [path], tmp_path / "state"), "Placed Order")) == 20


def test_without_any_key_each_row_is_an_order_and_the_draft_says_so(tmp_path):
    rows = [(person(at), f"2023-05-{at + 1:02d} 10:00:00", "2.50") for at in range(20)]
    path = csv_file(tmp_path, ("Mail", "Date", "Amount"), rows)
    draft = drafted(path)
    assert schema_of(draft).source.order is None
    assert "no source.order: no column tells orders apart, so each row is an order" in draft.text
    assert len(ran(draft, [path], tmp_path / "state")["orders"]) == 20


def test_a_total_is_checked_against_the_lines(tmp_path):
    rows = [
        (*row, f"{2.5 * (int(row[5]) if row[0] == 'A0' else 0) + 4:.2f}", "4.00")
        for row in line_rows(1)
    ] + [(f"B{at}", *row[1:], "6.50", "4.00") for at, row in enumerate([*line_rows(1)] * 20)]
    draft = drafted(csv_file(tmp_path, (*LINES, "Order total", "Shipping"), rows))
    assert evidence(draft, "$value: Order total") == (
        '"Order total" = sum of "Quantity" * "Unit price" + "Shipping" in 21 of 21 orders'
    )


def cents_export(folder, amount, currencies):
    rows = [
        (at, "2023-05-01T00:00:00Z", person(at), 1250, *currencies[at : at + 1]) for at in range(6)
    ]
    header = ("order_id", "created_at", "email", amount, *(["currency"] if currencies else []))
    return csv_file(folder, header, rows)


def test_cents_by_name_are_read_by_their_currency(tmp_path):
    path = cents_export(tmp_path, "amount_cents", ["usd", "JPY", "KWD"] * 2)
    found = ran(drafted(path), [path], tmp_path / "state")
    values = [event["properties"]["$value"] for event in events(found)]
    assert values == [12.5, 1250, 1.25] * 2


@pytest.mark.parametrize(
    ("amount", "currencies"), [("amount_cents", []), ("total_pence", []), ("amount", ["eur"] * 6)]
)
def test_it_is_asked_what_cents_are_worth_where_nothing_proves_it(tmp_path, amount, currencies):
    draft = drafted(cents_export(tmp_path, amount, currencies))
    assert [text for _, text in draft.questions] == ['$value: "?"']


def test_a_letter_before_the_number_of_negative_orders_marks_cancellations(tmp_path):
    rows = [
        (
            f"{'C' if at % 5 == 0 else ''}{at}",
            "2023-05-01T00:00:00Z",
            at % 7,
            "Tea",
            sign * 2,
            "3.00",
        )
        for at in range(1, 40)
        for sign in ([-1] if at % 5 == 0 else [1])
    ]
    header = ("InvoiceNo", "InvoiceDate", "CustomerID", "Description", "Quantity", "UnitPrice")
    path = csv_file(tmp_path, header, rows)
    found = ran(drafted(path), [path], tmp_path / "state")
    cancelled = events(found, "Cancelled Order")
    assert len(cancelled) == 7
    assert {event["properties"]["$value"] for event in cancelled} == {6}
    assert len(events(found, "Placed Order")) == 32


def test_later_times_and_refunds_become_events_of_their_own(tmp_path):
    rows = [
        (
            at,
            "2023-05-01T00:00:00Z",
            "2023-05-02T00:00:00Z" if at % 2 else "",
            person(at),
            "9.00",
            at % 3,
        )
        for at in range(12)
    ]
    header = ("Order ID", "Created at", "Shipped at", "Email", "Total", "Refunded amount")
    path = csv_file(tmp_path, header, rows)
    found = ran(drafted(path), [path], tmp_path / "state")
    assert len(events(found, "Fulfilled Order")) == 6
    refunds = events(found, "Refunded Order")
    assert sorted(event["properties"]["$value"] for event in refunds) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert all(event["properties"]["$event_id"].endswith(("-1", "-2")) for event in refunds)


@pytest.mark.parametrize(
    ("cells", "spec"),
    [
        pytest.param(["1,50 €", "1.234,00 €"], '{money: {decimal: ","}}', id="decimal comma"),
        pytest.param(["$1,234.00", "-$7.50"], "money", id="thousands and a sign"),
        pytest.param(["12", "7"], "money", id="whole amounts"),
        pytest.param(
            ["1.234", "2.500"], '{money: {decimal: "?"}}', id="one mark before three digits"
        ),
    ],
)
def test_how_amounts_are_written_is_proven_or_asked(tmp_path, cells, spec):
    rows = [(at, "2023-05-01T00:00:00Z", person(at), cell) for at, cell in enumerate(cells * 5)]
    draft = drafted(csv_file(tmp_path, ("Order ID", "Date", "Email", "Total"), rows))
    assert f"  Total: {spec}" in draft.text
    assert bool(draft.questions) == ("?" in spec)
    assert bool(problems_of(draft)) == ("?" in spec)


def test_phones_alone_are_read_by_the_country_column_or_asked_about(tmp_path):
    rows = [(at, "2023-05-01T00:00:00Z", f"020 7946 0{at:03d}", "GB") for at in range(20)]
    header = ("Order ID", "Date", "Customer phone", "Country")
    known = drafted(csv_file(tmp_path, header, rows, name="known.csv"))
    unknown = drafted(csv_file(tmp_path, header[:3], [row[:3] for row in rows], name="unknown.csv"))
    assert schema_of(known).columns["Customer phone"].country == "Country"
    [(_, asked)] = unknown.questions
    assert asked == 'Customer phone: {phone: {region: "?"}}'


def test_an_export_that_names_nobody_asks_who_ordered(tmp_path):
    rows = [(at, "2023-05-01T00:00:00Z", "5.00") for at in range(20)]
    draft = drafted(csv_file(tmp_path, ("Order ID", "Date", "Total"), rows))
    assert [asked for _, asked in draft.questions] == ['$id: "?"']


def test_an_id_that_each_order_has_beside_its_e_mail_is_only_a_property(tmp_path):
    rows = [(at, "2023-05-01T00:00:00Z", person(at), at % 7) for at in range(20)]
    path = csv_file(tmp_path, ("Order ID", "Date", "Email", "Customer ID"), rows)
    schema = schema_of(drafted(path))
    assert list(schema.customer_properties) == ["$email"]
    assert schema.events[0].properties["Customer ID"].column == "Customer ID"


def test_an_id_stands_for_those_who_gave_no_e_mail(tmp_path):
    rows = [
        (at, "2023-05-01T00:00:00Z", person(at) if at % 2 else "", 100 + at) for at in range(20)
    ]
    path = csv_file(tmp_path, ("Order ID", "Date", "Email", "Customer ID"), rows)
    found = ran(drafted(path), [path], tmp_path / "state")
    assert found["rejects"] == []
    people = [event["customer_properties"] for event in events(found)]
    assert next(person for person in people if "$id" in person) == {"$id": "100"}
    assert sum("$email" in person for person in people) == 10


def test_lists_in_parquet_make_lines_and_members_roles(tmp_path):
    path = tmp_path / "orders.parquet"
    table = pa.table(
        {
            "order_id": [float(at) for at in range(12)],
            "created_at": pa.array([1_672_531_200_000 + at for at in range(12)], pa.int64()),
            "customer": [{"email": person(at), "first_name": "Ann"} for at in range(12)],
            "items": [
                [
                    {"sku": f"S{k}", "name": "Tea", "quantity": k + 1, "price": 2.5}
                    for k in range(at % 2 + 1)
                ]
                for at in range(12)
            ],
        }
    )
    pq.write_table(table, path)
    found = ran(drafted(path), [path], tmp_path / "state")
    assert found["rejects"] == []
    [_, second] = events(found, "Placed Order")[:2]
    assert second["properties"]["$value"] == 7.5
    assert second["properties"]["ItemNames"] == ["Tea", "Tea"]
    assert second["customer_properties"]["$email"] == person(1)
    assert len(events(found, "Ordered Product")) == 18


def test_json_in_a_csv_is_taken_apart_the_same_way(tmp_path):
    items = json.dumps([{"product_id": 7, "title": "Tea", "qty": 2, "unit_price": "3.10"}])
    rows = [(at, "2023-05-01T00:00:00Z", person(at), items) for at in range(8)]
    path = csv_file(tmp_path, ("id", "created_at", "email", "line_items"), rows)
    [event] = events(ran(drafted(path), [path], tmp_path / "state"), "Ordered Product")[:1]
    assert event["properties"] == {
        "$event_id": "0-1",
        "$value": 6.2,
        "OrderId": "0",
        "ProductID": "7",
        "ProductName": "Tea",
        "Quantity": 2,
        "ItemPrice": 3.1,
        "RowTotal": 6.2,
    }


def test_numbered_columns_of_pairs_make_lines(tmp_path):
    rows = [
        (at, "2023-05-01T00:00:00Z", person(at), "name:Tea|sku:T|quantity:2|total:13.00", other, "")
        for at, other in enumerate(["", "name:Cup|sku:C|quantity:1|total:4.00"] * 5)
    ]
    header = ("order_number", "order_date", "email", "line_item_1", "line_item_2", "line_item_3")
    path = csv_file(tmp_path, header, rows)
    found = ran(drafted(path), [path], tmp_path / "state")
    assert found["rejects"] == []
    assert sum(event["properties"]["$value"] for event in events(found, "Placed Order")) == 150
    assert len(events(found, "Ordered Product")) == 15


def test_numbered_columns_of_plain_cells_go_together_by_number(tmp_path):
    names = [f"{what} {at}" for at in (1, 2) for what in ("Item name", "Item qty", "Item price")]
    rows = [
        (
            at,
            "2023-05-01T00:00:00Z",
            person(at),
            "Tea",
            2,
            "3.00",
            *(("Cup", 1, "1.00") if at % 2 else ("", "", "")),
        )
        for at in range(10)
    ]
    path = csv_file(tmp_path, ("Order", "Date", "Email", *names), rows)
    found = ran(drafted(path), [path], tmp_path / "state")
    assert [event["properties"]["$value"] for event in events(found, "Placed Order")][:2] == [6, 7]


def test_tax_columns_with_numbers_are_no_lines(tmp_path):
    rows = [(at, "2023-05-01T00:00:00Z", person(at), "VAT", "1.00", "", "") for at in range(10)]
    header = ("Order", "Date", "Email", "Tax 1 Name", "Tax 1 Value", "Tax 2 Name", "Tax 2 Value")
    assert "<n>" not in drafted(csv_file(tmp_path, header, rows)).text


def test_words_for_nothing_are_named_where_no_cell_can_mean_them(tmp_path):
    rows = [
        (
            at,
            "2023-05-01T00:00:00Z",
            "NULL" if at % 2 else "2023-06-01T00:00:00Z",
            person(at),
            "-" if at == 3 else "5.00",
            "NA",
        )
        for at in range(20)
    ]
    header = ("Order ID", "Created at", "Cancelled at", "Email", "Total", "Country")
    path = csv_file(tmp_path, header, rows)
    draft = drafted(path)
    assert schema_of(draft).source.null_values == ("NULL", "-")  # NA is Namibia
    found = ran(draft, [path], tmp_path / "state")
    assert found["rejects"] == []
    assert len(events(found, "Cancelled Order")) == 10


def test_an_export_after_a_round_trip_through_a_spreadsheet(tmp_path):
    rows = [
        (
            f'="{at:05d}"',
            f"{at % 12 + 1}/{at % 28 + 1}/2023 9:05",
            person(at),
            f"'{at % 10}1234",
            "5.27763E+12",
        )
        for at in range(40)
    ]
    header = ("Order number", "Order date", "Email", "Zip", "Checkout id")
    path = csv_file(tmp_path, header, rows)
    found = ran(drafted(path), [path], tmp_path / "state")
    first = events(found)[0]
    assert first["properties"]["$event_id"] == "00000"
    assert first["time"] == "2023-01-01T09:05:00Z"


def test_order_numbers_that_a_spreadsheet_ruined_are_named(tmp_path):
    numbers = [f"52776300000{at:02d}" for at in range(30)] + ["5.27763E+12"]
    rows = [(number, "2023-05-01T00:00:00Z", person(1), "9.00") for number in numbers]
    draft = drafted(csv_file(tmp_path, ("Order ID", "Date", "Email", "Total"), rows))
    assert "; a spreadsheet ruined 1 (5.27763E+12), which become rejects" in evidence(
        draft, "order:"
    )


def test_a_german_export_with_semicolons_in_cp1252(tmp_path):
    rows = [
        (
            5000 + at // 2,
            f"{at // 2 + 1:02d}.05.2023 10:15:00",
            person(at // 2),
            "Grüner Tee",
            at % 2 + 1,
            "1,50 €",
            "Köln",
        )
        for at in range(40)
    ]
    header = (
        "Bestellnummer",
        "Bestelldatum",
        "E-Mail",
        "Artikelbezeichnung",
        "Menge",
        "Einzelpreis",
        "Ort",
    )
    path = csv_file(tmp_path, header, rows, delimiter=";", encoding="cp1252")
    found = ran(drafted(path), [path], tmp_path / "state")
    assert found["rejects"] == []
    assert {event["properties"]["$value"] for event in events(found, "Placed Order")} == {4.5}


def test_a_header_that_stands_twice_is_named_by_its_number(tmp_path):
    rows = [(at, "2023-05-01T00:00:00Z", person(at), "Paris", "Lyon") for at in range(9)]
    path = csv_file(tmp_path, ("Order", "Date", "Email", "City", "City"), rows)
    schema = schema_of(drafted(path))
    assert schema.customer_properties["$city"].column == "City (1)"
    assert schema.events[0].properties["City (2)"].column == "City (2)"


def test_names_that_yaml_templates_and_sql_would_take_for_signs(tmp_path):
    header = (
        "Order # {x}",
        "Date: UTC",
        "E-mail",
        "Total [EUR]",
        "yes",
        "a: b",
        "@c",
        "$d",
        "it's",
        'x"y',
    )
    rows = [(at, "2023-05-01T00:00:00Z", person(at), "1,50", "no", *"12345") for at in range(7)]
    path = csv_file(tmp_path, header, rows)
    found = ran(drafted(path), [path], tmp_path / "state")
    assert found["rejects"] == []
    kept = {"yes", "a: b", "@c", "d", "it's", 'x"y'}
    assert kept <= set(events(found)[0]["properties"])


def test_three_hundred_columns(tmp_path):
    header = ("order_id", "created_at", "email", *(f"attr {at}" for at in range(297)))
    rows = [
        (at, "2023-05-01T00:00:00Z", person(at), *(f"v{at}" for _ in range(297)))
        for at in range(50)
    ]
    path = csv_file(tmp_path, header, rows)
    assert len(events(ran(drafted(path), [path], tmp_path / "state"))[0]["properties"]) == 299


def test_one_row_is_enough(tmp_path):
    rows = [(1, "2023-05-01T00:00:00Z", person(1), "12.50")]
    path = csv_file(tmp_path, ("order_id", "ordered_at", "email", "total_paid"), rows)
    [event] = events(ran(drafted(path), [path], tmp_path / "state"))
    assert event["properties"]["$value"] == 12.5


def test_empty_columns_and_nameless_ones_are_left_out_and_told(tmp_path):
    rows = [(at, "2023-05-01T00:00:00Z", person(at), "", "", "x") for at in range(9)]
    draft = drafted(csv_file(tmp_path, ("Order", "Date", "Email", "Gift", "Fax", ""), rows))
    assert "because they are empty: Gift, Fax." in draft.text
    assert "because they have no name: 1 column." in draft.text
    assert schema_of(draft)


def test_a_header_alone_cannot_be_drafted_from(tmp_path):
    path = csv_file(tmp_path, ("order_id", "ordered_at", "email"), [])
    with pytest.raises(
        UsageError, match=r"has a header but no rows.*draft from an export with orders"
    ):
        drafted(path)


def test_a_table_without_times_makes_no_events(tmp_path):
    path = csv_file(tmp_path, ("id", "order_id", "amount"), [(at, at, 5) for at in range(9)])
    with pytest.raises(UsageError, match=r"no column holds times.*join the two with a query"):
        drafted(path)


def test_days_as_a_spreadsheet_counts_them_are_named(tmp_path):
    rows = [(at, 45000 + at, person(at)) for at in range(9)]
    with pytest.raises(UsageError, match='"Date" looks like the day numbers of a spreadsheet'):
        drafted(csv_file(tmp_path, ("Order", "Date", "Email"), rows))


def test_no_cell_that_may_be_personal_stands_in_the_draft(tmp_path):
    rows = [
        (
            at,
            f"2023-05-{at + 1:02d}",
            f"marker{at}@mail.example",
            f"Marker Name{at}",
            f"+4930901820{at}",
            f"Marker street {at}",
            "cancelled by Marker",
        )
        for at in range(9)
    ]
    header = ("Order ID", "Date", "Email", "Customer name", "Phone", "Address", "Status")
    text = drafted(csv_file(tmp_path, header, rows)).text
    assert "marker" not in text.casefold()
    assert "901820" not in text


def test_an_order_number_that_repeats_at_other_times_is_asked_about(tmp_path):
    """A history of states, or returns in rows of their own: no row is an order by itself."""
    states = ("created", "paid", "shipped")
    rows = [
        (f"A{order}", state, f"2023-05-01T1{at}:00:00Z", person(order), "9.90")
        for order in range(10)
        for at, state in enumerate(states)
    ]
    header = ("Order ID", "Status", "Updated at", "E-mail", "Total")
    draft = drafted(csv_file(tmp_path, header, rows))
    assert [text for _, text in draft.questions] == ['order: "?"', 'time: "?"']
    assert "OPEN: Order ID repeats with different Updated at (10 of 10 values" in draft.text
    assert "open question" in " ".join(problems_of(draft))
    answered = draft.text.replace('order: "?"', "order: Order ID")
    assert "Ordered Product" not in answered  # a state is no product


def test_ids_of_rows_beside_such_an_order_number_do_not_settle_it(tmp_path):
    rows = [
        (at, f"A{at // 2}", f"2023-05-01T10:00:0{at % 2}Z", person(at // 2), "Tea", "2.50")
        for at in range(20)
    ]
    header = ("id", "Order ID", "Created at", "E-mail", "Product", "Price")
    draft = drafted(csv_file(tmp_path, header, rows))
    assert [text for _, text in draft.questions] == ['order: "?"']


def test_an_address_that_all_orders_share_is_no_customers(tmp_path):
    day, shop = "2023-05-01T10:00:00Z", "shop@mail.example"
    rows = [(f"A{at}", day, shop, f"guest{at}@mail.example") for at in range(40)]
    header = ("Order ID", "Date", "Email", "Booked by")
    draft = drafted(csv_file(tmp_path, header, rows))
    assert schema_of(draft).customer_properties["$email"].column == "Booked by"


def test_tags_and_taxes_beside_the_items_are_no_lines(tmp_path):
    items = json.dumps([{"sku": "T1", "quantity": 2, "price": {"amount": "2.50"}}])
    taxes = json.dumps([{"title": "VAT", "price": "0.40"}])
    tags = json.dumps(["spring", "gift", "new"])
    row = ("A1", "2023-05-01T10:00:00Z", person(1), tags, taxes, items)
    header = ("Order ID", "Date", "E-mail", "tags", "tax_lines", "line_items")
    path = csv_file(tmp_path, header, [row])
    found = ran(drafted(path), [path], tmp_path / "state")
    [placed], [line] = events(found, "Placed Order"), events(found, "Ordered Product")
    assert placed["properties"]["tags"] == ["spring", "gift", "new"]
    assert placed["properties"]["tax_lines"] == [{"title": "VAT", "price": "0.40"}]
    assert line["properties"]["SKU"] == "T1"
    assert placed["properties"]["$value"] == line["properties"]["$value"] == 5  # not 2.50, once


def test_a_list_of_what_nobody_sells_makes_no_events(tmp_path):
    row = ("A1", "2023-05-01T10:00:00Z", person(1), '["spring", "gift"]')
    path = csv_file(tmp_path, ("Order ID", "Date", "E-mail", "tags"), [row])
    found = ran(drafted(path), [path], tmp_path / "state")
    assert events(found, "Ordered Product") == []


def test_a_name_that_no_template_takes_is_told(tmp_path):
    rows = [("A1", "2023-05-01T10:00:00Z", person(1), "Tea")]
    path = csv_file(tmp_path, ("Order {no}", "Date", "E-mail", "Product"), rows)
    with pytest.raises(UsageError, match=r'a template has to name the column "Order \{no\}"'):
        drafted(path)


def test_names_that_a_schema_takes_for_lists_are_left_out_and_told(tmp_path):
    rows = [("A1", "2023-05-01T10:00:00Z", person(1), "x", "y")]
    draft = drafted(csv_file(tmp_path, ("Order ID", "Date", "E-mail", "tags[]", "item_<n>"), rows))
    assert problems_of(draft) == []
    assert "[] and <n> mean lists in a schema: tags[], item_<n>." in draft.text


def lines_of_orders(folder, name, cell):
    """Orders of one, two and three rows; ``cell`` is a format of order, line and row."""
    places = [(order, line) for order in range(12) for line in range(1 + order % 3)]
    rows = [
        (
            cell.format(order=order, line=line, row=row),
            f"A{order}",
            person(order),
            "2023-05-01T10:00:00Z",
            f"S{line}",
            1,
            f"{line + 1}.50",
        )
        for row, (order, line) in enumerate(places)
    ]
    header = (name, "Order ID", "Email", "Order date", "SKU", "Quantity", "Price")
    return csv_file(folder, header, rows)


@pytest.mark.parametrize(
    "name", ["item_id", "Transaction ID", "id", "uuid", "Item Transaction Number", "TxnId"]
)
def test_an_id_of_the_table_tells_lines_apart(tmp_path, name):
    path = lines_of_orders(tmp_path, name, "T{row:04}")
    draft = drafted(path)
    assert f'$event_id: "{{Order ID}}-{{{name}}}"' in draft.text
    assert "{line}" not in draft.text
    assert "ProductID" not in draft.text


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        pytest.param("Product ID", "P{row}", id="a product's id"),
        pytest.param("Barcode", "{row:013}", id="a barcode"),
        pytest.param("Tracking number", "TR{row}", id="of a parcel"),
        pytest.param("item_id", "I{line}", id="an item's id"),
        pytest.param("Transaction ID", "T{order}", id="an order's id"),
        pytest.param("id", "{line}", id="a number within an order"),
    ],
)
def test_an_id_of_something_else_does_not_tell_lines_apart(tmp_path, name, cell):
    assert 'ID}-{line}"' in drafted(lines_of_orders(tmp_path, name, cell)).text
