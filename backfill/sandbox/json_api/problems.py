"""What is wrong with a request to the JSON:API, each problem with its place in the request."""

from dataclasses import KW_ONLY, dataclass
from functools import reduce
from typing import Final, Literal

from backfill.sandbox.store.event import RefusedError

Pointers = Literal["all", "first", "none"]
"""How much a refusal says: every faulty member, the first of them, or only that there is one."""

Place = tuple["Place", str | int] | tuple[()]
"""A place in a body, as (the place that it is in, key or index); () is the whole body.

A chain of pairs and not a text: it is made for every value of every event, and read for few.
"""

BODY: Final[Place] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """What one error object says.

    Attributes:
        reason: a word to count refusals by; no response has it.
        detail: Klaviyo's own sentence where one is known; it repeats no value of the body.
        pointer: where in the body, as RFC 6901 has it; None if it is not in the body.
        parameter: which query parameter or header; None if it is in none.
        status: of HTTP.
        code: None for the code that goes with the status.
    """

    reason: str
    detail: str
    _: KW_ONLY
    pointer: str | None = None
    parameter: str | None = None
    status: int = 400
    code: str | None = None


class Problems(list[Problem]):
    """All problems of one body, in the order in which they were found."""

    def add(self, reason: str, detail: str, place: Place, code: str | None = None) -> None:
        self.append(Problem(reason, detail, pointer=pointer(place), code=code))

    def raise_any(self) -> None:
        """Raises: ProblemsError, if there are problems."""
        if self:
            raise ProblemsError(*self)


class ProblemsError(RefusedError):
    """A request that is answered with error objects; it counts as refused for the first."""

    def __init__(self, *problems: Problem) -> None:
        first = problems[0]
        place = "" if first.pointer is None else f"{first.pointer}: "
        super().__init__(first.reason, f"{place}{first.detail}", status=first.status)
        self.problems = problems


def invalid_parameter(name: str, detail: str, status: int = 400) -> ProblemsError:
    """``name`` is that of a query parameter or a header."""
    return ProblemsError(Problem(name, detail, parameter=name, status=status))


def join(place: Place, *keys: str | int) -> Place:
    """The place that ``keys`` lead to from ``place``."""
    return reduce(lambda inside, key: (inside, key), keys, place)


def pointer(place: Place) -> str:
    """RFC 6901. The body's own is "" and not "/"."""
    keys: list[str] = []
    while place:
        place, key = place
        keys.append(str(key).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{key}" for key in reversed(keys))
