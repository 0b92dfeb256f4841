"""A platform is recognised by its columns, and by how its first orders read."""

import csv
import re

import pytest

from backfill.draft.recognise import EXAMPLES, PLAIN
from backfill.schema.load import load_schema
from backfill.schema.shipped import paths
from tests.drafts import csv_file, drafted, person, schema_of
from tests.platforms import SAMPLES, Platform

PLATFORMS = [name for name in paths() if name not in EXAMPLES]


def name_of(draft):
    found = re.match("# Recognised by `backfill init` as ([a-z0-9_]+):", draft.text)
    return found and found[1]


ASKED = "bigcommerce_orders"
"""Its sample has 24/12/2022 and 01/13/2023, so that its day order is asked."""


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PLATFORMS if name != ASKED])
def test_each_platform_is_recognised_by_its_sample(name):
    draft = drafted(*Platform(name).exports)
    assert name_of(draft) == name
    assert draft.questions == ()
    shipped, schema = load_schema(Platform(name).schema).schema, schema_of(draft)
    assert schema.profiles == (shipped.profiles or "none")
    assert schema.events == shipped.events
    assert schema.columns == shipped.columns
    assert schema.customer_properties == shipped.customer_properties


@pytest.mark.parametrize(
    "path", sorted(SAMPLES.glob("*/export*.*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_each_layout_of_a_platform_is_recognised_alone(path):
    assert name_of(drafted(path)) == path.parent.name


def bigcommerce(folder, *days, status="Shipped"):
    """An export of one order a day; the last has ``status``."""
    header = ("Order ID", "Customer Email", "Order Date", "Order Status", "Date Shipped")
    [export] = Platform(ASKED).exports
    with export.open(encoding="utf-8-sig", newline="") as file:
        [sample, *_] = csv.DictReader(file)
    rows = []
    for number, day in enumerate(days):
        last = status if number == len(days) - 1 else "Shipped"
        own = dict(zip(header, (number, person(number), day, last, ""), strict=True))
        rows.append({**sample, **own}.values())
    return csv_file(folder, sample, rows)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (("03/04/2024", "05/06/2024"), "each cell fits both"),
        (("24/12/2023", "12/24/2023"), "24/12/2023 fits only the first, 12/24/2023 only the"),
    ],
)
def test_a_platforms_day_order_that_the_cells_do_not_prove_is_asked(tmp_path, days, said):
    draft = drafted(bigcommerce(tmp_path, *days))
    assert name_of(draft) == ASKED
    assert [text.partition(":")[0] for _, text in draft.questions] == ["Order Date", "Date Shipped"]
    assert said in draft.text.replace("\n  # ", " ")
    assert "run it as it is" not in draft.text


@pytest.mark.parametrize(
    ("proof", "form"), [("12/24/2023", "%m/%d/%Y"), ("24/12/2023", "%d/%m/%Y")]
)
@pytest.mark.parametrize("status", ["Shipped", "Incomplete"])
def test_a_platforms_day_order_is_that_which_a_cell_proves(tmp_path, proof, form, status):
    """Also a cell of a row that makes no event."""
    draft = drafted(bigcommerce(tmp_path, "03/04/2023", proof, status=status))
    assert name_of(draft) == ASKED
    columns = schema_of(draft).columns
    assert form in str(columns["Order Date"])
    assert columns["Order Date"] == columns["Date Shipped"]


def test_a_zone_that_was_said_stands_in_the_schema():
    [export] = Platform("wix_orders").exports
    open_, said = drafted(export), drafted(export, timezone="Europe/Rome")
    assert schema_of(open_).source.timezone is None
    assert "OPEN: the times carry no offset" in open_.text
    assert schema_of(said).source.timezone == "Europe/Rome"


def test_the_head_names_the_columns_that_are_not_used():
    [export] = Platform("shopify_orders").exports
    head = drafted(export).text.partition("\nname:")[0].replace("\n# ", " ")
    assert "of the export's 79 columns are those of shopify_orders" in head
    assert "Columns of export.csv that it does not use: " in head
    assert "Payment Reference" in head


def test_an_empty_first_line_hides_no_platform():
    """That of eBay's report: the schema that is drafted from it skips the line as well."""
    [export] = Platform("ebay_orders").exports
    assert schema_of(drafted(export)).source.skip_lines == 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_two_examples_are_no_platforms(name):
    assert name not in PLATFORMS
    assert name in paths()


def test_plain_tables_do_not_win_where_they_leave_most_columns_out(tmp_path):
    assert set(PLAIN) <= set(PLATFORMS)
    header = (
        "order_id",
        "order_total",
        "ordered_at",
        "customer_email",
        *(f"own {at}" for at in range(9)),
    )
    rows = [(at, "5.00", "2023-05-01T00:00:00Z", person(at), *"abcdefghi") for at in range(9)]
    assert name_of(drafted(csv_file(tmp_path, header, rows))) is None
    few = csv_file(tmp_path, header[:4], [row[:4] for row in rows], name="few.csv")
    assert name_of(drafted(few)) == "orders"


def test_a_platforms_columns_with_cells_written_otherwise_are_guessed_and_told(tmp_path):
    """A Shopify export that a spreadsheet saved again: `11/5/2023 1:01` where an offset stood."""
    [export] = Platform("shopify_orders").exports
    with export.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    at = header.index("Created at")
    saved = []
    for row in rows:
        day = re.match(r"(\d{4})-(\d{2})-(\d{2}) (\d{2}:\d{2})", row[at])
        moved = f"{day[3]}/{day[2]}/{day[1]} {day[4]}" if day else row[at]
        saved.append([*row[:at], moved, *row[at + 1 :]])
    draft = drafted(csv_file(tmp_path, header, saved))
    assert name_of(draft) is None
    [note] = [note for note in draft.notes if "the columns are those of shopify_orders" in note]
    assert re.search(
        r'\d+ of the first \d+ orders do not fit it \(not_a_time in "Created at"\)', note
    )
