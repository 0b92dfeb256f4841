"""Rows that belong together: accepted whole, rejected whole, or left out."""

import hashlib
import json
from collections import Counter

import pyarrow as pa
import pytest

from backfill.event import key, person
from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Counts, Mapper
from backfill.mapping.program import Bounds
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame
from backfill.sources.source import TypedColumns

BOUNDS = Bounds(1_000_000_000, 1_900_000_000)
TIME = {"value": "2020-01-01T00:00:00Z"}
PLACED = {
    "event": "Placed Order",
    "time": TIME,
    "properties": {"$event_id": "{Order}", "Items": {"each": "Item"}},
}
LINE = {
    "event": "Ordered Product",
    "per": "line",
    "time": TIME,
    "properties": {"$event_id": "{Order}-{line}", "Item": "Item"},
}


def schema(*events, order="Order", columns=None, person=None, **source):
    return {
        "name": "orders",
        "source": {"order": order, "line": ["Item", "Count"], **source},
        "columns": columns or {},
        "customer_properties": person or {"$email": "Email"},
        "events": events or (PLACED,),
    }


def mapped(shop, *files, attributes=True, bounds=BOUNDS):
    export = Export([Frame(pa.table(file)) for file in files])
    bound = bind(load_schema(json.dumps(shop) + "\n"), export.columns)
    program = compile_schema(bound, export.typed, bounds, attributes=attributes)
    mapper = Mapper(program, bound.schema.source.across_files)
    found = mapper.map(pa.concat_tables(export.batches(program.columns)))
    mapper.close()
    return found


def rows(*cells, email="ada@shop.de"):
    """A file of ``order item`` rows."""
    orders, items = zip(*(cell.split(" ") for cell in cells), strict=True)
    return {"Order": orders, "Item": items, "Email": [email] * len(cells)}


def items(found):
    events = found.events.to_pylist()
    return {event["event_id"]: json.loads(event["properties"])["Items"] for event in events}


def reasons(found):
    """Each rejected order's first row, with why; all its rows are there."""
    return {
        (
            reject["order_file"],
            reject["order_row"],
        ): f"{reject['reason']} {reject['column']}".strip()
        for reject in found.rejects.to_pylist()
    }


def test_rows_of_an_order_need_not_stand_together():
    found = mapped(schema(), rows("1 a", "2 b", "1 c", "2 d", "1 e"))
    assert items(found) == {"1": ["a", "c", "e"], "2": ["b", "d"]}
    assert found.counts == Counts(rows=5, rows_accepted=5, orders_accepted=2)


def test_order_cells_are_trimmed_before_they_are_compared():
    file = rows("1 a", "1 b") | {"Order": ["1", "\t1 "]}
    assert items(mapped(schema(), file)) == {"1": ["a", "b"]}


def test_an_order_column_has_its_first_value_that_is_not_empty():
    file = rows("1 a", "1 b", "1 c") | {"Note": ["", "second", "third"]}
    event = PLACED | {"properties": {"$event_id": "{Order}", "Note": "Note"}}
    found = mapped(schema(event), file)
    assert found.events["properties"].to_pylist() == ['{"Note":"second"}']
    assert found.counts.disagreements == {"Note": 1}


@pytest.mark.parametrize(
    ("emails", "outcome"),
    [
        pytest.param(["a@shop.de", "b@shop.de"], {(0, 1): "differs_in_order Email"}, id="differ"),
        pytest.param(["", "b@shop.de"], {}, id="the first row has none"),
        pytest.param([" a@shop.de", "a@shop.de "], {}, id="differ in blanks around"),
        pytest.param(["Ada@Shop.de", "ada@shop.de"], {}, id="differ in case"),
    ],
)
def test_rows_of_an_order_agree_about_who_it_is(emails, outcome):
    found = mapped(schema(), rows("1 a", "1 b") | {"Email": emails})
    assert reasons(found) == outcome
    assert found.counts.rows_rejected == 2 * len(outcome)


def test_rows_of_an_order_agree_about_its_event_id():
    event = PLACED | {"properties": {"$event_id": "{Number}"}}
    found = mapped(schema(event), rows("1 a", "1 b") | {"Number": ["7", "8"]})
    assert reasons(found) == {(0, 1): "differs_in_order Number"}


def test_two_columns_can_tell_orders_apart():
    file = rows("1 a", "1 b", "1 c") | {"Shop": ["x", "y", "x"]}
    event = PLACED | {"properties": {"$event_id": "{Shop}{Order}", "Items": {"each": "Item"}}}
    assert items(mapped(schema(event, order=["Order", "Shop"]), file)) == {
        "x1": ["a", "c"],
        "y1": ["b"],
    }


def test_a_row_without_the_orders_cell_is_a_reject_of_its_own_and_a_blank_one_is_left_out():
    file = {"Order": ["1", "", ""], "Item": ["a", "b", ""], "Email": ["a@shop.de", "", ""]}
    found = mapped(schema(), file)
    assert reasons(found) == {(0, 2): "no_order Order"}
    assert found.counts == Counts(
        rows=3,
        rows_accepted=1,
        rows_rejected=1,
        rows_left_out=1,
        rows_blank=1,
        orders_accepted=1,
        orders_rejected=1,
    )


def test_a_ragged_row_rejects_its_whole_order():
    shop = schema()
    bound = bind(load_schema(json.dumps(shop) + "\n"), ["Order", "Item", "Email"])
    program = compile_schema(bound, TypedColumns(), BOUNDS, attributes=True)
    cells = {"Order": ["1", "1", "2"], "Item": ["a", "b", "c"], "Email": ["a@shop.de"] * 3}
    table = pa.table(
        {f"c{at}": cells[name] for at, name in enumerate(bound.columns)}
        | {
            "_file": pa.array([0] * 3, pa.int32()),
            "_row": [2, 3, 4],
            "_ragged": [False, True, False],
        }
    )
    found = Mapper(program, None).map(table)
    assert reasons(found) == {(0, 2): "ragged_row"}
    assert found.counts.rows_rejected == 2


def test_an_order_is_rejected_whole_for_one_bad_line_of_one_event():
    shop = schema(PLACED, LINE, columns={"Item": "integer"})
    found = mapped(shop, rows("1 1", "1 x", "2 3"))
    assert reasons(found) == {(0, 1): "not_an_integer Item"}
    assert found.events["event_id"].to_pylist() == ["2", "2-1"]
    assert found.rejects["row"].to_pylist() == [1, 2]


def test_events_of_a_line_have_the_lines_number_in_file_order():
    found = mapped(schema(LINE), rows("1 a", "2 b", "1 c"))
    events = found.events.to_pylist()
    assert {event["event_id"]: event["properties"] for event in events} == {
        "1-1": '{"Item":"a"}',
        "1-2": '{"Item":"c"}',
        "2-1": '{"Item":"b"}',
    }


# where -------------------------------------------------------------------------------------------


def test_what_no_event_wants_is_left_out_also_where_it_would_be_a_reject():
    event = PLACED | {"where": "State = 'paid'"}
    file = rows("1 a", "2 b", "3 c", "4 d") | {
        "State": ["paid", "draft", "", "paid"],
        "Email": ["a@shop.de", "", "", ""],
    }
    found = mapped(schema(event), file)
    assert items(found) == {"1": ["a"]}
    assert reasons(found) == {(0, 4): "no_identity"}
    assert (found.counts.rows_left_out, found.counts.orders_rejected) == (2, 1)


def test_where_of_a_line_takes_single_lines():
    event = LINE | {"where": "Count > 1"}
    file = rows("1 a", "1 b", "1 c", "2 d") | {"Count": ["1", "2", "", "1"]}
    found = mapped(schema(event, columns={"Count": "integer"}), file)
    assert found.events["event_id"].to_pylist() == ["1-2"]
    assert (found.counts.rows_accepted, found.counts.rows_left_out) == (3, 1)


def test_a_bad_cell_inside_where_is_a_reject():
    event = PLACED | {"where": "Total > 1"}
    shop = schema(event, columns={"Total": "money"})
    found = mapped(shop, rows("1 a", "2 b") | {"Total": ["x", "2"]})
    assert reasons(found) == {(0, 1): "not_money Total"}


def test_a_bad_line_that_no_event_wants_is_no_reject():
    event = LINE | {
        "where": "Item <> 'x'",
        "properties": {"$event_id": "{Order}-{line}", "Item": {"column": "Item", "as": "integer"}},
    }
    found = mapped(schema(event), rows("1 1", "1 x"))
    assert found.events["event_id"].to_pylist() == ["1-1"]


def test_events_at_or_after_until_are_left_out():
    event = PLACED | {"time": "At"}
    file = rows("1 a", "2 b") | {"At": ["2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z"]}
    bounds = Bounds(1_000_000_000, 1_900_000_000, 1_577_836_801)
    found = mapped(schema(event, columns={"At": "time"}), file, bounds=bounds)
    assert (items(found), found.counts.rows_left_out) == ({"1": ["a"]}, 1)


# identity ----------------------------------------------------------------------------------------

PERSON = {
    "$email": "Email",
    "$phone_number": {"column": "Phone", "as": {"phone": {"region": "US"}}},
    "$id": "Id",
    "$first_name": "Name",
    "Tier": "Tier",
}


def people(**cells):
    empty = {"Email": "", "Phone": "", "Id": "", "Name": "", "Tier": ""}
    file = {"Order": ["1"], "Item": ["a"]} | {
        name: [cell] for name, cell in (empty | cells).items()
    }
    return mapped(schema(person=PERSON), file)


@pytest.mark.parametrize(
    ("cells", "identifier", "value"),
    [
        pytest.param({"Email": " ADA@shop.de "}, "email", "ada@shop.de", id="an e-mail"),
        pytest.param({"Phone": "202-555-0123"}, "phone_number", "+12025550123", id="a phone"),
        pytest.param({"Id": "7"}, "id", "7", id="an id"),
        pytest.param(
            {"Email": "a@shop.de", "Phone": "202-555-0123", "Id": "7"},
            "email",
            "a@shop.de",
            id="all",
        ),
        pytest.param(
            {"Phone": "202-555-0123", "Id": "7"}, "phone_number", "+12025550123", id="two"
        ),
    ],
)
def test_a_person_is_the_first_identifier_that_an_order_has(cells, identifier, value):
    [event] = people(**cells).events.to_pylist()
    assert event["person"] == person(identifier, value)
    assert event[identifier] == value


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        pytest.param({"Name": "Ada"}, "no_identity", id="nothing says who it is"),
        pytest.param({"Email": "XXXXX", "Id": "7"}, "masked_email Email", id="a masked e-mail"),
        pytest.param({"Email": "a@shop.de", "Phone": "1"}, "not_a_phone Phone", id="a bad phone"),
        pytest.param({"Email": "a@Example.com"}, "test_domain Email", id="a domain for tests"),
        pytest.param({"Email": "a@test.com"}, "test_domain Email", id="another domain for tests"),
    ],
)
def test_an_order_whose_person_is_in_doubt_is_a_reject(cells, reason):
    assert reasons(people(**cells)) == {(0, 1): reason}


def test_domains_for_tests_can_be_allowed():
    found = mapped(schema(allow_test_domains="true"), rows("1 a", email="a@example.com"))
    assert found.events["email"].to_pylist() == ["a@example.com"]


def test_attributes_stand_in_their_columns_and_empty_ones_nowhere():
    [event] = people(Email="a@shop.de", Id="7", Name="Ada").events.to_pylist()
    assert (event["id"], event["first_name"], event["profile"]) == ("7", "Ada", None)


def test_without_attributes_only_identifiers_are_read():
    file = rows("1 a") | {"Phone": ["202-555-0123"], "Id": ["7"], "Name": ["Ada"], "Tier": ["x"]}
    [event] = mapped(schema(person=PERSON), file, attributes=False).events.to_pylist()
    assert (event["id"], event["first_name"], event["profile"]) == ("7", None, None)
    # names tell apart who shares an identity; no event carries them
    shop = schema(person=PERSON, shared_identity_limit="20")
    [event] = mapped(shop, file, attributes=False).events.to_pylist()
    assert (event["id"], event["first_name"], event["profile"]) == ("7", "Ada", None)


# ids ---------------------------------------------------------------------------------------------


def test_an_event_without_an_id_gets_the_documented_one():
    event = {"event": "Placed Order", "time": TIME}
    [found] = mapped(schema(event), rows("1 a", email=" Ada@Shop.de")).events.to_pylist()
    assert found["event_id"] == "Placed Order+1577836800+ada@shop.de"
    assert found["key"] == key("Placed Order", "Placed Order+1577836800+ada@shop.de")


def test_an_id_with_an_empty_part_is_a_reject():
    event = PLACED | {"properties": {"$event_id": "{Order}-{Number}"}}
    found = mapped(schema(event), rows("1 a") | {"Number": [""]})
    assert reasons(found) == {(0, 1): "no_event_id"}


@pytest.mark.parametrize(
    ("metric", "event_id", "pinned"),
    [
        pytest.param("Placed Order", "1001", "bb99d747e35f94dab6aa6ae2e6f3c2d1", id="plain"),
        pytest.param(
            "Bestellung 'ä'", "#1-é", "643a583f92e8faa3ff2cfe71c87844c1", id="beyond ASCII"
        ),
        pytest.param(
            "Ordered Product", "SO1-1", "805f2f87b4b745b211f36c3913bf2c42", id="of a line"
        ),
    ],
)
def test_a_key_is_the_same_for_ever(metric, event_id, pinned):
    event = PLACED | {"event": metric, "properties": {"$event_id": "{Order}"}}
    [found] = mapped(schema(event), rows(f"{event_id} a")).events.to_pylist()
    assert found["key"] == key(metric, event_id)
    assert found["key"].hex() == pinned
    text = f"1\x1f{metric}\x1f{event_id}".encode()
    assert found["key"] == hashlib.sha256(text).digest()[:16]


# several files -----------------------------------------------------------------------------------

ONE, TWO, THREE = rows("1 a", "1 a"), rows("1 a", "1 b"), rows("1 c")
DIFFER = "differs_across_files"


@pytest.mark.parametrize(
    ("trust", "files", "outcome"),
    [
        pytest.param(None, [ONE, ONE], ["a", "a"], id="equal rows are taken once"),
        pytest.param(None, [ONE, ONE, ONE], ["a", "a"], id="three equal files"),
        pytest.param(None, [ONE], ["a", "a"], id="equal rows inside one file are two"),
        pytest.param(None, [TWO, rows("1 b", "1 a")], ["a", "b"], id="another order of rows"),
        pytest.param(None, [ONE, TWO], DIFFER, id="a line that differs"),
        pytest.param(None, [rows("1 a"), ONE], DIFFER, id="a line more"),
        pytest.param(None, [ONE, ONE, TWO], DIFFER, id="the third file differs"),
        pytest.param(None, [rows("1 NULL"), rows("1 ")], DIFFER, id="empty is not the word NULL"),
        pytest.param("first", [ONE, TWO, THREE], ["a", "a"], id="the first file is trusted"),
        pytest.param("first", [rows("2 x"), TWO, ONE], ["a", "b"], id="the first that has it"),
        pytest.param("last", [ONE, TWO, THREE], ["c"], id="the last file is trusted"),
        pytest.param("last", [ONE, TWO, rows("2 x")], ["a", "b"], id="the last that has it"),
        pytest.param("last", [ONE, ONE], ["a", "a"], id="the last file of equal ones"),
        pytest.param("merge", [ONE, TWO, THREE], ["a", "a", "b", "c"], id="all different rows"),
        pytest.param("merge", [ONE, ONE], ["a", "a"], id="merging equal files adds nothing"),
        pytest.param("merge", [rows("1 a"), ONE], ["a", "a"], id="the more frequent count holds"),
    ],
)
def test_an_order_in_several_files(trust, files, outcome):
    found = mapped(schema(**({"across_files": trust} if trust else {})), *files)
    total = sum(len(file["Order"]) for file in files)
    assert found.counts.rows == found.counts.rows_accepted + found.counts.rows_rejected == total
    if outcome == DIFFER:
        assert set(reasons(found).values()) == {DIFFER}
        assert Counter(found.rejects["reason"].to_pylist()) == {DIFFER: total}
    else:
        assert items(found)["1"] == outcome


def test_every_row_of_an_order_in_several_files_is_known_as_its_member():
    found = mapped(schema(across_files="last"), TWO, THREE)
    assert found.events.select(["file", "row"]).to_pylist() == [{"file": 1, "row": 1}]
    members = {(one["file"], one["row"]) for one in found.members.to_pylist()}
    assert members == {(0, 1), (0, 2)}


def test_rows_without_an_order_in_two_files_are_rejects_of_their_own():
    found = mapped(schema(), rows(" a"), rows(" a"))
    assert reasons(found) == {(0, 1): "no_order Order", (1, 1): "no_order Order"}


def test_counts_of_slices_add_up():
    one = Counts(rows=1, rows_accepted=1, orders_accepted=1, disagreements=Counter(Note=1))
    two = Counts(rows=2, rows_rejected=2, orders_rejected=1, disagreements=Counter(Note=2, X=1))
    assert one + two == Counts(
        rows=3,
        rows_accepted=1,
        rows_rejected=2,
        orders_accepted=1,
        orders_rejected=1,
        disagreements=Counter(Note=3, X=1),
    )


def test_a_condition_on_an_empty_cell_does_not_hold():
    shop = schema(PLACED | {"where": "Status = 'paid'"})
    found = mapped(shop, rows("1 a", "2 b") | {"Status": ["", "paid"]})
    assert items(found) == {"2": ["b"]}
    assert found.counts.rows_left_out == 1
