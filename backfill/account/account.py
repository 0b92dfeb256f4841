"""Which account a run is for: where it is, by which API it is spoken to, and with which key."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import httpx

from backfill import limits
from backfill.account.account_id import account_id
from backfill.account.reader import Reader
from backfill.errors import ScopeError, UsageError
from backfill.ledger.ledger import Target
from backfill.transport.pace import Window, windows_of
from backfill.transport.url import base_url, is_loopback
from backfill.wire.bulk import Bulk
from backfill.wire.events import Events
from backfill.wire.interface import Api, Method, Wire
from backfill.wire.json_api import PLACEHOLDER_KEY
from backfill.wire.track import PLACEHOLDER_TOKEN, Track, TrackGet

LOCAL_ID: Final = "LOCAL1"
LOCAL_KEY: Final = "pk_LOCAL1_local"
"""Stand for the keys where a sandbox on this machine needs none."""

_PRIVATE: Final = "pk_"


@dataclass(frozen=True, slots=True)
class Account:
    """Where events go, and with which key; a key is shown nowhere."""

    url: str
    key: str = field(repr=False)
    """Public for Track, private for the others; empty where only planning is asked for."""
    api: Api = "track"
    id: str = field(default="", repr=False)
    """What the ledger knows it by: the public key, which all APIs have in common."""

    @property
    def target(self) -> Target:
        return Target(self.url, self.id or self.key)

    @property
    def is_local(self) -> bool:
        return is_local(self.url)


@dataclass(frozen=True, slots=True)
class Keys:
    """What a person gave; no ``repr`` shows it."""

    public: str = field(default="", repr=False)
    private: str = field(default="", repr=False)
    account: str | None = None
    """A name for the account, where the private key may not read it."""


def is_local(url: str) -> bool:
    return is_loopback(httpx.URL(base_url(url)).host)


def api_of(keys: Keys, asked: Api | None) -> Api:
    """The kind of key tells; where both are there, today's API."""
    return asked or ("bulk" if keys.private else "track")


def account_of(url: str, keys: Keys, api: Api, *, needed: bool) -> Account:
    """The account to speak to; a sandbox on this machine needs no key.

    Without a key where none is ``needed``, nobody knows what was delivered. Asks Klaviyo whose a
    private key is.

    Raises:
        UsageError: no key, no such key, or a key that may not read its account and no name.
        DeniedError, StoppedError: Klaviyo does not take the key, or stays silent.
    """
    if api == "track":
        return _by_public_key(url, keys.public.strip(), needed=needed)
    key = keys.private.strip()
    if not key and is_local(url):
        key = LOCAL_KEY
    if not key and not needed:
        return Account(url, "", api)
    if not key:
        raise UsageError(
            "KLAVIYO_PRIVATE_KEY is not set (private_key= in Python): a private key of the "
            "account, pk_…, with the scope events:write"
        )
    if not key.startswith(_PRIVATE) or not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError("KLAVIYO_PRIVATE_KEY is no private key: it begins with pk_")
    return Account(url, key, api, _named(url, key, keys.account))


def _by_public_key(url: str, key: str, *, needed: bool) -> Account:
    if not key and is_local(url):
        key = LOCAL_ID
    if not key and needed:
        raise UsageError(
            "KLAVIYO_PUBLIC_KEY is not set (key= in Python): the account's public key, six "
            "characters"
        )
    if key and (len(key) != limits.PUBLIC_KEY_CHARS or not (key.isascii() and key.isalnum())):
        raise UsageError(
            "KLAVIYO_PUBLIC_KEY is no public key: six letters and digits "
            "(a private key pk_… belongs into KLAVIYO_PRIVATE_KEY)"
        )
    return Account(url, key, "track", key)


def _named(url: str, key: str, name: str | None) -> str:
    """The account's id as Klaviyo tells it, or the name that a person gave."""
    found = None
    with Reader(url, key) as reader, suppress(ScopeError):
        found = account_id(reader)
    if found is None and name is None:
        raise UsageError(
            "the private key may not read its account (scope accounts:read): say --account NAME, "
            "best its public key, and the same each time, since the ledger goes by it"
        )
    if found is not None and name is not None and found != name:
        raise UsageError(f"--account {name} is not the account of the private key; leave it out")
    return found or name or ""


def endpoint_of(url: str, path: str = limits.TRACK_PATH) -> str:
    """Where requests go, in full. Raises UsageError where the URL may not be posted to."""
    return str(httpx.URL(base_url(url) + path))


def wire_of(account: Account, method: Method = "post", *, backfill: bool = True) -> Wire:
    """How events go; without a key, for what is only planned or shown.

    Raises UsageError where the URL may not be posted to.
    """
    match account.api:
        case "bulk":
            return Bulk(account.key or PLACEHOLDER_KEY, backfill=backfill)
        case "events":
            return Events(account.key or PLACEHOLDER_KEY, backfill=backfill)
        case "track" if method == "get":
            return TrackGet(endpoint_of(account.url), account.key or PLACEHOLDER_TOKEN)
        case "track":
            return Track(account.key or PLACEHOLDER_TOKEN)


WINDOWS: Final[Mapping[Api, tuple[Window, ...]]] = {
    "track": windows_of(((limits.TRACK_RATE_PER_S, 1.0),)),
    "events": windows_of(limits.EVENTS_RATES),
    "bulk": windows_of(limits.BULK_RATES),
}
"""What each API documents: requests in a second and in a minute."""


def least_requests(api: Api, events: int, size: int) -> int:
    """How many requests so many events need, at the least."""
    if api != "bulk":
        return events
    return max(-(-events // limits.BULK_MAX_EVENTS), -(-size // limits.MAX_BODY_BYTES))


def min_time_s(api: Api) -> int:
    """The earliest time of an event."""
    return limits.TRACK_MIN_TIME_S if api == "track" else limits.MIN_TIME_S
