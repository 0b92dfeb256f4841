"""What can be set about today's API: where Klaviyo's documents leave it open, or for a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from backfill.sandbox.json_api.problems import Pointers

SCOPES: Final = frozenset(
    {"accounts:read", "events:read", "events:write", "flows:read", "metrics:read"}
)

Repeats = Literal["discard", "refuse"]
"""What Bulk Create Events does with an event that it has had: both are documented."""

Flows = Mapping[str, Sequence[tuple[str, str]]]
"""By metric: the name and the status (live, manual, draft) of each flow that hangs on it."""

Platforms = Mapping[str, str]
"""By metric: the integration that has one of the same name, which is another metric."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """``account`` is that of a private key that does not name one, as ``pk_ABC123_…`` does.

    ``visible_after_s``: how long after an answer a query finds the events.
    """

    repeats: Repeats = "discard"
    visible_after_s: float = 0.0
    account: str = "LOCAL1"
    scopes: frozenset[str] = SCOPES
    pointers: Pointers = "all"
    flows: Flows = field(default_factory=dict)
    platforms: Platforms = field(default_factory=dict)


DEFAULT: Final = Behaviour()
