"""Columns that are named like times or amounts, with cells that are none: the draft asks."""

import pytest

from backfill.errors import UsageError
from tests.drafts import csv_file, drafted, events, evidence, person, problems_of, ran

pytestmark = pytest.mark.slow

HEADER = ("Order ID", "Email", "Order date", "Total")


def export(folder, times=("2023-05-01T10:00:00Z",), totals=("12.50", "13.25"), more=()):
    rows = [
        (
            f"A{at}",
            person(at),
            times[at % len(times)],
            totals[at % len(totals)],
            *(["7.10"] * len(more)),
        )
        for at in range(12)
    ]
    return csv_file(folder, (*HEADER, *more), rows)


def asked(draft):
    return sorted(text for _, text in draft.questions)


@pytest.mark.parametrize(
    "times",
    [
        pytest.param(["13.05.2023 10.30", "14.05.2023 11.00"], id="points in the time of day"),
        pytest.param(["13/05/2023 10h30", "14/05/2023 11h00"], id="an h in it"),
        pytest.param(["13.05.2023, 10:00 Uhr", "14.05.2023, 11:00 Uhr"], id="a word behind it"),
        pytest.param(["13 Şubat 2023", "14 Ocak 2023"], id="Turkish months"),
        pytest.param(["2023年5月13日", "2023年6月1日"], id="Japanese"),
        pytest.param(["Week 12 of 2023", "Week 13 of 2023"], id="weeks"),
    ],
)
def test_times_in_an_unknown_format_are_asked_about(tmp_path, times):
    draft = drafted(export(tmp_path, times))
    assert asked(draft) == ['Order date: {time: "?"}']
    why = evidence(draft, "Order date:")
    assert "named like the time of an order, and init knows no format of its cells" in why
    assert not any(time in draft.text for time in times)
    assert problems_of(draft) == [
        problem for problem in problems_of(draft) if "open question" in problem
    ]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        pytest.param(
            ["2023-05-01", "unknown"], '6 of 12 cells read as {time: "%Y-%m-%d"}', id="days"
        ),
        pytest.param(
            ["2023-05-01T10:00:00Z", "x"], "6 of 12 cells read as time, and", id="ISO 8601"
        ),
        pytest.param(
            ["05/06/2023", "unknown"],
            'read as {time: "%d/%m/%Y"} or {time: "%m/%d/%Y"}, and',
            id="both orders of day and month",
        ),
    ],
)
def test_times_of_which_some_are_none_are_asked_about(tmp_path, times, said):
    draft = drafted(export(tmp_path, times))
    assert asked(draft) == ['Order date: {time: "?"}']
    assert said in evidence(draft, "Order date:")


@pytest.mark.parametrize(
    ("times", "form"),
    [
        pytest.param(
            ["13/05/2023 10:00:00.123", "14/05/2023 10:00:00"], "%d/%m/%Y %H:%M:%S.%f", id="some"
        ),
        pytest.param(
            ["2023/05/13 10:00:00", "2023/05/14 10:00:00.5", "2023/05/15 09:00:00"],
            "%Y/%m/%d %H:%M:%S.%f",
            id="few",
        ),
    ],
)
def test_mixed_fractions_of_a_second_are_read(tmp_path, times, form):
    path = export(tmp_path, times)
    draft = drafted(path)
    assert asked(draft) == []
    assert f'Order date: {{time: "{form}"}}' in draft.text
    found = ran(draft, [path], tmp_path / "state")
    assert found["rejects"] == []
    assert len(events(found, "Placed Order")) == 12


def test_no_other_time_takes_the_place_of_one_that_is_not_read(tmp_path):
    rows = [
        (f"A{at}", person(at), "Week 12 of 2023", f"{at}.50", "2024-01-01T00:00:00Z")
        for at in range(9)
    ]
    draft = drafted(csv_file(tmp_path, (*HEADER, "Synced at"), rows))
    assert asked(draft) == ['Order date: {time: "?"}']
    assert "time: Order date" in draft.text


def test_day_numbers_of_a_spreadsheet_end_in_a_sentence(tmp_path):
    with pytest.raises(
        UsageError, match='"Order date" looks like the day numbers of a spreadsheet'
    ):
        drafted(export(tmp_path, ["45059", "45060.5"]))


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        pytest.param(["12.50", "x"], "6 of 12 cells are no amounts", id="a letter"),
        pytest.param(["12.50", "13.50", "free"], "4 of 12 cells are no amounts", id="a word"),
        pytest.param(["1.2E+3", "99.00"], "6 of 12 cells are no amounts", id="a ruined number"),
        pytest.param(
            ["1.234,50", "1,234.50"], "6 are some with a decimal point, 6 with a comma", id="marks"
        ),
    ],
)
def test_amounts_of_which_some_are_none_are_asked_about(tmp_path, totals, said):
    draft = drafted(export(tmp_path, totals=totals))
    assert asked(draft) == ['$value: "?"']
    why = evidence(draft, "$value:")
    assert '"Total" is named like a value' in why
    assert said in why
    assert "no column holds amounts" not in draft.text


@pytest.mark.parametrize(
    ("totals", "spec"),
    [
        pytest.param(["3.100,55", "12,00"], 'Total: {money: {decimal: ","}}', id="German"),
        pytest.param(["45.900000", "12.000000"], "Total: money", id="six places"),
        pytest.param(["45.9000", "12.0000"], "Total: money", id="four places"),
    ],
)
def test_amounts_that_are_read(tmp_path, totals, spec):
    draft = drafted(export(tmp_path, totals=totals))
    assert asked(draft) == []
    assert spec in draft.text
    assert "$value: Total" in draft.text


def test_no_other_amount_takes_the_place_of_one_that_is_not_read(tmp_path):
    draft = drafted(export(tmp_path, totals=["12.50", "x"], more=["Subtotal"]))
    assert asked(draft) == ['$value: "?"']


def test_a_price_of_lines_that_is_not_read_is_asked_about(tmp_path):
    rows = [
        (f"A{at // 2}", person(at // 2), "2023-05-01T10:00:00Z", f"S{at}", ["4.50", "x"][at % 2])
        for at in range(20)
    ]
    header = ("Order ID", "Email", "Order date", "SKU", "Price")
    draft = drafted(csv_file(tmp_path, header, rows))
    assert '$value: "?"' in asked(draft)
    assert '"Price" is named like a value' in evidence(draft, "$value:")
