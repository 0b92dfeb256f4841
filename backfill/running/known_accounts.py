"""Which account a private key is for, as Klaviyo said once: a plan then needs no network.

``accounts.json`` in the state folder has, for each key, the account's id and a salted hash of key,
URL and id, never the key. A key that was rotated is a new one, and Klaviyo is asked again: to guess
from what the ledger has would be to plan against another account's deliveries.
"""

import hashlib
import hmac
import json
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from backfill.event import SEPARATOR
from backfill.running.own_file import private_file
from backfill.transport.url import base_url

_NAME: Final = "accounts.json"
_MOST: Final = 100


def known_account(state: Path, url: str, key: str) -> str | None:
    """The id of the account of a private key; None if Klaviyo has not said it here.

    Args:
        state: the state folder.
        url: where Klaviyo is.
        key: the private key.
    """
    for entry in _read(state):
        found, salt, tag = (str(entry.get(name, "")) for name in ("id", "salt", "hash"))
        if found and hmac.compare_digest(tag.encode(), _hash(url, key, found, salt).encode()):
            return found
    return None


def remember_account(state: Path, url: str, key: str, account: str) -> None:
    """Note what Klaviyo said. The caller holds the lock; what cannot be written is asked again.

    Args:
        state: the state folder.
        url: where Klaviyo is.
        key: the private key.
        account: the id of its account.
    """
    if known_account(state, url, key) is not None:
        return
    salt = secrets.token_hex(8)
    new = {"id": account, "salt": salt, "hash": _hash(url, key, account, salt)}
    entries = [*_read(state), new][-_MOST:]
    whole = state / f"{_NAME}.new"
    with suppress(OSError):
        with private_file(whole) as file:
            json.dump(entries, file, indent=2)
        whole.replace(state / _NAME)


def _read(state: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads((state / _NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _hash(url: str, key: str, account: str, salt: str) -> str:
    """The private key is long and random, so no slow hash is needed."""
    secret = hashlib.sha256(key.encode()).digest()
    text = SEPARATOR.join((base_url(url), account, salt))
    return hmac.digest(secret, text.encode(), "sha256").hex()
