"""What the JSON:API would refuse for its size is known before it is sent."""

import json
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.report.reasons import REASONS
from backfill.wire.bulk import Bulk
from backfill.wire.event_limits import oversized
from backfill.wire.events import Events
from backfill.wire.interface import OVERSIZED
from backfill.wire.property_limits import EVENT, PROFILE, fault_of, faults
from tests.unit.test_wire_json_api import table

WIRES = [pytest.param(Events(), id="events"), pytest.param(Bulk(), id="bulk")]
MB_5 = 5_000_000


def measured(wire, *events):
    found = table(*events)
    for name, sizes in zip(("size", "attributes_size"), wire.measure(found), strict=True):
        found = found.set_column(found.column_names.index(name), name, sizes)
    return found


def oversized_between(event, wire=None, *, carries=True):
    """Reason and column of the event between two that fit."""
    wire = wire or Bulk()
    found = wire.oversized(
        measured(wire, {"id": "1"}, {"id": "7"} | event, {"id": "3"}), carries=carries
    )
    assert found.schema == OVERSIZED
    assert found["at"].to_pylist() in ([], [1])
    assert set(found["reason"].to_pylist()) <= set(REASONS)
    return list(zip(found["reason"].to_pylist(), found["column"].to_pylist(), strict=True))


def properties(**members):
    return {"properties": compact(members)}


def own(**members):
    return {"profile": compact(members)}


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def nested(levels, inner, *, lists=False):
    """``inner`` in so many objects, or lists."""
    for _ in range(levels):
        inner = [inner] if lists else {"a": inner}
    return inner


def numbers(count):
    return {f"p{at}": at for at in range(count)}


FITS_AND_NOT = [
    pytest.param(
        properties(**numbers(400)),
        properties(**numbers(401)),
        ("too_many_properties", "401 properties"),
        id="400 properties",
    ),
    pytest.param(
        properties(note="x" * 100_000),
        properties(note="x" * 100_001),
        ("string_too_long", "note: 100,001 bytes"),
        id="100 KB a string",
    ),
    pytest.param(
        properties(note="ß" * 50_000),
        properties(note="ß" * 50_000 + "x"),
        ("string_too_long", "note: 100,001 bytes"),
        id="of UTF-8",
    ),
    pytest.param(
        properties(note='"' * 100_000),
        properties(note='"' * 100_001),
        ("string_too_long", "note: 100,001 bytes"),
        id="escapes are no bytes of it",
    ),
    pytest.param(
        properties(a=[{"k" * 100_000: 1}]),
        properties(a=[{"k" * 100_001: 1}]),
        ("string_too_long", "a: 100,001 bytes"),
        id="100 KB a name",
    ),
    pytest.param(
        properties(a={"b": [0] * 4_000}),
        properties(a={"b": [0] * 4_001}),
        ("too_many_elements", "a: 4,001 elements"),
        id="4,000 elements",
    ),
    pytest.param(
        properties(a=nested(9, 1)),
        properties(a=nested(10, 1)),
        ("too_deep", "a"),
        id="10 levels of objects, the properties the first",
    ),
    pytest.param(
        properties(a=nested(9, 1, lists=True)),
        properties(a=nested(10, 1, lists=True)),
        ("too_deep", "a"),
        id="10 levels of lists",
    ),
    pytest.param(
        properties(a=nested(8, {})),
        properties(a=nested(9, {})),
        ("too_deep", "a"),
        id="an empty object is a level",
    ),
    pytest.param(
        properties(a=nested(9, "{")), properties(a=nested(10, "{")), ("too_deep", "a"), id="a sign"
    ),
    pytest.param(
        properties(a=2**63 - 1),
        properties(a=2**63),
        ("number_too_large", "a"),
        id="the largest integer",
    ),
    pytest.param(
        properties(a=[-(2**63)]),
        properties(a=[-(2**63) - 1]),
        ("number_too_large", "a"),
        id="the least integer",
    ),
    pytest.param(
        properties(a="9" * 5_000),
        {"properties": f'{{"a":{"9" * 5_000}}}'},
        ("number_too_large", "a"),
        id="5,000 digits, as text and as a number",
    ),
    pytest.param(
        {"value": Decimal(2**63 - 1)},
        {"value": Decimal(2**63)},
        ("number_too_large", "$value"),
        id="the largest value",
    ),
    pytest.param(
        {"value": Decimal(-(2**63))},
        {"value": Decimal(-(2**63) - 1)},
        ("number_too_large", "$value"),
        id="the least value",
    ),
    pytest.param(
        {"email": "ß" * 50 + "@" + "d" * 43 + ".shop"},
        {"email": "ß" * 50 + "@" + "d" * 44 + ".shop"},
        ("email_too_long", "$email"),
        id="99 characters an e-mail",
    ),
    pytest.param(
        {"metric": "ß" * 127}, {"metric": "m" * 128}, ("name_too_long", "event"), id="127 a metric"
    ),
    pytest.param(
        {"event_id": "ß" * 255},
        {"event_id": "i" * 256},
        ("id_too_long", "$event_id"),
        id="255 an id",
    ),
    pytest.param(
        own(a=nested(8, 1)),
        own(a=nested(9, 1)),
        ("too_deep", "a"),
        id="10 levels of a profile, its attributes the first",
    ),
    pytest.param(
        own(a=[2**63 - 1]), own(a=[2**63]), ("number_too_large", "a"), id="a profile's integer"
    ),
    pytest.param(
        own(a=[0] * 4_000),
        own(a=[0] * 4_001),
        ("too_many_elements", "a: 4,001 elements"),
        id="a profile's elements",
    ),
]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(("fits", "breaks", "why"), FITS_AND_NOT)
def test_each_limit_has_two_sides(wire, fits, breaks, why):
    assert oversized_between(fits, wire) == []
    assert oversized_between(breaks, wire) == [why]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(own(**numbers(500)), id="a profile may have 500 properties"),
        pytest.param(properties(a=[{"b": 1, "c": [2]}] * 300), id="600 brackets side by side"),
        pytest.param(properties(a="{[" * 50, b='[{,:\\"'), id="brackets in texts"),
        pytest.param(properties(a="x:123456789012345678901234"), id="long digits in a text"),
        pytest.param(properties(a=',":' * 5_000), id="commas and colons in a text"),
        pytest.param({"properties": '{"a":1e30,"b":0.12345678901234567890123}'}, id="no integer"),
        pytest.param({"value": Decimal("9223372036854775806.5")}, id="a value that just fits"),
    ],
)
def test_what_looks_like_too_much_is_looked_at(event):
    assert oversized_between(event) == []


def profile_bytes(event):
    [body] = Events().payloads(table(event))
    profile = json.loads(body)["data"]["attributes"]["profile"]["data"]
    return len(compact(profile).encode())


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "event",
    [
        pytest.param(lambda n: {"id": "7"} | own(a="ß" * 9, b="x" * n), id="own properties"),
        pytest.param(lambda n: {"id": "7", "email": "a@b.co", "city": "x" * n}, id="a field"),
        pytest.param(lambda n: {"id": '"' * 2_000 + "x" * n, "city": "A"}, id="an id"),
    ],
)
def test_a_profile_has_95_kb_at_most(wire, event):
    most = 95_000 - profile_bytes(event(0))

    assert profile_bytes(event(most)) == 95_000
    assert oversized_between(event(most), wire) == []
    [(reason, told)] = oversized_between(event(most + 1), wire)
    assert (reason, told) == ("profile_too_large", "Placed Order: 95,001 bytes")


def test_what_no_event_carries_is_no_matter_of_size():
    large = own(a="x" * 95_000, b=2**70)

    assert oversized_between(large, carries=False) == []
    assert oversized_between({"id": "x" * 95_000}, carries=False) == [
        ("profile_too_large", "Placed Order: 95,050 bytes")
    ]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("carries", [True, False])
def test_a_request_has_5_mb_at_most(wire, carries):
    def event(size):
        rest = {f"n{at}": "x" * 99_000 for at in range(50)}
        return {"id": "7", "city": "A", "carries": carries} | properties(**rest, last="x" * size)

    [body] = wire.payloads(table(event(0)))
    most = MB_5 - len(body)

    assert len(wire.payloads(table(event(most)))[0]) == MB_5
    assert oversized_between(event(most), wire, carries=carries) == []
    [(reason, told)] = oversized_between(event(most + 1), wire, carries=carries)
    assert reason == "too_large"
    assert told == "Placed Order: 5,000,001 bytes"


def test_of_several_reasons_one_is_told():
    event = {"metric": "m" * 128, "event_id": "i" * 256} | properties(a=2**63)

    assert oversized_between(event) == [("name_too_long", "event")]


def test_no_events_are_all_fit():
    nothing = measured(Bulk(), {"id": "7"}).slice(0, 0)

    assert oversized(nothing, carries=True, around=0).num_rows == 0


texts = st.text('{}[]",:\\ab ß', max_size=6)
values = st.recursive(
    st.one_of(texts, st.integers(-(2**65), 2**65), st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=9,
)


@settings(max_examples=300)
@given(
    st.dictionaries(texts, values, max_size=3),
    st.integers(0, 11),
    st.sampled_from([EVENT, PROFILE]),
)
def test_what_is_cleared_at_a_glance_is_clear_when_read(members, levels, rules):
    text = compact({"deep": nested(levels, members), **members})
    exact = fault_of(text, rules)

    assert [fault for _, fault in faults(pa.chunked_array([[None, text]]), rules)] == (
        [] if exact is None else [exact]
    )
