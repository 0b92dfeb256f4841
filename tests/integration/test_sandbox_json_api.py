"""The sandbox's JSON:API over HTTP: headers, answers, rate limits, faults, what is recorded."""

import http.client
import itertools
import json
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest

from backfill import limits
from backfill.sandbox import Behaviour, Faults, Sandbox

KEY = "pk_ABC123_0123456789"
HEADERS = {
    "Authorization": f"Klaviyo-API-Key {KEY}",
    "revision": limits.REVISION,
    "Content-Type": limits.JSON_API,
}
AT = "/data/attributes/events-bulk-create/data"
TIME = "2022-11-08T10:30:00Z"
TIME_S = 1_667_903_400


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


def event(unique_id="o1", *, name="Placed Order", **attributes):
    given = {
        "properties": {"Sku": "a"},
        "metric": {"data": {"type": "metric", "attributes": {"name": name}}},
        "time": TIME,
        "unique_id": unique_id,
        "backfill": True,
        **attributes,
    }
    return {"type": "event", "attributes": given}


def single(unique_id="o1", who=None, **attributes):
    made = event(unique_id, **attributes)
    person = who or {"email": "anna@shop.test"}
    made["attributes"]["profile"] = {"data": {"type": "profile", "attributes": person}}
    return {"data": made}


def item(*events, **who):
    person = who or {"email": "anna@shop.test"}
    attributes = {
        "backfill": True,
        "profile": {"data": {"type": "profile", "attributes": person}},
        "events": {"data": list(events)},
    }
    return {"type": "event-bulk-create", "attributes": attributes}


def bulk(*items):
    inside = {"events-bulk-create": {"data": list(items)}}
    return {"data": {"type": "event-bulk-create-job", "attributes": inside}}


@pytest.fixture
def open_sandbox():
    """A sandbox with a client that sends a good head, closed at the end of the test."""
    with_blocks = []

    def opened(**options):
        sandbox = Sandbox(**options)
        with_blocks.append(sandbox)
        sandbox.__enter__()
        http = httpx.Client(base_url=sandbox.url, headers=HEADERS, trust_env=False)
        with_blocks.append(http)
        return sandbox, http

    yield opened
    for block in reversed(with_blocks):
        block.__exit__(None, None, None)


def create(http, body=None, **options):
    return http.post(limits.EVENTS_PATH, json=body or single(), **options)


def create_bulk(http, *items, **options):
    return http.post(limits.BULK_PATH, json=bulk(*items), **options)


def pointers(answer):
    return [error["source"].get("pointer") for error in answer.json()["errors"]]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("path", "body"), [(limits.EVENTS_PATH, single()), (limits.BULK_PATH, bulk(item(event())))]
)
def test_accepted_events_are_answered_with_an_empty_202(open_sandbox, path, body, slash):
    sandbox, http = open_sandbox()

    answer = http.post(path + slash, json=body)

    assert (answer.status_code, answer.content) == (202, b"")
    assert sandbox.stats()["recorded"] == 1


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        pytest.param({"Authorization": ""}, 401, "not_authenticated", id="no key"),
        pytest.param({"Authorization": KEY}, 401, "authentication_failed", id="only the key"),
        pytest.param(
            {"Authorization": "Klaviyo-API-Key ABC123"}, 401, "authentication_failed", id="public"
        ),
        pytest.param({"revision": ""}, 400, "invalid", id="no revision"),
        pytest.param({"revision": "today"}, 400, "invalid", id="another revision"),
        pytest.param({"revision": "2024-10-15"}, 410, "gone", id="a retired revision"),
        pytest.param({"revision": "2027-01-15"}, 404, "not_found", id="a revision to come"),
        pytest.param(
            {"Content-Type": "text/plain"}, 415, "unsupported_media_type", id="another type"
        ),
        pytest.param(
            {"Content-Encoding": "gzip"}, 415, "unsupported_media_type", id="a compressed body"
        ),
    ],
)
def test_headers_that_are_refused(open_sandbox, head, status, code):
    sandbox, http = open_sandbox()

    answer = create(http, headers=head)

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["status"], error["code"]) == (status, status, code)
    assert answer.headers["Content-Type"] == limits.JSON_API
    assert sandbox.stats()["received"] == 0
    assert KEY not in answer.text


def test_the_older_content_type_is_taken(open_sandbox):
    _, http = open_sandbox()

    head = {"Content-Type": "application/json; charset=utf-8"}
    assert create(http, headers=head).status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", limits.EVENTS_PATH, "events:write"),
        ("POST", limits.BULK_PATH, "events:write"),
        ("GET", limits.EVENTS_PATH, "events:read"),
        ("GET", limits.ACCOUNTS_PATH, "accounts:read"),
        ("GET", limits.METRICS_PATH, "metrics:read"),
        ("GET", f"{limits.METRICS_PATH}/M00001/flow-triggers", "flows:read"),
        ("POST", limits.AGGREGATES_PATH, "metrics:read"),
    ],
)
def test_a_key_needs_the_scope(open_sandbox, method, path, scope):
    _, http = open_sandbox(behaviour=Behaviour(scopes=[]))

    answer = http.request(method, path, json={} if method == "POST" else None)

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (403, "permission_denied")
    assert scope in error["detail"]


def test_a_body_over_the_limit_is_not_read(open_sandbox):
    sandbox, http = open_sandbox()
    half = b"x" * (limits.MAX_BODY_BYTES // 2 + 1)

    by_length = http.post(limits.BULK_PATH, content=half * 2)
    in_chunks = http.post(limits.BULK_PATH, content=iter([half, half]))

    assert [by_length.status_code, in_chunks.status_code] == [413, 413]
    assert [refusal["reason"] for refusal in sandbox.refusals()] == ["too_large"] * 2


def test_a_body_that_claims_to_be_over_the_limit_is_not_waited_for(open_sandbox):
    sandbox, _ = open_sandbox()
    connection = http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=10)
    with closing(connection):
        connection.putrequest("POST", limits.BULK_PATH)
        for name, value in {**HEADERS, "Content-Length": limits.MAX_BODY_BYTES + 1}.items():
            connection.putheader(name, value)
        connection.endheaders()

        assert connection.getresponse().status == 413


def test_one_bad_member_refuses_all(open_sandbox):
    sandbox, http = open_sandbox()

    answer = create_bulk(http, item(event("o1"), event("o2", value="9")), item(event("o3")))

    assert answer.status_code == 400
    assert pointers(answer) == [f"{AT}/0/attributes/events/data/1/attributes/value"]
    assert sandbox.stats()["received"] == 0
    assert sandbox.stats()["refused"] == 1
    assert sandbox.refusals()[0]["token"] == "ABC123"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("all", [f"{AT}/0/attributes/events/data/{at}/attributes/unique_id" for at in range(20)]),
        ("first", [f"{AT}/0/attributes/events/data/0/attributes/unique_id"]),
        ("none", ["/data"]),
    ],
)
def test_pointers_says_how_much_a_refusal_names(open_sandbox, said, named):
    _, http = open_sandbox(behaviour=Behaviour(pointers=said))

    answer = create_bulk(http, item(*[event("") for _ in range(25)]))

    assert (answer.status_code, pointers(answer)) == (400, named)
    numbers = [error["id"] for error in answer.json()["errors"]]
    assert len(set(numbers)) == len(named)


def test_an_invalid_phone_number_is_dropped_and_named_in_a_header(open_sandbox):
    sandbox, http = open_sandbox()

    answer = create(http, single(who={"email": "anna@shop.test", "phone_number": "070"}))

    assert answer.status_code == 202
    assert answer.headers["X-Klaviyo-Partial-Failure"] == "phone_number"
    assert sandbox.profiles()[0]["phone_number"] is None


TWICE = f"{AT}/1/attributes/events/data/0/attributes/unique_id"


@pytest.mark.parametrize(
    ("repeats", "first", "again", "recorded"),
    [
        pytest.param("discard", 202, 202, 1, id="discarded"),
        pytest.param("refuse", 400, 400, 0, id="refused"),
    ],
)
def test_a_repeat_within_a_request(open_sandbox, repeats, first, again, recorded):
    sandbox, http = open_sandbox(behaviour=Behaviour(repeats=repeats))
    items = [item(event("o1")), item(event("o1"))]

    answers = [create_bulk(http, *items) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [first, again]
    assert sandbox.stats()["recorded"] == recorded
    if repeats == "refuse":
        assert [pointers(answer) for answer in answers] == [[TWICE]] * 2


def test_a_repeat_of_what_is_stored(open_sandbox):
    sandbox, http = open_sandbox(behaviour=Behaviour(repeats="refuse"))
    create_bulk(http, item(event("o1")))

    answer = create_bulk(http, item(event("o2")), item(event("o1")))

    assert (answer.status_code, pointers(answer)) == (400, [TWICE])
    assert [found["event_id"] for found in sandbox.events()] == ["o1"]
    assert create(http, single("o1")).status_code == 202  # Create Event keeps the first
    assert (sandbox.stats()["merged"], sandbox.stats()["recorded"]) == (1, 1)


def test_a_query_sees_events_after_visible_after_s(open_sandbox):
    clock = Clock(1_795_000_000.0)
    sandbox, http = open_sandbox(behaviour=Behaviour(visible_after_s=30), clock=clock)
    create(http)

    def seen():
        return (
            len(http.get(limits.EVENTS_PATH).json()["data"]),
            len(http.get(limits.METRICS_PATH).json()["data"]),
        )

    clock.now += 29
    assert seen() == (0, 0)
    assert len(sandbox.events()) == 1
    clock.now += 1
    assert seen() == (1, 1)


def test_accounts_see_their_own(open_sandbox):
    sandbox, http = open_sandbox(behaviour=Behaviour(account="SHOP01"))
    other = {"Authorization": "Klaviyo-API-Key pk_0123456789abcdef"}
    create(http)

    create(http, single("o9"), headers=other)

    assert [found["token"] for found in sandbox.events()] == ["ABC123", "SHOP01"]
    (mine,) = http.get(limits.EVENTS_PATH, headers=other).json()["data"]
    assert mine["attributes"]["event_properties"]["$event_id"] == "o9"
    answer = http.get(f"{limits.ACCOUNTS_PATH}/ABC123", headers=other)
    assert answer.status_code == 404


def test_an_event_without_an_id_gets_its_time_as_id(open_sandbox):
    _, http = open_sandbox()
    create(http, single(None))

    (found,) = http.get(limits.EVENTS_PATH).json()["data"]

    assert found["attributes"]["event_properties"]["$event_id"] == str(TIME_S)


def test_pages_lead_to_all_events_once_in_order(open_sandbox):
    _, http = open_sandbox()
    times = [f"2022-11-{day:02d}T00:00:00Z" for day in (3, 1, 2, 2, 2, 9, 4)]
    create_bulk(http, item(*[event(f"o{n}", time=time) for n, time in enumerate(times)]))

    def paged(sort):
        url = f"{limits.EVENTS_PATH}?page[size]=2&sort={sort}&fields[event]=timestamp"
        while url:
            page = http.get(url).json()
            yield from (found["id"] for found in page["data"])
            url = page["links"]["next"]

    ascending = list(paged("datetime"))
    assert ascending == ["E2", "E3", "E4", "E5", "E1", "E7", "E6"]
    assert list(paged("-timestamp")) == ascending[::-1]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        pytest.param({"page[size]": "1001"}, "page[size]", id="a large page"),
        pytest.param({"page[cursor]": "???"}, "page[cursor]", id="no cursor"),
        pytest.param({"sort": "value"}, "sort", id="no sort"),
        pytest.param({"filter": 'equals(metric_id,"M99999")'}, "filter", id="no metric"),
        pytest.param({"filter": 'equals(value,"1")'}, "filter", id="no field"),
        pytest.param({"include": "flows"}, "include", id="no include"),
        pytest.param({"limit": "1"}, "limit", id="no parameter"),
    ],
)
def test_invalid_queries_are_refused(open_sandbox, query, parameter):
    sandbox, http = open_sandbox()

    answer = http.get(limits.EVENTS_PATH, params=query)

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["source"]) == (400, {"parameter": parameter})
    assert sandbox.refusals() == []


def test_each_key_has_windows_of_its_own_at_each_endpoint(open_sandbox):
    clock = Clock(1_795_000_000.25)
    sandbox, http = open_sandbox(rate_limits=True, clock=clock)
    other = {"Authorization": "Klaviyo-API-Key pk_XYZ789_1"}

    answers = [create_bulk(http, item(event(f"o{number}"))) for number in range(11)]

    assert [answer.status_code for answer in answers] == [202] * 10 + [429]
    assert answers[9].headers["RateLimit-Limit"] == "150"
    assert answers[9].headers["RateLimit-Remaining"] == "140"
    assert answers[9].headers["RateLimit-Reset"] == "20"
    last = answers[10]
    assert last.headers["Retry-After"] == "1"
    assert not any(name.lower().startswith("ratelimit") for name in last.headers)
    (error,) = last.json()["errors"]
    assert error["code"] == "throttled"
    assert error["title"] == "Request was throttled."
    assert error["detail"] == "Request was throttled. Expected available in 1 second."
    assert create_bulk(http, item(event("p")), headers=other).status_code == 202
    assert create(http).status_code == 202
    assert sandbox.stats()["limited"] == 1


def test_without_rate_limits_no_request_is_throttled(open_sandbox):
    _, http = open_sandbox(clock=Clock(1_795_000_000.0))

    answers = [create_bulk(http, item(event())) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [202] * 11
    assert not any(name.startswith("ratelimit") for name in answers[0].headers)


def test_the_steady_window_holds_for_the_rest_of_its_minute(open_sandbox):
    clock = Clock(1_795_000_020.0)  # the first second of a minute
    _, http = open_sandbox(rate_limits=True, clock=clock)
    statuses = []
    for second in range(16):
        clock.now = 1_795_000_020.0 + second
        statuses += [create_bulk(http, item(event())).status_code for _ in range(10)]

    assert statuses == [202] * 150 + [429] * 10
    assert create_bulk(http, item(event())).headers["Retry-After"] == "45"


@pytest.mark.parametrize("answer", ["403", "429", "500", "502", "503"])
def test_faults_are_played_for_the_json_api(open_sandbox, answer):
    faults = Faults.of({"faults": [{"at": [2], "answer": answer}]})
    sandbox, http = open_sandbox(faults=faults)

    statuses = [create_bulk(http, item(event(f"o{number}"))).status_code for number in range(3)]

    assert statuses == [202, int(answer), 202]
    assert sandbox.stats()["recorded"] == 2


def test_a_throttled_fault_is_json_api_and_a_page_is_html(open_sandbox):
    script = [
        {"at": [1], "answer": 429, "retry_after": 7},
        {"at": [2], "answer": 500},
        {"at": [3], "answer": 502},
    ]
    _, http = open_sandbox(faults=Faults.of({"faults": script}))

    throttled, broken, page = (create(http) for _ in range(3))

    assert throttled.headers["Retry-After"] == "7"
    assert throttled.json()["errors"][0]["code"] == "throttled"
    assert broken.json()["errors"][0]["status"] == 500
    assert page.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("answer", ["drop", "half"])
def test_an_event_whose_answer_is_cut_off_is_recorded(open_sandbox, answer):
    faults = Faults.of({"faults": [{"at": [1], "answer": answer}]})
    sandbox, http = open_sandbox(faults=faults)

    with pytest.raises(httpx.RemoteProtocolError):
        create_bulk(http, item(event()))

    assert sandbox.stats()["recorded"] == 1


def test_one_event_is_the_same_through_all_apis():
    """Through each into a sandbox of its own, and through all into one: it is there once."""
    person = {"email": "Anna@shop.test", "phone_number": "+46701234567", "first_name": "Åsa"}
    own = {"location": {"city": "Visby"}, "properties": {"tier": "gold"}}
    more = {"value": 9.5, "value_currency": "EUR"}
    track = {
        "token": "ABC123",
        "event": "Placed Order",
        "time": TIME_S,
        "customer_properties": {
            "$email": "Anna@shop.test",
            "$phone_number": "+46701234567",
            "$first_name": "Åsa",
            "$city": "Visby",
            "tier": "gold",
        },
        "properties": {
            "$event_id": "o1",
            "$value": 9.5,
            "$value_currency": "EUR",
            "Sku": "a",
        },
    }

    def by_track(http):
        http.post("/api/track", data={"data": json.dumps(track)}, headers={"Content-Type": FORM})

    def by_events(http):
        create(http, single(who=person | own, **more))

    def by_bulk(http):
        create_bulk(http, item(event(**more), **person, **own))

    def left(*ways):
        with Sandbox() as sandbox:
            with httpx.Client(base_url=sandbox.url, headers=HEADERS, trust_env=False) as http:
                for way in ways:
                    way(http)
            (found,) = sandbox.events()
            found.pop("backfill")
            stats = sandbox.stats()
            assert (stats["merged"], stats["merged_different"]) == (len(ways) - 1, 0)
            return found, sandbox.profiles()

    ways = (by_track, by_events, by_bulk)
    first, *others = [left(way) for way in ways]
    assert others == [first, first]
    assert all(left(*order) == first for order in itertools.permutations(ways))


FORM = "application/x-www-form-urlencoded"


def test_flows_are_listed_under_their_metric(open_sandbox):
    sandbox, http = open_sandbox(
        behaviour=Behaviour(flows={"Placed Order": [("Thank you", "live")]})
    )
    create(http)
    create(http, single("o2", backfill=False))

    flows = http.get(f"{limits.METRICS_PATH}/M00001/flow-triggers").json()["data"]

    assert [flow["attributes"]["name"] for flow in flows] == ["Thank you"]
    assert http.get(f"{limits.METRICS_PATH}/M00009/flow-triggers").status_code == 404
    assert sandbox.stats()["would_trigger_flows"] == 1


def test_lost_events_are_not_found(open_sandbox):
    sandbox, http = open_sandbox()
    create_bulk(http, item(event("o1"), event("o2")))

    assert sandbox.lose(["o1"]) == 1

    (left,) = http.get(limits.EVENTS_PATH).json()["data"]
    assert left["attributes"]["event_properties"]["$event_id"] == "o2"


def test_a_platforms_metric_of_the_same_name_is_another_metric(open_sandbox):
    _, http = open_sandbox(behaviour=Behaviour(platforms={"Placed Order": "Shopify"}))
    create(http)

    def named(**query):
        found = http.get(limits.METRICS_PATH, params=query).json()["data"]
        return [(one["id"], one["attributes"]["integration"]["name"]) for one in found]

    assert named() == [("M00001", "API"), ("S00001", "Shopify")]
    assert named(filter='equals(integration.name,"Shopify")') == [("S00001", "Shopify")]
    assert named(filter='equals(integration.category,"API")') == [("M00001", "API")]


def test_metrics_come_in_pages(open_sandbox):
    _, http = open_sandbox()
    create_bulk(http, item(*[event("o", name=f"Metric {number}") for number in range(201)]))

    first = http.get(limits.METRICS_PATH, params={"fields[metric]": "name"}).json()
    second = http.get(first["links"]["next"]).json()

    names = [one["attributes"] for page in (first, second) for one in page["data"]]
    assert names == [{"name": f"Metric {number}"} for number in range(201)]
    assert second["links"]["next"] is None


def test_another_host_name_is_not_answered(open_sandbox):
    sandbox, http = open_sandbox()

    answers = [
        http.get(limits.EVENTS_PATH, headers={"Host": "shop.test"}),
        create(http, headers={"Host": "shop.test"}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert sandbox.stats()["received"] == 0
