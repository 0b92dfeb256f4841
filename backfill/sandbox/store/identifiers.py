"""The forms that Klaviyo demands of an e-mail address, a phone number, an account's key."""

import re

from backfill import limits

_LOCAL = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\x9f\s])+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = re.compile(rf"(?=.{{1,64}}@){_LOCAL}(?:\.{_LOCAL})*@(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}\Z")
_E164 = re.compile(r"\+[1-9][0-9]{6,14}\Z")
_KEY = re.compile(rf"[A-Za-z0-9]{{{limits.PUBLIC_KEY_CHARS}}}\Z")


def is_email(text: str) -> bool:
    """Unquoted, on an ASCII domain with a dot: less than RFC 5321 allows.

    The part before the @ may hold letters beyond ASCII (RFC 6531): real exports have them.
    """
    return len(text) <= limits.MAX_EMAIL_CHARS and _EMAIL.match(text) is not None


def is_phone_number(text: str) -> bool:
    """E.164: a plus and up to fifteen digits. Whether the number is in use is not looked at."""
    return _E164.match(text) is not None


def is_public_key(text: str) -> bool:
    return _KEY.match(text) is not None
