"""An event's currency: what it is read from, where it goes, and what it leaves as it was."""

import hashlib
import json

import pyarrow as pa
import pytest

from backfill.errors import SchemaError
from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Mapper
from backfill.mapping.program import Bounds
from backfill.schema.bind import bind
from backfill.schema.currencies import places
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame
from backfill.wire.track import Track

BOUNDS = Bounds(1_000_000_000, 1_900_000_000)


def shop(currency, *, per="order", properties=None, **more):
    leaf = {} if currency is None else {"currency": currency}
    event = {
        "event": "Placed Order",
        "per": per,
        "time": {"value": "2020-01-01T00:00:00Z"},
        **leaf,
        "properties": {"$event_id": "{Order}" + ("-{line}" if per == "line" else "")}
        | (properties or {}),
    }
    return {
        "name": "shop",
        "source": {"order": "Order", "line": ["Item", "Paid in"], "timezone": "UTC"},
        "customer_properties": {"$id": {"value": "7"}},
        "events": [event],
        **more,
    }


def mapped(schema, **columns):
    rows = len(next(iter(columns.values())))
    table = pa.table({"Order": ["1"] * rows, **{k: pa.array(v) for k, v in columns.items()}})
    export = Export([Frame(table)])
    bound = bind(load_schema(json.dumps(schema) + "\n"), export.columns)
    program = compile_schema(bound, export.typed, BOUNDS, attributes=True)
    mapper = Mapper(program, None)
    found = mapper.map(pa.concat_tables(export.batches(program.columns)))
    mapper.close()
    return found


def currencies(currency, **columns):
    """Those of the events, or the reason and the column of the reject."""
    found = mapped(shop(currency), **columns)
    if found.rejects.num_rows:
        first = found.rejects.to_pylist()[0]
        return f"{first['reason']} {first['column']}"
    return found.events["currency"].to_pylist()


@pytest.mark.parametrize(
    ("leaf", "cell", "found"),
    [
        pytest.param("Cur", " eur ", ["EUR"], id="a column, in capitals"),
        pytest.param("Cur", None, [None], id="an empty cell is none"),
        pytest.param({"column": "Cur", "default": "usd"}, None, ["USD"], id="a default"),
        pytest.param({"value": "gbp"}, "x", ["GBP"], id="a constant"),
        pytest.param("{Cur}R", "eu", ["EUR"], id="a template"),
        pytest.param({"sql": "left(Cur, 3)"}, "eurozone", ["EUR"], id="SQL"),
        pytest.param({"sql": "Cur", "default": "usd"}, None, ["USD"], id="SQL with a default"),
        pytest.param({"column": "Cur", "map": {"€": "EUR"}}, "€", ["EUR"], id="a map"),
        pytest.param({"column": "No", "optional": True}, "x", [None], id="a column that may lack"),
        pytest.param("Cur", "€", "not_a_currency Cur", id="a sign is no code"),
        pytest.param("Cur", "EURO", "not_a_currency Cur", id="nor is a name"),
        pytest.param("Cur", "ABC", "not_a_currency Cur", id="nor three letters that ISO lacks"),
        pytest.param({"sql": "lower(Cur)"}, "dollar", "not_a_currency Cur", id="bad SQL"),
    ],
)
def test_a_currency_is_a_code_of_iso_4217(leaf, cell, found):
    assert currencies(leaf, Cur=[cell]) == found


def test_a_line_has_its_own():
    found = mapped(shop("Paid in", per="line"), **{"Paid in": ["eur", "usd"], "Item": ["a", "b"]})

    assert sorted(found.events["currency"].to_pylist()) == ["EUR", "USD"]


def content(currency, **columns):
    return mapped(shop(currency), **columns).events["content"].to_pylist()


def test_an_event_with_a_currency_has_other_content_and_one_without_the_old():
    bare = content(None, Cur=["EUR"])

    assert content("Cur", Cur=["EUR"]) != bare
    assert content("Cur", Cur=["EUR"]) != content("Cur", Cur=["USD"])
    assert content("Cur", Cur=[""]) == bare
    parts = ("1577836800", "", "id", "7", "")  # time, value, whose, who, properties
    assert bare == [hashlib.sha256("\x1f".join(parts).encode()).digest()[:8]]


def test_track_sends_it_nowhere():
    events = mapped(shop("Cur"), Cur=["EUR"]).events.append_column("carries", [[True]])

    [payload] = Track().payloads(events)
    assert "EUR" not in payload


@pytest.mark.parametrize("name", ["currency", "time", "where"])
def test_a_property_may_have_the_name_of_a_key(name):
    found = mapped(shop(None, properties={name: "Text"}), Text=["9 o'clock"])

    assert found.rejects.num_rows == 0
    assert json.loads(found.events["properties"][0].as_py()) == {name: "9 o'clock"}


def test_so_may_what_a_shop_knows_of_a_person():
    schema = shop(None, customer_properties={"$id": {"value": "7"}, "currency": "Cur"})
    found = mapped(schema, Cur=["Kronen"])

    assert found.events["profile"].to_pylist() == ['{"currency":"Kronen"}']


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        pytest.param({"value": "euro"}, '"euro" does not fit the type currency', id="a constant"),
        pytest.param(
            {"column": "C", "default": "€"}, '"€" does not fit the type currency', id="a default"
        ),
        pytest.param({"each": "Item"}, "currency is one value", id="a list"),
        pytest.param({"object": {"a": "C"}}, "currency is one value", id="an object"),
        pytest.param(
            {"column": "C", "as": "text"},
            "currency is currency; the schema reads this as text",
            id="text",
        ),
        pytest.param(
            {"sum": "1.5"}, r"currency is a text such as EUR; this gives DECIMAL\(2,1\)", id="a sum"
        ),
    ],
)
def test_what_cannot_be_a_currency_is_a_problem_of_the_schema(leaf, why):
    with pytest.raises(SchemaError, match=why):
        mapped(shop(leaf), C=["EUR"], Item=["a"])


@pytest.mark.parametrize(
    ("field", "cell", "reason"),
    [("$email", "no address", "not_an_email"), ("$phone_number", "12", "not_a_phone")],
)
def test_an_identifier_that_sql_makes_is_read_as_one(field, cell, reason):
    schema = shop(None, customer_properties={field: {"sql": "lower(Who)"}})
    found = mapped(schema, Who=[cell])

    assert found.rejects["reason"].to_pylist() == [reason]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ISK", 0),
        ("JPY", 0),
        ("KWD", 3),
        ("CLF", 4),
        ("EUR", 2),
        ("XAU", 2),
        ("no code", 2),
        (None, 2),
    ],
)
def test_an_amount_has_the_places_of_its_currency(code, expected):
    assert places(code) == expected


def test_a_currencys_own_places_are_written():
    leaf = {"column": "Total", "as": {"money": {"currency": "ISK"}}}
    found = mapped(shop(None, properties={"$value": leaf, "Total": leaf}), Total=["1234.5"])
    assert found.events["properties"].to_pylist() == ['{"Total":1235}']
    assert str(found.events["value"][0].as_py()) == "1235.000000"
