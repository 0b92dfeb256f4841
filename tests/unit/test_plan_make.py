"""From an export to a plan: what is counted, what is rejected, what is to be sent."""

import json
import random
from itertools import permutations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.errors import ExportError
from backfill.mapping.program import Bounds
from backfill.planning.judgement import Known
from backfill.planning.make_plan import make_plan
from backfill.planning.plan import Reject
from backfill.schema.bind import bind
from backfill.schema.load import load_schema
from backfill.sources.export import Export, open_export
from backfill.sources.frame import Frame
from backfill.wire.track import Track

BOUNDS = Bounds(1_000_000_000, 1_900_000_000)
SHOP = """
name: shop
source: {order: Order, line: [Item]}
columns: {Total: money}
customer_properties: {$email: Email, $first_name: Name}
events:
  - event: Placed Order
    time: {value: "2020-01-01T00:00:00Z"}
    properties: {$event_id: "{Number}", $value: Total, Items: {each: Item}}
"""


def rejected_rows(plan):
    return {file: dict(found) for file, found in plan.rejected_rows().items()}


def planned(tmp_path, *files, profiles="newest", max_bytes=1_000_000, known=None, schema=SHOP):
    export = Export([Frame(pa.table(file)) for file in files])
    bound = bind(load_schema(schema), export.columns)
    return make_plan(
        bound,
        export,
        tmp_path / f"plan-{len(list(tmp_path.iterdir()))}",
        profiles=profiles,
        bounds=BOUNDS,
        limits=Track(max_bytes=max_bytes),
        known=known or Known(),
    )


def rows(*cells):
    """A file of ``order number item total`` rows."""
    orders, numbers, items, totals = zip(*(cell.split(" ") for cell in cells), strict=True)
    return {
        "Order": orders,
        "Number": numbers,
        "Item": items,
        "Total": totals,
        "Email": ["ada@shop.de"] * len(cells),
        "Name": ["Ada"] * len(cells),
    }


def sent(plan, limit=None):
    return sorted(event["event_id"] for batch in plan.pending(limit) for event in batch.to_pylist())


CLASH = Reject("id_clash", "$event_id")


def test_of_two_orders_under_one_id_the_later_is_a_reject_with_all_its_rows(tmp_path):
    plan = planned(tmp_path, rows("1 n1 a 1", "2 n1 b 2", "1 n1 c 1", "2 n1 d 2", "3 n3 e 3"))
    assert sent(plan) == ["n1", "n3"]
    assert rejected_rows(plan) == {0: {2: CLASH, 4: CLASH}}
    assert plan.reasons == {"id_clash": 1}
    assert (plan.counts.rows_accepted, plan.counts.rows_rejected) == (3, 2)


def test_two_orders_under_one_id_with_equal_content_are_one_event(tmp_path):
    plan = planned(tmp_path, rows("1 n1 a 1", "2 n1 a 1"))
    assert (sent(plan), plan.judgement.repeats, plan.counts.orders_accepted) == (["n1"], 1, 2)


def test_rows_of_rejects_come_by_file_with_their_reason(tmp_path):
    plan = planned(tmp_path, rows("1 n1 a x", "1 n1 b x"), rows("2 n2 a 1", "3 n3 b y"))
    bad = Reject("not_money", "Total")
    assert rejected_rows(plan) == {0: {1: bad, 2: bad}, 1: {2: bad}}
    assert plan.reasons == {"not_money": 2}


def test_an_event_over_the_limit_is_a_reject_that_names_its_size(tmp_path):
    first = planned(tmp_path, rows("1 n1 a 1"))
    [size] = [one["size"] + one["attributes_size"] for one in next(first.pending()).to_pylist()]
    file = rows("1 n1 a 1", "2 n2 aa 1", "2 n2 bb 1")
    plan = planned(tmp_path, file, max_bytes=size)
    [[two, three]] = [list(found.values()) for found in rejected_rows(plan).values()]
    assert sent(plan) == ["n1"]
    assert (two, two.reason) == (three, "too_large")
    assert two.column.startswith("Placed Order: ")
    assert two.column.endswith(" bytes")
    assert (plan.counts.rows_rejected, plan.reasons) == (2, {"too_large": 1})


def test_attributes_count_for_the_limit_only_where_events_can_carry_them(tmp_path):
    [event] = next(planned(tmp_path, rows("1 n1 a 1")).pending()).to_pylist()
    plan = planned(tmp_path, rows("1 n1 a 1"), max_bytes=event["size"], profiles="none")
    assert sent(plan) == ["n1"]
    assert planned(tmp_path, rows("1 n1 a 1"), max_bytes=event["size"]).reasons == {"too_large": 1}


def test_sizes_are_those_of_the_bodies(tmp_path):
    plan = planned(tmp_path, rows("1 n1 é'{ 1", "2 n2 b 1"))
    [batch] = plan.pending()
    requests = Track("aB3xYz").requests(batch)
    assert plan.judgement.size == sum(len(request.body) for request in requests)


def test_pending_stops_at_the_limit_and_begins_with_what_no_ledger_knows(tmp_path):
    file = rows(*(f"{at} n{at} a 1" for at in range(1, 6)))
    plan = planned(tmp_path, file)
    events = [event for batch in plan.pending() for event in batch.to_pylist()]
    done = pa.table({name: [events[0][name]] for name in ("key", "content")})
    known = Known(delivered=done.cast(plan_schema()).to_batches())
    again = planned(tmp_path, file, known=known)
    assert (again.to_send, len(sent(again, 2)), len(sent(again, 99))) == (4, 2, 4)
    assert events[0]["event_id"] not in sent(again)
    assert sent(again, 0) == []


def plan_schema():
    return pa.schema([("key", pa.binary(16)), ("content", pa.binary(8))])


def test_exactly_one_pending_event_of_a_person_carries(tmp_path):
    plan = planned(tmp_path, rows("1 n1 a 1", "2 n2 b 1", "3 n3 c 1"))
    carries = [event["carries"] for batch in plan.pending() for event in batch.to_pylist()]
    assert sorted(carries) == [False, False, True]


def test_a_plan_does_not_depend_on_the_order_of_files(tmp_path):
    files = [rows("1 n1 a 1", "2 n2 b 1"), rows("3 n3 c 1"), rows("1 n1 a 1", "4 n4 d 1")]
    found = {planned(tmp_path, *order).judgement.digest for order in permutations(files)}
    assert len(found) == 1


def test_one_address_in_two_unicode_forms_is_one_person_and_one_key(tmp_path):
    schema = """
name: shop
columns: {Total: money}
customer_properties: {$email: Email}
profiles: none
events:
  - {event: Placed Order, time: At, properties: {$value: Total}}
"""
    emails = ["Jos\u00e9@shop.example", "jose\u0301@SHOP.example"]
    file = {"Email": emails, "At": ["2020-01-01T12:00:00Z"] * 2, "Total": ["5"] * 2}
    plan = planned(tmp_path, file, schema=schema)
    assert (plan.judgement.people, plan.judgement.events, plan.judgement.repeats) == (1, 1, 1)
    [event] = [event for batch in plan.pending() for event in batch.to_pylist()]
    assert event["email"] == "jos\u00e9@shop.example"


def test_a_plan_depends_on_content_and_profiles(tmp_path):
    files = [rows("1 n1 a 1"), rows("1 n1 b 1"), rows("1 n1 a 2")]
    found = {planned(tmp_path, file).judgement.digest for file in files}
    found |= {planned(tmp_path, files[0], profiles=to).judgement.digest for to in ("none", "every")}
    assert len(found) == 5


@pytest.mark.slow
def test_an_export_of_many_slices_gives_the_same_plan_as_scattered_rows(tmp_path):
    """Some 20 MB of text make several buckets; a shuffle changes which rows come first."""
    cells = [f"{at} n{at} {item} 1" for item in ("i" * 1_800, "") for at in range(9_000)]
    ordered = planned(tmp_path, rows(*cells))
    random.Random(7).shuffle(cells)
    scattered = planned(tmp_path, rows(*cells))
    assert ordered.judgement.digest == scattered.judgement.digest
    assert scattered.counts.orders_accepted == scattered.judgement.events == 9_000


def of_file(path, folder):
    export = open_export([path])
    return make_plan(
        bind(load_schema(SHOP), export.columns),
        export,
        folder,
        profiles="newest",
        bounds=BOUNDS,
        limits=Track(),
        known=Known(),
    )


def test_an_empty_export_makes_an_empty_plan(tmp_path):
    (tmp_path / "empty.csv").write_text("Order,Number,Item,Total,Email,Name\n")
    plan = of_file(tmp_path / "empty.csv", tmp_path / "plan")
    assert (plan.counts.rows, plan.to_send, list(plan.pending())) == (0, 0, [])


def test_an_export_that_breaks_late_stops_the_plan(tmp_path):
    path = tmp_path / "broken.csv"
    good = "".join(f"{at},n{at},a,1,a@shop.de,Ada\n" for at in range(9_000))
    path.write_text(f'Order,Number,Item,Total,Email,Name\n{good}1,n1,"a,1,a@shop.de,Ada\n')
    with pytest.raises(ExportError, match=r"broken.csv:9002: a quoted cell begins here"):
        of_file(path, tmp_path / "plan")


CELL = st.tuples(
    st.sampled_from(["", "1", "2", "3", "4"]),  # order
    st.sampled_from(["n1", "n2", "n3"]),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["1", "2", "x", ""]),
)


@pytest.mark.slow
@settings(max_examples=12)
@given(files=st.lists(st.lists(CELL, min_size=1, max_size=5), min_size=1, max_size=3))
def test_rows_orders_and_reasons_add_up_for_any_export(files, tmp_path_factory):
    tables = [rows(*(" ".join(cell) for cell in file)) for file in files]
    plan = planned(tmp_path_factory.mktemp("plans"), *tables)
    counts = plan.counts
    rejected = rejected_rows(plan)
    assert counts.rows == sum(map(len, files))
    assert counts.rows == counts.rows_accepted + counts.rows_rejected + counts.rows_left_out
    assert sum(len(found) for found in rejected.values()) == counts.rows_rejected
    assert sum(plan.reasons.values()) == counts.orders_rejected
    assert len(sent(plan)) == plan.judgement.events
    texts = [event["properties"] for batch in plan.pending() for event in batch.to_pylist()]
    assert all(text is None or json.loads(text) for text in texts)
