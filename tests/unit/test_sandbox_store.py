import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill import limits
from backfill.sandbox import StoreError
from backfill.sandbox.store import views
from backfill.sandbox.store.event import Event, Person, RefusedError
from backfill.sandbox.store.store import Store
from backfill.sandbox.store.views import Filter

NOW_S = 1_780_000_000
ANNA = Person(email="anna@shop.test")
PHONE = Person(phone_number="+46701234567")
BOTH = Person(email="anna@shop.test", phone_number="+46701234567")
ORDER = Event(
    token="AbC123",
    metric="Placed Order",
    event_id="o1",
    time_s=1_500_000_000,
    person=ANNA,
    properties={"$event_id": "o1", "$value": 9.5},
    attributes={},
)
NO_ID = replace(ORDER, event_id=None, properties={})


@pytest.fixture
def store():
    with closing(Store(None)) as opened:
        yield opened


def make_database(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (a)")


def record(store, *events, now_s=NOW_S):
    for event in events:
        store.record(event, now_s=now_s)


def counts(store, *names):
    stats = views.stats(store)
    return tuple(stats[name] for name in names)


def events(store, wanted=Filter()):  # noqa: B008 - frozen
    return list(chain.from_iterable(views.events(store, wanted)))


def profiles(store, wanted=Filter()):  # noqa: B008 - frozen
    return list(chain.from_iterable(views.profiles(store, wanted)))


def test_an_event_is_given_back_as_it_was_sent(store):
    record(store, ORDER)

    assert events(store) == [
        {
            "token": "AbC123",
            "metric": "Placed Order",
            "event_id": "o1",
            "time": 1_500_000_000,
            "value": 9.5,
            "properties": {"$event_id": "o1", "$value": 9.5},
            "backfill": False,
            "profile": {
                "id": "P1",
                "email": "anna@shop.test",
                "phone_number": None,
                "external_id": None,
            },
        }
    ]


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        pytest.param(ORDER, ORDER, 1, id="the same id is the same event"),
        pytest.param(ORDER, replace(ORDER, time_s=1_600_000_000), 1, id="whatever its time"),
        pytest.param(ORDER, replace(ORDER, event_id="o2"), 0, id="another id is another event"),
        pytest.param(ORDER, replace(ORDER, metric="Refunded Order"), 0, id="so is another metric"),
        pytest.param(ORDER, replace(ORDER, person=PHONE), 0, id="so is another person"),
        pytest.param(ORDER, replace(ORDER, token="XyZ789"), 0, id="so is another account"),
        pytest.param(NO_ID, NO_ID, 1, id="without an id the second decides"),
        pytest.param(NO_ID, replace(NO_ID, time_s=1_500_000_001), 0, id="and another second"),
        pytest.param(
            NO_ID, replace(NO_ID, time_s=None), 0, id="no time is the time of the request"
        ),
        pytest.param(
            replace(NO_ID, time_s=None), replace(NO_ID, time_s=NOW_S), 1, id="that very second"
        ),
        pytest.param(
            NO_ID, replace(ORDER, event_id="1500000000"), 1, id="the id defaults to the timestamp"
        ),
        pytest.param(NO_ID, ORDER, 0, id="an id beside none"),
    ],
)
def test_a_repeat_is_merged(store, first, second, merged):
    record(store, first, second)

    assert counts(store, "received", "recorded", "merged") == (2, 2 - merged, merged)


def test_the_first_of_two_is_kept(store):
    record(store, ORDER, replace(ORDER, properties={"$event_id": "o1", "$value": 1}))

    assert [event["value"] for event in events(store)] == [9.5]


@pytest.mark.parametrize(
    ("repeat", "different"),
    [
        pytest.param(ORDER, 0, id="the same again"),
        pytest.param(
            replace(ORDER, properties={"$value": 9.5, "$event_id": "o1"}), 0, id="in other order"
        ),
        pytest.param(replace(ORDER, properties={"$event_id": "o1"}), 1, id="other properties"),
        pytest.param(replace(ORDER, time_s=1_500_000_001), 1, id="another time"),
        pytest.param(replace(ORDER, attributes={"Plan": "free"}), 1, id="another attribute"),
        pytest.param(replace(ORDER, person=BOTH), 1, id="one identifier more"),
    ],
)
def test_a_repeat_with_other_content_is_counted_apart(store, repeat, different):
    record(store, ORDER, repeat)

    assert counts(store, "merged", "merged_different") == (1, different)


def test_attributes_are_merged_whatever_the_times_of_the_events(store):
    record(
        store,
        replace(ORDER, attributes={"$city": "Lund", "Plan": "free", "Old": 1, "Empty": "x"}),
        replace(ORDER, event_id="o0", time_s=1_400_000_000, attributes={"Plan": "paid"}),
        replace(ORDER, attributes={"Old": None, "Empty": "", "New": [1], "Never": None}),
    )

    assert counts(store, "recorded", "merged") == (2, 1)
    assert [profile["attributes"] for profile in profiles(store)] == [
        {"$city": "Lund", "Plan": "paid", "New": [1]}
    ]


@pytest.mark.parametrize(
    "email",
    [f"anna@{domain}" for domain in sorted(limits.DISCARDED_DOMAINS)],
)
def test_events_of_test_addresses_are_discarded(store, email):
    record(store, replace(ORDER, person=Person(email=email)))

    assert counts(store, "received", "recorded", "discarded") == (1, 0, 1)
    assert counts(store, "profiles", "metrics") == (0, {})


def test_a_subdomain_of_a_test_domain_is_a_domain_like_any_other(store):
    record(store, replace(ORDER, person=Person(email="anna@shop.example.com")))

    assert counts(store, "recorded", "discarded") == (1, 0)


def test_a_metric_over_the_limit_is_refused_and_not_stored(store):
    for number in range(limits.TRACK_MAX_METRICS):
        record(store, replace(ORDER, metric=f"Metric {number}"))

    with pytest.raises(RefusedError, match="200 metrics") as refused:
        record(store, replace(ORDER, metric="One More", person=PHONE))

    assert (refused.value.reason, refused.value.token) == ("metrics", "AbC123")
    assert counts(store, "received", "profiles") == (200, 1)


def test_a_full_account_still_takes_the_metrics_it_has(store):
    for number in range(limits.TRACK_MAX_METRICS):
        record(store, replace(ORDER, metric=f"Metric {number}"))

    record(store, replace(ORDER, metric="Metric 7", event_id="o2"))
    record(store, replace(ORDER, metric="One More", token="XyZ789"))

    assert counts(store, "recorded") == (202,)


def test_people_are_found_by_any_of_their_identifiers(store):
    everything = Person("anna@shop.test", "+46701234567", "7")
    record(store, replace(ORDER, person=everything))

    for number, person in enumerate((ANNA, PHONE, Person(external_id="7"))):
        record(store, replace(ORDER, event_id=f"more {number}", person=person))

    assert counts(store, "profiles", "profile_merges", "recorded") == (1, 0, 4)


def test_a_person_takes_on_a_new_identifier(store):
    record(store, ORDER, replace(ORDER, person=BOTH), replace(ORDER, event_id="o2", person=PHONE))

    assert counts(store, "profiles", "profile_merges") == (1, 0)
    assert profiles(store)[0]["phone_number"] == "+46701234567"


def test_a_new_address_is_shown_and_the_old_one_still_found(store):
    record(
        store,
        replace(ORDER, person=Person("old@shop.test", "+46701234567")),
        replace(ORDER, event_id="o2", person=Person("new@shop.test", "+46701234567")),
        replace(ORDER, event_id="o3", person=Person("old@shop.test")),
    )

    assert [profile["email"] for profile in profiles(store)] == ["new@shop.test"]


def test_two_identifiers_of_two_people_merge_them_for_good(store):
    record(
        store,
        replace(ORDER, attributes={"Plan": "free", "A": 1}),
        replace(ORDER, event_id="o2", person=PHONE, attributes={"Plan": "paid", "B": 2}),
        replace(ORDER, event_id="o3", person=BOTH, attributes={"C": 3}),
        replace(ORDER, event_id="o4", person=PHONE),
    )

    assert counts(store, "profiles", "profile_merges", "recorded") == (1, 1, 4)
    assert profiles(store) == [
        {
            "token": "AbC123",
            "id": "P1",
            "email": "anna@shop.test",
            "phone_number": "+46701234567",
            "external_id": None,
            "attributes": {"Plan": "free", "A": 1, "B": 2, "C": 3},
        }
    ]
    assert [event["profile"]["id"] for event in events(store)] == ["P1"] * 4


@pytest.mark.parametrize(
    "person",
    [
        pytest.param(Person("a@shop.test", "+46701234567"), id="by e-mail and phone"),
        pytest.param(Person("a@shop.test", None, "7"), id="by e-mail and id"),
        pytest.param(Person(None, "+46701234567", "7"), id="by phone and id"),
    ],
)
def test_a_merged_profile_shows_the_identifiers_of_both(store, person):
    given = person.identifiers()
    everything = Person("a@shop.test", "+46701234567", "7")
    (absent,) = set(everything.identifiers()) - set(given)
    for number, one in enumerate(([given[0]], [given[1], absent], given)):
        record(store, replace(ORDER, event_id=str(number), person=Person(**dict(one))))

    (shown,) = profiles(store)
    assert {kind: shown[kind] for kind, _ in everything.identifiers()} == dict(
        everything.identifiers()
    )


def test_three_identifiers_may_merge_three_people(store):
    people = (ANNA, PHONE, Person(external_id="7"))
    for number, person in enumerate(people):
        record(store, replace(ORDER, event_id=str(number), person=person))

    record(store, replace(ORDER, person=Person("anna@shop.test", "+46701234567", "7")))

    assert counts(store, "profiles", "profile_merges", "recorded") == (1, 2, 4)


@pytest.mark.parametrize(("order", "kept"), [((ANNA, PHONE), "first"), ((PHONE, ANNA), "first")])
def test_people_that_merge_have_their_repeats_merged(store, order, kept):
    for person, value in zip(order, ("first", "second"), strict=True):
        record(store, replace(ORDER, person=person, properties={"v": value}))

    record(store, replace(ORDER, event_id="o2", person=BOTH))

    assert [event["properties"].get("v") for event in events(store)] == [kept, None]
    assert counts(store, "received", "recorded", "merged", "merged_different") == (3, 2, 1, 1)
    assert counts(store, "metrics") == ({"Placed Order": 2},)


def test_accounts_do_not_share_people(store):
    record(store, ORDER, replace(ORDER, token="XyZ789"))

    assert counts(store, "profiles", "profile_merges") == (2, 0)


def test_the_id_of_a_merged_profile_is_not_used_again(store):
    record(store, ORDER, replace(ORDER, person=PHONE), replace(ORDER, person=BOTH))

    record(store, replace(ORDER, person=Person(external_id="7")))

    assert [profile["id"] for profile in profiles(store)] == ["P1", "P3"]


def test_rows_are_filtered_by_account_and_metric(store):
    record(
        store,
        ORDER,
        replace(ORDER, metric="Seen", person=PHONE),
        replace(ORDER, token="XyZ789"),
    )

    def found(rows, key):
        return [
            [row[key] for row in rows(store, wanted)]
            for wanted in (
                Filter(token="AbC123"),
                Filter(metric="Placed Order"),
                Filter("AbC123", "Seen"),
                Filter(metric="Unknown"),
                Filter(token="Nobody"),
            )
        ]

    assert found(events, "metric") == [
        ["Placed Order", "Seen"],
        ["Placed Order", "Placed Order"],
        ["Seen"],
        [],
        [],
    ]
    assert found(profiles, "id") == [["P1", "P2"], ["P1", "P3"], ["P2"], [], []]


def test_pages_hold_every_row_once(store):
    for number in range(1_200):
        record(store, replace(ORDER, event_id=str(number)))

    assert [event["event_id"] for event in events(store)] == [str(n) for n in range(1_200)]


def test_events_come_in_between_two_pages(store):
    for number in range(600):
        record(store, replace(ORDER, event_id=str(number)))
    pages = views.events(store, Filter())
    next(pages)

    record(store, replace(ORDER, event_id="late"))

    assert list(chain.from_iterable(pages))[-1]["event_id"] == "late"


def test_events_are_counted_by_month(store):
    record(store, ORDER, replace(ORDER, event_id="o2"), replace(ORDER, metric="Seen", time_s=None))

    assert views.months(store) == [("Placed Order", "2017-07", 2), ("Seen", "2026-05", 1)]


def test_a_reopened_store_has_all_counts(tmp_path):
    path = tmp_path / "sandbox.sqlite"
    with closing(Store(path)) as store:
        record(store, ORDER, ORDER)
        store.refuse(RefusedError("email", "no address", token="AbC123"), now_s=NOW_S)
        before = views.stats(store)

    with closing(Store(path)) as store:
        assert views.stats(store) == before
        record(store, ORDER, replace(ORDER, event_id="o2"))
        assert counts(store, "recorded", "merged", "refused") == (2, 2, 1)
        assert counts(store, "metrics") == ({"Placed Order": 2},)


def test_a_store_that_was_not_closed_has_what_was_committed(tmp_path):
    path, copy = tmp_path / "sandbox.sqlite", tmp_path / "copy.sqlite"
    with closing(Store(path)) as store:
        record(store, ORDER)
        store.commit()
        record(store, replace(ORDER, event_id="o2"))
        for suffix in ("", "-wal"):
            copy.with_name(copy.name + suffix).write_bytes(
                path.with_name(path.name + suffix).read_bytes()
            )

    with closing(Store(copy)) as store:
        assert counts(store, "received", "recorded") == (1, 1)


def test_a_store_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "sandbox.sqlite"
    with closing(Store(path)):
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}

    assert modes == {0o600}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda path: path.write_text("a,b\n" * 99), "not a database", id="a CSV"),
        pytest.param(
            make_database,
            "something else",
            id="somebody's database",
        ),
        pytest.param(lambda path: path.mkdir(), "unable to open", id="a folder"),
    ],
)
def test_a_file_that_is_not_a_store_is_refused(tmp_path, make, message):
    path = tmp_path / "store"
    make(path)

    with pytest.raises(StoreError, match=f"store: cannot be the sandbox's store: .*{message}"):
        Store(path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match="No such file or directory"):
        Store(tmp_path / "none" / "sandbox.sqlite")


def test_two_sandboxes_do_not_share_a_store(tmp_path):
    path = tmp_path / "sandbox.sqlite"
    with closing(Store(path)) as store:
        record(store, ORDER)
        store.commit()
        with pytest.raises(StoreError, match="locked"):
            Store(path)


EVENTS = st.builds(
    Event,
    token=st.sampled_from(["AbC123", "XyZ789"]),
    metric=st.sampled_from(["Placed Order", "Ordered Product"]),
    event_id=st.sampled_from([None, "o1", "o2"]),
    time_s=st.sampled_from([None, 1_500_000_000, 1_500_000_001]),
    person=st.builds(
        Person,
        email=st.sampled_from([None, None, "a@shop.test", "b@shop.test", "a@example.com"]),
        phone_number=st.sampled_from([None, "+46701234567"]),
        external_id=st.sampled_from(["7", "8"]),
    ),
    properties=st.dictionaries(st.sampled_from(["$value", "v"]), st.integers(0, 2)),
    attributes=st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([None, "", 1, "x"])),
)


@given(st.lists(EVENTS, max_size=40))
def test_whatever_comes_every_event_is_accounted_for(sent):
    with closing(Store(None)) as store:
        record(store, *sent)
        stats, kept = views.stats(store), events(store)

        assert stats["received"] == len(sent)
        assert stats["received"] == stats["recorded"] + stats["merged"] + stats["discarded"]
        assert stats["merged_different"] <= stats["merged"]
        assert stats["recorded"] == len(kept) == sum(stats["metrics"].values())
        keys = {(e["metric"], e["profile"]["id"], e["event_id"] or str(e["time"])) for e in kept}
        assert len(keys) == len(kept)
        assert stats["profiles"] == len(profiles(store))
        assert {e["profile"]["id"] for e in kept} <= {p["id"] for p in profiles(store)}


def test_only_new_events_of_the_json_api_without_backfill_would_start_flows(store):
    starts = replace(ORDER, api="bulk")
    record(
        store,
        ORDER,
        replace(starts, event_id="o2", backfill=True),
        replace(starts, event_id="o3"),
        replace(starts, event_id="o3"),
    )

    assert counts(store, "would_trigger_flows", "apis") == (1, {"track": 1, "bulk": 2})
    assert [event["backfill"] for event in events(store)] == [False, True, False]


@pytest.mark.parametrize(
    ("asked", "repeats"),
    [
        pytest.param([ORDER], [0], id="what is stored"),
        pytest.param([replace(ORDER, event_id="o2")], [], id="what is not"),
        pytest.param([replace(ORDER, metric="Seen")], [], id="another metric"),
        pytest.param([replace(ORDER, token="XYZ789")], [], id="another account"),
        pytest.param([replace(ORDER, person=PHONE)], [], id="another profile"),
        pytest.param([replace(ORDER, person=BOTH)], [0], id="a profile with one more identifier"),
        pytest.param([replace(NO_ID, person=PHONE)] * 2, [1], id="twice here, in one second"),
        pytest.param(
            [replace(ORDER, event_id="n", person=who) for who in (BOTH, PHONE)],
            [1],
            id="twice here, by what the first says of a person",
        ),
    ],
)
def test_repeats_are_found_before_anything_is_recorded(store, asked, repeats):
    record(store, ORDER)

    assert store.repeats(asked, now_s=NOW_S) == repeats
    assert counts(store, "recorded", "profiles") == (1, 1)


def test_lost_events_are_gone_and_counted(store):
    record(store, ORDER, replace(ORDER, event_id="o2"), replace(ORDER, metric="Seen"))

    assert store.lose(["o1", "o9"]) == 2
    assert [event["event_id"] for event in events(store)] == ["o2"]
    assert counts(store, "received", "recorded", "lost", "metrics") == (
        3,
        1,
        2,
        {"Placed Order": 1, "Seen": 0},
    )


def test_the_json_api_has_no_limit_of_metrics(store):
    many = [replace(ORDER, metric=f"M{number}") for number in range(limits.TRACK_MAX_METRICS)]
    record(store, *many)

    record(store, replace(ORDER, metric="one more", api="events"))

    with pytest.raises(RefusedError, match="has its 200 metrics"):
        record(store, replace(ORDER, metric="yet another"))
