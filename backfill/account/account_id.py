"""Which account a private key belongs to, so that the ledger is one for all keys and both APIs."""

import re
from typing import Final

from backfill import limits
from backfill.account.reader import Reader
from backfill.errors import DeniedError

_ID: Final = re.compile(r"[A-Za-z0-9]{1,64}")


def account_id(reader: Reader) -> str:
    """The account's id, which is its public key.

    Source: klaviyo/facts.md, Get Accounts; a key has one account.

    Raises:
        ScopeError: the key may not read accounts; a person can say ``--account NAME``.
        DeniedError: Klaviyo does not know the key, or the answer names no account.
        StoppedError: no answer.
    """
    found = reader.get(limits.ACCOUNTS_PATH).get("data")
    first = found[0] if isinstance(found, list) and found else None
    name = first.get("id") if isinstance(first, dict) else None
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise DeniedError(
            f"GET {limits.ACCOUNTS_PATH} names no account; say which one it is with --account NAME"
        )
    return name
