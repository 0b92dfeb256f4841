"""``backfill diff``: what an edit of a schema does to the events of an export."""

import json
import stat

import pytest
from rich.cells import cell_len

from backfill.account.account import Account
from backfill.errors import BusyError, StoppedByUserError, UsageError
from backfill.limits import API_URL
from backfill.report.diff import lines
from backfill.running.diff import compare
from backfill.running.lock import hold
from backfill.running.settings import Hooks, Options
from backfill.schema.load import load_schema
from tests.conftest import Tool

pytestmark = pytest.mark.slow

SCHEMA = """\
name: shop
source: {order: no, line: [sku, qty], timezone: Europe/Berlin}
columns: {at: time, qty: integer, total: money}
profiles: newest
customer_properties: {$email: mail, $city: city, Nick: nick}
events:
  - event: Placed Order
    time: at
    properties: {$event_id: "{no}", $value: total, Note: note, Items: {each: {SKU: sku, Q: qty}}}
  - event: Ordered Product
    per: line
    time: at
    properties: {$event_id: "{no}-{sku}", SKU: sku}
"""
ORDERS = """\
no,mail,city,nick,at,total,note,sku,qty
1,ada@x.example,Bonn,al,2023-07-01 12:00:00,10.50,hello,A,1
1,ada@x.example,Bonn,al,2023-07-01 12:00:00,10.50,hello,B,2
2,bo@x.example,Ulm,be,2023-07-02 12:00:00,7,"two
lines",A,1
3,bo@x.example,Ulm,be,2023-07-03 12:00:00,8,,A,1
"""
SHIPPED = "  - {event: Shipped, time: at, properties: {$event_id: '{no}'}}\n"


def edited(*edits: tuple[str, str], text: str = SCHEMA) -> str:
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture
def between(tmp_path):
    """Both schemas over one export."""

    def made(new, old=SCHEMA, orders=ORDERS, hooks=None, **options):
        (tmp_path / "orders.csv").write_text(orders)
        return compare(
            load_schema(old),
            load_schema(new),
            [tmp_path / "orders.csv"],
            tmp_path / "state",
            Account(API_URL, ""),
            Options(**options),
            hooks or Hooks(),
        )

    return made


def test_the_same_schema_makes_no_difference(between):
    found = between(SCHEMA)
    assert (found.difference.events_old, found.difference.events_new) == (7, 7)
    assert (found.difference.changed, dict(found.difference.fields)) == (0, {})
    assert (found.makes_copies, found.rules) == (False, ())
    assert list(lines(found, 80))[-1] == "ids stay"


@pytest.mark.parametrize(
    ("edits", "changed", "fields"),
    [
        pytest.param(
            [("$value: total", "$value: qty_total"), ("total: money", "qty_total: money")],
            3,
            {"properties.$value": 3},
            id="the value",
        ),
        pytest.param([("Berlin", "London")], 7, {"time": 7}, id="the clock"),
        pytest.param([("Q: qty", "Quantity: qty")], 3, {"properties.Items": 3}, id="inside a list"),
        pytest.param(
            [("Note: note", "Remark: note")],
            2,
            {"properties.Note": 2, "properties.Remark": 2},
            id="a property's name",
        ),
        pytest.param(
            [("SKU: sku}\n", "SKU: {value: x}}\n")], 4, {"properties.SKU": 4}, id="a property"
        ),
        pytest.param(
            [("$city: city", "$region: city")],
            2,
            {"customer_properties.$city": 2, "customer_properties.$region": 2},
            id="a person's attribute stands on the newest event alone",
        ),
        pytest.param(
            [("Nick: nick", "Nick: city")],
            2,
            {"customer_properties.Nick": 2},
            id="a person's own attribute",
        ),
        pytest.param(
            [("newest", "none")],
            2,
            {"customer_properties.$city": 2, "customer_properties.Nick": 2},
            id="whether attributes are written",
        ),
        pytest.param(
            [
                (
                    '    time: at\n    properties: {$event_id: "{no}"',
                    '    time: at\n    currency: {value: EUR}\n    properties: {$event_id: "{no}"',
                )
            ],
            3,
            {"currency": 3},
            id="a currency",
        ),
        pytest.param(
            [
                (
                    "Note: note, Items: {each: {SKU: sku, Q: qty}}",
                    "Items: {each: {SKU: sku, Q: qty}}, Note: note",
                )
            ],
            0,
            {},
            id="the order of properties is nothing",
        ),
    ],
)
def test_changed_payloads_are_counted_by_their_parts(between, edits, changed, fields):
    orders = _with_column(ORDERS, "qty_total", "1")
    found = between(edited(*edits), orders=orders).difference
    assert (found.changed, dict(found.fields)) == (changed, fields)
    assert found.copies == 0


def _with_column(orders, name, cell):
    head, rest = orders.split("\n", 1)
    rows = rest.replace("A,1\n", f"A,1,{cell}\n").replace("B,2\n", f"B,2,{cell}\n")
    return f"{head},{name}\n{rows}"


@pytest.mark.parametrize("other", ["$id: tel", "$phone_number: tel"])
def test_an_identifier_beside_another_is_an_attribute(between, other):
    orders = _with_column(ORDERS, "tel", "+4930901820")
    new = edited(("{$email: mail, ", f"{{$email: mail, {other}, "))
    name = f"customer_properties.{other.split(':')[0]}"
    assert dict(between(new, orders=orders).difference.fields) == {name: 2}


def test_another_identifier_is_another_payload_everywhere(between):
    found = between(edited(("{$email: mail, ", "{$id: nick, "))).difference
    for name in ("$id", "$email"):
        assert found.fields[f"customer_properties.{name}"] == 7


def test_other_ids_are_copies_and_are_paired_by_their_places(between):
    found = between(edited(("{no}-{sku}", "{no}/{sku}")))
    assert found.makes_copies
    assert dict(found.difference.ids) == {"Ordered Product": 4}
    assert dict(found.difference.fields) == {"properties.$event_id": 4}
    assert (dict(found.difference.gone), dict(found.difference.added)) == ({}, {})
    assert found.rules == ("Ordered Product",)
    first = min(found.difference.samples, key=lambda sample: str(sample.old))
    assert (first.row, dict(first.old), dict(first.new)) == (
        2, {"properties.$event_id": '"1-A"'}, {"properties.$event_id": '"1/A"'}
    )  # fmt: skip
    said = list(lines(found, 80))
    assert 'ids change: 4 events "Ordered Product" have another id' in said
    assert said[-1] == "a run with the new schema would make a second copy of what was delivered"


def test_lines_whose_ids_sort_another_way_pair_with_themselves(between):
    orders = ORDERS.replace("hello,A,1", "hello,A,9")
    old, new = edited(("{no}-{sku}", "{qty}.{no}")), edited(("{no}-{sku}", "{line}/{no}"))
    found = between(new, old=old, orders=orders, profiles="none").difference
    assert found.ids == {"Ordered Product": 4}
    assert found.fields == {"properties.$event_id": 4}


def test_ids_that_are_made_of_the_time_change_with_the_zone(between):
    old = edited(('{$event_id: "{no}", $value', "{$value"))
    found = between(edited(("Berlin", "London"), text=old), old=old)
    assert dict(found.difference.ids) == {"Placed Order": 3}
    with pytest.raises(UsageError, match="UTC is not the zone of the schema"):
        between(edited(("Berlin", "London"), text=old), old=old, timezone="UTC")


def test_an_edited_rule_that_changes_no_id_here_is_noted(between):
    new = edited(('"{no}", $value', '"{no}{tail}", $value'))
    found = between(new, orders=_with_column(ORDERS, "tail", ""))
    assert found.rules == ("Placed Order",)
    assert not found.makes_copies
    assert any(
        'the rule of the ids of "Placed Order" was edited, and no id' in s for s in lines(found, 80)
    )


def test_a_metric_of_another_name_is_a_copy(between):
    found = between(edited(("event: Placed Order", "event: Order Placed")))
    assert dict(found.difference.renamed) == {("Placed Order", "Order Placed"): 3}
    assert (dict(found.difference.gone), dict(found.difference.added)) == ({}, {})
    assert found.makes_copies
    assert 'ids change: 3 events "Placed Order" are called "Order Placed" now' in lines(found, 80)


def test_events_of_one_schema_alone_are_counted_by_metric(between):
    found = between(SCHEMA + SHIPPED).difference
    assert (dict(found.added), dict(found.gone), found.copies) == ({"Shipped": 3}, {}, 0)
    found = between(SCHEMA, old=SCHEMA + SHIPPED).difference
    assert (dict(found.added), dict(found.gone), found.copies) == ({}, {"Shipped": 3}, 0)


def test_orders_that_one_schema_alone_rejects_are_counted_by_reason(between):
    strict = edited(("total: money}", "total: money, note: integer}"))
    found = between(strict).difference
    assert (dict(found.rejected), dict(found.accepted)) == ({"not_an_integer": 2}, {})
    found = between(SCHEMA, old=strict).difference
    assert (dict(found.rejected), dict(found.accepted)) == ({}, {"not_an_integer": 2})


def test_orders_that_only_the_whole_export_rejects_are_counted_too(between):
    found = between(edited(('"{no}", $value', "{column: city}, $value"))).difference
    assert dict(found.rejected) == {"id_clash": 1}


def test_no_more_than_ten_samples_and_each_kind_of_change_first(between):
    many = ORDERS + "".join(
        f"{no},c{no}@x.example,Ulm,ce,2023-07-03 12:00:00,8,n,A,1\n" for no in range(10, 40)
    )
    found = between(
        edited(("Note: note", "Remark: note"), ("SKU: sku}\n", "Sku: sku}\n")), orders=many
    )
    samples = found.difference.samples
    assert len(samples) == 10
    assert {sample.metric for sample in samples} == {"Placed Order", "Ordered Product"}
    narrow = list(lines(found, 60))
    assert max(map(cell_len, narrow)) <= 60
    assert any(line.endswith("| (none)") for line in narrow)


def test_a_property_may_have_any_name(between):
    name = "a/b~c'\\\"$. é"
    new = edited(("Note: note", f'"{name}": note'))
    expected = "properties.a/b~c'\"$. é"
    assert between(new).difference.fields[expected] == 2
    [sample] = [s for s in between(new).difference.samples if s.row == 2]
    assert sample.new[expected] == '"hello"'


def test_nothing_stays_and_only_the_owner_can_read_it_meanwhile(between, tmp_path):
    modes = []

    def look(_):
        folder = tmp_path / "state" / "scratch"
        modes.append(stat.S_IMODE(folder.stat().st_mode))

    between(SCHEMA + SHIPPED, hooks=Hooks(on_rows=look))
    assert set(modes) == {0o700}
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["lock"]


def test_what_a_killed_diff_left_is_removed(between, tmp_path):
    (tmp_path / "state" / "scratch" / "old").mkdir(parents=True)
    between(SCHEMA)
    assert not (tmp_path / "state" / "scratch").exists()


def test_a_stop_ends_a_diff_and_nothing_stays(between, tmp_path):
    hooks = Hooks()
    hooks.stop.set()
    with pytest.raises(StoppedByUserError, match="stopped while planning; nothing was sent"):
        between(SCHEMA, hooks=hooks)
    assert not (tmp_path / "state" / "scratch").exists()


def test_one_at_a_time_works_in_a_state_folder(between, tmp_path):
    with (
        hold(tmp_path / "state"),
        pytest.raises(BusyError, match="is at work in this state folder"),
    ):
        between(SCHEMA)


def test_what_is_open_must_be_chosen(between):
    open_ = edited(("profiles: newest\n", ""))
    with pytest.raises(UsageError, match="pass --profiles newest"):
        between(open_)
    assert between(open_, profiles="none").difference.changed == 0


def test_the_command_prints_the_difference_and_exits_with_1_if_ids_change(tool: Tool):
    (tool.folder / "old.yaml").write_text(SCHEMA)
    (tool.folder / "new.yaml").write_text(edited(("Note: note", "Remark: note")))
    (tool.folder / "ids.yaml").write_text(edited(("{no}-{sku}", "{no}/{sku}")))
    (tool.folder / "orders.csv").write_text(ORDERS)
    said = tool("diff", "old.yaml", "new.yaml", "orders.csv", COLUMNS="80")
    assert said.code == 0, said.err
    assert said.out.splitlines() == [
        "           7 events by the old schema, 7 by the new one",
        "           2 that both make differ:",
        "             2 properties.Note",
        "             2 properties.Remark",
        "",
        "old | new",
        "orders.csv row 2: Placed Order",
        '  properties.Note    "hello"                     | (none)',
        '  properties.Remark  (none)                      | "hello"',
        "orders.csv row 4: Placed Order",
        '  properties.Note    "two\\nlines"                | (none)',
        '  properties.Remark  (none)                      | "two\\nlines"',
        "",
        "ids stay",
    ]
    said = tool("diff", "old.yaml", "ids.yaml", "orders.csv", "--json")
    assert said.code == 1
    assert said.summary["ids_changed"] == {"Ordered Product": 4}
    assert {"properties.$event_id": "1/A"} in [one["new"] for one in said.summary["samples"]]
    assert json.loads(said.out) == said.summary
    assert "have another id" in said.err
