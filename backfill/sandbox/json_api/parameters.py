"""The query parameters of a GET: each must be known, and have a value that is understood."""

from collections.abc import Collection, Mapping, Sequence

from backfill import limits
from backfill.sandbox.json_api import filters
from backfill.sandbox.json_api.filters import Condition
from backfill.sandbox.json_api.problems import invalid_parameter
from backfill.sandbox.json_api.resources import Resource

_SHOWN_CHARS = 60


class Parameters:
    """The parameters of one request.

    Every method raises ProblemsError for a value that is not understood.

    Raises:
        ProblemsError: a parameter is not among ``known``.
    """

    def __init__(self, query: Mapping[str, str], known: Collection[str]) -> None:
        for name in query:
            if name not in known:
                shown = name[:_SHOWN_CHARS]
                raise invalid_parameter(shown, f"'{shown}' is not a valid query parameter.")
        self._query = query

    def get(self, name: str) -> str | None:
        return self._query.get(name)

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        given = self._query.get(name, default)
        if given not in choices:
            raise invalid_parameter(name, f"Invalid {name}.")
        return given

    def include(self, choices: Collection[str]) -> list[str]:
        """The related resources that the answer is to include."""
        included = self._query["include"].split(",") if "include" in self._query else []
        if not set(included) <= set(choices):
            raise invalid_parameter("include", "Invalid include.")
        return included

    def sparse(self, resource: Resource) -> Resource:
        """The resource with the attributes that ``fields[…]`` names for its type, or all."""
        fields = self._query.get(f"fields[{resource['type']}]")
        if fields is None:
            return resource
        wanted = fields.split(",")
        attributes = {key: one for key, one in resource["attributes"].items() if key in wanted}
        return resource | {"attributes": attributes}

    def conditions(self, allowed: Mapping[str, Sequence[str]]) -> list[Condition]:
        """The filter's; ``allowed`` are the operators of each field."""
        text = self._query.get("filter")
        return [] if text is None else filters.parse(text, allowed)

    def page_size(self) -> int:
        text = self._query.get("page[size]", str(limits.EVENTS_PAGE_DEFAULT))
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= limits.EVENTS_PAGE):
            detail = f"Page size must be an integer between 1 and {limits.EVENTS_PAGE}."
            raise invalid_parameter("page[size]", detail)
        return int(text)
