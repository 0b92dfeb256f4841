"""The profile that comes with an event of the JSON:API, under the names that Track has."""

import json
from dataclasses import dataclass
from typing import Any, Final

from backfill import limits
from backfill.sandbox.json_api import rules
from backfill.sandbox.json_api.problems import Place, Problems, join
from backfill.sandbox.store import identifiers
from backfill.sandbox.store.event import Person

NAMES: Final = ("first_name", "last_name", "organization", "locale", "title", "image")
_TRACK_NAMES: Final = {
    **{name: f"${name}" for name in (*NAMES, "anonymous_id")},
    "_kx": "$exchange_id",
}
"""Source: docs/klaviyo.md, "From Track to JSON:API"."""
_IDENTIFIERS: Final = ("email", "phone_number", "external_id")


@dataclass(frozen=True, slots=True)
class EventProfile:
    """A person, and attributes under Track's names.

    ``dropped_phone``: the phone number was not one, and the person is without it.
    """

    person: Person
    attributes: dict[str, object]
    dropped_phone: bool


def read_profile(
    attributes: dict[str, Any], place: Place, problems: Problems, *, forgive_phone: bool
) -> EventProfile:
    """Read the profile among ``attributes``, and add what is wrong with it to ``problems``.

    Klaviyo's own ``id``, ``_kx`` and ``anonymous_id`` do not identify anybody here.

    ``forgive_phone`` leaves out a wrong phone number beside a good e-mail address, as Create Event
    does and Bulk Create Events does not. Source: docs/klaviyo.md, "Phone numbers".
    """
    resource, place = attributes["profile"]["data"], join(place, "profile", "data")
    given, inside = resource["attributes"], (place, "attributes")
    email, phone, external_id = (given.get(key) or None for key in _IDENTIFIERS)
    problems_before = len(problems)
    if email is not None and not identifiers.is_email(email):
        problems.add("email", "Invalid email address", (inside, "email"))
    dropped = phone is not None and not identifiers.is_phone_number(phone)
    if dropped:
        phone = None
        if not (forgive_phone and email is not None and len(problems) == problems_before):
            detail = "Invalid phone number format (Example of a valid format: +12345678901)"
            problems.add("phone_number", detail, (inside, "phone_number"))
    if external_id is not None and not external_id.strip():
        external_id = None
    if email is phone is external_id is None and len(problems) == problems_before:
        detail = "At least one profile identifier is required: email, phone_number or external_id."
        problems.add("identifier", detail, inside)
    _check_sizes(resource, place, problems)
    person = Person(email.lower() if email else None, phone, external_id)
    return EventProfile(person, _attributes(given), dropped)


def _check_sizes(resource: dict[str, Any], place: Place, problems: Problems) -> None:
    given = resource["attributes"]
    if given.keys() <= set(_IDENTIFIERS):
        return
    rules.check_values(given.items(), (place, "attributes"), problems)
    text = json.dumps(resource, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode()) > limits.MAX_PROFILE_BYTES:
        detail = f"A profile must not be larger than {limits.MAX_PROFILE_BYTES // 1000} KB."
        problems.add("limit", detail, place)


def _attributes(given: dict[str, Any]) -> dict[str, object]:
    return {
        **{track: given[name] for name, track in _TRACK_NAMES.items() if name in given},
        **{f"${name}": value for name, value in (given.get("location") or {}).items()},
        **(given.get("properties") or {}),
    }
