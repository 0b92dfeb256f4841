"""What does not fit in a person is left out, and the order stays."""

import pytest

from backfill.schema.shipped import paths
from tests.drafts import csv_file
from tests.platforms import events, mapped

HEADERS = {
    "orders": "order_id,ordered_at,order_total,customer_email,customer_phone,customer_id",
    "order_lines": "order_id,ordered_at,price,customer_email,customer_phone,customer_id,quantity,"
    "line_number",
}


@pytest.mark.parametrize("schema", HEADERS)
def test_a_bad_phone_that_the_sql_of_an_id_reads_too_rejects_no_order(tmp_path, schema):
    day, amount = "2023-05-01T10:00:00Z", "12.50"
    rows = [
        ("A1", day, amount, "ada@mail.example", "no phone", "C1", 1, 1),
        ("A2", day, amount, "", "no phone", "C2", 1, 1),
        ("A3", day, amount, "", "+4930901820", "C3", 1, 1),
    ]
    header = HEADERS[schema].split(",")
    path = csv_file(tmp_path, header, [row[: len(header)] for row in rows])
    text = paths()[schema].read_text(encoding="utf-8")
    found = mapped(text, [path], tmp_path / "state", timezone="UTC", profiles="none")
    assert found["rejects"] == []
    people = [event["customer_properties"] for event in events(found, "Placed Order")]
    assert people == [
        {"$email": "ada@mail.example"},
        {"$id": "C2"},
        {"$phone_number": "+4930901820"},
    ]


def test_words_for_nothing_are_no_part_of_a_profile(tmp_path):
    header = ["order_id", "ordered_at", "order_total", "customer_email", "first_name", "last_name"]
    rows = [
        (f"A{at}", "2023-05-01T10:00:00Z", "12.50", f"p{at}@mail.example", first, last)
        for at, (first, last) in enumerate([("null", "NaN"), ("Ada", "undefined"), ("N/A", "Noné")])
    ]
    path = csv_file(tmp_path, header, rows)
    text = paths()["orders"].read_text(encoding="utf-8")
    found = mapped(text, [path], tmp_path / "state", timezone="UTC", profiles="newest")
    people = [event["customer_properties"] for event in events(found, "Placed Order")]
    for person in people:
        del person["$email"]
    assert people == [{}, {"$first_name": "Ada"}, {"$last_name": "Noné"}]
