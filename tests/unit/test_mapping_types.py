"""What each type makes of a cell: the JSON that lands, or why its order is a reject."""

import functools
import json
from datetime import date

import pyarrow as pa
import pytest

from backfill.mapping.compile import compile_schema
from backfill.mapping.mapper import Mapper
from backfill.mapping.program import Bounds
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export
from backfill.sources.frame import Frame

BOUNDS = Bounds(1_000_000_000, 1_900_000_000)
LA, LONDON, HOWE = "America/Los_Angeles", "Europe/London", "Australia/Lord_Howe"
COMMA, JPY = {"money": {"decimal": ","}}, {"money": {"currency": "JPY"}}
US, DK = {"phone": {"region": "US"}}, {"phone": {"region": "DK"}}
DE, IT = {"phone": {"region": "DE"}}, {"phone": {"region": "IT"}}
UTC_FORM, Z_FORM = {"time": "%d/%m/%Y %H:%M UTC"}, {"time": "%d/%m/%Y %H:%M:%SZ"}
NAME_FORM = {"time": "%d/%m/%Y %H:%M %Z"}
FRACTION = {"time": "%d/%m/%Y %H:%M:%S.%f"}
MONTH_FIRST = {"time": "%m/%d/%Y %H:%M"}
OFFSET = {"time": "%Y-%m-%d %H:%M:%S %z"}
LONG_MAIL = "a" * 64 + "@" + "b" * 31 + ".de"  # 99 characters, 64 of them before the @


def mapped(kind, cells, zone=None, *, time=None):
    """One order a row: its id from 0, its ``Cell`` as the property X."""
    schema = {
        "name": "cells",
        "source": {"timezone": zone} if zone else {},
        "columns": {"Cell": kind},
        "customer_properties": {"$id": "Row"},
        "events": [
            {
                "event": "Seen",
                "time": time or {"value": "2020-01-01T00:00:00Z"},
                "properties": {"$event_id": "{Row}", "X": "Cell"},
            }
        ],
    }
    rows = pa.array([str(at) for at in range(len(cells))])
    export = Export([Frame(pa.table({"Row": rows, "Cell": pa.array(cells)}))])
    bound = bind(load_schema(json.dumps(schema) + "\n"), export.columns)
    program = compile_schema(bound, export.typed, BOUNDS, attributes=True)
    mapper = Mapper(program, None)
    found = mapper.map(pa.concat_tables(export.batches(program.columns)))
    mapper.close()
    return found


def outcomes(kind, cells, zone=None, *, time=None):
    """For each cell the JSON that lands (None: nothing), or the reject as ``reason column``."""
    found = mapped(kind, cells, zone, time=time)
    out = {}
    for event in found.events.to_pylist():
        text = event["properties"]
        out[int(event["event_id"])] = text and text.removeprefix('{"X":').removesuffix("}")
    for reject in found.rejects.to_pylist():
        out[reject["row"] - 1] = f"reject: {reject['reason']} {reject['column']}"
    return {cell: out[at] for at, cell in enumerate(cells)}


def lands(kind, cell, text, sentence, zone=None):
    return pytest.param(kind, cell, zone, text, id=sentence)


def reject(kind, cell, reason, sentence, zone=None):
    return pytest.param(kind, cell, zone, f"reject: {reason} Cell", id=sentence)


GRAMMAR = [
    lands("text", " a ", '"a"', "a text is trimmed"),
    lands("text", "02134", '"02134"', "a zip stays as it is"),
    lands("text", "12345678901234567890", '"12345678901234567890"', "twenty digits stay as text"),
    lands("text", 'é"\\\n\x01', '"é\\"\\\\\\n\\u0001"', "a text is escaped as JSON wants"),
    lands("text", "NULL", '"NULL"', "the word NULL is a text"),
    lands("integer", "17850.0", "17850", "an integer may end in .0"),
    lands("integer", "+5", "5", "an integer may have a plus"),
    lands("integer", "007", "7", "an integer loses leading zeros"),
    lands("integer", "-0", "0", "minus nought is nought"),
    lands("integer", "-9223372036854775808", "-9223372036854775808", "the least of 64 bits"),
    reject("integer", "9223372036854775808", "not_an_integer", "64 bits and one more"),
    reject("integer", "12345678901234567890", "not_an_integer", "an integer of twenty digits"),
    reject("integer", "3.7", "not_an_integer", "an integer is not rounded"),
    reject("integer", "5.27763E+12", "not_an_integer", "an integer that Excel spoilt"),
    reject("integer", "1e2", "not_an_integer", "an integer has no exponent"),
    reject("integer", "1_000", "not_an_integer", "an integer has no underscore"),
    reject("integer", "1,000", "not_an_integer", "an integer has no thousands mark"),
    reject("integer", "nan", "not_an_integer", "nan is no integer"),
    reject("integer", "inf", "not_an_integer", "inf is no integer"),
    reject("integer", "0x10", "not_an_integer", "an integer is decimal"),
    reject("integer", "5.", "not_an_integer", "an integer does not end in a point"),
    reject("integer", "\uff11", "not_an_integer", "digits are those of ASCII"),
    lands("number", "+5.50", "5.5", "a number in its shortest form"),
    lands("number", "100", "100", "noughts before the point stay"),
    lands("number", "00.50", "0.5", "a number has one leading nought"),
    lands("number", "-0.0", "0", "a number has no minus nought"),
    lands("number", "0.12345678901234567", "0.12345678901234567", "a number stays exact"),
    reject("number", "5.27763E+12", "not_a_number", "a number has no exponent"),
    reject("number", "1_000", "not_a_number", "a number has no underscore"),
    reject("number", "nan", "not_a_number", "NaN is no number"),
    reject("number", "inf", "not_a_number", "infinity is no number"),
    reject("number", ".5", "not_a_number", "a number begins with a digit"),
    reject("number", "5.", "not_a_number", "a number does not end in a point"),
    reject("number", "1,5", "not_a_number", "a number has a point, no comma"),
    lands("money", "32.60", "32.6", "money in its shortest form"),
    lands("money", "+5", "5", "money may have a plus"),
    lands("money", "$8.00", "8", "a symbol before the amount"),
    lands("money", "8,00 €".replace(",", "."), "8", "a symbol behind the amount"),
    lands("money", "-$7.00", "-7", "a sign before the symbol"),
    lands("money", "$-7.00", "-7", "a sign behind the symbol"),
    lands("money", "USD 5", "5", "a code before the amount"),
    lands("money", "5 DKK", "5", "a code behind the amount"),
    lands("money", "US$1,000.10", "1000.1", "a national symbol and a thousands mark"),
    lands("money", "kr. 5", "5", "a symbol with a point of its own"),
    lands("money", "1\u202f234.50", "1234.5", "a narrow blank as thousands mark"),
    lands("money", "1'234.50", "1234.5", "an apostrophe as thousands mark"),
    lands("money", "12,345", "12345", "three digits behind a comma are thousands"),
    lands("money", "0.125", "0.13", "half goes up"),
    lands("money", "-0.125", "-0.13", "half goes away from zero"),
    lands("money", "0.124999", "0.12", "less than half goes down"),
    lands("money", "1.0049999", "1", "an amount of seven places is rounded once"),
    lands("money", "-0.001", "0", "what rounds to nought has no sign"),
    reject("money", "12,34", "not_money", "a decimal comma where a point is declared"),
    lands("money", "1,23,456.00", "123456", "lakhs, as India writes them"),
    reject("money", "1,23,45.00", "not_money", "marks that neither thousands nor lakhs have"),
    lands("money", "1\u2019234.50", "1234.5", "a typographic apostrophe, Switzerland"),
    lands("money", "Rs. 1,234.00", "1234", "rupees"),
    lands("money", "Rp 5000", "5000", "rupiahs"),
    lands("money", "5550円", "5550", "yen"),
    lands("money", "12.50元", "12.5", "yuan"),
    lands("money", "\u22125.00", "-5", "a typographic minus"),
    lands("money", "1200,-", "1200", "a dash for no cents"),
    lands(COMMA, "1.200,--", "1200", "two dashes for no cents"),
    reject("money", "0,500", "not_money", "a group of thousands does not begin with 0"),
    reject(COMMA, "0.005", "not_money", "a group of thousands does not begin with 0, comma"),
    lands({"money": {"currency": "CLP"}}, "$15.900", "15900", "pesos have no decimal places"),
    lands({"money": {"currency": "CLP"}}, "1.215.900", "1215900", "two marks of thousands"),
    lands({"money": {"currency": "CLP"}}, "15900.000", "15900", "no mark of thousands"),
    reject("money", "--5", "not_money", "two signs"),
    reject("money", "5.27763E+12", "not_money", "money has no exponent"),
    reject("money", "nan", "not_money", "nan is no money"),
    reject("money", "$", "not_money", "a symbol alone"),
    reject("money", "1_000", "not_money", "money has no underscore"),
    reject("money", "5 6", "not_money", "two amounts"),
    lands(COMMA, "1.234,56", "1234.56", "a decimal comma and a thousands point"),
    lands(COMMA, "-1.234.567,895 €", "-1234567.9", "a negative amount of millions"),
    lands(COMMA, "1234,5", "1234.5", "no thousands mark is needed"),
    lands(COMMA, "1.234", "1234", "the point is the thousands mark"),
    reject(COMMA, "1234.5", "not_money", "a decimal point where a comma is declared"),
    lands(JPY, "1234.5", "1235", "yen have no places"),
    lands({"money": {"currency": "KWD"}}, "1.2345", "1.235", "dinars have three places"),
    lands("boolean", "TRUE", "true", "true in any case"),
    lands("boolean", "no", "false", "no is false"),
    lands("boolean", "0", "false", "0 is false"),
    reject("boolean", "2", "not_a_boolean", "2 is no boolean"),
    lands("time", "2023-11-05T01:01:35Z", '"2023-11-05T01:01:35Z"', "ISO 8601 with a T and a Z"),
    lands("time", "2023-11-05 01:01:35 -0700", '"2023-11-05T08:01:35Z"', "Shopify's times"),
    lands("time", "2023-11-05 01:01-07", '"2023-11-05T08:01:00Z"', "no seconds, a short offset"),
    lands("time", "2023-11-05T01:01:35+05:30", '"2023-11-04T19:31:35Z"', "half an hour of offset"),
    lands("time", "2023-11-05T01:01:35.987654321Z", '"2023-11-05T01:01:35Z"', "a fraction is cut"),
    reject("time", "2023-11-05 01:01:35", "time_without_zone", "no offset and no zone"),
    reject("time", "2023-11-05", "not_a_time", "a date alone is no time"),
    reject("time", "2023-02-30T00:00:00Z", "not_a_time", "a day that does not exist"),
    reject("time", "2023-11-05T24:00:00Z", "not_a_time", "an hour that does not exist"),
    reject("time", "2023-11-05T01:01:60Z", "not_a_time", "a second that does not exist"),
    reject("time", "20231105T010135Z", "not_a_time", "ISO's basic format"),
    reject("time", "2023-11-05T01:01:35+24:00", "not_a_time", "an offset of a day"),
    lands("time", "2023-11-05 01:01:35 UTC", '"2023-11-05T01:01:35Z"', "UTC in the cell", LA),
    lands("time", "2024-03-05 10:00:00 PST", '"2024-03-05T18:00:00Z"', "PST in the cell", LONDON),
    lands("time", "2024-03-05 10:00:00 CET", '"2024-03-05T09:00:00Z"', "CET in the cell", LA),
    reject("time", "2024-03-05 10:00:00 CST", "not_a_time", "a name of several zones"),
    reject("time", "2024-03-05 10:00:00 XYZ", "not_a_time", "a name of no zone"),
    lands(UTC_FORM, "05/03/2024 10:00 UTC", '"2024-03-05T10:00:00Z"', "UTC in the format", LA),
    lands(Z_FORM, "05/03/2024 10:00:00Z", '"2024-03-05T10:00:00Z"', "Z in the format", LA),
    lands(NAME_FORM, "05/03/2024 10:00 PST", '"2024-03-05T18:00:00Z"', "%Z in the format", LONDON),
    reject(NAME_FORM, "05/03/2024 10:00 IST", "not_a_time", "%Z of several zones"),
    reject(NAME_FORM, "05/03/2024 10:00 cst", "not_a_time", "%Z of several zones, small"),
    reject({"time": "%d/%m/%Y %H:%M"}, "01/03/24 10:00", "not_a_time", "two digits of a year", LA),
    lands(FRACTION, "05/03/2024 10:00:00.5", '"2024-03-05T10:00:00Z"', "a fraction", "UTC"),
    lands(FRACTION, "05/03/2024 10:00:00", '"2024-03-05T10:00:00Z"', "no fraction", "UTC"),
    reject(FRACTION, "05/03/2024 10:00", "not_a_time", "no seconds", "UTC"),
    reject({"date": "%d/%m/%Y"}, "01/03/24", "not_a_date", "two digits of a year, a day"),
    reject("time", "11/05/2023 01:01", "not_a_time", "a shop's own format, not declared"),
    lands("time", "2023-03-12 02:30:00", '"2023-03-12T10:30:00Z"', "a skipped hour, LA", LA),
    lands("time", "2023-11-05 01:30:00", '"2023-11-05T08:30:00Z"', "a doubled hour, LA", LA),
    lands("time", "2023-11-05 02:00:00", '"2023-11-05T10:00:00Z"', "the hour after it, LA", LA),
    lands("time", "2023-11-05 00:59:59", '"2023-11-05T07:59:59Z"', "the hour before it, LA", LA),
    lands("time", "2023-11-05 01:30:00 -0800", '"2023-11-05T09:30:00Z"', "the offset wins", LA),
    lands("time", "2023-03-26 01:30:00", '"2023-03-26T01:30:00Z"', "a skipped hour, UK", LONDON),
    lands("time", "2023-10-29 01:30:00", '"2023-10-29T00:30:00Z"', "a doubled hour, UK", LONDON),
    lands("time", "2023-10-29 02:00:00", '"2023-10-29T02:00:00Z"', "the hour after it, UK", LONDON),
    lands("time", "2023-10-01 02:15:00", '"2023-09-30T15:45:00Z"', "a skipped half hour", HOWE),
    lands("time", "2023-04-02 01:45:00", '"2023-04-01T14:45:00Z"', "a doubled half hour", HOWE),
    lands("time", "2023-04-02 01:15:00", '"2023-04-01T14:15:00Z"', "before the half hour", HOWE),
    lands(MONTH_FIRST, "7/25/2018 21:06", '"2018-07-26T04:06:00Z"', "a format in a zone", LA),
    reject(MONTH_FIRST, "25/7/2018 21:06", "day_for_month", "day first, declared month first", LA),
    reject(MONTH_FIRST, "7/25/2018 21:06:00", "not_a_time", "more than the format says", LA),
    reject(MONTH_FIRST, "2018-07-25 21:06", "not_a_time", "ISO where a format is declared", LA),
    lands(OFFSET, "2023-11-05 01:01:35 -0700", '"2023-11-05T08:01:35Z"', "a format with %z"),
    lands(OFFSET, "2023-11-05 01:01:35 +0000", '"2023-11-05T01:01:35Z"', "%z beats the zone", LA),
    reject(OFFSET, "2023-11-05 01:01:35", "not_a_time", "no offset where the format has one"),
    lands({"epoch": "s"}, "1700000000", '"2023-11-14T22:13:20Z"', "seconds since 1970"),
    lands({"epoch": "s"}, "1700000000.0", '"2023-11-14T22:13:20Z"', "seconds that were a float"),
    lands({"epoch": "ms"}, "1700000000999", '"2023-11-14T22:13:20Z"', "milliseconds are cut"),
    reject({"epoch": "s"}, "1.7E9", "not_a_time", "seconds that Excel spoilt"),
    reject({"epoch": "s"}, "1700000000.5", "not_a_time", "half a second"),
    lands("date", "2020-02-29", '"2020-02-29"', "a leap day"),
    lands({"date": "%d.%m.%Y"}, "29.02.2020", '"2020-02-29"', "a date in a shop's format"),
    reject("date", "2019-02-29", "not_a_date", "a leap day in the wrong year"),
    reject("date", "2020-01-01 00:00:00", "not_a_date", "a time is no date"),
    reject("date", "01/02/2020", "not_a_date", "a date in no declared format"),
    lands("email", " Ada@Shop.DE ", '"ada@shop.de"', "an address is trimmed and lower-cased"),
    lands("email", "o'hara+x@shop.co.uk", '"o\'hara+x@shop.co.uk"', "marks before the at"),
    lands("email", "bl\u00e5@shop.dk", '"bl\u00e5@shop.dk"', "letters beyond ASCII (RFC 6531)"),
    lands("email", "BLA\u030a@Mu\u0308ller.DE", '"bl\u00e5@m\u00fcller.de"', "combining marks"),
    lands("email", "\u212b@shop.de", '"\u00e5@shop.de"', "a sign that stands for a letter"),
    lands(
        "email", "e\u0301" * 64 + "@shop.de", '"' + "\u00e9" * 64 + '@shop.de"', "64 letters in NFD"
    ),
    lands("email", "ada@xn--mller-kva.de", '"ada@xn--mller-kva.de"', "Punycode stays"),
    lands("email", "bl\ufffd@shop.dk", '"bl\ufffd@shop.dk"', "a letter that was lost"),
    lands("email", "ada@m\u00fcller.de", '"ada@m\u00fcller.de"', "a domain beyond ASCII"),
    lands("email", LONG_MAIL, f'"{LONG_MAIL}"', "99 characters"),
    reject("email", LONG_MAIL.replace("@", "@b"), "not_an_email", "100 characters"),
    reject("email", "a" * 65 + "@shop.de", "not_an_email", "65 characters before the at"),
    lands("email", "ada@shop.xn--p1ai", '"ada@shop.xn--p1ai"', "a domain in Punycode"),
    reject("email", "XXXXXXXXX", "masked_email", "a masked address"),
    reject("email", "ada@shop", "not_an_email", "a domain without a dot"),
    reject("email", "a b@shop.de", "not_an_email", "a blank inside"),
    reject("email", "a@b@shop.de", "not_an_email", "two at signs"),
    reject("email", "a@shop.de, b@shop.de", "not_an_email", "two addresses"),
    reject("email", "ada@shop..de", "not_an_email", "two dots in the domain"),
    reject("email", "ada@-shop.de", "not_an_email", "a label that begins with a hyphen"),
    lands(US, "(202) 555-0123", '"+12025550123"', "a number of the shop's region"),
    lands(US, "'+45 32 12 34 56", '"+4532123456"', "a plus beats the region; an apostrophe"),
    lands(DK, "32 12 34 56", '"+4532123456"', "a Danish number"),
    lands("phone", "+12025550123", '"+12025550123"', "a plus needs no region"),
    reject("phone", "2025550123", "not_a_phone", "no plus and no region"),
    reject(DE, "4915112345678", "not_a_phone", "valid with and without the prefix 49"),
    lands(DE, "4930901820", '"+4930901820"', "its own prefix without a plus"),
    lands(DE, "004915112345678", '"+4915112345678"', "its own prefix behind 00"),
    lands(DE, "+4915112345678", '"+4915112345678"', "its own prefix with a plus"),
    lands(DE, "015112345678", '"+4915112345678"', "without a prefix"),
    lands(US, "12025550123", '"+12025550123"', "both readings are one number"),
    lands(IT, "393471234567", '"+393471234567"', "a mobile with its prefix, Italy"),
    reject(US, "123", "not_a_phone", "too few digits"),
    reject(US, "202-555-0123 ext. 5", "not_a_phone", "an extension"),
    reject(US, "2.02555E+09", "not_a_phone", "a number that Excel spoilt"),
    lands("country", "Denmark", '"DK"', "a country's name"),
    lands("country", "dnk", '"DK"', "a code of three letters"),
    lands("country", "US", '"US"', "a code of two letters"),
    reject("country", "Atlantis", "not_a_country", "a country that is none"),
    lands("list", " a , b ,,", '["a","b"]', "a list without its empty parts"),
    lands({"list": ";"}, "a,b;c", '["a,b","c"]', "a list with its own separator"),
    lands("json", '{"a": [1, {"b": "\u00e9"}]}', '{"a":[1,{"b":"\u00e9"}]}', "JSON, compact"),
    lands("json", "123456789012345678901.10", "123456789012345678901.10", "its numbers verbatim"),
    reject("json", '{"a":1,"a":2}', "not_json", "a key that stands twice"),
    reject("json", '{"a":NaN}', "not_json", "NaN inside JSON"),
    reject("json", "-Infinity", "not_json", "infinity inside JSON"),
    reject("json", "{'a': 1}", "not_json", "Python's quotes"),
    reject("json", "[" * 100_000, "not_json", "JSON that nests without end"),
]


@functools.cache
def by_type(kind, zone):
    """All cells of one type are mapped together: one table, many rows."""
    kind = json.loads(kind)
    rows = [row.values for row in GRAMMAR if (row.values[0], row.values[2]) == (kind, zone)]
    return outcomes(kind, [cell for _, cell, _, _ in rows], zone)


@pytest.mark.parametrize(("kind", "cell", "zone", "outcome"), GRAMMAR)
def test_a_cell_lands_as_its_type_says_or_its_order_is_a_reject(kind, cell, zone, outcome):
    assert by_type(json.dumps(kind), zone)[cell] == outcome


@pytest.mark.parametrize("kind", ["integer", "money", "time", "email", "phone", "json", "list"])
def test_an_empty_cell_of_any_type_is_absent(kind):
    assert outcomes(kind, ["", " \t ", None], "UTC") == {"": None, " \t ": None, None: None}


@pytest.mark.parametrize(
    ("kind", "cell", "time"),
    [
        pytest.param("time", "2001-09-09T01:46:39Z", None, id="nine digits"),
        pytest.param("time", "2001-09-09T01:46:40.9Z", 1_000_000_000, id="the first ten digits"),
        pytest.param({"epoch": "s"}, "1700000000000", None, id="milliseconds said to be seconds"),
        pytest.param({"epoch": "ms"}, "1700000000", None, id="seconds said to be milliseconds"),
        pytest.param({"epoch": "us"}, "1700000000999999", 1_700_000_000, id="microseconds"),
        pytest.param("time", "9999-01-01T00:00:00Z", None, id="a year out of range"),
    ],
)
def test_an_events_time_has_ten_digits_and_is_no_more_than_a_year_ahead(kind, cell, time):
    found = mapped(kind, [cell], time="Cell")
    assert found.events["time"].to_pylist() == ([time] if time else [])
    assert found.rejects["reason"].to_pylist() == ([] if time else ["time_out_of_range"])


@pytest.mark.parametrize("cell", ["1700000000000000", "1700000000000000000"])
def test_a_time_far_out_of_range_is_a_reject_where_it_is_also_a_property(cell):
    found = mapped({"epoch": "s"}, [cell], time="Cell")
    assert found.rejects["reason"].to_pylist() == ["time_out_of_range"]


def test_a_time_that_no_calendar_has_is_a_reject_also_where_it_is_only_a_property():
    cell = "1700000000000000"
    assert outcomes({"epoch": "s"}, [cell])[cell].startswith("reject: ")


def test_json_with_half_a_surrogate_pair_is_a_reject():
    assert outcomes("json", ['"\\ud800"']) == {'"\\ud800"': "reject: not_json Cell"}


def test_json_that_is_null_is_absent():
    assert outcomes("json", ["null"]) == {"null": None}


def test_local_times_that_a_clock_skips_or_doubles_are_counted():
    cells = [
        "2023-03-12 02:30:00",
        "2023-11-05 01:30:00",
        "2023-11-05 01:31:00",
        "2023-07-01 00:00",
    ]
    counts = mapped("time", cells, LA).counts
    assert (counts.clock_skipped, counts.clock_doubled) == (1, 2)


@pytest.mark.parametrize("kind", ["date", {"date": "%d.%m.%Y"}])
def test_a_typed_date_is_read_whatever_format_is_declared(kind):
    day = date(2020, 2, 29)
    assert outcomes(kind, [day]) == {day: '"2020-02-29"'}


def test_a_typed_date_is_read_as_a_time_whatever_format_is_declared():
    day = date(2020, 2, 29)
    assert outcomes({"time": "%d.%m.%Y"}, [day], "UTC") == {day: '"2020-02-29T00:00:00Z"'}
