"""A zone that stands beside the time: the names that programs have for it, and each row's clock."""

import json
from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.errors import SchemaError
from backfill.mapping.connection import connect
from backfill.schema.id_rule import id_rule
from backfill.schema.load import load_schema
from backfill.schema.zones import zone_reader
from tests.mapped import landed, mapped, properties, rejects, schema_of

FORM = {"time": "%m/%d/%Y %H:%M:%S"}
TIMED = {"template": "{Date} {Time}", "as": FORM, "zone": "Time Zone"}
SUMMER, WINTER = "07/01/2024", "01/15/2024"


def utc(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def rows(*cells):
    """Orders 1, 2 … of date, time and zone."""
    dates, times, zones = zip(*cells, strict=True)
    orders = [str(at) for at in range(1, len(cells) + 1)]
    return {"Order": orders, "Date": dates, "Time": times, "Time Zone": zones}


def times(found):
    return {int(key): event["time"] for key, event in landed(found).items()}


NAMES = [
    pytest.param("Eastern Time (US & Canada)", "08:00", "07:00", id="Square's name"),
    pytest.param(
        "(GMT-05:00) Eastern Time (US & Canada)", "08:00", "07:00", id="Rails with offset"
    ),
    pytest.param("Eastern Standard Time", "08:00", "07:00", id="the Windows name"),
    pytest.param("Eastern Daylight Time", "08:00", "07:00", id="the Windows name in summer"),
    pytest.param("W. Europe Standard Time", "14:00", "13:00", id="a Windows name of Europe"),
    pytest.param("America/New_York", "08:00", "07:00", id="an IANA name"),
    pytest.param("america/new york", "08:00", "07:00", id="an IANA name written otherwise"),
    pytest.param("Berlin", "14:00", "13:00", id="the last part of an IANA name"),
    pytest.param("Kyiv", "15:00", "14:00", id="a name of Rails under its older spelling"),
    pytest.param("EST", "07:00", "07:00", id="an abbreviation is one offset"),
    pytest.param("PDT", "05:00", "05:00", id="an abbreviation of summer is one offset"),
    pytest.param("CEST", "14:00", "14:00", id="an abbreviation of Europe"),
    pytest.param("BST", "13:00", "13:00", id="British summer time"),
    pytest.param("ACST", "21:30", "21:30", id="half an hour"),
    pytest.param("CET", "14:00", "13:00", id="a name of the IANA list with summer time"),
    pytest.param("UTC", "12:00", "12:00", id="UTC"),
    pytest.param("UTC+2", "14:00", "14:00", id="plus is east"),
    pytest.param("GMT-0330", "08:30", "08:30", id="an offset of half an hour"),
    pytest.param("+05:45", "17:45", "17:45", id="an offset alone"),
    pytest.param("UTC\u22125", "07:00", "07:00", id="a typographer's minus"),
    pytest.param("Etc/GMT+5", "07:00", "07:00", id="IANA's own sign is the other way round"),
]


@pytest.mark.parametrize(("name", "summer", "winter"), NAMES)
def test_a_name_of_a_zone_says_what_noon_in_greenwich_was_on_its_clock(name, summer, winter):
    schema = schema_of({}, time=TIMED)
    found = mapped(schema, rows((SUMMER, f"{summer}:00", name), (WINTER, f"{winter}:00", name)))
    assert times(found) == {1: utc("2024-07-01T12:00"), 2: utc("2024-01-15T12:00")}


NO_ZONES = [
    "IST",
    "AST",
    "Samoa",
    "West",
    "East",
    "San Juan",
    "Eastern",
    "UTC+15",
    "Nowhere",
    "5",
    "Factory",
]


@pytest.mark.parametrize("name", NO_ZONES)
def test_a_name_of_no_zone_or_of_several_makes_a_reject(name):
    schema = schema_of({}, time=TIMED, source={"timezone": "Europe/Berlin"})
    found = mapped(schema, rows((SUMMER, "12:00:00", name), (SUMMER, "14:00:00", "")))
    assert rejects(found) == {1: "not_a_zone {Date} {Time}"}
    assert times(found) == {2: utc("2024-07-01T12:00")}, "an empty cell is source.timezone"


def test_without_a_zone_in_the_cell_and_in_the_schema_there_is_no_time():
    found = mapped(schema_of({}, time=TIMED), rows((SUMMER, "12:00:00", "")))
    assert rejects(found) == {1: "time_without_zone {Date} {Time}"}


def test_a_cell_that_has_an_offset_needs_no_zone():
    schema = schema_of({}, time={"column": "At", "as": "time", "zone": "Zone"})
    cells = {"At": ["2024-07-01T12:00:00Z", "2024-07-01 08:00"], "Zone": ["Nowhere", "US/Eastern"]}
    found = mapped(schema, {"Order": ["1", "2"], **cells})
    assert times(found) == dict.fromkeys((1, 2), utc("2024-07-01T12:00"))


def test_each_row_has_the_clock_of_its_own_zone():
    """New York's clock skips an hour on March 10, 2024, and shows one twice on November 3."""
    schema = schema_of({}, time=TIMED)
    found = mapped(
        schema,
        rows(
            ("03/10/2024", "02:30:00", "Eastern Time (US & Canada)"),
            ("03/10/2024", "02:30:00", "Arizona"),
            ("11/03/2024", "01:30:00", "America/New_York"),
            ("11/03/2024", "01:30:00", "EST"),
            ("03/31/2024", "02:30:00", "Berlin"),
        ),
    )
    assert times(found) == {
        1: utc("2024-03-10T07:30"),
        2: utc("2024-03-10T09:30"),
        3: utc("2024-11-03T05:30"),
        4: utc("2024-11-03T06:30"),
        5: utc("2024-03-31T01:30"),
    }
    assert (found.counts.clock_skipped, found.counts.clock_doubled) == (2, 1)


def test_a_zone_of_a_line_goes_with_the_time_of_the_line():
    source = {"order": "Order", "line": ["Sent", "Zone"]}
    leaf = {"each": {"Sent": {"column": "Sent", "as": "time", "zone": "Zone"}}}
    cells = {"Order": ["1", "1"], "Sent": ["2024-07-01 12:00"] * 2, "Zone": ["UTC", "Berlin"]}
    found = properties(mapped(schema_of({"Lines": leaf}, source=source), cells))
    sent = [line["Sent"] for line in found["1"]["Lines"]]
    assert sent == ["2024-07-01T12:00:00Z", "2024-07-01T10:00:00Z"]


def test_a_time_of_the_order_with_a_zone_of_the_line_belongs_to_the_line():
    source = {"order": "Order", "line": ["Zone"]}
    leaf = {"each": {"Sent": {"column": "Sent", "as": "time", "zone": "Zone"}}}
    cells = {"Order": ["1", "1"], "Sent": ["2024-07-01 12:00"] * 2, "Zone": ["UTC", "Berlin"]}
    found = properties(mapped(schema_of({"Lines": leaf}, source=source), cells))
    sent = [line["Sent"] for line in found["1"]["Lines"]]
    assert sent == ["2024-07-01T12:00:00Z", "2024-07-01T10:00:00Z"]


def test_the_time_of_an_order_takes_no_zone_of_its_lines():
    schema = schema_of({}, time=TIMED, source={"order": "Order", "line": ["Time Zone"]})
    with pytest.raises(SchemaError, match='"Time Zone" is a line column'):
        load_schema(json.dumps(schema) + "\n")


def test_the_zones_column_must_be_in_the_export():
    with pytest.raises(SchemaError, match='column "Time Zone" is not in'):
        mapped(schema_of({}, time=TIMED), {"Order": ["1"], "Date": [SUMMER], "Time": ["12:00:00"]})


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        ({"column": "X", "zone": "Z"}, "zone belongs to a time; this is read as text"),
        ({"column": "X", "as": {"epoch": "s"}, "zone": "Z"}, "the cell contains its zone"),
        ({"column": "X", "as": {"time": "%Y %z"}, "zone": "Z"}, "the cell contains its zone"),
        ({"sql": "X", "zone": "Z"}, '"zone" has no meaning beside "sql"'),
    ],
)
def test_a_zone_has_a_meaning_beside_a_local_time_only(leaf, why):
    with pytest.raises(SchemaError, match=why):
        load_schema(json.dumps(schema_of({"X": leaf})) + "\n")


def test_another_zone_column_is_another_rule_of_ids():
    """The documented id has the time in it."""

    def rule(zone):
        schema = schema_of({}, time={**TIMED, "zone": zone})
        del schema["events"][0]["properties"]["$event_id"]
        loaded = load_schema(json.dumps(schema) + "\n").schema
        return id_rule(loaded, loaded.events[0])

    assert rule("Time Zone") != rule("Zone")


@pytest.fixture(scope="module")
def names():
    with duckdb.connect() as connection:
        return [
            name for (name,) in connection.sql("select name from pg_timezone_names()").fetchall()
        ]


def test_each_zone_that_is_found_is_one_that_duckdb_knows(names):
    """It ends the whole run at a name that it does not know."""
    read = zone_reader(names)
    offsets = [f"UTC{sign}{h}:{m:02}" for sign in "+-" for h in range(14) for m in range(0, 60, 15)]
    with connect() as connection:
        for name in [*names, *offsets, "EST", "Eastern Time (US & Canada)", "Tokyo"]:
            if (zone := read(name)) is not None:
                query = "select timezone(?, timestamp '2024-07-01') is not null"
                assert connection.execute(query, [zone]).fetchall() == [(True,)], name


def test_a_zone_that_duckdb_does_not_know_is_none():
    read = zone_reader(["Europe/Berlin"])
    names = ["Berlin", "W. Europe Standard Time", "Eastern Standard Time", "Hawaii", "Asia/Tokyo"]
    assert [read(name) for name in names] == ["Europe/Berlin", "Europe/Berlin", None, None, None]


@given(cell=st.text(max_size=30) | st.from_regex(r"\(?(UTC|GMT)?[+-]?[0-9]{0,4}\)?.?"))
def test_no_cell_stops_the_reading(cell):
    found = zone_reader(["Europe/Berlin"])(cell)
    assert found is None or found.startswith("GMT") or found == "Europe/Berlin"
