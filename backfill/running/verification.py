"""After a run: does the account show what the run delivered?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from backfill.account.account import Account
from backfill.account.reader import Reader
from backfill.account.verify import Verified, verify
from backfill.account.visibility import Visibility
from backfill.errors import BackfillError, StoppedByUserError, UsageError
from backfill.ledger.ledger import Ledger
from backfill.planning.plan import Plan

_TELL_EVERY_S: Final = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What the account shows, or why nobody knows."""

    verified: Verified | None = None
    why_not: str = ""


def wants_verification(account: Account, asked: bool | None) -> bool:  # noqa: FBT001
    """Whether a run to this account is verified.

    Args:
        account: where events go.
        asked: what the person said; None is yes for a live account by a private key.

    Raises:
        UsageError: it was asked for, and the key is public, which reads nothing.
    """
    if account.api.has_public_key:
        if asked:
            raise UsageError(
                "--verify needs a private key, and this run has a public one, which may not read "
                "the account; after the run, backfill verify asks with KLAVIYO_PRIVATE_KEY"
            )
        return False
    return not account.is_local if asked is None else asked


def verify_run(
    plan: Plan,
    reader: Reader,
    ledger: Ledger,
    *,
    files: Sequence[str],
    run_id: str,
    visibility: Visibility,
) -> Answer:
    """Compare what a run delivered with the account; nothing that goes wrong here is raised.

    The delivery is done and in the ledger, so neither a silent account nor a signal may change
    what the run says of it.

    Args:
        plan: the run's.
        reader: asks the account.
        ledger: has what the run delivered.
        files: of the export (``Export.files``).
        run_id: the run.
        visibility: how long to wait for what is not visible yet.
    """
    try:
        return Answer(
            verify(
                plan,
                reader,
                ledger,
                files=files,
                visibility=visibility,
                run_id=run_id,
                on_events=_teller(visibility),
            )
        )
    except (KeyboardInterrupt, StoppedByUserError):
        return Answer(why_not="stopped as asked")
    except (BackfillError, OSError, duckdb.Error) as error:
        return Answer(why_not=str(error))


def _teller(visibility: Visibility) -> Callable[[int], None]:
    """Say every minute how many events were read: of a large account it takes a while."""
    events = 0
    tell_s = time.monotonic() + _TELL_EVERY_S

    def read(more: int) -> None:
        nonlocal events, tell_s
        events += more
        if time.monotonic() >= tell_s:
            tell_s += _TELL_EVERY_S
            visibility.tell(
                f"comparing with the account: {events:,} of its events read; Ctrl-C ends this, and "
                "what was delivered stays delivered"
            )

    return read
