import re

import pytest

from backfill.sandbox.http.html import gateway_error, page

STATS = {
    "requests": 1234,
    "received": 3,
    "recorded": 2,
    "merged": 1,
    "merged_different": 0,
    "discarded": 0,
    "refused": 5,
    "limited": 0,
    "profiles": 2,
    "profile_merges": 0,
    "would_trigger_flows": 0,
    "metrics": {"Placed Order": 2},
    "faults": {},
}
EVENT = {
    "token": "AbC123",
    "metric": "Placed Order",
    "event_id": "o1",
    "time": 1_500_000_000,
    "value": 9.5,
    "properties": {},
    "profile": {"id": "P1", "email": "anna@shop.test", "phone_number": None, "external_id": None},
}
ATTACK = '<script>alert("x")</script>'


def cells(html):
    return re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", html)


def test_the_counts_are_shown():
    assert "<dt>requests</dt><dd>1,234</dd>" in page(STATS, [], [])


def test_events_are_shown_by_month_and_metric():
    html = page(STATS, [("A", "2017-07", 1500), ("B", "2017-08", 2)], [])

    assert cells(html) == ["Month", "A", "B", "2017-07", "1,500", "", "2017-08", "", "2"]


def test_a_metric_has_one_column_for_all_months_and_case_counts():
    html = page(STATS, [("a", "2017-07", 1), ("A", "2017-08", 2), ("a", "2017-08", 3)], [])

    assert cells(html) == ["Month", "A", "a", "2017-07", "", "1", "2017-08", "2", "3"]


def test_the_last_events_are_shown():
    shown = ["2017-07-14 02:40:00", "Placed Order", "o1", "anna@shop.test", "9.5", "AbC123"]

    assert cells(page(STATS, [], [EVENT]))[-6:] == shown


@pytest.mark.parametrize(
    ("profile", "shown"),
    [
        pytest.param({"phone_number": "+46701234567"}, "+46701234567", id="a phone number"),
        pytest.param({"external_id": "7"}, "7", id="an id"),
    ],
)
def test_people_without_an_address_are_shown_by_what_they_have(profile, shown):
    event = {**EVENT, "profile": {**EVENT["profile"], "email": None, **profile}}

    assert shown in cells(page(STATS, [], [event]))


def test_an_empty_sandbox_has_a_page_too():
    assert page(STATS, [], []).count("None yet.") == 2


def test_faults_are_shown_when_there_are_any():
    assert cells(page({**STATS, "faults": {"slow": 2, "429": 1}}, [], [])) == [
        "Answer",
        "Requests",
        "429",
        "1",
        "slow",
        "2",
    ]


@pytest.mark.parametrize("key", ["metric", "event_id", "value", "token"])
def test_nothing_of_an_event_becomes_html(key):
    html = page(STATS, [(ATTACK, "2017-07", 1)], [{**EVENT, key: ATTACK}])

    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#34;x&#34;)") == 2


def test_nothing_of_a_person_becomes_html():
    profile = {"id": "P1", "email": None, "phone_number": None, "external_id": ATTACK}

    assert "<script" not in page(STATS, [], [{**EVENT, "profile": profile}])


def test_a_metric_may_have_the_name_of_a_method():
    """Jinja looks up attributes where a key is not there: a dict has one called ``items``."""
    html = page(STATS, [("A", "2017-07", 1), ("items", "2017-08", 2)], [])

    assert cells(html) == ["Month", "A", "items", "2017-07", "1", "", "2017-08", "", "2"]


def test_nothing_of_a_fault_or_a_gateway_becomes_html():
    assert "<script" not in page({**STATS, "faults": {ATTACK: 1}}, [], [])
    assert "<script" not in gateway_error(ATTACK)


def test_the_page_loads_nothing():
    html = page(STATS, [("A", "2017-07", 1)], [EVENT])

    assert not re.search(r"https?:|src=|href=|url\(|@import", html)
