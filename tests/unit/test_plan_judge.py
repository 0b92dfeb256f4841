"""What no slice can see: ids that clash, each person's newest event, what a ledger knows."""

import hashlib
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backfill.errors import UsageError
from backfill.event import EVENTS, person
from backfill.ledger.ledger import CARRIED
from backfill.planning.judge import judge
from backfill.planning.judgement import Judgement, Known, Verdict, order_of

SETTINGS = settings(max_examples=60)


def digest(text, size):
    return hashlib.sha256(str(text).encode()).digest()[:size]


def event(key, *, content="same", person="ada", time=1_500_000_000, order=(0, 1), **more):
    return {
        "key": digest(key, 16),
        "person": digest(person, 16),
        "metric": "Placed Order",
        "event_id": str(key),
        "time": time,
        "value": None,
        "email": f"{person}@shop.de",
        "content": digest(content, 8),
        "size": 10,
        "attributes_size": 3,
        "file": order[0],
        "row": order[1],
    } | more


def judged(*parts, profiles="newest", known=None, **more):
    """Each of ``parts`` is one Parquet file of events."""
    with TemporaryDirectory() as folder:
        paths = []
        for at, part in enumerate(parts):
            paths.append(Path(folder) / f"events-{at}.parquet")
            pq.write_table(pa.Table.from_pylist(part, schema=EVENTS), paths[-1])
        counts = [len(part) for part in parts]
        spill = Path(folder) / "spill"
        return judge(paths, counts, spill, profiles, known or Known(), **more)


def verdicts(judgement: Judgement):
    return [[Verdict(int(one)).name for one in part] for part in judgement.verdicts]


def delivered(*pairs):
    table = {"key": [digest(k, 16) for k, _ in pairs], "content": [digest(c, 8) for _, c in pairs]}
    fields = [("key", pa.binary(16)), ("content", pa.binary(8))]
    return pa.table(table, schema=pa.schema(fields)).to_batches()


def carried(*rows):
    table = {
        "person": [digest(person, 16) for person, _, _ in rows],
        "time": [time for _, time, _ in rows],
        "key": [digest(key, 16) for _, _, key in rows],
    }
    fields = [("person", pa.binary(16)), ("time", pa.int64()), ("key", pa.binary(16))]
    return pa.table(table, schema=pa.schema(fields)).to_batches()


# clashes -----------------------------------------------------------------------------------------


def clashes(found):
    return rejected(found, "id_clash", "$event_id") | in_order(found)


def in_order(found):
    return rejected(found, "id_clash_in_order", "$event_id")


def rejected(found, reason, column):
    return {
        order_of(code)
        for lost in found.rejected
        for code in lost.orders.tolist()
        if (lost.reason, lost.column) == (reason, column)
    }


def test_one_event_of_overlapping_exports_is_sent_once():
    found = judged([event("a")], [event("a", order=(1, 1))])
    assert verdicts(found) == [["CARRY"], ["REPEAT"]]
    assert (found.events, found.repeats, clashes(found)) == (1, 1, set())


def test_of_two_orders_under_one_key_the_first_in_the_export_is_kept():
    found = judged([event("a", content="y", order=(1, 1))], [event("a", content="x", order=(0, 9))])
    assert verdicts(found) == [["REJECTED"], ["CARRY"]]
    assert clashes(found) == {(1, 1)}


def test_an_order_that_clashes_is_rejected_with_all_its_events():
    part = [event("a"), event("a", content="z", order=(0, 2)), event("b", order=(0, 2))]
    assert verdicts(judged(part)) == [["CARRY", "REJECTED", "REJECTED"]]


def test_an_order_that_loses_takes_no_id_from_those_behind_it():
    first = [event("a")]
    loser = [event("a", content="z", order=(0, 2)), event("b", content="y", order=(0, 2))]
    third = [event("b", content="x", order=(0, 3), time=1_600_000_000)]
    found = judged([*first, *loser, *third])
    assert verdicts(found) == [["SEND", "REJECTED", "REJECTED", "CARRY"]]


@pytest.mark.parametrize("content", ["x", "z"])
def test_an_order_with_one_id_twice_is_rejected_whatever_its_lines_say(content):
    found = judged([event("a", content="x"), event("a", content=content)])
    assert verdicts(found) == [["REJECTED", "REJECTED"]]
    assert in_order(found) == {(0, 1)}


def test_a_clash_with_an_earlier_order_is_none_within_the_order():
    found = judged([event("a"), event("a", content="z", order=(0, 2))])
    assert (clashes(found), in_order(found)) == ({(0, 2)}, set())


def first_come(orders):
    """The rule of the design, as a loop over orders in the order of the export."""
    held, rejected, repeats = {}, set(), 0
    for place in sorted(orders):
        own, again, clash = {}, 0, False
        for key, content in orders[place]:
            known = held.get(key)
            clash |= key in own or known not in (None, content)
            again += known == content
            own.setdefault(key, content)
        if clash:
            rejected.add(place)
        else:
            held |= own
            repeats += again
    return rejected, repeats, held


PLACES = st.tuples(st.integers(0, 1), st.integers(1, 6))
ORDERS = st.dictionaries(
    PLACES,
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xy")), min_size=1, max_size=3),
)


@pytest.mark.slow
@SETTINGS
@given(orders=ORDERS, workers=st.lists(st.integers(0, 1), min_size=40, max_size=40))
def test_clashes_are_those_of_a_loop_over_all_orders(orders, workers):
    parts = [[], []]
    for at, (order, events) in enumerate(orders.items()):
        parts[workers[at]] += [event(key, content=text, order=order) for key, text in events]
    lost, repeats, held = first_come(orders)
    found = judged(*parts)
    assert (clashes(found), found.repeats, found.events) == (lost, repeats, len(held))


# newest ------------------------------------------------------------------------------------------


def test_of_two_events_at_one_time_the_greater_key_carries():
    greater, smaller = sorted("ab", key=lambda key: digest(key, 16), reverse=True)
    found = judged([event(smaller), event(greater), event("c", time=1_400_000_000)])
    assert verdicts(found) == [["SEND", "CARRY", "SEND"]]


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        pytest.param("none", ["SEND", "SEND"], id="none: no event carries"),
        pytest.param("every", ["CARRY", "CARRY"], id="every: all carry"),
        pytest.param("newest", ["SEND", "CARRY"], id="newest: the latest carries"),
    ],
)
def test_who_carries_is_said_by_profiles(profiles, expected):
    found = judged([event("a"), event("b", time=1_600_000_000)], profiles=profiles)
    assert verdicts(found) == [expected]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param(1_600_000_001, "SEND", id="a newer one went before"),
        pytest.param(1_599_999_999, "CARRY", id="an older one went before"),
    ],
)
def test_a_later_run_carries_only_what_is_newer(known, expected):
    part = [event("a", time=1_600_000_000)]
    found = judged(part, known=Known(carried=carried(("ada", known, "z"))))
    assert verdicts(found) == [[expected]]


@pytest.mark.parametrize(
    ("before", "expected"), [(1_700_000_000, "SEND"), (1_500_000_000, "CARRY")]
)
def test_what_was_written_under_a_persons_other_identifier_counts(before, expected):
    both = {"email": "ada@shop.example", "phone_number": "+4915112345678"}
    part = [event("a", time=1_600_000_000) | both | {"person": person("email", both["email"])}]
    rows = {"person": [person("phone_number", both["phone_number"])], "time": [before]}
    ledger = pa.table(rows | {"key": [digest("z", 16)]}, schema=CARRIED)

    found = judged(part, known=Known(carried=ledger.to_batches()))

    assert verdicts(found) == [[expected]]


def test_a_rejected_order_carries_nothing_and_the_next_newest_does():
    part = [event("a"), event("b"), event("b", content="z", order=(0, 2), time=1_700_000_000)]
    assert "CARRY" in verdicts(judged(part))[0][:2]


EVENT = st.tuples(st.sampled_from(["ada", "bo"]), st.integers(1_500_000_000, 1_500_000_003))


@pytest.mark.slow
@SETTINGS
@given(
    plan=st.lists(EVENT, max_size=12),
    before=st.lists(st.tuples(EVENT, st.integers(0, 30)), max_size=4),
    cut=st.integers(0, 12),
)
def test_exactly_the_newest_event_of_each_person_carries(plan, before, cut):
    """Keys of ``plan`` are its places; those of the ledger may be the same or others."""
    events = [
        event(at, person=who, time=time, order=(0, at)) for at, (who, time) in enumerate(plan)
    ]
    ledger = [(who, time, key) for (who, time), key in before]
    found = judged(events[:cut], events[cut:], known=Known(carried=carried(*ledger)))
    flat = [name for part in verdicts(found) for name in part]
    tops = {}
    for at, (who, time) in enumerate(plan):
        tops[who] = max(tops.get(who, ()), (time, digest(at, 16), at))
    latest = {}
    for who, time, key in ledger:
        latest[who] = max(latest.get(who, ()), (time, digest(key, 16)))
    expected = {at for who, (*top, at) in tops.items() if tuple(top) > latest.get(who, ())}
    assert {at for at, name in enumerate(flat) if name == "CARRY"} == expected


# the ledger --------------------------------------------------------------------------------------


def test_what_a_ledger_knows_is_not_sent_and_what_changed_is_counted_by_order():
    part = [event("a"), event("b"), event("c", order=(0, 2)), event("d", order=(0, 3))]
    known = Known(delivered=delivered(("a", "other"), ("b", "other"), ("c", "same"), ("z", "same")))
    found = judged(part, known=known)
    assert [name == "KNOWN" for name in verdicts(found)[0]] == [True, True, True, False]
    assert (found.already, found.changed_orders, found.events) == (3, 1, 4)


def test_an_event_that_was_delivered_with_this_content_once_has_not_changed():
    twice = Known(
        delivered=delivered(("a", "other"), ("a", "same"), ("b", "other"), ("b", "third"))
    )

    found = judged([event("a"), event("b", order=(0, 2))], known=twice)

    assert verdicts(found) == [["KNOWN", "KNOWN"]]
    assert found.changed_orders == 1


def test_a_few_events_are_found_in_a_large_ledger():
    others = [delivered(*((f"{part}-{n}", "same") for n in range(2_000))) for part in range(10)]
    known = Known(delivered=[batch for batches in others for batch in batches])

    found = judged([event("3-77"), event("new", person="bo"), event("9-1999")], known=known)

    assert verdicts(found) == [["KNOWN", "CARRY", "KNOWN"]]


def test_a_damaged_row_of_the_ledger_is_told_also_behind_those_that_are_asked_for():
    def rows():
        yield from delivered(("a", "same"))
        yield from delivered(("z", "same"))
        raise UsageError("the ledger is damaged")

    with pytest.raises(UsageError, match="the ledger is damaged"):
        judged([event("a")], known=Known(delivered=rows()))


def test_a_person_whose_newest_event_was_delivered_gets_no_attributes_of_an_older_one():
    part = [event("a"), event("b", time=1_600_000_000)]
    known = Known(delivered(("b", "same")), carried(("ada", 1_600_000_000, "b")))
    assert verdicts(judged(part, known=known)) == [["SEND", "KNOWN"]]


# figures -----------------------------------------------------------------------------------------


def test_figures_of_a_plan():
    part = [
        event("a", value=Decimal("0.10")),
        event("b", value=Decimal("0.20"), time=1_600_000_000),
        event("c", metric="Cancelled Order", person="bo", order=(0, 2)),
        event("a", value=Decimal("0.10"), order=(1, 1)),
    ]
    found = judged(part)
    assert (found.people, found.size, found.events) == (2, 3 * 10 + 2 * 3, 3)
    first, second = found.metrics
    assert (first.metric, first.events, first.value) == ("Cancelled Order", 1, "0")
    assert (second.events, second.value, second.last_s) == (2, "0.3", 1_600_000_000)


def test_an_empty_plan_has_figures_too():
    found = judged([], [])
    assert (found.events, found.people, found.size, found.metrics) == (0, 0, 0, ())


THREE = [event("a"), event("b", order=(0, 2)), event("c", order=(0, 3), person="bo")]


def test_a_digest_does_not_depend_on_order_workers_or_the_ledger():
    known = Known(delivered=delivered(("a", "same")))
    moved = [one | {"file": 3 - one["row"], "row": 7} for one in THREE]
    digests = {
        judged(THREE).digest,
        judged(THREE[2:], THREE[:2]).digest,
        judged(THREE[::-1], known=known).digest,
        judged(moved).digest,
        judged([*THREE, event("a", order=(0, 9))]).digest,
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"content": digest("other", 8)}, id="content"),
        pytest.param({"key": digest("other", 16)}, id="key"),
        pytest.param({"first_name": "Ada"}, id="an attribute"),
        pytest.param({"profile": '{"tier":"gold"}'}, id="an attribute of the shop's own"),
    ],
)
def test_a_digest_depends_on_what_is_sent(edit):
    assert judged([THREE[0] | edit, *THREE[1:]]).digest != judged(THREE).digest


def test_a_digest_depends_on_who_carries():
    assert len({judged(THREE, profiles=said).digest for said in ("newest", "none", "every")}) == 3


# identities that stand for several people ---------------------------------------------------------


def till(names, *, person="till", **more):
    """An order for each name, all of one e-mail address."""
    return [
        event(f"{person}{at}", person=person, order=(0, at), first_name=name, **more)
        for at, name in enumerate(names)
    ]


def test_an_identity_of_more_people_than_the_limit_is_nobody_s():
    regular = till(["Ada", "ADA", "ada"] * 10, person="ada")
    part = [row | {"row": 100 + row["row"]} for row in regular] + till(["Ada", "Bo", "Cy", "Di"])
    found = judged(part, shared_limit=3)
    assert rejected(found, "shared_identity", "$email") == {(0, at) for at in range(4)}
    assert found.events == 30
    assert verdicts(found)[0][-4:] == ["REJECTED"] * 4
    assert judged(part, shared_limit=4).rejected == ()
    assert judged(part).rejected == ()


def test_people_are_told_apart_by_their_other_identifiers_too():
    phones = [
        event(f"p{at}", person="till", order=(0, at), phone_number=f"+4930{at}") for at in range(5)
    ]
    ids = [
        event(f"i{at}", person="x", order=(1, at), email=None, phone_number="+491", id=str(at))
        for at in range(5)
    ]
    found = judged(phones, ids, shared_limit=4)
    assert rejected(found, "shared_identity", "$email") == {(0, at) for at in range(5)}
    assert rejected(found, "shared_identity", "$phone_number") == {(1, at) for at in range(5)}
    assert judged(phones, ids, shared_limit=5).rejected == ()


def test_an_order_that_is_nobody_s_takes_no_id_from_another():
    part = [*till(["Ada", "Bo"]), event("till0", content="other", person="eve", order=(0, 9))]
    found = judged(part, shared_limit=1)
    assert rejected(found, "shared_identity", "$email") == {(0, 0), (0, 1)}
    assert clashes(found) == set()
    assert found.events == 1


# a plan of any size ------------------------------------------------------------------------------


def test_a_plan_may_have_more_than_256_files():
    files = [[event(at, person=f"p{at}", order=(at, 1))] for at in range(300)]
    files[290] = [event(7, person="p7", content="other", order=(290, 1))]
    files[299] = [event(8, person="p8", order=(299, 1))]
    found = judged(*files)
    assert (found.events, found.repeats, found.people) == (298, 1, 298)
    assert clashes(found) == {(290, 1)}
    names = [name for part in verdicts(found) for name in part]
    assert [(at, name) for at, name in enumerate(names) if name != "CARRY"] == [
        (290, "REJECTED"),
        (299, "REPEAT"),
    ]


def expected_verdicts(events):
    """The verdicts of a plan without a ledger, told event by event; and the orders that clash."""
    ranked = sorted(range(len(events)), key=lambda at: (events[at]["file"], events[at]["row"], at))
    orders = {}
    for at in ranked:
        orders.setdefault((events[at]["file"], events[at]["row"]), []).append(at)
    taken, found, lost = {}, {}, set()
    for order, own in orders.items():
        keys = [events[at]["key"] for at in own]
        differs = [taken.get(events[at]["key"], events[at]["content"]) for at in own]
        if len(set(keys)) < len(keys) or differs != [events[at]["content"] for at in own]:
            lost.add(order)
            found |= dict.fromkeys(own, "REJECTED")
            continue
        found |= {at: "REPEAT" if events[at]["key"] in taken else "SEND" for at in own}
        taken |= {events[at]["key"]: events[at]["content"] for at in own}
    sent = [at for at in ranked if found[at] == "SEND"]
    aliases = {
        digest_of_person("phone_number", events[at]["phone_number"])
        for at in sent
        if events[at]["email"] and events[at]["phone_number"]
    }
    newest = {}
    for at in sent:
        one = events[at]
        if one["person"] not in aliases:
            rank = (one["time"], one["key"], at)
            newest[one["person"]] = max(newest.get(one["person"], rank), rank)
    found |= {at: "CARRY" for *_, at in newest.values()}
    return [found[at] for at in range(len(events))], lost


def digest_of_person(name, value):
    return hashlib.sha256(f"1\x1f{name}\x1f{value}".encode()).digest()[:16]


def generated(facts):
    events = []
    for row, (key, content, who, phone, time) in facts:
        email = f"{who}@shop.example" if who != "none" else None
        name, value = ("email", email) if email else ("phone_number", phone)
        person = {"person": digest_of_person(name, value), "email": email, "phone_number": phone}
        more = {"content": content, "time": 1_500_000_000 + time, "order": divmod(row, 4)}
        events.append(event(key, **more) | person)
    return events


FACTS = st.tuples(
    st.integers(0, 8),
    st.tuples(
        st.integers(0, 6),
        st.sampled_from(["x", "y"]),
        st.sampled_from(["ada", "bo", "none"]),
        st.sampled_from(["+491", "+492"]),
        st.integers(0, 2),
    ),
)


@pytest.mark.parametrize("hash64", ["hash(key)", "7", "hash(key) % 2"])
@SETTINGS
@given(facts=st.lists(FACTS, max_size=14), cuts=st.tuples(st.integers(0, 14), st.integers(0, 14)))
def test_clashes_repeats_and_newest_are_those_of_a_plain_reading(hash64, facts, cuts):
    """Whatever the hashes: collisions change nothing."""
    events = generated(facts)
    first, second = sorted(cuts)
    found = judged(events[:first], events[first:second], events[second:], hash64=hash64)
    expected, lost = expected_verdicts(events)
    assert [name for part in verdicts(found) for name in part] == expected
    assert clashes(found) == lost
