"""Orders go to the URL that was named, over TLS beyond this machine, and nowhere else."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from backfill.errors import UsageError
from backfill.transport.client import Client
from backfill.transport.retry import NoAnswer
from backfill.transport.url import base_url
from backfill.wire.interface import Reply
from backfill.wire.track import Track
from tests.integration.test_transport_client import OWN_CERTIFICATE

pytestmark = pytest.mark.slow

TRACK = Track("aB3xYz")
BODY = b"data=planted"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param("http://example.com", "is not encrypted", id="a host beyond this machine"),
        pytest.param("http://127.0.0.1.evil.example", "is not encrypted", id="a name like one"),
        pytest.param("http://localhost@evil.example", "no user", id="a user like this machine"),
        pytest.param("http://127.0.0.1#@evil.example", "fragment", id="a fragment"),
        pytest.param("http://127.0.0.1\\@evil.example", "no user", id="a backslash"),
        pytest.param("http://127.0.0.1%2eevil.example", "is not whole", id="a dot in disguise"),
        pytest.param("http://localhost.", "is not encrypted", id="a dot behind"),
        pytest.param("http://2130706433", "is not encrypted", id="one decimal number"),
        pytest.param("http://0177.0.0.1", "cannot be read", id="octal"),
        pytest.param("http://0x7f.1", "is not encrypted", id="hexadecimal"),
        pytest.param("http://127.1", "is not encrypted", id="short"),
        pytest.param("http://0.0.0.0", "is not encrypted", id="every address"),
        pytest.param("http://[::]", r"http://\[::\]", id="every address in IPv6"),
        pytest.param("http://[::ffff:8.8.8.8]", r"http://\[::ffff:8", id="IPv4 in IPv6"),
        pytest.param("http://[::1%25eth0]", "is not whole", id="a zone"),
        pytest.param("http://localhost\0.evil.example", "cannot be read", id="a NUL"),
        pytest.param("https://a.klaviyo.com/\r\nX: y", "cannot be read", id="a header smuggled in"),
        pytest.param("https://xn--", "cannot be read", id="no name of any alphabet"),
        pytest.param("https://a b.com", "is not whole", id="a blank"),
        pytest.param("https://a.klaviyo.com:0", "port is from 1 to 65535, not 0", id="port 0"),
        pytest.param("https://a.klaviyo.com:99999", "not 99999", id="a port too high"),
        pytest.param("unix:///var/run/docker.sock", "is not whole", id="a socket"),
        pytest.param("file:///etc/passwd", "is not whole", id="a file"),
    ],
)
def test_nothing_goes_there(url: str, why: str):
    with pytest.raises(UsageError, match=why):
        base_url(url)


@asynccontextmanager
async def listening(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple]:
    """A server that gives one answer; its port, and the heads and bodies that came."""
    came: list[bytes] = []
    talks: list[asyncio.Task[None]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            head = await reader.readuntil(b"\r\n\r\n")
            came.append(head)
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            came[-1] += await reader.readexactly(int(length or 0))
            writer.write(answer)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(
        lambda reader, writer: talks.append(asyncio.create_task(talk(reader, writer))),
        "127.0.0.1",
        0,
        ssl=tls,
    )
    async with server:
        yield server.sockets[0].getsockname()[1], came
    await asyncio.gather(*talks)


YES = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"


async def posted(url: str) -> Reply | NoAnswer:
    return await Client(url, TRACK.headers).send("POST", TRACK.api.path, BODY)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_no_order_elsewhere(status: int):
    async def both() -> tuple[Reply | NoAnswer, list[bytes], list[bytes]]:
        async with listening(YES) as (elsewhere, other):
            moved = (
                f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:{elsewhere}/api/track\r\n"
                "Content-Length: 0\r\n\r\n"
            )
            async with listening(moved.encode()) as (port, came):
                return await posted(f"http://127.0.0.1:{port}"), came, other

    reply, came, other = asyncio.run(both())
    assert isinstance(reply, Reply)
    assert (reply.status, len(came), other) == (status, 1, [])


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"Location: " + b"x" * 9_000, id="a header without end"),
        pytest.param(b"Location: http://[", id="no URL at all"),
        pytest.param(b"Retry-After: " + b"9" * 6_000, id="a number of 6,000 digits"),
        pytest.param(b"Set-Cookie: a=b; Domain=\xff", id="bytes that are no text"),
    ],
)
def test_an_absurd_header_is_a_reply_or_silence(header: bytes):
    async def once() -> Reply | NoAnswer:
        answer = b"HTTP/1.1 429 No\r\n" + header + b"\r\nContent-Length: 0\r\n\r\n"
        async with listening(answer) as (port, _):
            return await posted(f"http://127.0.0.1:{port}")

    assert isinstance(asyncio.run(once()), Reply | NoAnswer)


PROXIES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_of_the_environment_gets_nothing(scheme: str, monkeypatch: pytest.MonkeyPatch):
    """Orders go to Klaviyo, or nowhere: who sits behind a proxy has to name a way around it."""

    async def both() -> list[bytes]:
        async with listening(YES) as (proxy, came), listening(YES) as (port, _):
            for name in PROXIES:
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
                monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy}")
            for name in ("NO_PROXY", "no_proxy"):
                monkeypatch.delenv(name, raising=False)
            await posted(f"{scheme}://127.0.0.1:{port}")
            return came

    assert asyncio.run(both()) == []


@pytest.mark.parametrize("trusted", [True, False])
def test_the_system_s_way_to_trust_a_certificate_works(
    tmp_path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool
):
    """SSL_CERT_FILE names whom to trust; it adds a check's root, and leaves no check out."""
    (pem := tmp_path / "own.pem").write_text(OWN_CERTIFICATE)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    async def once() -> tuple[Reply | NoAnswer, list[bytes]]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem)
        async with listening(YES, tls) as (port, came):
            return await posted(f"https://localhost:{port}"), came

    reply, came = asyncio.run(once())
    assert isinstance(reply, Reply) == trusted
    assert bool(came) == trusted
