"""The keys in the environment, and the account and the API that they are for."""

import os
from functools import partial
from pathlib import Path

from backfill.account.account import Account, Keys, account_of, account_to_plan, api_of
from backfill.errors import UsageError
from backfill.running.known_accounts import known_account
from backfill.wire.apis import Api, ApiName, Method


def read_keys(account: str | None = None) -> Keys:
    """The environment is read here alone.

    Args:
        account: the account's name, if the private key may not read it.
    """
    public, private = (
        os.environ.get(f"KLAVIYO_{kind}_KEY", "").strip() for kind in ("PUBLIC", "PRIVATE")
    )
    return Keys(public, private, account)


def chosen_api(asked: ApiName | None) -> Api:
    """``asked``, or the API that the kind of key selects."""
    return api_of(read_keys(), asked)


def chosen_account(url: str, api: ApiName | None, name: str | None) -> Account:
    """The account to send to, as ``account_of`` returns it."""
    return account_of(url, read_keys(name), chosen_api(api))


def planned_account(url: str, api: ApiName | None, name: str | None, state: Path) -> Account:
    """The account to plan for, as ``account_to_plan`` returns it."""
    known = partial(known_account, state, url)
    return account_to_plan(url, read_keys(name), chosen_api(api), known)


def method_for(api: Api, asked: Method) -> Method:
    """``asked``. Raises UsageError if the API has no such request."""
    if asked not in api.methods:
        raise UsageError(f"--method get is for --api track; {api.name} knows POST alone")
    return asked
