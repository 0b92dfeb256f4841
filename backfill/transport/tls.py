"""Which certificates are trusted: those that httpx trusts, so ``SSL_CERT_FILE`` holds."""

import os
import ssl

import httpx

from backfill.errors import UsageError


def tls_of(scheme: str) -> ssl.SSLContext | None:
    """How a server's certificate is checked; None where the scheme encrypts nothing.

    Raises:
        UsageError: the environment names a file or a folder of authorities that cannot be read.
    """
    if scheme != "https":
        return None
    try:
        return httpx.create_ssl_context()
    except OSError as err:  # ssl.SSLError is one
        why = err.strerror if err.strerror and not isinstance(err, ssl.SSLError) else "no PEM file"
        raise UsageError(
            f"the certificate authorities of {authorities()} cannot be read ({why}); name a PEM "
            "file that exists, or unset the variable; nothing was sent"
        ) from err


def authorities() -> str:
    """Where the trusted authorities are from, for people."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if path := os.environ.get(name):
            return f"{name}={path}"
    return "the package certifi"
