"""Which column says when an order was placed; a draft asks where no name says it."""

import pytest

from backfill.schema.load import load_schema
from tests.drafts import csv_file, drafted, evidence, person, schema_of

pytestmark = pytest.mark.slow


def draft_of(folder, columns, more=("Order ID", "Total"), rows=12):
    header = (*more, "Email", *columns)
    lines = [
        (
            *(f"{at + 1}0.50" if name == "Total" else f"A{at}" for name in more),
            person(at),
            *(f"2023-{5 + place}-{at + 1:02d} 10:00:00" for place in range(len(columns))),
        )
        for at in range(rows)
    ]
    return drafted(csv_file(folder, header, lines))


@pytest.mark.parametrize(
    ("columns", "ordered"),
    [
        (("check-in", "Created at"), "Created at"),
        (("Subscription start", "Order date"), "Order date"),
        (("Due date", "Invoice date"), "Invoice date"),
        (("Fälligkeitsdatum", "Bestelldatum"), "Bestelldatum"),
        (("Anreise", "Abreise", "Datum"), "Datum"),
        (("Fecha de vencimiento", "Fecha"), "Fecha"),
        (("next_charge_scheduled_at", "whenever"), "whenever"),
    ],
)
def test_the_name_goes_before_the_place(tmp_path, columns, ordered):
    assert schema_of(draft_of(tmp_path, columns)).events[0].time.column == ordered


@pytest.mark.parametrize(
    "columns",
    [
        ("check-in", "check-out"),
        ("next_charge_scheduled_at", "cancelled_at"),
        ("Subscription start",),
        ("Due date", "Last modified"),
        ("alpha", "beta"),
    ],
)
def test_the_draft_asks_where_no_column_is_the_time_of_an_order(tmp_path, columns):
    draft = draft_of(tmp_path, columns)
    assert 'time: "?"' in [text for _, text in draft.questions]
    asked = evidence(draft, 'time: "?"')
    assert all(f'"{name}"' in asked for name in columns)
    load_schema(draft.text.replace('time: "?"', f"time: {columns[0]}"))


@pytest.mark.parametrize(
    ("more", "columns"),
    [
        (("customer_id", "first_name", "last_name"), ("created_at",)),
        (("id", "name"), ("created_at", "updated_at")),
        ((), ("next_charge_scheduled_at", "cancelled_at")),
    ],
)
def test_a_table_without_orders_is_asked_about(tmp_path, more, columns):
    draft = draft_of(tmp_path, columns, more)
    assert 'time: "?"' in [text for _, text in draft.questions]
    assert "so these may be no orders" in evidence(draft, 'time: "?"')
