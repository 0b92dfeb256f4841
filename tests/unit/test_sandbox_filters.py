import pytest

from backfill.sandbox.json_api import filters
from backfill.sandbox.json_api.filters import ORDER, Condition
from backfill.sandbox.json_api.problems import ProblemsError

ALLOWED = {"metric_id": ("equals",), "datetime": tuple(ORDER), "timestamp": tuple(ORDER)}
BOTH = [
    Condition("equals", "metric_id", "M1"),
    Condition("greater-or-equal", "datetime", "2022-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(
    "text",
    [
        'equals(metric_id,"M1"),greater-or-equal(datetime,2022-01-01T00:00:00Z)',
        'and(equals(metric_id,"M1"),greater-or-equal(datetime,2022-01-01T00:00:00Z))',
        "and( equals( metric_id , 'M1' ) , greater-or-equal(datetime,2022-01-01T00:00:00Z) )",
        'and(and(equals(metric_id,"M1")),greater-or-equal(datetime,"2022-01-01T00:00:00Z"))',
    ],
)
def test_conditions_are_read_in_every_form(text):
    assert filters.parse(text, ALLOWED) == BOTH


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "at character 0", id="nothing"),
        pytest.param('equals(metric_id,"M1"', "at character 21", id="not closed"),
        pytest.param('equals(metric_id,"M1")x', "at character 22", id="more after it"),
        pytest.param('equals(metric_id,"M1"),', "at character 23", id="one more is to come"),
        pytest.param('equals(value,"1")', "not allowed on that field", id="another field"),
        pytest.param('any(metric_id,"M1")', "not allowed on 'metric_id'", id="another operator"),
        pytest.param('or(equals(metric_id,"M1"))', "at character", id="or"),
    ],
)
def test_invalid_filters_are_refused(text, says):
    with pytest.raises(ProblemsError) as raised:
        filters.parse(text, ALLOWED)

    (problem,) = raised.value.problems
    assert (problem.parameter, says in problem.detail) == ("filter", True)


@pytest.mark.parametrize(
    ("text", "time_s"),
    [
        pytest.param("2022-11-08T10:30:00Z", 1_667_903_400, id="Z"),
        pytest.param("2022-11-08T10:30:00.000000", 1_667_903_400, id="no offset: UTC"),
        pytest.param("2022-11-08T11:30:00+01:00", 1_667_903_400, id="an offset"),
        pytest.param("2022-11-08T11:30:00 01:00", 1_667_903_400, id="its + was not escaped"),
        pytest.param("2022-11-08 10:30:00", 1_667_903_400, id="a space for the T"),
        pytest.param("2022-11-08", 1_667_865_600, id="a date alone"),
    ],
)
def test_times_are_read(text, time_s):
    assert filters.read_time(Condition("less-than", "datetime", text)).timestamp() == time_s


def test_an_invalid_time_is_refused():
    with pytest.raises(ProblemsError):
        filters.read_time(Condition("less-than", "datetime", "today"))
