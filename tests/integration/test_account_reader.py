"""Questions to the JSON:API: to the sandbox, and to a server that answers as a test says."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from backfill import limits
from backfill.account.reader import Reader, account_id
from backfill.errors import DeniedError, ScopeError, StoppedByUserError, StoppedError, UsageError
from backfill.sandbox import Behaviour, Sandbox
from backfill.transport.exchange import Clocks
from backfill.transport.pace import Quota
from backfill.transport.retry import RetryPolicy

KEY = "pk_ABC123_0123456789abcdef"


class Clock:
    def __init__(self):
        self.now_s = 1_000_000.0
        self.slept_s = []

    def __call__(self):
        return self.now_s

    def sleep(self, wait_s):
        self.slept_s.append(wait_s)
        self.now_s += wait_s

    def clocks(self):
        return Clocks(monotonic=self, wall=self, jitter=lambda: 1.0)


@contextmanager
def answering(*answers):
    """Give each answer, (status, body, headers), to one request; keep what was asked."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            asked.append((self.command, self.path, dict(self.headers), body))
            answer = left.pop(0)
            if answer is None:
                self.close_connection = True
                return
            status, text, headers = answer
            text = text if isinstance(text, bytes) else json.dumps(text).encode()
            self.send_response(status)
            for name, value in {"content-length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked, left
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reader(url, clock=None, **more):
    clock = clock or Clock()
    return Reader(url, KEY, clocks=clock.clocks(), sleep=clock.sleep, **more)


def ok(document, **headers):
    return (200, document, headers)


def test_the_account_of_a_key_is_the_sandboxes():
    with Sandbox() as sandbox, reader(sandbox.url) as asking:
        assert account_id(asking) == "ABC123"


def test_a_key_that_may_not_read_accounts_is_a_case_of_its_own():
    with (
        Sandbox(behaviour=Behaviour(scopes=["events:write"])) as sandbox,
        reader(sandbox.url) as asking,
        pytest.raises(ScopeError, match=r"403 for GET /api/accounts: .* scope accounts:read"),
    ):
        account_id(asking)


def test_a_key_that_nobody_knows_is_a_denial_without_the_key():
    with (
        Sandbox() as sandbox,
        Reader(sandbox.url, "sk_nobody") as asking,
        pytest.raises(DeniedError, match=r"401 for GET /api/accounts: .*KLAVIYO_PRIVATE_KEY") as no,
    ):
        account_id(asking)
    assert "sk_nobody" not in str(no.value)
    assert not isinstance(no.value, ScopeError)


@pytest.mark.parametrize(
    "document", [{}, {"data": []}, {"data": [{"id": "a/b"}]}, {"data": [{"id": 7}]}, {"data": 1}]
)
def test_an_answer_that_names_no_account(document):
    with (
        answering(ok(document)) as (url, _, _),
        reader(url) as asking,
        pytest.raises(DeniedError, match=r"names no account; .* --account NAME"),
    ):
        account_id(asking)


def test_a_long_wait_is_told_at_once_and_every_minute():
    told = []
    slow = (429, {}, {"Retry-After": "130"})
    with (
        answering(slow, ok({"data": 1})) as (url, _, _),
        reader(url, on_wait=lambda *wait: told.append(wait)) as asking,
    ):
        assert asking.get("/api/metrics") == {"data": 1}
    assert told == [
        ("it answered 429", 130.0),
        ("it answered 429", 70.0),
        ("it answered 429", 10.0),
    ]


def test_a_question_goes_with_key_and_revision():
    with answering(ok({"data": 1}), ok({"data": 2})) as (url, asked, _), reader(url) as asking:
        asking.get("/api/metrics", {"filter": 'equals(integration.name,"ö+")'})
        assert asking.post("/api/metric-aggregates", {"data": {}}) == {"data": 2}

    (got, path, headers, _), (posted, _, more, body) = asked
    assert (got, posted, json.loads(body)) == ("GET", "POST", {"data": {}})
    assert path == "/api/metrics?filter=equals%28integration.name%2C%22%C3%B6%2B%22%29"
    sent = {name.lower(): value for name, value in headers.items()}
    assert sent["authorization"] == f"Klaviyo-API-Key {KEY}"
    assert sent["revision"] == limits.REVISION
    assert {name.lower(): value for name, value in more.items()}["content-type"] == limits.JSON_API


def test_pages_are_followed_to_the_end():
    with answering(None, None) as (url, asked, left), reader(url) as asking:
        left[:] = [
            ok({"data": [1], "links": {"next": f"{url}/api/events?page%5Bcursor%5D=b%3D"}}),
            ok({"data": [2], "links": {"next": None}}),
        ]
        pages = list(asking.pages("/api/events", {"sort": "datetime"}))

    assert [page["data"] for page in pages] == [[1], [2]]
    assert [path for _, path, _, _ in asked] == [
        "/api/events?sort=datetime",
        "/api/events?page%5Bcursor%5D=b%3D",
    ]


def test_the_sandboxes_pages_have_every_event_once():
    with Sandbox() as sandbox, reader(sandbox.url) as asking:
        for number in range(5):
            body = json.dumps(event_of(number)).encode()
            headers = {**HEADERS, "authorization": f"Klaviyo-API-Key {KEY}"}
            assert httpx.post(f"{sandbox.url}/api/events", content=body, headers=headers).is_success
        pages = list(asking.pages("/api/events", {"page[size]": "2", "sort": "datetime"}))

    assert [len(page["data"]) for page in pages] == [2, 2, 1]
    assert [
        event["attributes"]["event_properties"]["$event_id"]
        for page in pages
        for event in page["data"]
    ] == list("01234")


HEADERS = {"revision": limits.REVISION, "content-type": limits.JSON_API}


def event_of(number):
    metric = {"data": {"type": "metric", "attributes": {"name": "Placed Order"}}}
    profile = {"data": {"type": "profile", "attributes": {"email": "ada@shop.dk"}}}
    return {
        "data": {
            "type": "event",
            "attributes": {
                "properties": {},
                "metric": metric,
                "profile": profile,
                "unique_id": str(number),
                "time": f"2023-01-0{number + 1}T00:00:00Z",
            },
        }
    }


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("http://127.0.0.2:80/api/events?x", id="another host"),
        pytest.param("https://a.klaviyo.com/api/events", id="another scheme"),
        pytest.param("HERE/api/accounts", id="another path"),
        pytest.param("http://u:p@HOST/api/events", id="a user"),
        pytest.param("/api/events?x", id="no whole URL"),
        pytest.param("http://[", id="no URL"),
        pytest.param(7, id="no text"),
    ],
)
def test_the_key_goes_nowhere_else(link):
    with answering(None) as (url, asked, left), reader(url) as asking:
        if isinstance(link, str):
            link = link.replace("HERE", url).replace("HOST", url.removeprefix("http://"))
        left[:] = [ok({"data": [], "links": {"next": link}})]
        pages = asking.pages("/api/events")
        next(pages)
        with pytest.raises(DeniedError, match="the key goes nowhere else; check --url"):
            next(pages)
    assert len(asked) == 1


def test_a_circle_of_pages_ends():
    with answering(None) as (url, _, left), reader(url) as asking:
        left[:] = [ok({"data": [], "links": {"next": f"{url}/api/events"}})]
        with pytest.raises(DeniedError, match="one that was already read"):
            list(asking.pages("/api/events"))


@pytest.mark.parametrize(
    "passing",
    [
        pytest.param(None, id="silence"),
        pytest.param((500, b"", {}), id="500"),
        pytest.param((502, b"<html>", {}), id="a gateway's 502"),
        pytest.param((403, b"<html>", {}), id="a gateway's 403"),
        pytest.param((200, b"<html>", {}), id="no JSON"),
        pytest.param((200, b"[]", {}), id="no object"),
        pytest.param((200, b'{"data":', {}), id="half an answer"),
    ],
)
def test_what_passes_is_asked_again(passing):
    clock = Clock()
    with answering(passing, ok({"data": 1})) as (url, asked, _), reader(url, clock) as asking:
        assert asking.get("/api/metrics") == {"data": 1}
    assert len(asked) == 2
    assert clock.slept_s == [1.0]


def test_retry_after_is_obeyed():
    clock = Clock()
    answers = [(429, b"{}", {"Retry-After": "7"}), ok({"data": 1})]
    with answering(*answers) as (url, _, _), reader(url, clock) as asking:
        asking.get("/api/metrics")
    assert clock.slept_s == [7.0]


def test_a_server_that_stays_broken_is_a_stop():
    with (
        answering(*[(500, b"", {})] * 8) as (url, _, _),
        reader(url) as asking,
        pytest.raises(
            StoppedError, match=r"gives no answer to read: it answered 500 \(GET /api/metrics\)"
        ),
    ):
        asking.get("/api/metrics")


@pytest.mark.parametrize(
    ("path", "most"),
    [
        pytest.param("/api/accounts", 100_000, id="one account is a few kB"),
        pytest.param("/api/metric-aggregates", 2_000_000, id="a year of days"),
        pytest.param("/api/metrics", 10_000_000, id="two hundred metrics"),
    ],
)
@pytest.mark.parametrize("sign", [0, 1])
def test_an_answer_of_a_size_that_no_answer_has_is_cut(path, most, sign):
    empty = json.dumps({"data": [{"id": "ABC123", "more": ""}]}).encode()
    body = empty.replace(b'""', b'"' + b"x" * (most - len(empty) + sign) + b'"')
    policy = RetryPolicy(attempts=1)
    with answering((200, body, {})) as (url, _, _), reader(url, policy=policy) as asking:
        if not sign:
            assert asking.get(path)["data"][0]["id"] == "ABC123"
            return
        with pytest.raises(StoppedError, match=f"the answer is over {most:,} bytes"):
            asking.get(path)


def test_a_question_that_is_refused_is_told_without_what_was_asked():
    error = {
        "code": "invalid",
        "detail": "Invalid email ada@shop.example",
        "source": {"pointer": "/data/attributes/filter"},
    }
    with (
        answering((400, {"errors": [error]}, {})) as (url, asked, _),
        reader(url) as asking,
        pytest.raises(DeniedError, match=r"400 at /data/attributes/filter \(invalid\)") as no,
    ):
        asking.post("/api/metric-aggregates", {})
    assert len(asked) == 1
    assert "ada@" not in str(no.value)


def test_a_redirect_is_not_followed():
    with (
        answering((302, b"", {"Location": "http://127.0.0.2/"})) as (url, asked, _),
        reader(url) as asking,
        pytest.raises(DeniedError, match="redirects are not followed"),
    ):
        asking.get("/api/metrics")
    assert len(asked) == 1


def test_each_endpoint_keeps_its_pace_and_its_share():
    clock = Clock()
    answers = [ok({"data": 1})] * 6
    with answering(*answers) as (url, _, _), reader(url, clock, quota=Quota(50)) as asking:
        for _ in range(2):
            asking.get("/api/accounts")
        for _ in range(4):
            asking.get("/api/metrics")
    assert clock.slept_s == [1.0]  # one account a second, five metrics


def test_a_stop_ends_the_waiting():
    stop = threading.Event()
    stop.set()
    with (
        answering() as (url, asked, _),
        Reader(url, KEY, stop=stop) as asking,
        pytest.raises(StoppedByUserError, match="stopped as asked"),
    ):
        asking.get("/api/metrics")
    assert asked == []


def test_an_open_line_takes_no_key():
    with pytest.raises(UsageError, match="is not encrypted"):
        Reader("http://shop.example", KEY)


def test_no_proxy_of_the_environment_sees_the_key(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with answering(ok({"data": 1})) as (url, _, _), reader(url) as asking:
        assert asking.get("/api/metrics") == {"data": 1}
