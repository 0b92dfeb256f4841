"""A time format is proven by the whole column, or asked for."""

from dataclasses import replace

import pytest

from tests.drafts import csv_file, drafted, events, evidence, person, problems_of, ran, schema_of


def orders(folder, cells, *, column="Ordered", name="export.csv"):
    rows = [(1000 + at, cell, person(at), "5.50") for at, cell in enumerate(cells)]
    return csv_file(folder, ("Order ID", column, "E-mail", "Total"), rows, name=name)


AMBIGUOUS = [f"{at % 12 + 1:02d}/{at * 5 % 12 + 1:02d}/2023" for at in range(40)]


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        pytest.param([*AMBIGUOUS, "31/12/2023"], "%d/%m/%Y", id="a 31 in front proves day first"),
        pytest.param([*AMBIGUOUS, "12/31/2023"], "%m/%d/%Y", id="a 31 behind proves month first"),
        pytest.param(
            ["12/1/10 8:26", "12/13/10 9:02"], "%m/%d/%y %H:%M", id="two digits of a year"
        ),
        pytest.param(["31.1.2023 08:05:09"], "%d.%m.%Y %H:%M:%S", id="points"),
        pytest.param(["Dec 8, 2024 9:15 PM"], "%b %d, %Y %I:%M %p", id="names of months"),
        pytest.param(["8-Dec-2024"], "%d-%b-%Y", id="a database's days"),
        pytest.param(["20241208"], "%Y%m%d", id="digits alone"),
        pytest.param(["2024-12-08"], "%Y-%m-%d", id="days alone"),
        pytest.param(["1/12/2026", "3/11/2026"], "%m/%d/%Y", id="no order is of the future"),
    ],
)
def test_the_format_that_alone_fits_every_cell_is_written(tmp_path, cells, form):
    assert schema_of(drafted(orders(tmp_path, cells))).columns["Ordered"].format == form


def test_the_cell_that_proves_it_stands_beside_it(tmp_path):
    told = evidence(drafted(orders(tmp_path, [*AMBIGUOUS, "31/12/2023"])), "Ordered:")
    assert told == (
        "41 of 41 cells; 31/12/2023 in row 42 proves day first (%d/%m/%Y); days without a time of "
        "day"
    )


def test_where_nothing_proves_it_the_draft_asks_and_check_stops_there(tmp_path):
    draft = drafted(orders(tmp_path, AMBIGUOUS))
    [(line, asked)] = draft.questions
    assert asked == 'Ordered: {time: "?"}'
    [problem] = problems_of(draft)
    assert problem.startswith(f"schema:{line}: open question")
    told = evidence(draft, "Ordered:")
    assert "day first (%d/%m/%Y)" in told
    assert "month first (%m/%d/%Y)" in told
    assert told.startswith("OPEN: each of the 40 cells reads as")


def test_a_column_with_both_orders_of_day_and_month_is_asked_about(tmp_path):
    draft = drafted(orders(tmp_path, ["31/12/2023", "12/30/2023", *["01/02/2023"] * 20]))
    assert [asked for _, asked in draft.questions] == ['Ordered: {time: "?"}']
    assert "this column has both orders of day and month" in evidence(draft, "Ordered:")


def test_another_column_of_the_same_writing_settles_one_that_proves_nothing(tmp_path):
    rows = [
        (at, f"{at % 28 + 1:02d}/03/2023", f"05/0{at % 9 + 1}/2023", person(at)) for at in range(40)
    ]
    path = csv_file(tmp_path, ("Order ID", "Order date", "Cancelled at", "E-mail"), rows)
    draft = drafted(path)
    assert schema_of(draft).columns["Cancelled at"].format == "%d/%m/%Y"
    assert '"Order date" proves day first' in evidence(draft, "Cancelled at:")


def test_a_single_stray_cell_late_in_the_export_is_seen(tmp_path):
    cells = [*AMBIGUOUS * 200, "31/12/2023"]
    assert schema_of(drafted(orders(tmp_path, cells))).columns["Ordered"].format == "%d/%m/%Y"


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        pytest.param(["2023-11-05 01:01:35 -0700"], ("time", None, None), id="iso with an offset"),
        pytest.param(["1700000000"], ("time", None, "s"), id="seconds since 1970"),
        pytest.param(["1700000000000"], ("time", None, "ms"), id="milliseconds since 1970"),
    ],
)
def test_times_that_need_no_zone(tmp_path, cells, kind):
    draft = drafted(orders(tmp_path, cells))
    found = schema_of(draft).columns["Ordered"]
    assert (found.kind, found.format, found.unit) == kind
    assert "timezone" not in draft.text


def test_times_without_an_offset_leave_the_zone_open_and_say_so(tmp_path):
    path = orders(tmp_path, ["2023-05-01 10:00:00"])
    open_, said = drafted(path), drafted(path, timezone="Europe/Madrid")
    assert schema_of(open_).source.timezone is None
    assert "OPEN: the times carry no offset" in open_.text
    assert "open: --timezone ZONE, because the times carry no offset" in open_.notes
    assert schema_of(said).source.timezone == "Europe/Madrid"


def test_a_header_that_says_utc_settles_the_zone(tmp_path):
    path = orders(tmp_path, ["2023-05-01 10:00:00"], column="Created (UTC)")
    assert schema_of(drafted(path)).source.timezone == "UTC"


def test_day_clock_and_zone_in_columns_of_their_own_make_one_time(tmp_path):
    rows = [
        (
            f"{at % 12 + 1}/{at % 28 + 1}/23",
            f"{at % 12 + 1}:15:00 PM",
            "Eastern Time (US & Canada)",
            at,
            f"C{at}",
        )
        for at in range(40)
    ]
    header = ("Date", "Time", "Time Zone", "Transaction ID", "Customer ID")
    draft = drafted(csv_file(tmp_path, header, rows))
    time = schema_of(draft).events[0].time
    assert (time.template, time.zone) == ("{Date} {Time}", "Time Zone")
    assert time.as_ is not None
    assert time.as_.format == "%m/%d/%y %I:%M:%S %p"


def test_a_birthday_is_neither_the_time_of_an_order_nor_quoted(tmp_path):
    rows = [(at, "31/12/1999", f"{at + 1:02d}/10/2023", person(at)) for at in range(30)]
    draft = drafted(csv_file(tmp_path, ("Order ID", "Birthday", "Date", "E-mail"), rows))
    assert schema_of(draft).events[0].time.column == "Date"
    assert "1999" not in draft.text


def test_a_short_year_in_front_is_read_and_never_taken_for_a_day(tmp_path):
    """``22-01-31`` is the 31st of January 2022; ``22-01-13`` may be the 22nd of 2013 as well."""
    proven = orders(tmp_path, ["22-01-31", "23-11-28", "24-02-05"])
    assert '{time: "%y-%m-%d"}' in drafted(proven).text
    draft = drafted(orders(tmp_path, ["22-01-13", "23-11-14", "24-02-15"], name="unclear.csv"))
    assert len(draft.questions) == 1
    assert "day first (%d-%m-%y)" in evidence(draft, 'Ordered: {time: "?"}')
    assert "year first (%y-%m-%d)" in evidence(draft, 'Ordered: {time: "?"}')


def test_where_the_clock_stands_apart_the_answer_that_is_asked_for_has_it(tmp_path):
    rows = [(at, "05/06/2023", "10:30", person(at)) for at in range(5)]
    path = csv_file(tmp_path, ("Order", "Date", "Time", "E-mail"), rows)
    draft = drafted(path)
    assert 'write "%d/%m/%Y %H:%M" or "%m/%d/%Y %H:%M"' in draft.text.replace("\n    # ", " ")
    answered = replace(draft, text=draft.text.replace('"?"', '"%d/%m/%Y %H:%M"'), questions=())
    [first, *_] = events(ran(answered, [path], tmp_path / "state"), "Placed Order")
    assert first["time"] == "2023-06-05T10:30:00Z"
