"""Any header ends in a draft that maps its export, in questions, or in a sentence."""

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backfill.errors import ExportError, UsageError
from tests.drafts import drafted, problems_of, ran

pytestmark = pytest.mark.slow

KEYS = [
    *("value", "$value", "sum", "object", "template", "column", "each", "sql", "where", "map"),
    *("default", "optional", "as", "take", "zone", "unfit", "event", "time", "line", "file"),
    *("$email", "$event_id", "$id", "$extra", "OrderId", "Items", "ItemNames", "RowTotal"),
]
SIGNS = [
    *("?", "#", "# x", "'", '"', '""', "it's", 'a "b"', "{", "}", "{a}", "{{a}}", "a: b", "a:"),
    *("- a", "&a", "*", "!a", "%", "@", "`", "|", ">", "~", "[a]", "[]", "a[].b", "item_<n>"),
    *("a\nb", "a\r\nb", "a\tb", "\\", "\u2028", "\ufeff", "\x07", "a, b", "a;b", "<<", "---"),
    *("null", "NO", "true", "1", "1.5", "0x1F", "12:30", "2024-01-01", "=1+1", "", " ", "\u00a0"),
    *("_file", "_row", "_reason", "_column", "c0", "p1", "x" * 200, "ü" * 200, "a.b", ".", ".a"),
    *("City (2)", "a (1)", "select", "from", "Order", "order by", "a'b\"c`d", "🛒", "a\u202eb"),
]
WORDS = [
    *("Zahlung am", "注文番号", "注文日", "金額", "メール", "Дата", "Сумма", "Заказ", "رقم الطلب"),
    *("Αριθμός", "Número", "Prix", "Größe", "sku", "qty", "price", "status", "currency", "name"),
    *("next_charge_scheduled_at", "cancelled_at", "refund", "shipping", "tax", "discount", "id"),
    *("phone", "zip", "country", "City", "type", "Line: Type", "tags", "note", "first name"),
]
HEADERS = st.one_of(
    st.sampled_from(KEYS),
    st.sampled_from(SIGNS),
    st.sampled_from(WORDS),
    st.sampled_from(["Order ID", "Email", "Order date", "Total", "SKU", "Quantity", "Price"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)
CELLS = {
    "order": "A{order}",
    "row": "R{row}",
    "email": "p{order}@mail.example",
    "time": "2023-05-{day:02}T10:00:00Z",
    "day": "{day:02}/03/2023",
    "month name": "{day}. mai 2023",
    "amount": "{order}.50",
    "comma": "{row},50",
    "unclear": "{day}.100",
    "whole": "{row}",
    "flag": "yes",
    "kind": "product",
    "json": '[{{"sku": "S{row}", "qty": 1}}]',
    "object": '{{"email": "p{order}@mail.example", "total": "{order}.5"}}',
    "pairs": "name:Tea|sku:S{row}",
    "text": "some words",
    "formula": "=1+{row}",
    "empty": "",
    "null": "N/A",
    "first row": "F{order}",
}
FILES = st.lists(st.tuples(HEADERS, st.sampled_from([*CELLS])), min_size=1, max_size=9)
CORE = [("Order ID", "order"), ("Email", "email"), ("Order date", "time"), ("Total", "amount")]


def cell(kind, order, line, row):
    if kind == "first row" and line:
        return ""
    return CELLS[kind].format(order=order, row=row, day=row % 27 + 1)


def written(path, columns, lines):
    places = [(order, line) for order in range(6) for line in range(lines if order % 2 else 1)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(name for name, _ in columns)
        for row, (order, line) in enumerate(places):
            writer.writerow(cell(kind, order, line, row) for _, kind in columns)


def drafted_or_refused(path):
    try:
        return drafted(path), ""
    except (UsageError, ExportError) as error:
        return None, str(error)


@st.composite
def exports(draw):
    """The columns of an export, some of which say what an order is, in any order."""
    some = st.lists(st.sampled_from(CORE), unique=True, max_size=4)
    core = draw(st.one_of(st.just(CORE), some))
    return draw(st.permutations([*core, *draw(FILES)]))


@settings(max_examples=60)
@given(columns=exports(), lines=st.integers(1, 3))
@example(columns=[("next_charge_scheduled_at", "time"), ("cancelled_at", "time")], lines=1)
@example(columns=[*CORE, ("value", "text"), ("$value", "amount"), ("sum", "whole")], lines=1)
@example(columns=[*CORE, ("SKU", "row"), ("each", "text"), ("column", "text")], lines=3)
@example(columns=[*CORE, ("a", "text"), ("a", "text"), ("a (2)", "text")], lines=1)
@example(columns=[*CORE, ("?", "text")], lines=1)
@example(columns=[("Order date", "time"), ("items", "json"), ("Total", "amount")], lines=1)
def test_any_header_ends_in_a_draft_or_in_a_sentence(columns, lines):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.csv"
        written(path, columns, lines)
        draft, sentence = drafted_or_refused(path)
        if draft is None:
            assert "bug of backfill" not in sentence
        elif draft.questions:
            assert {problem.partition(": ")[2][:13] for problem in problems_of(draft)} == {
                "open question"
            }
        else:
            ran(draft, [path], Path(folder) / "state")
