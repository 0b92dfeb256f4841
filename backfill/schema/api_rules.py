"""Problems of a schema that Track takes and Klaviyo's JSON:API does not."""

from backfill import limits
from backfill.errors import Problem
from backfill.schema.load import LoadedSchema


def api_problems(loaded: LoadedSchema, api: str) -> list[Problem]:
    """The reasons why a schema cannot be used with an endpoint of the JSON:API.

    Args:
        loaded: the schema.
        api: the name of the API, for the messages.

    Returns:
        The problems, each with its line; [] if there are none.
    """
    found: list[Problem] = []
    if "$consent" in loaded.schema.customer_properties:
        problem = (
            f"$consent cannot go with events through --api {api}: take it out, and subscribe "
            "people by a list import in Klaviyo or by its API Bulk Subscribe Profiles"
        )
        found.append(loaded.problem(("customer_properties", "$consent"), problem))
    for at, event in enumerate(loaded.schema.events):
        length, most = len(event.event), limits.MAX_METRIC_CHARS
        if not event.event.strip():
            found.append(loaded.problem(("events", at, "event"), "the metric's name is blank"))
        if length > most:
            problem = f"the metric's name has {length} characters; Klaviyo takes at most {most}"
            found.append(loaded.problem(("events", at, "event"), problem))
    return found
