"""Foreign text in a terminal: printable, in one line, no wider than there is room."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from backfill.display import listed, plain, plain_json, truncate

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
