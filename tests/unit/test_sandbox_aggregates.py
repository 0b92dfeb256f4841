import json

import pytest

from backfill.sandbox.json_api import aggregates
from backfill.sandbox.json_api.problems import ProblemsError

START, END = "2022-10-30T00:00:00", "2022-11-01T00:00:00"


def asked(start=START, end=END, **attributes):
    given = {
        "metric_id": "M00001",
        "measurements": ["count"],
        "filter": [f"greater-or-equal(datetime,{start})", f"less-than(datetime,{end})"],
        **attributes,
    }
    whole = {"data": {"type": "metric-aggregate", "attributes": given}}
    return json.dumps(whole).encode()


def tally(events, **attributes):
    made = aggregates.aggregate(aggregates.parse_query(asked(**attributes)), events)
    return made["dates"], made["data"][0]["measurements"]


def test_days_without_events_are_there():
    dates, measured = tally([(1_667_260_800 - 1, 1, 2.5)], measurements=["count", "sum_value"])

    assert dates == ["2022-10-30T00:00:00+00:00", "2022-10-31T00:00:00+00:00"]
    assert measured == {"count": [0, 1], "sum_value": [0, 2.5]}


def test_the_day_that_summer_time_ends_has_twenty_five_hours():
    dates, measured = tally(
        [(1_667_088_000, 1, 0), (1_667_091_600, 1, 0)],  # 02:00 twice, in Berlin
        interval="hour",
        timezone="Europe/Berlin",
        end="2022-10-31T00:00:00",
    )

    assert len(dates) == 25
    assert dates[2:4] == ["2022-10-30T02:00:00+02:00", "2022-10-30T02:00:00+01:00"]
    assert measured["count"][2:4] == [1, 1]


def test_hours_go_on_where_clocks_change_by_half_an_hour():
    dates, _ = tally(
        [],
        interval="hour",
        timezone="Australia/Lord_Howe",
        start="2022-04-03T00:00:00",
        end="2022-04-03T04:00:00",
    )

    assert [date[11:] for date in dates] == [
        "00:00:00+11:00",
        "01:00:00+11:00",
        "01:30:00+10:30",
        "02:30:00+10:30",
        "03:30:00+10:30",
    ]


def test_a_range_that_begins_within_a_day_begins_with_the_day():
    dates, _ = tally([], start="2022-10-30T17:00:00")

    assert dates[0] == "2022-10-30T00:00:00+00:00"


def test_months_run_over_the_year():
    dates, _ = tally([], interval="month", start="2022-11-15T00:00:00", end="2023-02-01T00:00:00")

    assert [date[:7] for date in dates] == ["2022-11", "2022-12", "2023-01"]


def test_people_are_counted_once_an_interval():
    _, measured = tally([(1_667_088_000, 7, 0)] * 3, measurements=["unique"])

    assert measured == {"unique": [1, 0]}


@pytest.mark.parametrize(
    ("attributes", "at"),
    [
        pytest.param({"measurements": ["sum"]}, "measurements/0", id="another measurement"),
        pytest.param({"measurements": []}, "measurements", id="none"),
        pytest.param({"interval": "year"}, "interval", id="another interval"),
        pytest.param({"timezone": "Berlin"}, "timezone", id="no zone"),
        pytest.param({"by": ["$flow"]}, "by", id="by what is not there"),
        pytest.param({"metric_id": None}, "metric_id", id="no metric"),
        pytest.param({"metrik": "x"}, "metrik", id="no field"),
        pytest.param({"end": "2023-11-02T00:00:00"}, "filter", id="more than a year"),
        pytest.param({"end": START}, "filter", id="no time"),
        pytest.param({"filter": []}, "filter", id="no range"),
    ],
)
def test_invalid_queries_are_refused(attributes, at):
    with pytest.raises(ProblemsError) as raised:
        aggregates.parse_query(asked(**attributes))

    assert [one.pointer for one in raised.value.problems] == [f"/data/attributes/{at}"]
