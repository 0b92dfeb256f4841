"""Which events of a refused request go again, against a judge that answers as Klaviyo may."""

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.delivery.partial_failure import MAX_FALLBACK_EVENTS, RefusedBatch, Split, split
from backfill.transport.retry import ErrorObject, Refused

EMAIL = "/data/{}/attributes/profile/data/attributes/email"
PHONE = "/data/{}/attributes/profile/data/attributes/phone_number"
UNIQUE_ID = "/data/{}/attributes/events/data/0/attributes/unique_id"


def refused(*complaints, status=400):
    return Refused("invalid", status, "the answer was 400", complaints)


def batched(rows, *, phones=(), fallback=True, after_repeat=False, together=1):
    """Item i of the request is the events from ``rows[i * together]`` on."""

    def rows_at(pointer):
        found = re.match(r"/data/([0-9]+)", pointer)
        if not found or int(found[1]) * together >= len(rows):
            return range(0)
        begin = int(found[1]) * together
        return rows[begin : begin + together]

    return RefusedBatch(
        rows=rows,
        rows_at=rows_at,
        goes_without_phone=lambda row: row in phones,
        has_fallback=fallback,
        after_repeat=after_repeat,
    )


def said(pointer, code="invalid", detail="No."):
    return ErrorObject(code, pointer, detail)


ROWS = range(10, 14)
MANY = range(10, 11 + MAX_FALLBACK_EVENTS)
FIRST_HALF, SECOND_HALF = tuple(MANY[:33]), tuple(MANY[33:])


@pytest.mark.parametrize(
    ("complaints", "batch", "found"),
    [
        pytest.param(
            [said(EMAIL.format(2))],
            batched(ROWS),
            Split(refused=((12, said(EMAIL.format(2))),), again=((10, 11, 13),)),
            id="what is named is refused, the others go again",
        ),
        pytest.param(
            [said(PHONE.format(0)), said(PHONE.format(1))],
            batched(ROWS, phones={10}),
            Split(
                refused=((11, said(PHONE.format(1))),),
                again=((10, 12, 13),),
                without_phone=frozenset({10}),
            ),
            id="a phone number is left out where another identifier stands",
        ),
        pytest.param(
            [said(PHONE.format(0)), said(EMAIL.format(0))],
            batched(ROWS, phones={10}),
            Split(refused=((10, said(EMAIL.format(0))),), again=((11, 12, 13),)),
            id="without its phone number it would still be bad",
        ),
        pytest.param(
            [said(EMAIL.format(0)), said(PHONE.format(0))],
            batched(ROWS, phones={10}),
            Split(refused=((10, said(EMAIL.format(0))),), again=((11, 12, 13),)),
            id="whichever is said first",
        ),
        pytest.param(
            [said(UNIQUE_ID.format(3))],
            batched(ROWS),
            Split(fallback=(13,), again=((10, 11, 12),), has_repeats=True),
            id="a repeat goes by Create Event",
        ),
        pytest.param(
            [said(UNIQUE_ID.format(1))],
            batched(ROWS, after_repeat=True),
            Split(fallback=(10, 11, 12, 13), has_repeats=True),
            id="the second repeat of a batch takes all with it",
        ),
        pytest.param(
            [said("/data", "duplicate")],
            batched(ROWS),
            Split(fallback=(10, 11, 12, 13), has_repeats=True),
            id="repeats that are not named may be all",
        ),
        pytest.param(
            [said("", detail="An event with this id has already been created.")],
            batched(ROWS),
            Split(fallback=(10, 11, 12, 13), has_repeats=True),
            id="that it is a repeat may stand in the text",
        ),
        pytest.param(
            [said(UNIQUE_ID.format(0))],
            batched(range(10, 11), fallback=False),
            Split(refused=((10, said(UNIQUE_ID.format(0))),)),
            id="what Create Event takes for a repeat is refused",
        ),
        pytest.param(
            [said("/data")], batched(MANY), Split(again=(FIRST_HALF, SECOND_HALF)), id="halves"
        ),
        pytest.param([], batched(MANY), Split(again=(FIRST_HALF, SECOND_HALF)), id="413 halves"),
        pytest.param(
            [said("/data")],
            batched(ROWS, fallback=False),
            Split(again=((10, 11), (12, 13))),
            id="halves to the end where nothing goes to the fallback",
        ),
        pytest.param(
            [said("/data")],
            batched(ROWS),
            Split(fallback=tuple(ROWS)),
            id="a few go to the fallback",
        ),
        pytest.param(
            [said("/data")],
            batched(range(10, 11)),
            Split(fallback=(10,)),
            id="one goes to the fallback",
        ),
        pytest.param(
            [said("/data")],
            batched(range(10, 11), fallback=False),
            Split(refused=((10, said("/data")),)),
            id="one that Create Event refuses is refused",
        ),
        pytest.param(
            [],
            batched(range(10, 11), fallback=False),
            Split(refused=((10, ErrorObject("invalid")),)),
            id="without a list of errors too",
        ),
        pytest.param(
            [said("/data/99/attributes")],
            batched(MANY),
            Split(again=(FIRST_HALF, SECOND_HALF)),
            id="a member that the request does not have",
        ),
        pytest.param(
            [said(EMAIL.format(0))],
            batched(ROWS, together=2),
            Split(
                refused=((10, said(EMAIL.format(0))), (11, said(EMAIL.format(0)))),
                again=((12, 13),),
            ),
            id="a person that is refused takes all their events along",
        ),
        pytest.param(
            [said("/data/0")],
            batched(ROWS, together=2),
            Split(fallback=(10, 11), again=((12, 13),)),
            id="a few of a person go to the fallback",
        ),
        pytest.param(
            [said("/data/0")],
            batched(ROWS, together=2, fallback=False),
            Split(again=((12, 13), (10,), (11,))),
            id="which event of a person it was is found out",
        ),
    ],
)
def test_what_becomes_of_each_event(complaints, batch, found):
    assert split(refused(*complaints), batch) == found


@dataclass
class Account:
    """What Klaviyo has, and what it will not take; it refuses a request whole."""

    bad: set
    bad_phones: set
    repeats: set
    naming: str
    stored: list = field(default_factory=list)
    requests: int = 0
    singles: int = 0
    bare: set = field(default_factory=set)

    def complaints(self, rows):
        found = [
            *(said(EMAIL.format(at)) for at, row in enumerate(rows) if row in self.bad),
            *(
                said(PHONE.format(at))
                for at, row in enumerate(rows)
                if row in self.bad_phones - self.bare
            ),
        ]
        if self.naming == "first":
            return found[:1]
        return found and [said("/data")] if self.naming == "none" else found

    def bulk(self, rows):
        self.requests += 1
        again = [at for at, row in enumerate(rows) if row in self.repeats]
        found = self.complaints(rows)
        if not found and again:
            return {
                "all": [said(UNIQUE_ID.format(at)) for at in again],
                "first": [said(UNIQUE_ID.format(again[0]))],
                "none": [said("/data", "duplicate")],
            }[self.naming]
        self.stored += [] if found else rows
        return found

    def one(self, row):
        self.singles += 1
        found = self.complaints([row])
        self.stored += [] if found else [row]
        return found


def deliver(account, count, *, identified):
    """Send events 0 to ``count``, splitting until nothing is left; give what was refused."""
    jobs, turned_down = [(list(range(count)), True, False)], []
    while jobs:
        rows, bulk, after_repeat = jobs.pop()
        errors = account.bulk(rows) if bulk else account.one(rows[0])
        if not errors:
            continue
        places = range(len(rows))
        found = split(
            refused(*errors),
            batched(
                places,
                phones={at for at in places if rows[at] in identified - account.bare},
                fallback=bulk,
                after_repeat=after_repeat,
            ),
        )
        every = [at for at, _ in found.refused] + list(found.fallback)
        assert sorted([*every, *(at for part in found.again for at in part)]) == list(places)
        assert found.without_phone <= {at for part in found.again for at in part}
        turned_down += [rows[at] for at, _ in found.refused]
        account.bare |= {rows[at] for at in found.without_phone}
        jobs += [([rows[at]], False, False) for at in found.fallback]
        jobs += [([rows[at] for at in part], bulk, found.has_repeats) for part in found.again]
    return turned_down


EVENTS = st.integers(1, 300)


@given(
    st.data(),
    EVENTS,
    st.sampled_from(["all", "first", "none"]),
)
def test_exactly_the_bad_ones_are_refused_and_all_others_delivered_once(data, count, naming):
    some = st.sets(st.integers(0, count - 1))
    bad, phones, identified = data.draw(some), data.draw(some), data.draw(some)
    repeats = data.draw(some)
    # Where nothing is named, nobody learns that it is the phone number.
    told = naming != "none"
    account = Account(bad, phones if told else set(), repeats, naming)

    turned_down = deliver(account, count, identified=identified)

    hopeless = bad | (phones - identified if told else set())
    assert sorted(turned_down) == sorted(hopeless)
    assert sorted(account.stored) == sorted(set(range(count)) - hopeless)


@pytest.mark.parametrize("bad", [1, 3, 37, 1_000])
def test_without_names_a_bad_one_costs_four_halvings_and_a_few_by_fallback(bad):
    rows = set(range(0, 1_000, 1_000 // bad)) if bad < 1_000 else set(range(1_000))
    rows = set(sorted(rows)[:bad])
    account = Account(rows, set(), set(), "none")

    assert sorted(deliver(account, 1_000, identified=set())) == sorted(rows)
    # 1,000, 500, 250, 125 and 63 events.
    assert account.requests <= min(1 + 2 * 4 * bad, 31)
    assert account.singles <= min(63 * bad, 1_000)


@pytest.mark.parametrize("bad", [1, 37, 1_000])
def test_with_names_one_more_request_is_all(bad):
    account = Account(set(range(bad)), set(), set(), "all")

    assert len(deliver(account, 1_000, identified=set())) == bad
    assert (account.requests, account.singles) == (1 if bad == 1_000 else 2, 0)


@pytest.mark.parametrize(
    ("naming", "requests"),
    [
        pytest.param("all", 1, id="each is named"),
        pytest.param("first", 2, id="one is named at a time"),
        pytest.param("none", 1, id="none is named"),
    ],
)
def test_the_repeat_of_a_whole_batch_costs_no_bulk_requests(naming, requests):
    account = Account(set(), set(), set(range(1_000)), naming)

    assert deliver(account, 1_000, identified=set()) == []
    assert (account.requests, account.singles) == (requests, 1_000)


def test_what_klaviyo_said_is_in_no_repr():
    assert "ada@" not in repr(refused(said("/data", detail="Invalid email ada@shop.example")))
