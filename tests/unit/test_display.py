"""Foreign text in a terminal: printable, in one line, no wider than there is room."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from backfill.display import (
    LONGEST_LINE,
    LONGEST_NAME,
    MOST_LINES,
    brief,
    listed,
    plain,
    plain_json,
    shortened,
    truncate,
)
from backfill.errors import Problem, SchemaError

texts = st.text(max_size=20) | st.sampled_from(["'", "</script>", "__proto__", "\u2028", "😀\x9b"])
values = st.recursive(
    texts | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(values, st.sampled_from([None, 1, "\t"]))
def test_plain_json_is_one_printable_line_and_the_same_json(value, indent):
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    shown = plain_json(text, escape="'")
    assert shown.isprintable()
    assert "'" not in shown
    assert json.loads(shown) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Åsa 日本 😀", "Åsa 日本 😀", id="letters of any script"),
        pytest.param("a\nb\x1b[2J", "a\\u000ab\\u001b[2J", id="what moves the cursor"),
        pytest.param("\U000e0041", "\\udb40\\udc41", id="beyond 16 bits, as JSON says it"),
        pytest.param("\udcff", "\\udcff", id="a name of bytes that are no text"),
        pytest.param("it's", "it\\u0027s", id="a character to escape"),
    ],
)
def test_what_is_not_printable_is_escaped(text, shown):
    assert plain(text, escape="'") == shown


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        pytest.param("Sencha", 6, "Sencha", id="what fits stays"),
        pytest.param("Sencha", 5, "Senc…", id="the end is cut off"),
        pytest.param("Tea green", 5, "Tea…", id="no blank before the sign"),
        pytest.param("日本茶", 6, "日本茶", id="two columns a character"),
        pytest.param("日本茶", 5, "日本…", id="cut between two of them"),
        pytest.param("日本茶", 4, "日…", id="none is cut in half"),
        pytest.param(
            "e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301", id="accents take no room"
        ),
        pytest.param("Sencha", 0, "…", id="no room"),
    ],
)
def test_text_is_cut_to_the_columns_of_a_terminal(text, width, shown):
    assert truncate(text, width) == shown


@given(texts, st.integers(1, 30))
def test_nothing_is_wider_than_its_room(text, width):
    assert cell_len(truncate(plain(text), width)) <= width


@pytest.mark.parametrize(
    ("names", "text"),
    [
        pytest.param([], "", id="no names"),
        pytest.param(["a", "b"], "a, b", id="no more than fit"),
        pytest.param(["a", "b", "c", "d"], "a, b and 2 more", id="the rest is counted"),
    ],
)
def test_a_list_of_names_is_cut(names, text):
    assert listed(names, 2) == text


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        pytest.param("Sencha", 6, "Sencha", id="it fits"),
        pytest.param("abcdefghij", 7, "abcd…ij", id="beginning and end stay"),
    ],
)
def test_a_long_name_loses_its_middle(text, most, shown):
    assert shortened(text, most) == shown


def test_a_sentence_keeps_its_words_and_loses_the_middle_of_its_names():
    long = "a" * 5_000 + "z" * 5_000
    told = brief(f'orders.yaml:3: column "{long}" is not in the export; did you mean "Total"?')
    assert told.startswith('orders.yaml:3: column "aaaa')
    assert told.endswith('zzzz" is not in the export; did you mean "Total"?')
    assert len(told) < 160


def test_a_sentence_of_many_names_keeps_its_beginning_and_its_way_out():
    files = ", ".join(f"file number {n}.csv" for n in range(500))
    told = brief(f"{files} have other columns; name one kind at a time")
    assert told.startswith("file number 0.csv, ")
    assert told.endswith("have other columns; name one kind at a time")
    assert len(told) == LONGEST_LINE


@given(st.text(max_size=50).map(lambda text: text * 50))
def test_a_line_is_never_longer_and_a_short_one_stays(text):
    assert len(brief(text)) <= LONGEST_LINE
    assert brief(text[:LONGEST_NAME]) == text[:LONGEST_NAME]


def test_an_error_of_many_problems_fills_no_more_than_a_screen():
    problems = [
        Problem(f"a.yaml:{n}", f'column "{"x" * 9_999}" is not there') for n in range(3_000)
    ]
    error = SchemaError(problems)
    told = str(error).splitlines()
    assert (len(told), told[-1]) == (MOST_LINES + 1, "and 2,960 lines more")
    assert max(map(len, told)) < 160
    assert len(error.problems) == 3_000
