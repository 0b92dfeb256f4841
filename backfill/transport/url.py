"""Which URLs may be posted to."""

from ipaddress import ip_address
from typing import Final

import httpx

from backfill.errors import UsageError

_LAST_PORT: Final = 65_535


def base_url(text: str) -> str:
    """Check a base URL, and write it as the ledger knows it: lower case, no default port, no slash.

    Raises:
        UsageError: it is no URL, not https beyond this machine, or holds a user, a query or a
            fragment.
    """
    try:
        # Twice: the first parse keeps the port in "HTTPS://host:443".
        url = httpx.URL(str(httpx.URL(text.strip())))
        host = url.host  # decoded, where it is written in another alphabet
    except (httpx.InvalidURL, UnicodeError) as err:
        raise UsageError(f"the URL cannot be read: {err}") from err
    if url.scheme not in {"http", "https"} or not host or "%" in host:
        raise UsageError('the URL is not whole; write it like "https://a.klaviyo.com"')
    if url.userinfo or url.query or url.fragment:
        raise UsageError("the URL may hold host, port and path, but no user, query or fragment")
    if url.port is not None and not 0 < url.port <= _LAST_PORT:
        raise UsageError(f"the URL's port is from 1 to {_LAST_PORT}, not {url.port}")
    if url.scheme == "http" and not is_loopback(host):
        shown = f"[{host}]" if ":" in host else host
        raise UsageError(
            f'"http://{shown}" is not encrypted, and orders hold personal data; write '
            f'"https://{shown}" (http is for this machine alone)'
        )
    return str(url).rstrip("/")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
