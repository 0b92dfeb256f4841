"""The account of a run: its URL, its key, and the API that takes the events."""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import httpx

from backfill import limits
from backfill.account.reader import Reader, account_id
from backfill.errors import ScopeError, StoppedByUserError, StoppedError, UsageError
from backfill.ledger.ledger import Target
from backfill.transport.url import base_url, is_loopback
from backfill.wire import apis
from backfill.wire.apis import APIS, Api, ApiName, Method
from backfill.wire.bulk import Bulk
from backfill.wire.events import Events
from backfill.wire.interface import Wire
from backfill.wire.json_api import PLACEHOLDER_KEY
from backfill.wire.track import PLACEHOLDER_TOKEN, Track, TrackGet

LOCAL_ID: Final = "LOCAL1"
LOCAL_KEY: Final = "pk_LOCAL1_local"
"""The keys for a sandbox on this machine, which needs none."""

ASK_S: Final = 5.0
"""How long a plan waits for Klaviyo to say whose key it has."""

_PRIVATE: Final = "pk_"


@dataclass(frozen=True, slots=True)
class Account:
    """Where events go, and with which key; no ``repr`` shows the key."""

    url: str
    key: str = field(repr=False)
    """Of the kind that ``api`` takes; private for ``verify``; empty where a run only plans."""
    api: Api = apis.TRACK
    id: str = field(default="", repr=False)
    """The account's public key, which all APIs have in common; the ledger is bound to it."""
    is_confirmed: bool = False
    """Klaviyo said the ``id`` of the private key."""
    unknown: str = ""
    """Why nobody knows whose key was given. The account has none then."""

    @property
    def target(self) -> Target:
        return Target(self.url, self.id or self.key)

    @property
    def keys(self) -> tuple[str, ...]:
        """What no text for people may show."""
        return tuple({self.key, self.id} - {""})

    @property
    def is_local(self) -> bool:
        return is_loopback(httpx.URL(base_url(self.url)).host)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that a person gave; no ``repr`` shows them."""

    public: str = field(default="", repr=False)
    private: str = field(default="", repr=False)
    account: str | None = None
    """A name for the account, where the private key may not read it."""


def api_of(keys: Keys, asked: ApiName | None) -> Api:
    """The API that was asked for; else the kind of key decides, the private one first."""
    if asked is not None:
        return APIS[asked]
    return apis.BULK if keys.private else apis.TRACK


def account_of(url: str, keys: Keys, api: Api) -> Account:
    """The account to send to. Asks Klaviyo for the account of a private key.

    Args:
        url: where Klaviyo is; a sandbox on this machine needs no key.
        keys: what a person gave.
        api: takes the events.

    Raises:
        UsageError: there is no key, it is malformed, or it may not read its account and no name
            is given.
        DeniedError: Klaviyo rejects the key.
        StoppedError: Klaviyo does not answer.
    """
    by_key = _by_public_key if api.has_public_key else _by_private_key
    return by_key(url, keys, api, needed=True)


def account_to_verify(url: str, keys: Keys, api: Api) -> Account:
    """The account to read back, by its private key, whichever ``api`` the events went by.

    Raises as ``account_of``.
    """
    return _by_private_key(url, keys, api, needed=True)


def account_to_plan(
    url: str,
    keys: Keys,
    api: Api,
    known: Callable[[str], str | None] = lambda _: None,
    longest_s: float = ASK_S,
) -> Account:
    """The account whose deliveries a plan leaves out; Klaviyo is asked only if nobody knows it.

    Args:
        url: where Klaviyo is.
        keys: what a person gave; the name of an account is taken as it is.
        api: takes the events.
        known: gives the account's id that Klaviyo said of a private key before.
        longest_s: how long to wait for Klaviyo. After that the account has no key, and says why.

    Raises:
        UsageError: a key is malformed, it may not read its account, or the name is another's.
        DeniedError: Klaviyo rejects the key.
    """
    if api.has_public_key:
        return _by_public_key(url, keys, api, needed=False)
    key = _private_key(url, keys, needed=False)
    if not key:
        return Account(url, key, api)
    if found := known(key):
        return Account(url, key, api, _checked(found, keys.account))
    if keys.account:
        return Account(url, key, api, keys.account)
    try:
        return _asked_briefly(url, keys, api, longest_s)
    except StoppedError as error:
        return Account(url, "", api, unknown=str(error).partition(";")[0])


def _asked_briefly(url: str, keys: Keys, api: Api, longest_s: float) -> Account:
    stop = threading.Event()
    timer = threading.Timer(longest_s, stop.set)
    timer.daemon = True
    timer.start()
    try:
        return _by_private_key(url, keys, api, needed=False, stop=stop)
    except StoppedByUserError:
        raise StoppedError(f"no answer in {longest_s:g} s") from None
    finally:
        timer.cancel()
        timer.join()


def _by_private_key(
    url: str, keys: Keys, api: Api, *, needed: bool, stop: threading.Event | None = None
) -> Account:
    key = _private_key(url, keys, needed=needed)
    if not key:
        return Account(url, key, api)
    found = None
    with Reader(url, key, stop=stop) as reader, suppress(ScopeError):
        found = account_id(reader)
    if found is None and keys.account is None:
        raise UsageError(
            "the private key may not read its account (scope accounts:read): name the account by "
            "--account NAME, best its public key, and the same each time: the ledger is bound to it"
        )
    if found is None:
        return Account(url, key, api, keys.account or "")
    return Account(url, key, api, _checked(found, keys.account), is_confirmed=True)


def _checked(found: str, name: str | None) -> str:
    if name is not None and found != name:
        raise UsageError(f"--account {name} is not the account of the private key; leave it out")
    return found


def _private_key(url: str, keys: Keys, *, needed: bool) -> str:
    """The key that a person gave, or the local one; empty if there is none and none is needed."""
    key = _given_or_local(keys.private, LOCAL_KEY, url)
    if not key and needed:
        raise UsageError(
            "KLAVIYO_PRIVATE_KEY is not set (private_key= in Python): a private key of the "
            "account, pk_…, with the scope events:write"
        )
    plain = key.isascii() and key.isprintable() and " " not in key
    if key and not (key.startswith(_PRIVATE) and plain):
        raise UsageError("KLAVIYO_PRIVATE_KEY is not a private key, which begins with pk_")
    return key


def _by_public_key(url: str, keys: Keys, api: Api, *, needed: bool) -> Account:
    key = _given_or_local(keys.public, LOCAL_ID, url)
    if not key and needed:
        raise UsageError(
            "KLAVIYO_PUBLIC_KEY is not set (key= in Python): the account's public key, six "
            "characters"
        )
    if key and (len(key) != limits.PUBLIC_KEY_CHARS or not (key.isascii() and key.isalnum())):
        raise UsageError(
            "KLAVIYO_PUBLIC_KEY is not a public key, which has six letters and digits "
            "(a private key pk_… belongs in KLAVIYO_PRIVATE_KEY)"
        )
    return Account(url, key, api, key)


def _given_or_local(given: str, local: str, url: str) -> str:
    """The key that a person gave; else the local one, if the URL is on this machine."""
    return given.strip() or (local if Account(url, "").is_local else "")


def endpoint_of(url: str, api: Api) -> str:
    """The URL to which events go. Raises UsageError where it may not be posted to."""
    return base_url(url) + api.path


def wire_of(account: Account, method: Method = "post", *, backfill: bool = True) -> Wire:
    """The wire format of the account's API.

    Args:
        account: one without a key gets placeholders, for what is only planned or shown.
        method: of Track alone.
        backfill: whether to mark events so that they start no flow; Track has no such mark.

    Raises:
        UsageError: the URL may not be posted to.
    """
    api, key = account.api, account.key
    if api == apis.TRACK:
        token = key or PLACEHOLDER_TOKEN
        if method == "get":
            return TrackGet(endpoint_of(account.url, api), token)
        return Track(token)
    wire = Bulk if api == apis.BULK else Events
    return wire(key or PLACEHOLDER_KEY, backfill=backfill)
