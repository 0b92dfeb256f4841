"""How the JSON:API answers where Klaviyo's documents leave it open, or where a test needs it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from backfill.sandbox.json_api.problems import Pointers

SCOPES: Final = frozenset(
    {"accounts:read", "events:read", "events:write", "flows:read", "metrics:read"}
)

Repeats = Literal["discard", "refuse"]
"""What Bulk Create Events does with an event that it has had: both are documented."""

Flows = Mapping[str, Sequence[tuple[str, str]]]
"""By metric: the name and the status (live, manual, draft) of each flow that it triggers."""

Platforms = Mapping[str, str]
"""By metric: the integration that has one of the same name, which is another metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the JSON:API of a sandbox answers.

    Args:
        repeats: what Bulk Create Events does with an event that it has had, or has twice in one
            request: "discard" answers 202 and keeps the first, "refuse" answers 400 and takes
            nothing of the request.
        visible_after_s: seconds from the answer to an event until a query finds it.
        account: six letters and digits; the account of private keys that name none, as
            ``pk_ABC123_…`` does.
        scopes: what every private key may do, as ``events:write``; another endpoint answers 403.
        pointers: how much a refusal says: "all" faulty members (20 at most), the "first", or
            "none", only that there is one.
        flows: by metric, the (name, status) of each flow that it triggers, as
            ``{"Placed Order": [("Thank you", "live")]}``.
        platforms: by metric, the integration that has a metric of the same name, as
            ``{"Placed Order": "Shopify"}``.
    """

    repeats: Repeats = "discard"
    visible_after_s: float = 0.0
    account: str = "LOCAL1"
    scopes: Collection[str] = SCOPES
    pointers: Pointers = "all"
    flows: Flows = field(default_factory=dict)
    platforms: Platforms = field(default_factory=dict)


DEFAULT: Final = Behaviour()
