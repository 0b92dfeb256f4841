"""Cells as spreadsheets and databases leave them: what is taken off, and what nobody can mend."""

import csv
import json

import pyarrow as pa
import pytest

from backfill.planning.judgement import Known
from backfill.planning.make_plan import make_plan
from backfill.running.rejects_csv import write_rejects
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import open_export
from backfill.sources.spill import spill
from backfill.sources.spreadsheets import clean_cells
from backfill.wire.track import Track
from tests.mapped import BOUNDS, landed, mapped, properties, rejects, schema_of

TIDY = [
    pytest.param(' "a" ', '"a"', id="blanks around a cell go"),
    pytest.param('="00123"', "00123", id="digits that a formula keeps from Excel"),
    pytest.param('=""', None, id="a formula of nothing"),
    pytest.param('=" 7 "', "7", id="blanks inside a formula"),
    pytest.param('="say ""hi"""', 'say "hi"', id="doubled quotes inside a formula"),
    pytest.param('="a"b"', '="a"b"', id="a quote that is not doubled is no such formula"),
    pytest.param("=A1", "=A1", id="another formula is text"),
    pytest.param("'90001", "90001", id="a zip"),
    pytest.param("'01310-100", "01310-100", id="a zip with a hyphen"),
    pytest.param("'K1A 0B1", "K1A 0B1", id="a zip of Canada"),
    pytest.param("'SW1A 1AA", "SW1A 1AA", id="a zip of Great Britain"),
    pytest.param("'1011 AB", "1011 AB", id="a zip of the Netherlands"),
    pytest.param("'D02 AF30", "D02 AF30", id="a zip of Ireland"),
    pytest.param("'+49 30 1234", "+49 30 1234", id="a phone number"),
    pytest.param("'(030) 12 34", "(030) 12 34", id="a phone number in brackets"),
    pytest.param("'-5.20", "-5.20", id="a number below zero"),
    pytest.param("'t Hooft", "'t Hooft", id="a name"),
    pytest.param("'90s Tee", "'90s Tee", id="a product"),
    pytest.param("'", "'", id="nothing but an apostrophe"),
    pytest.param('\'="5"', '\'="5"', id="an apostrophe before a formula"),
    pytest.param("\u00a0\u2007x", "x", id="blanks that are no space"),
]


@pytest.mark.parametrize(("cell", "own"), TIDY)
def test_a_cell_is_rid_of_what_stands_around_its_text(cell, own):
    column = pa.chunked_array([["other", cell, None]])
    assert clean_cells(column).to_pylist() == ["other", own, None]
    assert clean_cells(pa.chunked_array([[own]], pa.string())).to_pylist() == [own], (
        "once is enough"
    )


def test_words_for_nothing_are_whole_cells_letter_for_letter():
    column = pa.chunked_array([["NA", " NA ", '="NA"', "na", "NAN", "-", "- 1"]])
    assert clean_cells(column, ["NA", "-"]).to_pylist() == [
        None,
        None,
        None,
        "na",
        "NAN",
        None,
        "- 1",
    ]


def test_a_null_without_quotes_stands_for_both_ways_to_write_it():
    told = load_schema(
        "name: a\nsource: {null_values: [NA, NULL, ' - ']}\n"
        "customer_properties: {$id: Order}\nevents: [{event: A, time: At}]\n"
    ).schema.source
    assert told.null_values == ("NA", "NULL", "null", "-")


def test_words_for_nothing_are_left_out_of_payloads():
    schema = schema_of(
        {"Zip": "Zip", "Paid": {"column": "Paid", "as": "money"}},
        source={"null_values": ["NA", "-"]},
    )
    rows = {"Order": ["1", "2"], "Zip": ["NA", "'90001"], "Paid": ["-", "5"]}
    assert properties(mapped(schema, rows)) == {"1": {}, "2": {"Zip": "90001", "Paid": 5}}


def test_an_order_key_that_means_nothing_is_none():
    schema = schema_of({"X": "X"}, source={"order": "Order", "null_values": ["NA"]})
    rows = {"Order": ["NA", "1", '="1"', "'1", "NA"], "X": ["a", "b", "b", "b", "c"]}
    found = mapped(schema, rows)
    assert properties(found) == {"1": {"X": "b"}}
    assert rejects(found) == {1: "no_order Order", 5: "no_order Order"}


def test_rows_of_one_order_meet_however_their_keys_are_written(tmp_path):
    keys = ["7", '="7"', "'7", " 7 "] * 5 + ["NA", "NA"]
    batches = [pa.table({"c0": [key]}) for key in keys]
    words = {"cell": lambda rows, name: clean_cells(rows[name], ["NA"])}
    tables = list(spill(iter(batches), ["c0"], tmp_path / "a", 16, held_bytes=1, **words))
    [seven] = [table for table in tables if "7" in table["c0"].to_pylist()]
    assert len([key for key in seven["c0"].to_pylist() if key != "NA"]) == 20
    tables = list(spill(iter(batches), ["c0"], tmp_path / "b", 16, held_bytes=1))
    [seven] = [table for table in tables if "7" in table["c0"].to_pylist()]
    assert len([key for key in seven["c0"].to_pylist() if key != "NA"]) == 20


def test_parts_of_a_key_that_mean_nothing_are_the_same_in_a_large_export(tmp_path):
    """Its rows come together by way of the disk, by the hash of their keys."""
    source = {"order": ["Shop", "Number"], "null_values": ["NA"]}
    schema = schema_of({"$event_id": "Number"}, source=source, person={"$id": "Number"})
    numbers = [str(at) for at in range(20)]
    note = "x" * 300_000
    rows = [{"Shop": shop, "Number": at, "Note": note} for shop in ("NA", "") for at in numbers]
    _, plan = planned(tmp_path / "plan", written(tmp_path / "large.csv", *rows), schema)
    assert (plan.counts.orders_accepted, plan.counts.orders_rejected) == (20, 0)


# rejects.csv -------------------------------------------------------------------------------------

SHOP = schema_of(
    {"Zip": "Zip", "Sku": "Sku", "N": {"column": "N", "as": "integer"}},
    person={"$phone_number": "Phone"},
    source={"null_values": ["NA"]},
)
DIRTY = {"Order": "1", "Phone": "'+1 202-555-0123", "Zip": "'90001", "Sku": '="007"', "N": "1"}


def planned(folder, file, schema=None):
    export = open_export([str(file)])
    bound = bind(load_schema(json.dumps(schema or SHOP) + "\n"), export.columns)
    plan = make_plan(
        bound, export, folder, profiles="every", bounds=BOUNDS, limits=Track(), known=Known()
    )
    return export, plan


def sent(plan):
    return [event for batch in plan.pending() for event in batch.to_pylist()]


def written(path, *rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_reject_that_is_mended_and_fed_in_again_gives_the_event_it_would_have_given(tmp_path):
    """Marks of a spreadsheet stand in rejects.csv as in the export, behind those of our own."""
    _, clean = planned(tmp_path / "clean", written(tmp_path / "clean.csv", DIRTY))
    broken = written(tmp_path / "broken.csv", DIRTY | {"N": "1x"})
    export, plan = planned(tmp_path / "broken", broken)
    write_rejects(tmp_path / "rejects.csv", export, plan.rejected_rows())
    with (tmp_path / "rejects.csv").open(encoding="utf-8", newline="") as file:
        [reject] = csv.DictReader(file)
    told = {name: reject[name] for name in ("_reason", "Phone", "Zip", "Sku")}
    assert told == {
        "_reason": "not_an_integer",
        "Phone": "''+1 202-555-0123",
        "Zip": "'90001",
        "Sku": '\'="007"',
    }
    [mended] = sent(planned(tmp_path / "x", written(tmp_path / "m.csv", reject | {"N": "1"}))[1])
    [wanted] = sent(clean)
    assert wanted["phone_number"] == "+12025550123"
    assert json.loads(wanted["properties"]) == {"Zip": "90001", "Sku": "007", "N": 1}
    assert {**mended, "file": 0, "row": 1} == {**wanted, "file": 0, "row": 1}


# ruined ids --------------------------------------------------------------------------------------

RUINED = [
    *("5.27763E+12", "5,27E+15", "5E+12", "########", "###"),
    *("#N/A", "#REF!", "#NAME?", "#DIV/0!", "#NV", "#WERT!", "#BEZUG!"),
    *("#N/D", "#¡VALOR!", "#¿NOMBRE?", "#VALEUR!", "#RIF!", "#N/B", "#NÚM!"),
]
WHOLE = ["5E12", "#1001", "55E+12", "E+12", "##", "#NAME", "#N/A1", "5.2E-7", "1E+A"]


@pytest.mark.parametrize("cell", RUINED)
def test_an_order_of_a_ruined_id_is_a_reject(cell):
    found = mapped(schema_of({}), {"Order": [cell, "2"]})
    assert (list(landed(found)), rejects(found)) == (["2"], {1: "ruined_by_excel Order"})


@pytest.mark.parametrize("cell", WHOLE)
def test_an_id_that_only_looks_ruined_stays(cell):
    assert list(landed(mapped(schema_of({}), {"Order": [cell]}))) == [cell]


@pytest.mark.parametrize("cell", RUINED)
def test_an_id_made_with_a_ruined_cell_of_a_line_makes_its_order_a_reject(cell):
    source = {"order": "Order", "line": ["Item"]}
    schema = schema_of({"$event_id": "{Order}-{Item}"}, source=source, per="line")
    rows = {"Order": ["1", "1", "2"], "Item": ["a", cell, "b"]}
    found = mapped(schema, rows)
    assert list(landed(found)) == ["2-b"]
    assert rejects(found) == dict.fromkeys((1, 2), "ruined_by_excel Item")


def test_a_ruined_cell_outside_of_ids_is_a_text():
    assert properties(mapped(schema_of({"X": "X"}), {"Order": ["1"], "X": ["#N/A"]})) == {
        "1": {"X": "#N/A"}
    }


# masked addresses --------------------------------------------------------------------------------

MASKED = [
    *(
        "a***@x.example",
        "a*@x.example",
        "*@x.example",
        "ada@***.example",
        "a\u2022\u2022@x.example",
    ),
    *("XXXX@XXXX.example", "xxx@x.example", "adxxxxxx@x.example", "ada@xxxxx.example"),
    *("xxxxx", "XXXXXXXXX", "*****", "**@**", "axxxxb@x.example"),
]
UNMASKED = [
    "max@x.example",
    "maxxx@x.example",
    "xx@x.example",
    "foxxx.y@xxl.example",
    "ab*c@x.example",
]


@pytest.mark.parametrize("cell", MASKED)
def test_an_address_that_was_made_unreadable_makes_its_order_a_reject(cell):
    schema = schema_of({}, person={"$email": "Email", "$id": "Order"})
    found = mapped(schema, {"Order": ["1"], "Email": [cell]})
    assert rejects(found) == {1: "masked_email Email"}


@pytest.mark.parametrize("cell", UNMASKED)
def test_an_address_with_an_x_or_a_star_is_one(cell):
    found = mapped(schema_of({}, person={"$email": "Email"}), {"Order": ["1"], "Email": [cell]})
    assert landed(found)["1"]["email"] == cell


# money -------------------------------------------------------------------------------------------

BRACKETS = [
    *(("(12.00)", "-12"), ("($8.00)", "-8"), ("$(8.00)", "-8"), ("(1,234.50)", "-1234.5")),
    *(("(EUR 5)", "-5"), ("(5 kr.)", "-5"), ("(0.00)", "0")),
]


@pytest.mark.parametrize(("cell", "amount"), BRACKETS)
def test_an_amount_in_brackets_is_below_zero(cell, amount):
    schema = schema_of({"X": {"column": "X", "as": "money"}})
    found = mapped(schema, {"Order": ["1"], "X": [cell]})
    assert landed(found)["1"]["properties"] == f'{{"X":{amount}}}'


@pytest.mark.parametrize("cell", ["(12.00", "12.00)", "(-12)", "-(12)", "((12))", "()", "(1)(2)"])
def test_other_brackets_are_no_money(cell):
    schema = schema_of({"X": {"column": "X", "as": "money"}})
    assert rejects(mapped(schema, {"Order": ["1"], "X": [cell]})) == {1: "not_money X"}
