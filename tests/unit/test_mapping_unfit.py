"""Phone numbers of many countries, countries of many languages, and cells that may be left out."""

import json

import pytest

from backfill.errors import SchemaError
from backfill.schema.countries import country_code
from backfill.schema.load import load_schema
from tests.mapped import landed, mapped, properties, rejects, schema_of

# phone numbers -----------------------------------------------------------------------------------

NATIONAL = "(202) 555-0123"
BERLIN = "030 901820"


def numbers(kind, *cells):
    """The number of each pair of phone and country, or why its order is a reject."""
    phones, countries = zip(*cells, strict=True)
    orders = [str(at) for at in range(1, len(cells) + 1)]
    schema = schema_of({}, person={"$phone_number": "Phone"}, columns={"Phone": {"phone": kind}})
    found = mapped(schema, {"Order": orders, "Phone": phones, "Land": countries})
    told = {int(key): event["phone_number"] for key, event in landed(found).items()}
    told |= rejects(found)
    return [told[at] for at in range(1, len(cells) + 1)]


def test_a_number_is_read_by_the_country_of_its_row_or_else_by_the_region():
    kind = {"country": "Land", "region": "US"}
    cells = [(NATIONAL, "USA"), (BERLIN, "Deutschland"), (BERLIN, "de"), (NATIONAL, "")]
    us, de = "+12025550123", "+4930901820"
    assert numbers(kind, *cells, (NATIONAL, "Nowhere")) == [us, de, de, us, us]


def test_a_number_that_its_own_country_does_not_know_is_not_tried_as_anothers():
    assert numbers({"region": "DE"}, (BERLIN, "US")) == ["+4930901820"]
    assert numbers({"country": "Land", "region": "DE"}, (BERLIN, "US")) == ["not_a_phone Phone"]


def test_without_country_and_region_a_number_says_its_country_itself():
    cells = [(NATIONAL, "Nowhere"), ("+49 30 901820", "Nowhere"), ("'+49 30 901820", "")]
    found = numbers({"country": "Land"}, *cells)
    assert found == ["not_a_phone Phone", "+4930901820", "+4930901820"]


def test_the_country_of_a_line_goes_with_the_number_of_the_line():
    source = {"order": "Order", "line": ["Land"]}
    columns = {"Phone": {"phone": {"country": "Land"}}}
    rows = {"Order": ["1", "1"], "Phone": [BERLIN] * 2, "Land": ["DE", "DE"]}
    for leaf in ("Phone", "{Phone}"):
        schema = schema_of({"Sent": {"each": leaf}}, columns=columns, source=source)
        assert properties(mapped(schema, rows)) == {"1": {"Sent": ["+4930901820"] * 2}}
    with pytest.raises(SchemaError, match='"Land" is a line column'):
        load_schema(json.dumps(schema_of({"X": "Phone"}, columns=columns, source=source)) + "\n")


def test_the_countrys_column_must_be_in_the_export():
    schema = schema_of({"X": {"column": "Phone", "as": {"phone": {"country": "Land"}}}})
    with pytest.raises(SchemaError, match='column "Land" is not in'):
        mapped(schema, {"Order": ["1"], "Phone": [NATIONAL]})


def test_rows_that_disagree_about_the_country_of_a_persons_number_are_a_reject():
    schema = schema_of(
        {},
        person={"$phone_number": "Phone"},
        columns={"Phone": {"phone": {"country": "Land"}}},
        source={"order": "Order"},
    )
    rows = {"Order": ["1", "1"], "Phone": [BERLIN] * 2, "Land": ["DE", "AT"]}
    assert set(rejects(mapped(schema, rows)).values()) == {"differs_in_order Land"}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, '"phone" does not take these options'),
        ({"region": "us"}, "region is a country code"),
        ({"country": ""}, "country is the column"),
        ({"country": None}, "country is the column"),
        ({"zone": "A"}, '"phone" does not take these options'),
    ],
)
def test_options_of_phone_that_mean_nothing_are_a_problem(options, why):
    with pytest.raises(SchemaError, match=why):
        load_schema(json.dumps(schema_of({}, columns={"Order": {"phone": options}})) + "\n")


# countries ---------------------------------------------------------------------------------------

COUNTRIES = {
    "DE": ["de", "DEU", "Germany", "Deutschland", "ALEMANIA", "Allemagne", "276"],
    "GB": ["UK", "U.K.", "Great Britain", "England", "Scotland", "Wales", "Northern Ireland"],
    "US": ["USA", "U.S.A.", "United States (US)", "Estados Unidos", "EE.UU.", "États-Unis"],
    "MX": ["México", "MEXICO", "Mexique"],
    "ES": ["España", "Espana", "Spanien"],
    "NL": ["Holland", "The Netherlands", "Nederland", "Pays-Bas"],
    "KR": ["South Korea", "Korea, Republic of", "Südkorea", "대한민국"],
    "RU": ["Russia", "Россия", "Rusia"],
    "TR": ["Turkey", "Türkiye", "Türkei"],
    "VN": ["Vietnam", "Viet Nam"],
    "JP": ["日本", "Japón", "Japon"],
    "CI": ["Ivory Coast", "Côte d'Ivoire"],
    "BR": ["Brasil", "Brazil"],
}
NO_COUNTRIES = ["", "Nowhere", "XX", "Korea", "nigeri", "dominik cumhuriyeti", "Île-de-France"]


@pytest.mark.parametrize(("code", "names"), COUNTRIES.items())
def test_a_country_is_known_by_code_and_by_its_names_in_many_languages(code, names):
    assert {name: country_code(name) for name in names} == dict.fromkeys(names, code)


@pytest.mark.parametrize("name", NO_COUNTRIES)
def test_a_name_of_no_country_or_of_two_is_none(name):
    assert country_code(name) is None


# unfit: leave_out --------------------------------------------------------------------------------

PHONE = {"column": "Phone", "as": {"phone": {"region": "US"}}, "unfit": "leave_out"}


def test_a_cell_that_may_be_left_out_loses_no_order_and_is_counted():
    schema = schema_of({}, person={"$phone_number": PHONE, "$id": "Id"})
    rows = {"Order": ["1", "2", "3", "4"], "Id": ["a", "b", "c", ""]}
    rows["Phone"] = ["junk", NATIONAL, "4.79E+11", "none"]
    found = mapped(schema, rows)
    assert {key: event["phone_number"] for key, event in landed(found).items()} == {
        "1": None,
        "2": "+12025550123",
        "3": None,
    }
    assert rejects(found) == {4: "no_identity "}, "nothing else says who it is"
    assert found.counts.left_out_cells == {("Phone", "not_a_phone"): 2}
    assert (found.counts + found.counts).left_out_cells == {("Phone", "not_a_phone"): 4}


def test_without_the_option_it_makes_a_reject():
    firm = {key: value for key, value in PHONE.items() if key != "unfit"}
    schema = schema_of({}, person={"$phone_number": firm, "$id": "Order"})
    found = mapped(schema, {"Order": ["1", "2"], "Phone": ["junk", "4.79E+11"]})
    assert rejects(found) == {1: "not_a_phone Phone", 2: "ruined_by_excel Phone"}
    assert found.counts.left_out_cells == {}


def test_a_masked_address_that_may_be_left_out_is_not_sent():
    mail = {"column": "Mail", "unfit": "leave_out"}
    schema = schema_of({}, person={"$email": mail, "$id": "Order"})
    found = mapped(schema, {"Order": ["1"], "Mail": ["xxxx@shop.example"]})
    assert (landed(found)["1"]["email"], landed(found)["1"]["id"]) == (None, "1")
    assert found.counts.left_out_cells == {("Mail", "masked_email"): 1}


def test_an_order_is_counted_once_for_all_its_lines():
    leaf = {"each": {"N": {"column": "N", "as": "integer", "unfit": "leave_out"}, "Item": "Item"}}
    schema = schema_of({"Lines": leaf}, source={"order": "Order", "line": ["N", "Item"]})
    rows = {"Order": ["1", "1", "1"], "N": ["x", "y", "3"], "Item": ["a", "b", "c"]}
    found = mapped(schema, rows)
    lines_of = [{"Item": "a"}, {"Item": "b"}, {"N": 3, "Item": "c"}]
    assert properties(found) == {"1": {"Lines": lines_of}}
    assert found.counts.left_out_cells == {("N", "not_an_integer"): 1}


def test_of_a_template_the_whole_is_left_out_where_a_part_does_not_fit():
    times = {"template": "{Day} {Time}", "as": {"time": "%Y-%m-%d %H:%M"}, "unfit": "leave_out"}
    schema = schema_of(
        {"Sent": times, "X": {"column": "N", "unfit": "leave_out"}},
        columns={"N": "integer"},
        source={"timezone": "UTC"},
    )
    rows = {"Order": ["1", "2"], "Day": ["2024-01-01"] * 2, "Time": ["soon", "10:00"]}
    found = mapped(schema, {**rows, "N": ["x", "2"]})
    assert properties(found) == {"1": {}, "2": {"Sent": "2024-01-01T10:00:00Z", "X": 2}}
    assert found.counts.left_out_cells == {
        ("{Day} {Time}", "not_a_time"): 1,
        ("N", "not_an_integer"): 1,
    }


def test_what_map_does_not_know_is_a_reject_all_the_same():
    leaf = {"column": "N", "map": {"one": "1"}, "as": "integer", "unfit": "leave_out"}
    found = mapped(schema_of({"N": leaf}), {"Order": ["1"], "N": ["two"]})
    assert rejects(found) == {1: "not_in_map N"}


@pytest.mark.parametrize(
    ("leaf", "where", "why"),
    [
        ({"column": "X", "unfit": "leave_out"}, "X", "a text always fits"),
        ({"column": "X", "as": "time", "unfit": "leave_out"}, "time", "no event without its time"),
        (
            {"column": "X", "as": "integer", "unfit": "leave_out"},
            "$event_id",
            "no event without its event_id",
        ),
        ({"column": "X", "unfit": "drop"}, "X", "\"unfit\" is one of 'leave_out'"),
        ({"sum": "X", "unfit": "leave_out"}, "X", '"unfit" has no meaning beside "sum"'),
    ],
)
def test_unfit_stands_where_something_can_be_left_out(leaf, where, why):
    made = schema_of({}, time=leaf) if where == "time" else schema_of({where: leaf})
    with pytest.raises(SchemaError, match=why):
        load_schema(json.dumps(made) + "\n")
