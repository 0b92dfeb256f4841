"""Whose e-mail address and name a draft takes; it asks where the columns do not say."""

import pytest

from tests.drafts import csv_file, drafted, evidence, person

pytestmark = pytest.mark.slow


def draft_of(folder, columns, rows=30):
    """A draft for orders with these columns of people; each value makes the cell of a row."""
    header = ("Order ID", *columns, "Ordered at", "Total")
    lines = [
        (f"A{row}", *(cell(row) for cell in columns.values()), "2023-05-01T10:00:00Z", "12.50")
        for row in range(rows)
    ]
    return drafted(csv_file(folder, header, lines))


def customers(row):
    return f"customer{row}@mail.example"


def staff(row):
    return f"staff{row % 25}@shop.example"


@pytest.mark.parametrize(
    ("other", "column"),
    [
        ("Created by", "Customer email"),
        ("Sales rep", "Billing Email"),
        ("Affiliate", "Order Email"),
        ("To Email", "Payer Email"),
        ("Verkäufer E-Mail", "Kunden E-Mail"),
        ("Sachbearbeiter", "E-Mail"),
        ("Correo del vendedor", "Correo del cliente"),
        ("E-mail vendeur", "E-mail acheteur"),
        ("Email venditore", "Email cliente"),
        ("E-mail medewerker", "E-mail klant"),
        ("Email do vendedor", "Email do comprador"),
        ("Customer service email", "Email"),
    ],
)
def test_the_customer_goes_before_staff_and_the_other_column_is_named(tmp_path, other, column):
    draft = draft_of(tmp_path, {other: staff, column: customers})
    assert draft.questions == ()
    assert f"\n  $email: {column}\n" in draft.text
    assert f'other columns with e-mail addresses: "{other}"' in evidence(draft, "$email:")


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"Contact": staff, "Mail": customers}, "no name says which of these columns"),
        ({"Email 1": staff, "Email 2": customers}, "no name says which of these columns"),
        ({"Created by": staff}, '"Created by" is named like the column of another person'),
        ({"Email": lambda _: "info@shop.example"}, 'each row of "Email" has the same address'),
    ],
)
def test_the_draft_asks_where_nothing_says_who_ordered(tmp_path, columns, why):
    draft = draft_of(tmp_path, columns)
    assert [text for _, text in draft.questions] == ['$email: "?"']
    asked = evidence(draft, "$email:")
    assert why in asked
    assert all(f'"{name}" has about ' in asked for name in columns)


@pytest.mark.parametrize("cell", [lambda row: f"cus_P{row}", lambda row: f"user{row}", person])
def test_an_id_is_no_name(tmp_path, cell):
    draft = draft_of(tmp_path, {"Email": customers, "customer": cell})
    assert "$first_name" not in draft.text


def test_a_word_that_is_unique_on_each_row_is_no_name(tmp_path):
    words = [f"{a}{b}{c}" for a in "klmn" for b in "aeiou" for c in "rst"]
    draft = draft_of(tmp_path, {"Email": customers, "customer": lambda row: words[row]})
    assert "$first_name" not in draft.text


def test_a_whole_name_is_split(tmp_path):
    draft = draft_of(tmp_path, {"Email": customers, "customer": lambda _: "Zoë van Dijk"})
    assert "$first_name: {column: customer, take: first_name}" in draft.text
