"""A script of faults: which request, by its number, gets which bad answer.

As YAML, or the same as Python lists and dicts:

```yaml
seed: 7                       # for the rates; 0 where it is left out
faults:                       # the first that fits a request is played
  - {at: [3, 17], answer: 429, retry_after: 2}    # these requests
  - {from: 5, to: 9, answer: reset}               # these and those between; `to` may be left out
  - {rate: 0.02, answer: 500}                     # this share of all requests
  - {rate: 0.01, answer: slow, seconds: 0.2}
  - {contains: 'O-1042', answer: 403}             # every request whose body has this text
```

Requests to an API are numbered from 1, from the sandbox's start, in the order in which they
arrive. The answers:

- `429`, `503`: not recorded; JSON, with `Retry-After: retry_after` (whole seconds, 1 if left out)
- `500`: not recorded; JSON on even requests, plain text on odd ones
- `302`, `400`, `403`, `404`, `406`, `502`: not recorded; a gateway's HTML page
- `reset`: not recorded; the connection is reset before the body is read
- `early`: not recorded; a yes before the body is read, then the connection ends as a system ends it
  that has unread bytes, by a reset
- `slow`: recorded at once, answered after `seconds`
- `half`: recorded; the head of the answer is sent, then the connection is closed
- `drop`: recorded; the connection is closed without an answer
- `surplus`: recorded and answered; after `seconds` a yes follows that belongs to no request
- `reason`: recorded; the answer's reason phrase has bytes beyond ASCII

`contains` looks at the event's text as it stands in JSON: what Track's form or query encodes is
decoded first. A rate decides for each number by a hash of seed, rule and number, so that a script
plays the same whatever the timing.
"""

import difflib
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

Answer = Literal[
    "302",
    "400",
    "403",
    "404",
    "406",
    "429",
    "500",
    "502",
    "503",
    "reset",
    "early",
    "slow",
    "half",
    "drop",
    "surplus",
    "reason",
]

ANSWERS: Final[tuple[Answer, ...]] = get_args(Answer)
_NEVER: Final = sys.maxsize
"""A request number that no request has."""

_Location = tuple[int | str, ...]
"""Keys and indexes that lead to a node of the script."""


class FaultsError(ValueError):
    """A script that cannot be played; each line says where, what is wrong, what was expected."""


class _Node(BaseModel):
    """A mapping of the script; a field's description says what its value must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Fault(_Node):
    """One rule of a script: these requests get this answer.

    Attributes:
        at: numbers of requests, the first being 1; empty unless the rule has ``at``.
        first: the first of a range of requests, ``from`` in the script.
        last: the last of that range, ``to`` in the script.
        rate: the share of all requests, from 0 to 1.
        contains: a text of every request that is meant; empty unless the rule has ``contains``.
        answer: the word of ``ANSWERS`` for it.
        retry_after_s: whole seconds for the header Retry-After of 429 and 503.
        seconds: how long ``slow`` waits with its answer, and ``surplus`` with the second one.
    """

    at: frozenset[PositiveInt] = Field(
        frozenset(), strict=False, description="a list of request numbers, the first being 1"
    )
    first: PositiveInt = Field(_NEVER, alias="from", description="an integer from 1")
    last: PositiveInt = Field(_NEVER, alias="to", description="an integer from 1")
    rate: float = Field(0.0, ge=0, le=1, description="a number from 0 to 1")
    contains: str = Field("", min_length=1, description="a text of one character or more")
    answer: Annotated[Answer, BeforeValidator(str)] = Field(
        description=f"one of {', '.join(ANSWERS)}"
    )
    retry_after_s: NonNegativeInt = Field(1, alias="retry_after", description="an integer from 0")
    seconds: float = Field(0.0, ge=0, le=600, description="a number from 0 to 600")

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        given = self.model_fields_set
        if "last" in given and "first" not in given:
            raise _problem("to", '"to" goes with "from" only')
        if self.last < self.first < _NEVER:
            raise _problem("to", f'"to" must be an integer from {self.first}')
        if len(given & {"at", "first", "rate", "contains"}) != 1:
            raise _problem("", "takes exactly one of at, from, rate, contains")
        if "retry_after_s" in given and self.answer not in ("429", "503"):
            raise _problem("retry_after", '"retry_after" goes with 429 and 503 only')
        if ("seconds" in given) != (self.answer in ("slow", "surplus")):
            raise _problem("seconds", '"seconds" goes with slow and surplus, and they with it')
        return self

    def fits(self, number: int, text: str, salt: str) -> bool:
        """Whether a request gets the answer.

        Args:
            number: of the request, counted from 1.
            text: of its events.
            salt: tells rates of one script apart.
        """
        if self.contains:
            return self.contains in text
        if number in self.at or self.first <= number <= self.last:
            return True
        digest = hashlib.blake2b(f"{salt}:{number}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.rate * 2**64


class Faults(_Node):
    """A script of faults for ``Sandbox`` and ``serve``.

    Make one with ``Faults.read`` (a YAML file) or ``Faults.of`` (the same as dicts and lists).

    Attributes:
        seed: an integer that the rates are drawn from; with the same one, the same requests
            get the same faults.
        faults: the rules; the first one that fits a request is played.
    """

    seed: int = Field(0, description="an integer")
    faults: Sequence[Fault] = Field(description="a list of faults")

    @property
    def reads_text(self) -> bool:
        """Whether a rule looks at what a request says."""
        return any(fault.contains for fault in self.faults)

    def decide(self, number: int, text: str = "") -> Fault | None:
        """The fault of a request; the same at every call.

        Args:
            number: counted from 1.
            text: of the request's events.
        """
        for index, fault in enumerate(self.faults):
            if fault.fits(number, text, f"{self.seed}:{index}"):
                return fault
        return None

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a script from the YAML file ``path``.

        Raises:
            FaultsError: the file cannot be read, or is not of the form that the module describes.
        """
        try:
            script = YAML().load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise FaultsError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise FaultsError(f"{path}: is not UTF-8 text") from None
        except MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            raise FaultsError(f"{path}{line}: not valid YAML: {error.problem}") from None
        except YAMLError:
            raise FaultsError(f"{path}: not valid YAML") from None
        return cls.of(script, name=str(path))

    @classmethod
    def of(cls, script: object, *, name: str = "faults") -> Self:
        """Make a script from dicts and lists.

        Args:
            script: of the form that the module describes.
            name: what messages call the script.

        Raises:
            FaultsError: it is not of that form.
        """
        try:
            return cls.model_validate(script)
        except ValidationError as error:
            raise FaultsError(
                "\n".join(_sentence(found, script, name) for found in error.errors())
            ) from None


NO_FAULTS: Final = Faults(faults=())


def _problem(key: str, sentence: str) -> PydanticCustomError:
    """``key`` is the one whose line the message names; "" for the rule's own."""
    return PydanticCustomError("fault", "{sentence}", {"key": key, "sentence": sentence})


def _sentence(error: ErrorDetails, script: object, name: str) -> str:
    location = error["loc"]
    in_fault = len(location) > 1
    fields = (Fault if in_fault else Faults).model_fields
    keys = {field.alias or key: field for key, field in fields.items()}
    key = str(location[2 if in_fault else 0]) if len(location) not in (0, 2) else ""
    match error["type"]:
        case "model_type":
            expected = f"must be a mapping with keys out of {', '.join(keys)}"
        case "extra_forbidden":
            near = difflib.get_close_matches(key, keys, 1)
            expected = f'"{key}" is not a key here' + (f"; did you mean {near[0]}?" if near else "")
        case "fault":
            location = (*location, error["ctx"]["key"])
            expected = error["msg"]
        case _:
            expected = f'"{key}" must be {keys[key].description}'
    line = _line(script, location)
    place = name if line is None else f"{name}:{line}"
    subject = f"fault {int(location[1]) + 1}: " if in_fault else ""
    return f"{place}: {subject}{expected}"


def _line(node: object, location: _Location) -> int | None:
    """The line of the deepest node that exists; None for plain Python objects."""
    line = None
    for key in location:
        positions = getattr(getattr(node, "lc", None), "data", None) or {}
        if key not in positions:
            break
        line, node = positions[key][0] + 1, node[key]  # type: ignore[index]
    return line
