"""The zone of the shop's clock, which a schema may leave open."""

import re

import pandas as pd
import pyarrow as pa
import pytest

from backfill.errors import SchemaError, UsageError
from backfill.notebook.api import preview
from backfill.running.prepare import choose, in_zone, open_choices
from backfill.schema.id_rule import id_rule
from backfill.schema.load import load_schema
from backfill.schema.shop_timezone import column_without_timezone

SCHEMA = """\
name: shop
source: {order: no}
columns: {at: TYPE}
customer_properties: {$id: who}
events:
  - {event: Placed Order, time: at, properties: {$event_id: "{no}"}}
"""
LOCAL = "{time: '%d/%m/%Y %H:%M'}"


def loaded(kind=LOCAL, **edits):
    text = SCHEMA.replace("TYPE", kind)
    for old, new in edits.values():
        assert old in text
        text = text.replace(old, new)
    return load_schema(text)


CLOCK = "is the clock of whichever machine reads it and not a time zone"
NO_ZONE = "is not a time zone of the IANA list"
NO_ZONES = [
    ("localtime", f'"localtime" {CLOCK} of the IANA list; name the shop\'s, such as Europe/Berlin'),
    ("posixrules", f'"posixrules" {CLOCK}'),
    ("Factory", f'"Factory" {CLOCK}'),
    ("posix/Europe/Berlin", f'"posix/Europe/Berlin" {NO_ZONE}; did you mean "Europe/Berlin"?'),
    ("right/UTC", f'"right/UTC" {NO_ZONE}; did you mean "UTC"?'),
    ("../Europe/Berlin", f'"../Europe/Berlin" {NO_ZONE}; did you mean "Europe/Berlin"?'),
    ("/usr/share/zoneinfo/UTC", f'"/usr/share/zoneinfo/UTC" {NO_ZONE}'),
    ("europe/berlin", f'"europe/berlin" {NO_ZONE}; did you mean "Europe/Berlin"?'),
    ("Europe/Berlin ", f'"Europe/Berlin " {NO_ZONE}; did you mean "Europe/Berlin"?'),
    ("tzdata.zi", f'"tzdata.zi" {NO_ZONE}'),
    ("Europe", f'"Europe" {NO_ZONE}'),
]


@pytest.mark.parametrize(("zone", "text"), NO_ZONES)
def test_a_file_of_the_machine_is_no_zone_of_a_schema(zone, text):
    with pytest.raises(SchemaError, match=re.escape(f":2: {text}")):
        loaded(zone=("{order: no}", f'{{order: no, timezone: "{zone}"}}'))


@pytest.mark.parametrize(("zone", "text"), NO_ZONES)
def test_nor_is_it_one_of_the_command_line_or_a_notebook(zone, text):
    with pytest.raises(UsageError, match=re.escape(f"--timezone {text}")):
        in_zone(loaded(), zone)
    frame = pd.DataFrame({"no": ["1"], "at": ["01/02/2020 10:00"], "who": ["a"]})
    with pytest.raises(UsageError, match=re.escape(text)):
        preview(loaded(), frame, timezone=zone)


def test_an_instant_of_a_frame_is_one_whatever_its_zone_is_called():
    table = pa.table(
        {"no": ["1"], "who": ["a"], "at": pa.array([1_600_000_000], pa.timestamp("s", "localtime"))}
    )
    assert preview(loaded("time"), table).events["time"][0].timestamp() == 1_600_000_000


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "Etc/GMT+5", "EST5EDT", "US/Pacific"])
def test_a_name_of_the_tz_database_is_a_zone(zone):
    assert in_zone(loaded(), zone).schema.source.timezone == zone


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        pytest.param(loaded(), "at", id="a format without an offset"),
        pytest.param(
            loaded("text", time=("time: at", f"time: {{column: at, as: {LOCAL}}}")),
            "at",
            id="the same beside a leaf",
        ),
        pytest.param(
            loaded("text", time=("time: at", f"time: {{template: '{{on}} {{at}}', as: {LOCAL}}}")),
            "{on} {at}",
            id="two columns together",
        ),
        pytest.param(
            loaded(time=("time: at", "time: {sql: '\"at\" + interval 1 day'}")),
            '"at" + interval 1 day',
            id="a column in SQL",
        ),
        pytest.param(
            loaded(time=("time: at", "time: paid, where: 'year(\"at\") > 2020'")),
            'year("at") > 2020',
            id="a column in a condition",
        ),
        pytest.param(loaded("time"), None, id="ISO times may carry one"),
        pytest.param(loaded("{time: '%Y-%m-%d %H:%M %z'}"), None, id="a format with an offset"),
        pytest.param(loaded("{epoch: ms}"), None, id="a count from 1970"),
        pytest.param(
            loaded(zone=("{order: no}", "{order: no, timezone: Europe/Berlin}")),
            None,
            id="the schema names it",
        ),
        pytest.param(
            loaded(time=("time: at", "time: {column: at, zone: zone}")),
            None,
            id="a column holds it",
        ),
        pytest.param(loaded(time=("time: at", "time: paid")), None, id="a column without use"),
    ],
)
def test_times_without_an_offset_need_a_zone(schema, name):
    assert column_without_timezone(schema.schema) == name


def test_a_zone_changes_a_copy_and_the_rule_of_ids_sees_it():
    first = loaded(event=(', properties: {$event_id: "{no}"}', ""))
    second = in_zone(first, "Asia/Tokyo")
    assert first.schema.source.timezone is None
    assert second.schema.source.timezone == "Asia/Tokyo"
    assert in_zone(first, None) is first
    rules = {id_rule(one.schema, one.schema.events[0]) for one in (first, second)}
    assert len(rules) == 2
    assert second.problem(("events",), "so") == first.problem(("events",), "so")


def test_a_zone_does_not_take_the_place_of_the_schemas_own():
    first = loaded(zone=("{order: no}", "{order: no, timezone: Europe/Berlin}"))
    assert in_zone(first, "Europe/Berlin").schema == first.schema
    with pytest.raises(UsageError, match=r"^--timezone Asia/Tokyo is not the zone of the schema"):
        in_zone(first, "Asia/Tokyo")


def test_a_wrong_zone_is_told_with_the_nearest():
    with pytest.raises(
        UsageError, match=r'^--timezone "Europe/Berln" is not a time zone of the IANA list; did you'
    ):
        in_zone(loaded(), "Europe/Berln")


def test_all_that_is_open_is_told_at_once():
    schema = loaded(who=("{$id: who}", "{$id: who, $city: city}"))
    assert open_choices(schema.schema) == ("--timezone (times carry no offset)", "--profiles")
    assert open_choices(loaded().schema) == ("--timezone (times carry no offset)",)
    with pytest.raises(UsageError) as raised:
        choose(schema, timezone=None, profiles=None)
    zone, profiles = str(raised.value).splitlines()
    assert zone == (
        'the times of "at" carry no offset, and the schema shop names no zone: pass --timezone '
        "ZONE, that of the shop's clock, such as Europe/Berlin"
    )
    assert "the schema shop maps more of a person than one identifier" in profiles
    assert "pass --profiles newest" in profiles


def test_what_is_chosen_holds():
    found, profiles = choose(loaded(), timezone="UTC", profiles=None)
    assert (found.schema.source.timezone, profiles) == ("UTC", "none")
    assert choose(loaded("time"), timezone=None, profiles="every")[1] == "every"
