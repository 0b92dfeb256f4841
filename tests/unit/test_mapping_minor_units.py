"""Amounts in minor units, and amounts whose places a column of currencies says."""

import json

import pyarrow as pa
import pytest

from backfill.errors import SchemaError
from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Mapper
from backfill.mapping.program import Bounds
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame

BOUNDS = Bounds(1_000_000_000, 1_900_000_000)
MINOR = {"money": {"minor": True, "currency": "Paid in"}}
MAJOR = {"money": {"currency": "Paid in"}}


def found(kind, rows, leaf="Amount", *, source=None):
    """The ``$value`` of each event, or the reason and the column of each reject."""
    schema = {
        "name": "shop",
        "source": source or {},
        "columns": {"Amount": kind},
        "customer_properties": {"$id": {"value": "7"}},
        "events": [
            {
                "event": "Placed Order",
                "time": {"value": "2020-01-01T00:00:00Z"},
                "properties": {"$event_id": "{Order}", "$value": leaf},
            }
        ],
    }
    orders, amounts, codes = zip(*rows, strict=True)
    table = pa.table({"Order": orders, "Amount": pa.array(amounts), "Paid in": pa.array(codes)})
    export = Export([Frame(table)])
    bound = bind(load_schema(json.dumps(schema) + "\n"), export.columns)
    program = compile_schema(bound, export.typed, BOUNDS, attributes=True)
    mapper = Mapper(program, None)
    mapped = mapper.map(pa.concat_tables(export.batches(program.columns)))
    mapper.close()
    values = [f"{one['value'].normalize():f}" for one in mapped.events.to_pylist()]
    return values + [f"{one['reason']} {one['column']}" for one in mapped.rejects.to_pylist()]


def value_of(kind, amount, code, leaf="Amount"):
    [value] = found(kind, [("1", amount, code)], leaf)
    return value


@pytest.mark.parametrize(
    ("amount", "code", "value"),
    [
        ("5550", "JPY", "5550"),
        ("12345", "KWD", "12.345"),
        ("15.000", "USD", "150"),
        ("15.000", "JPY", "15000"),
        ("2500", "usd", "25"),
        ("2599", "EUR", "25.99"),
        ("-1", "USD", "-0.01"),
        ("2500.00", "USD", "25"),
        ("12345", "CLF", "1.2345"),
        ("99999999999999999999", "USD", "999999999999999999.99"),
        ("25.50", "USD", "minor_fraction Amount"),
        ("2500", None, "minor_without_currency Amount"),
        ("2500", "XYZ", "minor_without_currency Amount"),
        ("x", "USD", "not_money Amount"),
    ],
)
def test_minor_units_are_read_by_the_row_s_currency(amount, code, value):
    assert value_of(MINOR, amount, code) == value


@pytest.mark.parametrize(
    ("code", "amount", "value"), [("JPY", "5550", "5550"), ("usd", "2599", "25.99")]
)
def test_minor_units_of_one_currency(code, amount, value):
    assert value_of({"money": {"minor": True, "currency": code}}, amount, None) == value


@pytest.mark.parametrize(
    ("amount", "code", "value"),
    [
        ("12.345", "KWD", "12.345"),
        ("12.345", "EUR", "12.35"),
        ("12.345", None, "12.35"),
    ],
)
def test_an_amount_is_rounded_to_the_places_of_the_row_s_currency(amount, code, value):
    assert value_of(MAJOR, amount, code) == value


def test_sql_and_sums_keep_the_currency_s_places():
    rows = [("1", "12345", "KWD"), ("1", "5", "KWD")]
    source = {"order": "Order", "line": ["Amount", "Paid in"]}

    assert value_of(MINOR, "12345", "KWD", {"sql": "Amount * 2"}) == "24.69"
    assert value_of(MINOR, "12345", "KWD", {"sql": "Amount + 1"}) == "13.345"
    assert found(MINOR, rows, {"sum": "Amount"}, source=source) == ["12.35"]
    rows[1] = ("1", "6", "KWD")
    assert found(MINOR, rows, {"sum": "Amount"}, source=source) == ["12.351"]


def test_minor_units_need_a_currency():
    with pytest.raises(SchemaError, match="minor units need currency"):
        found({"money": {"minor": True}}, [("1", "1", "USD")])


def test_the_column_of_currencies_must_be_there():
    with pytest.raises(SchemaError, match="Paid with"):
        found({"money": {"minor": True, "currency": "Paid with"}}, [("1", "1", "USD")])


@pytest.mark.parametrize(
    ("code", "by_iso", "by_stripe"),
    [("ISK", "5000", "50"), ("UGX", "5000", "50"), ("MGA", "50", "5000"), ("USD", "50", "50")],
)
@pytest.mark.parametrize("given", ["column", "code"])
def test_stripe_counts_some_currencies_otherwise(code, by_iso, by_stripe, given):
    currency = "Paid in" if given == "column" else code
    for minor, value in ((True, by_iso), ("stripe", by_stripe)):
        assert value_of({"money": {"minor": minor, "currency": currency}}, "5000", code) == value
