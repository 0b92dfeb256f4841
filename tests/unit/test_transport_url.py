import pytest

from backfill.errors import UsageError
from backfill.transport.url import base_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        pytest.param("https://a.klaviyo.com", "https://a.klaviyo.com", id="as Klaviyo writes it"),
        pytest.param("HTTPS://A.Klaviyo.com:443/", "https://a.klaviyo.com", id="in one spelling"),
        pytest.param("http://127.0.0.1:8080/", "http://127.0.0.1:8080", id="this machine"),
        pytest.param("http://127.8.8.8", "http://127.8.8.8", id="this machine has many names"),
        pytest.param("http://localhost:1", "http://localhost:1", id="localhost"),
        pytest.param("http://[::1]:1", "http://[::1]:1", id="this machine in IPv6"),
        pytest.param("https://proxy.corp/k/", "https://proxy.corp/k", id="a path stays"),
    ],
)
def test_a_url_that_may_be_posted_to(text, url):
    assert base_url(text) == url


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("http://a.klaviyo.com", "is not encrypted", id="http beyond this machine"),
        pytest.param("http://128.0.0.1", "is not encrypted", id="128 is not 127"),
        pytest.param("http://127.0.0.1.evil.com", "is not encrypted", id="a name like an address"),
        pytest.param("http://localhost.evil.com", "is not encrypted", id="a name like localhost"),
        pytest.param("a.klaviyo.com", "is not whole", id="no scheme"),
        pytest.param("ftp://a.klaviyo.com", "is not whole", id="another scheme"),
        pytest.param("https://", "is not whole", id="no host"),
        pytest.param("https://u:secret@a.com", "no user", id="a user"),
        pytest.param("https://a.com/?key=secret", "no user, query", id="a query"),
        pytest.param("https://a.com:port", "cannot be read", id="a port that is none"),
    ],
)
def test_a_url_that_may_not(text, why):
    with pytest.raises(UsageError, match=why) as caught:
        base_url(text)
    assert "secret" not in str(caught.value)
