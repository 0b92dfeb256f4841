"""Each scripted fault as bytes on a real socket."""

import base64
import json
import socket
import time
from urllib.parse import quote, urlsplit

import httpx
import pytest

from backfill.sandbox import Faults, Sandbox
from tests.waiting import wait_until

BODY = json.dumps(
    {
        "token": "PUBKEY",
        "event": "Placed Order",
        "customer_properties": {"$email": "anna@shop.test"},
        "time": 1_500_000_000,
    }
).encode()
HEAD = (
    b"POST /api/track HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(BODY)
)


PAGE = {"Content-Type": "text/html; charset=utf-8"}


def playing(answer, **keys):
    return Sandbox(faults=Faults.of({"faults": [{"at": [1], "answer": answer, **keys}]}))


def connect(sandbox):
    address = urlsplit(sandbox.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def exchange(sandbox, request=HEAD + BODY):
    """All bytes that come back until the server closes."""
    with connect(sandbox) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65536):
            received += part
        return received


def wait_until_received(sandbox):
    wait_until(lambda: bool(sandbox.stats()["received"]), "the first request")


def post(sandbox):
    return httpx.post(
        f"{sandbox.url}/api/track",
        content=BODY,
        headers={"Content-Type": "application/json"},
        trust_env=False,
    )


@pytest.mark.parametrize(
    ("answer", "keys", "status", "headers", "text"),
    [
        pytest.param(
            429,
            {"retry_after": 3},
            429,
            {"Retry-After": "3", "Content-Type": "application/json; charset=utf-8"},
            "Expected available in 3 seconds.",
            id="429 names the wait in JSON",
        ),
        pytest.param(429, {}, 429, {"Retry-After": "1"}, "in 1 second.", id="429 waits a second"),
        pytest.param(503, {"retry_after": 2}, 503, {"Retry-After": "2"}, '"detail"', id="503"),
        pytest.param(
            500,
            {},
            500,
            {"Content-Type": "text/plain; charset=utf-8"},
            "Internal Server Error",
            id="500 is plain on odd requests",
        ),
        pytest.param(
            302, {}, 302, {"Location": "/blocked.html", **PAGE}, "Found", id="302 leads away"
        ),
        pytest.param(400, {}, 400, PAGE, "Bad Request", id="400"),
        pytest.param(403, {}, 403, PAGE, "Forbidden", id="403"),
        pytest.param(404, {}, 404, PAGE, "Not Found", id="404"),
        pytest.param(406, {}, 406, PAGE, "Not Acceptable", id="406"),
        pytest.param(502, {}, 502, PAGE, "Bad Gateway", id="502"),
    ],
)
def test_a_fault_is_answered_instead_of_recording(answer, keys, status, headers, text):
    with playing(answer, **keys) as sandbox:
        response = post(sandbox)

        assert response.status_code == status
        assert {name: response.headers[name] for name in headers} == headers
        assert text in response.text
        assert sandbox.stats()["received"] == 0
        assert sandbox.stats()["faults"] == {str(answer): 1}
        assert post(sandbox).text == "1"


def test_500_is_json_on_even_requests():
    with Sandbox(faults=Faults.of({"faults": [{"at": [2], "answer": 500}]})) as sandbox:
        post(sandbox)

        assert post(sandbox).json() == {"detail": "A server error occurred."}


def test_reset_is_a_reset_before_the_body_is_read():
    with playing("reset") as sandbox:
        with connect(sandbox) as connection:
            connection.sendall(HEAD)
            with pytest.raises(ConnectionResetError):
                connection.recv(1)

        stats = sandbox.stats()
        assert (stats["requests"], stats["received"], stats["refused"]) == (1, 0, 0)
        assert stats["faults"] == {"reset": 1}


def test_half_is_a_head_without_its_body_for_an_event_that_is_recorded():
    with playing("half") as sandbox:
        head, end, rest = exchange(sandbox).partition(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Length: 1" in head
        assert (end, rest) == (b"\r\n\r\n", b"")
        assert sandbox.stats()["recorded"] == 1


def test_drop_is_no_answer_for_an_event_that_is_recorded():
    with playing("drop") as sandbox:
        assert exchange(sandbox) == b""
        assert sandbox.stats()["recorded"] == 1
        assert sandbox.stats()["faults"] == {"drop": 1}


def test_early_is_a_yes_before_the_body_and_nothing_is_recorded():
    with playing("early") as sandbox, connect(sandbox) as connection:
        connection.sendall(HEAD)

        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        assert sandbox.stats()["recorded"] == 0
        assert sandbox.stats()["faults"] == {"early": 1}


@pytest.mark.parametrize("seconds", [0, 0.05])
def test_surplus_is_two_answers_to_one_event_that_is_recorded(seconds):
    with playing("surplus", seconds=seconds) as sandbox:
        came = exchange(sandbox)

        assert came.count(b"HTTP/1.1 200 OK\r\n") == 2
        assert came.endswith(b"\r\n\r\n1")
        assert sandbox.stats()["recorded"] == 1


def test_a_surplus_answer_fools_a_client_that_uses_its_connection_again():
    """That is what it is for: the second event is not recorded, and its answer is a yes."""
    script = [{"at": [1], "answer": "surplus", "seconds": 0}, {"at": [2], "answer": 500}]
    with Sandbox(faults=Faults.of({"faults": script})) as sandbox, connect(sandbox) as connection:
        connection.sendall(HEAD + BODY)
        wait_until_received(sandbox)
        connection.sendall(HEAD + BODY)
        received = b""
        while part := connection.recv(65536):
            received += part

        assert received.count(b"HTTP/1.1 200 OK\r\n") == 2
        assert sandbox.stats()["recorded"] == 1


def test_reason_is_a_phrase_beyond_ascii_for_an_event_that_is_recorded():
    with playing("reason") as sandbox:
        assert exchange(sandbox).startswith(b"HTTP/1.1 200 D\xe9j\xe0\r\n")
        assert sandbox.stats()["recorded"] == 1


BASE64 = base64.b64encode(BODY).decode()


@pytest.mark.parametrize(
    ("method", "query", "body", "kind"),
    [
        pytest.param("POST", "", BODY, "application/json", id="JSON"),
        pytest.param(
            "POST",
            "",
            b"data=" + quote(BODY).encode(),
            "application/x-www-form-urlencoded",
            id="a form",
        ),
        pytest.param("GET", f"?data={quote(BASE64)}", b"", "", id="a query in base64"),
    ],
)
def test_a_text_is_found_in_every_form_of_a_track_request(method, query, body, kind):
    rule = {"contains": '"Placed Order"', "answer": 403}
    with Sandbox(faults=Faults.of({"faults": [rule]})) as sandbox:

        def status(body, query):
            url = f"{sandbox.url}/api/track{query}"
            headers = {"Content-Type": kind} if kind else {}
            return httpx.request(
                method, url, content=body, headers=headers, trust_env=False
            ).status_code

        assert status(body, query) == 403
        assert sandbox.stats()["recorded"] == 0


def test_a_request_without_the_text_is_handled_as_ever():
    rules = [{"contains": "anna@shop.tes!", "answer": 403}]
    with Sandbox(faults=Faults.of({"faults": rules})) as sandbox:
        assert post(sandbox).text == "1"
        assert sandbox.stats()["recorded"] == 1


def test_slow_is_recorded_at_once_and_answered_late():
    with playing("slow", seconds=1) as sandbox, connect(sandbox) as connection:
        began = time.monotonic()
        connection.sendall(HEAD + BODY)
        wait_until_received(sandbox)
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)

        connection.settimeout(10)
        assert connection.recv(65536).endswith(b"\r\n\r\n1")
        assert time.monotonic() - began >= 1


def test_a_slow_answer_does_not_hold_up_the_end():
    with playing("slow", seconds=60) as sandbox, connect(sandbox) as connection:
        connection.sendall(HEAD + BODY)
        wait_until_received(sandbox)
        began = time.monotonic()

    assert time.monotonic() - began < 30


@pytest.mark.parametrize("answer", ["reset", "half", "drop"])
def test_a_client_that_tries_again_is_served_and_its_event_recorded_once(answer):
    with playing(answer) as sandbox:
        with pytest.raises(httpx.TransportError):  # which one, is a race for httpx
            post(sandbox)

        assert post(sandbox).text == "1"
        assert len(sandbox.events()) == 1
        stats = sandbox.stats()
        assert stats["received"] == stats["recorded"] + stats["merged"] + stats["discarded"]
        assert stats["merged"] == (0 if answer == "reset" else 1)
        assert stats["merged_different"] == 0


def test_faults_are_numbered_by_requests_to_an_api_alone():
    with Sandbox(faults=Faults.of({"faults": [{"at": [2], "answer": 502}]})) as sandbox:
        post(sandbox)
        httpx.get(f"{sandbox.url}/_sandbox/stats", trust_env=False)
        httpx.get(sandbox.url, trust_env=False)

        assert post(sandbox).status_code == 502


def test_a_faults_file_can_be_named(tmp_path):
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - {from: 1, answer: 502}\n")

    with Sandbox(faults=path) as sandbox:
        assert post(sandbox).status_code == 502


def test_no_fault_leaves_a_line_in_the_log(caplog):
    """A server that logs a traceback for what it was told to do would bury a real one."""
    for answer in ("reset", "half", "drop"):
        with playing(answer) as sandbox, pytest.raises(httpx.TransportError):
            post(sandbox)

    assert [record for record in caplog.records if not record.name.startswith("http")] == []
