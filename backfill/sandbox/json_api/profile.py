"""The profile that comes with an event of today's API, in the words that Track has for it."""

import json
from dataclasses import dataclass
from typing import Any, Final

from backfill import limits
from backfill.sandbox.json_api import rules
from backfill.sandbox.json_api.problems import Place, Problem, pointer
from backfill.sandbox.store import identifiers
from backfill.sandbox.store.event import Person

# Source: Klaviyo's migration guide, klaviyo/facts.md 4.
_NAMES: Final = {
    "first_name": "$first_name",
    "last_name": "$last_name",
    "organization": "$organization",
    "locale": "$locale",
    "title": "$title",
    "image": "$image",
    "_kx": "$exchange_id",
    "anonymous_id": "$anonymous_id",
}
_IDENTIFIERS: Final = ("email", "phone_number", "external_id")
_BAD_PHONE: Final = "Invalid phone number format (Example of a valid format: +12345678901)"
"""Source: klaviyo/facts.md 2.10, as the next one is."""
_BAD_EMAIL: Final = "Invalid email address"
_NOBODY: Final = "At least one profile identifier is required: email, phone_number or external_id."


@dataclass(frozen=True, slots=True)
class Described:
    """A person with attributes under Track's names; ``dropped_phone``: it was none, and is out."""

    person: Person
    attributes: dict[str, object]
    dropped_phone: bool = False


def read(
    profile: dict[str, Any], place: Place, problems: list[Problem], *, forgive_phone: bool
) -> Described:
    """Klaviyo's own ``id``, ``_kx`` and ``anonymous_id`` do not identify anybody here.

    ``forgive_phone``: an event with a good e-mail address is taken without a phone number that is
    none. Source: Klaviyo's announcement, community topic 18034, of Create Event and not of Bulk.
    """
    given = profile["attributes"]
    inside: Place = (place, "attributes")
    email, phone, external_id = (given.get(key) or None for key in _IDENTIFIERS)
    found_before = len(problems)
    if email is not None and not identifiers.is_email(email):
        problems.append(Problem("email", _BAD_EMAIL, pointer((inside, "email"))))
    dropped = phone is not None and not identifiers.is_phone_number(phone)
    if dropped:
        if not (forgive_phone and email is not None and len(problems) == found_before):
            problems.append(Problem("phone_number", _BAD_PHONE, pointer((inside, "phone_number"))))
        phone = None
    if external_id is not None and not external_id.strip():
        external_id = None
    if email is phone is external_id is None and len(problems) == found_before:
        problems.append(Problem("identifier", _NOBODY, pointer(inside)))
    _check_sizes(profile, given, place, problems)
    return Described(
        Person(email.lower() if email else None, phone, external_id), _attributes(given), dropped
    )


def _check_sizes(
    profile: dict[str, Any], given: dict[str, Any], place: Place, problems: list[Problem]
) -> None:
    if given.keys() <= set(_IDENTIFIERS):
        return
    rules.own_properties(given, (place, "attributes"), problems)
    text = json.dumps(profile, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > limits.MAX_PROFILE_BYTES:
        detail = f"A profile must not be larger than {limits.MAX_PROFILE_BYTES // 1000} KB."
        problems.append(Problem("limit", detail, pointer(place)))


def _attributes(given: dict[str, Any]) -> dict[str, object]:
    attributes: dict[str, object] = {
        track: given[name] for name, track in _NAMES.items() if name in given
    }
    for name, one in (given.get("location") or {}).items():
        attributes[f"${name}"] = one
    attributes.update(given.get("properties") or {})
    return attributes
