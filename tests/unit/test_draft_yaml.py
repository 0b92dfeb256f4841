"""What a draft says reads back as it is, and each comment stands with the line it explains."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.draft.yaml import Block, dump, flow_text
from backfill.schema.document import read_document

# NUL and half a surrogate pair cannot stand in a schema.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(
    TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)


def read(block):
    return read_document(dump(block.node), "draft").values


@given(st.dictionaries(TEXTS, st.tuples(VALUES, TEXTS), min_size=1, max_size=4))
def test_keys_and_values_read_back_as_they_are_whatever_stands_in_comments(members):
    block = Block()
    for key, (value, why) in members.items():
        block.comment(why)
        block.add(key, value, why)
    assert read(block) == {key: value for key, (value, _) in members.items()}


@pytest.mark.parametrize("length", [100, 200, 2_000])
def test_a_name_of_any_length_is_a_key(length):
    block = Block()
    block.add("x" * length, "money", "why")
    assert read(block) == {"x" * length: "money"}
    assert "# why" in dump(block.node)


def test_a_comment_stands_beside_its_line_where_both_fit_and_else_above():
    block = Block()
    block.add("short", "money", "3 of 3 cells")
    block.add("long", "money", "word " * 30)
    block.add("asked", "?", "OPEN: which")
    assert dump(block.node).splitlines() == [
        "short: money  # 3 of 3 cells",
        "# " + " ".join(["word"] * 19),
        "# " + " ".join(["word"] * 11),
        "long: money",
        "# OPEN: which",
        'asked: "?"',
    ]


def test_comments_at_the_end_of_a_block_stand_above_the_next_key():
    schema = Block()
    source = schema.nested()
    source.add("order", "Order ID")
    source.comment("why")
    source.comment_line("timezone: Europe/Berlin")
    schema.add("source", source)
    schema.blank_line()
    schema.add("profiles", "none")
    assert dump(schema.node).splitlines() == [
        "source:",
        "  order: Order ID",
        "  # why",
        "  # timezone: Europe/Berlin",
        "",
        "profiles: none",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("Order ID", "Order ID", id="words"),
        pytest.param("no", '"no"', id="what YAML 1.1 takes for false"),
        pytest.param("a: b", '"a: b"', id="signs of YAML"),
        pytest.param('x"y', "'x\"y'", id="a double quote"),
        pytest.param({"time": "%d/%m/%Y"}, '{time: "%d/%m/%Y"}', id="a mapping"),
        pytest.param(["Shop", "#"], '[Shop, "#"]', id="a list"),
    ],
)
def test_a_value_is_quoted_where_it_needs_it(value, text):
    assert flow_text(value) == text


def test_the_first_value_of_a_key_stays():
    block = Block(reserved=("OrderId",))
    block.add_once("a", "1", "")
    block.add_once("a", "2", "")
    assert read(block) == {"a": "1"}
    assert ["a" in block, "b" in block, "OrderId" in block] == [True, False, True]
