"""What a schema may say to Track and not to Klaviyo's API of today, told before any export."""

from collections.abc import Iterator
from typing import Final

from backfill import limits
from backfill.errors import Problem
from backfill.schema.document import Place
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Event, Schema

_NO_CONSENT: Final = (
    "$consent cannot go with events through --api {api}: take it out, and subscribe people by a "
    "list import in Klaviyo or by its API Bulk Subscribe Profiles"
)


def api_problems(loaded: LoadedSchema, api: str) -> list[Problem]:
    """Why ``loaded`` cannot be sent through ``api``, one of the JSON:API; [] where it can."""
    found = _today(loaded.schema)
    return [loaded.problem(path, text.replace("{api}", api)) for path, text in found]


def _today(schema: Schema) -> Iterator[tuple[Place, str]]:
    if "$consent" in schema.customer_properties:
        yield ("customer_properties", "$consent"), _NO_CONSENT
    for at, event in enumerate(schema.events):
        yield from _event(event, ("events", at))


def _event(event: Event, path: Place) -> Iterator[tuple[Place, str]]:
    if not event.event.strip():
        yield (*path, "event"), "the metric's name is blank"
    if len(event.event) > limits.MAX_METRIC_CHARS:
        most = limits.MAX_METRIC_CHARS
        yield (*path, "event"), f"the metric's name has {len(event.event)} characters, over {most}"
