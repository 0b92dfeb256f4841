"""A script of what goes wrong, by the number of the request.

As YAML, or the same as Python lists and dicts:

```yaml
seed: 7                       # for the rates; 0 where it is left out
faults:                       # the first that fits a request is played
  - {at: [3, 17], answer: 429, retry_after: 2}    # these requests
  - {from: 5, to: 9, answer: reset}               # these and those between; `to` may be left out
  - {rate: 0.02, answer: 500}                     # this share of all requests
  - {rate: 0.01, answer: slow, seconds: 0.2}
```

Requests to an API are numbered from 1, from the sandbox's start, in the order in which they
arrive. The answers:

- `429`, `503`: not recorded; JSON, with `Retry-After: retry_after` (whole seconds, 1 if left out)
- `500`: not recorded; JSON on even requests, plain text on odd ones
- `502`, `403`: not recorded; a gateway's HTML page
- `reset`: not recorded; the connection is reset before the body is read
- `slow`: recorded at once, answered after `seconds`
- `half`: recorded; the head of the answer is sent, then the connection is closed
- `drop`: recorded; the connection is closed without an answer

A rate decides for each number by a hash of seed, rule and number, so that a script plays the same
whatever the timing.
"""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeGuard, get_args

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

Answer = Literal["403", "429", "500", "502", "503", "reset", "slow", "half", "drop"]

ANSWERS: Final[tuple[Answer, ...]] = get_args(Answer)
_WITH_RETRY_AFTER: Final = ("429", "503")
_MATCHERS: Final = ("at", "from", "rate")
_LONGEST_S: Final = 600.0
_KEYS: Final = (*_MATCHERS, "to", "answer", "retry_after", "seconds")


class FaultsError(ValueError):
    """A script that cannot be played: which file, which line, what was expected."""


@dataclass(frozen=True, slots=True)
class At:
    numbers: frozenset[int]

    def fits(self, number: int, salt: str) -> bool:  # noqa: ARG002
        return number in self.numbers


@dataclass(frozen=True, slots=True)
class Span:
    first: int
    last: int | None

    def fits(self, number: int, salt: str) -> bool:  # noqa: ARG002
        return self.first <= number and (self.last is None or number <= self.last)


@dataclass(frozen=True, slots=True)
class Rate:
    share: float

    def fits(self, number: int, salt: str) -> bool:
        digest = hashlib.blake2b(f"{salt}:{number}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self.share * 2**64


@dataclass(frozen=True, slots=True)
class Fault:
    when: At | Span | Rate
    answer: Answer
    retry_after_s: int = 1
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Faults:
    """A script: its rules in order, and what its rates are drawn from."""

    rules: tuple[Fault, ...] = ()
    seed: int = 0

    def decide(self, number: int) -> Fault | None:
        """What happens to request ``number``; the same at every call."""
        for index, rule in enumerate(self.rules):
            if rule.when.fits(number, f"{self.seed}:{index}"):
                return rule
        return None

    @classmethod
    def read(cls, path: Path) -> "Faults":
        """Read a script from a YAML file.

        Raises:
            FaultsError: the file cannot be read, or is not of the form above.
        """
        try:
            script = YAML().load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise FaultsError(f"{path}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise FaultsError(f"{path}: is no UTF-8 text") from None
        except MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            raise FaultsError(f"{path}{line}: no valid YAML: {error.problem}") from None
        except YAMLError:
            raise FaultsError(f"{path}: no valid YAML") from None
        return cls.of(script, name=str(path))

    @classmethod
    def of(cls, script: object, *, name: str = "faults") -> "Faults":
        """The script that a Python object of the form above is; ``name`` is for messages."""
        whole = _Node.of(script, ("seed", "faults"), _Place(name))
        rules = whole.get("faults")
        if not isinstance(rules, list | tuple):
            raise whole.problem("faults", "is a list of faults")
        places = (
            _Place(name, f"fault {index}: ", _line(rules, index - 1) or whole.place.line)
            for index in range(1, len(rules) + 1)
        )
        return cls(
            tuple(
                _fault(_Node.of(rule, _KEYS, place))
                for rule, place in zip(rules, places, strict=True)
            ),
            whole.integer("seed", default=0),
        )


NO_FAULTS: Final = Faults()


def _fault(rule: "_Node") -> Fault:
    answer = str(rule.get("answer"))
    if answer not in ANSWERS:
        raise rule.problem("answer", f"is one of {', '.join(ANSWERS)}")
    if answer not in _WITH_RETRY_AFTER and rule.has("retry_after"):
        raise rule.problem("retry_after", f"goes with {' and '.join(_WITH_RETRY_AFTER)} only")
    if (answer == "slow") != rule.has("seconds"):
        raise rule.problem("seconds", "goes with slow, and slow with it")
    return Fault(
        _when(rule),
        answer,
        rule.integer("retry_after", default=1, least=0),
        rule.number("seconds", most=_LONGEST_S) if answer == "slow" else 0.0,
    )


def _when(rule: "_Node") -> At | Span | Rate:
    if rule.has("to") and not rule.has("from"):
        raise rule.problem("to", "goes with from only")
    match [key for key in _MATCHERS if rule.has(key)]:
        case ["at"]:
            return At(rule.numbers("at"))
        case ["from"]:
            first = rule.integer("from", default=1, least=1)
            last = rule.integer("to", default=first, least=first) if rule.has("to") else None
            return Span(first, last)
        case ["rate"]:
            return Rate(rule.number("rate", most=1))
    raise rule.problem(None, f"takes exactly one of {', '.join(_MATCHERS)}")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in which script, for messages; ``line`` is None for plain Python objects."""

    name: str
    what: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class _Node:
    """A mapping of the script: its values by kind, its problems with their place."""

    keys: Mapping[str, object]
    place: _Place

    @classmethod
    def of(cls, node: object, allowed: Sequence[str], place: _Place) -> "_Node":
        made = cls(node if isinstance(node, Mapping) else {}, place)
        if made.keys is not node:
            raise made.problem(None, f"must be a mapping with keys out of {', '.join(allowed)}")
        for key in made.keys:
            if key not in allowed:
                near = difflib.get_close_matches(str(key), allowed, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise made.problem(key, f"is no key here{hint}")
        return made

    def get(self, key: str) -> object:
        return self.keys.get(key)

    def has(self, key: str) -> bool:
        return key in self.keys

    def integer(self, key: str, *, default: int, least: int | None = None) -> int:
        found = self.keys.get(key, default)
        if not _is_integer(found) or (least is not None and found < least):
            bound = "" if least is None else f" from {least}"
            raise self.problem(key, f"is an integer{bound}")
        return found

    def number(self, key: str, *, most: float) -> float:
        found = self.keys.get(key)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= most:
            raise self.problem(key, f"is a number from 0 to {most:g}")
        return float(found)

    def numbers(self, key: str) -> frozenset[int]:
        found = self.keys.get(key)
        if not isinstance(found, list | tuple) or not all(
            _is_integer(one) and one >= 1 for one in found
        ):
            raise self.problem(key, "is a list of request numbers, the first being 1")
        return frozenset(found)

    def problem(self, key: str | None, sentence: str) -> FaultsError:
        line = _line(self.keys, key) or self.place.line
        place = self.place.name if line is None else f"{self.place.name}:{line}"
        subject = "" if key is None else f'"{key}" '
        return FaultsError(f"{place}: {self.place.what}{subject}{sentence}")


def _is_integer(found: object) -> TypeGuard[int]:
    return isinstance(found, int) and not isinstance(found, bool)


def _line(node: object, key: object) -> int | None:
    """The line on which ``key`` stands in its file; None for plain Python objects."""
    positions = getattr(getattr(node, "lc", None), "data", None) or {}
    return positions[key][0] + 1 if key in positions else None
