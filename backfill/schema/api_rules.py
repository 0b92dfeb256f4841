"""Problems of a schema that Track takes and Klaviyo's JSON:API does not."""

from collections.abc import Iterator
from typing import Final

from backfill import limits
from backfill.errors import Problem
from backfill.schema.document import KeyPath
from backfill.schema.load import LoadedSchema
from backfill.schema.model import Event, Schema

_NO_CONSENT: Final = (
    "$consent cannot go with events through --api {api}: take it out, and subscribe people by a "
    "list import in Klaviyo or by its API Bulk Subscribe Profiles"
)


def api_problems(loaded: LoadedSchema, api: str) -> list[Problem]:
    """Say why a schema cannot be used with an endpoint of the JSON:API.

    Args:
        loaded: the schema.
        api: the name of the API, for the messages.

    Returns:
        The problems, each with its line; [] if there are none.
    """
    found = _json_api_problems(loaded.schema)
    return [loaded.problem(path, text.replace("{api}", api)) for path, text in found]


def _json_api_problems(schema: Schema) -> Iterator[tuple[KeyPath, str]]:
    if "$consent" in schema.customer_properties:
        yield ("customer_properties", "$consent"), _NO_CONSENT
    for at, event in enumerate(schema.events):
        yield from _metric_problems(event, ("events", at))


def _metric_problems(event: Event, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if not event.event.strip():
        yield (*path, "event"), "the metric's name is blank"
    if len(event.event) > limits.MAX_METRIC_CHARS:
        length, most = len(event.event), limits.MAX_METRIC_CHARS
        problem = f"the metric's name has {length} characters; Klaviyo takes at most {most}"
        yield (*path, "event"), problem
