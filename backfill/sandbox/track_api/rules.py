"""The Track API's rules for one event.

Where the reference leaves something open, this takes the stricter reading: what passes here passes
there.

Source: Track API reference v1-2; read 2026-11-23.
"""

from typing import Final

from backfill import limits
from backfill.sandbox import strict_json
from backfill.sandbox.store import identifiers
from backfill.sandbox.store.event import Event, Person, RefusedError

_LAST_TEN_DIGITS: Final = limits.TRACK_MIN_TIME_S * 10 - 1

# The SDKs write identifiers without the dollar sign that the reference has.
_IDENTIFIERS: Final = frozenset({"$email", "email", "$phone_number", "phone_number", "$id", "id"})


def read_event(text: str, *, now_s: float) -> Event:
    """The event that ``text``, a request's JSON, asks for.

    Raises:
        RefusedError: with the account's token where that much could be read.
    """
    body = strict_json.parse(text)
    token = _token(body)
    try:
        return _event(body, token, now_s)
    except RefusedError as error:
        error.token = token
        raise


def _event(body: dict[str, object], token: str, now_s: float) -> Event:
    customer = body.get("customer_properties")
    if not isinstance(customer, dict):
        raise RefusedError("customer_properties", '"customer_properties" must be an object')
    properties = body.get("properties", {})
    if not isinstance(properties, dict):
        raise RefusedError("properties", '"properties" must be an object')
    _check_value(properties)
    _check_consent(customer)
    return Event(
        token=token,
        metric=_metric(body.get("event")),
        event_id=(
            _text_of_id(properties["$event_id"], "event_id", "$event_id")
            if "$event_id" in properties
            else None
        ),
        time_s=_time(body.get("time"), now_s),
        person=_person(customer),
        properties=properties,
        attributes={key: customer[key] for key in customer if key not in _IDENTIFIERS},
    )


def _token(body: dict[str, object]) -> str:
    token = body.get("token")
    if not isinstance(token, str) or not identifiers.is_public_key(token):
        raise RefusedError(
            "token", f'"token" must be a key of {limits.PUBLIC_KEY_CHARS} letters and digits'
        )
    return token


def _metric(event: object) -> str:
    if not isinstance(event, str) or not event.strip():
        raise RefusedError("event", '"event" must be a name')
    return event


def _text_of_id(given: object, reason: str, name: str) -> str:
    if isinstance(given, str) and given.strip():
        return given
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    raise RefusedError(reason, f'"{name}" must be text or an integer')


def _check_value(properties: dict[str, object]) -> None:
    value = properties.get("$value", 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusedError("value", '"$value" must be a number')


def _check_consent(customer: dict[str, object]) -> None:
    consent = customer.get("$consent", [])
    if not isinstance(consent, list) or any(kind not in limits.CONSENT_TYPES for kind in consent):
        raise RefusedError(
            "consent", f'"$consent" must be a list of some of {", ".join(limits.CONSENT_TYPES)}'
        )


def _time(time: object, now_s: float) -> int | None:
    """Python's SDK sends floats (``time.mktime``) and null for "now"."""
    if time is None:
        return None
    if not isinstance(time, int | float):
        raise RefusedError("time", '"time" must be a Unix time in seconds')
    time_s = int(time)
    if not limits.TRACK_MIN_TIME_S <= time_s <= _LAST_TEN_DIGITS:
        raise RefusedError("time", '"time" must have ten digits')
    if time_s > now_s + limits.MAX_FUTURE_S:
        raise RefusedError("future", '"time" must be at most a year from now')
    return time_s


def _person(customer: dict[str, object]) -> Person:
    email = _identifier(customer, "email")
    if email is not None and (not isinstance(email, str) or not identifiers.is_email(email)):
        limit = limits.MAX_EMAIL_CHARS
        raise RefusedError("email", f'"$email" must be an address of at most {limit} characters')
    phone = _identifier(customer, "phone_number")
    if phone is not None and (not isinstance(phone, str) or not identifiers.is_phone_number(phone)):
        raise RefusedError("phone_number", '"$phone_number" must be in E.164, as in +13239169023')
    given = _identifier(customer, "id")
    external_id = None if given is None else _text_of_id(given, "identifier", "$id")
    if email is None and phone is None and external_id is None:
        raise RefusedError("identifier", "one of $email, $phone_number and $id is required")
    return Person(email.lower() if email else None, phone, external_id)


def _identifier(customer: dict[str, object], name: str) -> object:
    """Null and empty count as absent: the PHP SDK writes null for an absent identifier."""
    given = [customer[key] for key in (f"${name}", name) if customer.get(key) not in (None, "")]
    if len(given) > 1 and given[0] != given[1]:
        raise RefusedError("identifier", f'"${name}" and "{name}" differ')
    return given[0] if given else None
