"""The client against servers that behave, and against raw sockets that do not."""

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress

import pytest

from backfill.errors import UsageError
from backfill.transport.client import MAX_REPLY_BYTES, Client
from backfill.transport.connection import Timeouts
from backfill.transport.retry import NoAnswer
from backfill.wire.interface import RateLimitStatus, Reply
from backfill.wire.track import Track

TRACK = Track("aB3xYz")

# Made for this test alone: `openssl req -x509 -newkey ec ... -days 36500 -subj /CN=localhost`.
OWN_CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg62CAY5N871IzDftp
LX/m9/KT1SLQ14Pk366XZb5Ry8ehRANCAATAbmWu8nVh6fm0AyHDAKsnfYQJDFpb
9iK2rG5Nr6m4UyBB3ahTWJ5Uyn3Z8V4C8LV++UZhWYXVrxAZlggKizsj
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBlDCCATugAwIBAgIUOKqfJ23KUbJ+EytzaSWyHK8i85YwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzE1MjI0OFoYDzIxMjYxMDMw
MTUyMjQ4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATAbmWu8nVh6fm0AyHDAKsnfYQJDFpb9iK2rG5Nr6m4UyBB3ahTWJ5U
yn3Z8V4C8LV++UZhWYXVrxAZlggKizsjo2kwZzAdBgNVHQ4EFgQUMX+uuXKJpuSp
iJj/szxfSx2VfCQwHwYDVR0jBBgwFoAUMX+uuXKJpuSpiJj/szxfSx2VfCQwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
RwAwRAIgZTre1nwrIPuSefw9qMg7gUKTFdYdGkzpCCXoyG67k/wCICPAIM9BUYSJ
0zA5O00w+x7GInvQUBCRAe/HDjOxiQbq
-----END CERTIFICATE-----
"""


@asynccontextmanager
async def answering(answer, *, hang=False):
    """Answer every request with these bytes and hang up; give the URL and what was sent."""
    sent = []

    async def talk(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        sent.append((head, await reader.readexactly(length)))
        writer.write(answer)
        if hang:
            await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    talks = []
    server = await asyncio.start_server(
        lambda reader, writer: talks.append(asyncio.create_task(talk(reader, writer))),
        "127.0.0.1",
        0,
    )
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", sent
    await asyncio.gather(*talks)


async def posted(url, body=b"data=1", *, timeouts=Timeouts()):  # noqa: B008 - frozen
    client = Client(url, TRACK.headers, timeouts=timeouts)
    return await client.send("POST", TRACK.api.path, body)


def post(answer, *, body=b"data=1", timeouts=Timeouts(), hang=False):  # noqa: B008 - frozen
    async def once():
        async with answering(answer, hang=hang) as (url, sent):
            return await posted(url, body, timeouts=timeouts), sent

    return asyncio.run(once())


def answer(status=b"200 OK", headers=b"", body=b"1"):
    length = b"Content-Length: %d\r\n" % len(body)
    return b"HTTP/1.1 %s\r\n%s%s\r\n%s" % (status, length, headers, body)


def test_a_request_is_a_form_to_the_path_of_track():
    came, ((head, body),) = post(answer(), body=b"data=%7B%7D")

    assert came == Reply(status=200, body=b"1")
    assert body == b"data=%7B%7D"
    assert head.startswith(b"POST /api/track HTTP/1.1\r\n")
    lines = head.lower().split(b"\r\n")
    assert b"content-type: application/x-www-form-urlencoded" in lines
    assert b"accept-encoding: identity" in lines
    assert sum(line.startswith(b"host:") for line in lines) == 1


@pytest.mark.parametrize(
    ("bytes_", "reply"),
    [
        pytest.param(
            answer(body=b""), Reply(status=200, body=b""), id="an empty answer that is whole"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
            Reply(status=200, body=b"1"),
            id="an answer in chunks",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\n1", Reply(status=200, body=b"1"), id="an answer until the end"
        ),
        pytest.param(
            answer(b"429 Slow", b"Retry-After: 7\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\n", b""),
            Reply(status=429, body=b"", retry_after="7", date="Mon, 23 Nov 2026 10:00:00 GMT"),
            id="when to come again",
        ),
        pytest.param(
            answer(b"302 Found", b"Location: /elsewhere\r\n", b""),
            Reply(status=302, body=b""),
            id="a redirect is an answer and is not followed",
        ),
    ],
)
def test_a_whole_answer_is_a_reply(bytes_, reply):
    came, sent = post(bytes_)

    assert came == reply
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("bytes_", "why"),
    [
        pytest.param(b"", "the connection broke", id="no answer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", "the connection broke", id="half a head"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1",
            "the connection broke",
            id="half a body",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n",
            "the connection broke",
            id="chunks without an end",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\n", "the answer broke off", id="an empty one unmarked"
        ),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", "what came is no HTTP", id="no HTTP"),
    ],
)
def test_what_is_no_whole_answer_is_silence(bytes_, why):
    came, _ = post(bytes_)

    assert isinstance(came, NoAnswer)
    assert came.why.startswith(why)


@pytest.mark.parametrize(
    "timeouts",
    [
        pytest.param(Timeouts(read_s=0.05), id="nothing comes"),
        pytest.param(Timeouts(whole_s=0.05), id="the whole takes too long"),
    ],
)
def test_an_answer_that_does_not_come_is_silence(timeouts):
    came, _ = post(b"HTTP/1.1 200", timeouts=timeouts, hang=True)

    assert isinstance(came, NoAnswer)
    assert came.why.startswith("no answer in time")


def test_no_server_is_silence():
    async def once():
        async with answering(b"") as (url, _):
            pass
        return await posted(url)

    assert asyncio.run(once()) == NoAnswer(
        "127.0.0.1 refuses the connection: nothing listens at its port"
    )


def test_an_endless_answer_is_not_read_to_its_end():
    came, _ = post(answer(body=b"x" * MAX_REPLY_BYTES * 40))

    assert came == NoAnswer(f"the answer is over {MAX_REPLY_BYTES:,} bytes")


def test_a_cookie_is_not_sent_back():
    async def twice():
        cookie = b"Set-Cookie: a=b; Path=/\r\n"
        async with answering(answer(headers=cookie)) as (url, sent):
            client = Client(url.replace("127.0.0.1", "localhost"), TRACK.headers)
            for body in (b"data=1", b"data=2"):
                await client.send("POST", TRACK.api.path, body)
            return sent

    assert b"cookie" not in asyncio.run(twice())[1][0].lower()


def test_a_certificate_that_nobody_signed_is_silence(tmp_path, monkeypatch):
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    pem = tmp_path / "own.pem"
    pem.write_text(OWN_CERTIFICATE)

    async def once():
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem)

        async def talk(_, writer):
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
        async with server:
            url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
            return await posted(url)

    came = asyncio.run(once())
    assert came.is_final
    assert came.why.startswith(
        "the TLS certificate of localhost is not trusted (self-signed certificate); the trusted "
        "authorities are those of the package certifi; "
    )


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        pytest.param("SSL_CERT_FILE", None, "No such file", id="no such file"),
        pytest.param("SSL_CERT_FILE", "no certificate", "no PEM file", id="no certificate in it"),
    ],
)
def test_authorities_that_cannot_be_read_are_named(tmp_path, monkeypatch, name, text, why):
    path = tmp_path / "own.pem"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv(name, str(path))

    with pytest.raises(UsageError) as told:
        Client("https://a.klaviyo.com", TRACK.headers)
    assert f"the certificate authorities of {name}={path} cannot be read ({why}" in str(told.value)


def test_a_server_without_tls_is_told():
    came = asyncio.run(once_without_tls())
    assert not came.is_final
    assert came.why.startswith("127.0.0.1 does not speak TLS as expected (")


async def once_without_tls():
    async def talk(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        return await posted(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")


@pytest.mark.parametrize("proxy", [None, "http://proxy.example:3128"])
def test_a_name_that_nobody_knows_is_told(monkeypatch, proxy):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)

    came = asyncio.run(posted("https://a.klaviyo.invalid"))

    hint = "; HTTPS_PROXY is set, but orders go to Klaviyo directly and through no proxy: "
    assert came.why.startswith("the name a.klaviyo.invalid cannot be resolved (DNS); check --url")
    assert (hint in came.why) == bool(proxy)
    assert "proxy.example" not in came.why


@pytest.mark.parametrize("reason", [b"D\xe9j\xe0", "Déjà vu".encode(), b"", b"\xff\xfe"], ids=repr)
def test_a_reason_phrase_of_any_bytes_is_not_read(reason):
    assert post(answer(b"202 " + reason, body=b""))[0] == Reply(status=202, body=b"")


def test_http_beyond_this_machine_is_no_client():
    with pytest.raises(UsageError, match="is not encrypted"):
        Client("http://a.klaviyo.com", TRACK.headers)


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 5_000_000])
def test_a_body_of_any_size_goes_whole_and_with_its_length(size):
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    async def post():
        yes = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"
        async with answering(yes) as (url, sent):
            assert await posted(url, body) == Reply(status=200, body=b"1")
        return sent

    ((head, arrived),) = asyncio.run(post())
    assert arrived == body
    assert b"transfer-encoding" not in head.lower()


@pytest.mark.parametrize(
    ("told", "allowance"),
    [
        pytest.param(("150", "149", "59"), RateLimitStatus(150, 149, 59), id="three numbers"),
        pytest.param(
            ("150, 10;w=1, 150;w=60", "3", "1"), RateLimitStatus(150, 3, 1), id="with the windows"
        ),
        pytest.param(("150", "", "59"), None, id="one lacks"),
        pytest.param(("150", "many", "59"), None, id="no number"),
        pytest.param(("9" * 99, "1", "59"), None, id="a number without end"),
    ],
)
def test_what_klaviyo_allows_is_read(told, allowance):
    names = ("Limit", "Remaining", "Reset")
    lines = "".join(
        f"RateLimit-{name}: {text}\r\n" for name, text in zip(names, told, strict=True) if text
    )
    answer = f"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n{lines}\r\n".encode()

    async def post():
        async with answering(answer) as (url, _):
            return await posted(url, b"x")

    assert asyncio.run(post()) == Reply(status=202, body=b"", rate_limit=allowance)
