"""E-mail addresses: their grammar, and masked addresses, which identify nobody."""

from typing import Final

from backfill.limits import MAX_EMAIL_CHARS
from backfill.mapping.cell_sql import MISMATCH_REASONS, CellSql, Named, matches, unreadable
from backfill.mapping.query import Sql

# The dot-atom form of RFC 5321 and 5322, with letters beyond ASCII as RFC 6531 allows them, and at
# least one dot in the domain. U+FFFD, which programs write for a letter that they lost, is allowed:
# the address still tells people apart.
_MAX_LOCAL: Final = 64
_ATOM: Final = r"(?:[a-z0-9!#$%&''*+/=?^_`{|}~-]|[^\x00-\x7F\p{Z}\p{C}])+"
# A pattern of its own finds labels of over 63 characters: with {0,61} in this one, RE2 takes 75 ms
# to compile it, once for each statement that reads an address.
_LABEL: Final = r"[a-z0-9\p{L}](?:[a-z0-9\p{L}\p{M}\p{N}-]*[a-z0-9\p{L}\p{M}\p{N}])?"
_TOP: Final = r"[a-z\p{L}](?:[a-z0-9\p{L}\p{M}\p{N}-]*[a-z0-9\p{L}\p{M}\p{N}])?"
_LONG_LABEL: Final = "@.*[^.@]{64}"
_EMAIL: Final = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_TOP}"
_ASCII_EMAIL: Final = "[a-z0-9_+-]+(?:[.][a-z0-9_+-]+)*@[a-z0-9]+(?:[.-][a-z0-9]+)*[.][a-z]{2,24}"
"""The form of most addresses; it is ten times as fast as the whole rule."""
_STARS: Final = "*\u2022\u25cf"
_MASKED: Final = (
    f"[{_STARS}]{{2,}}|^[^@]?[{_STARS}]"
    "|^x{3,}(?:@|$)|^[^@]{0,2}x{4,}[^@]{0,2}@|@x{3,}[.]?$|@x{4,}[.]"
)
"""A masked address in lower case, such as a***@x.com. All masked addresses that look alike would
become one person."""


def read_email(cell: Sql, named: Named) -> CellSql:
    """The address in lower case and in Unicode's form NFC, so that one person is one address.

    An accented letter is one character in most files, and a letter with a combining mark (NFD) in
    those of some programs. Nothing else is folded: a domain in Punycode and the same in letters
    stay two texts, because Klaviyo documents no rule that makes them one address.

    Source: https://www.unicode.org/reports/tr15/, read 2026-11-28.
    """
    # A spreadsheet writes an apostrophe. ASCII costs nothing: DuckDB returns it as it is.
    lower = named("nfc_normalize(lower(ltrim($cell, chr(39))))", cell=cell)
    # RE2 is asked only where one of the signs is there at all: seldom.
    signs = " or ".join(f"contains($lower, '{sign}')" for sign in (*_STARS, "xxx"))
    masked = named(f"(({signs}) and regexp_matches($lower, '{_MASKED}'))", lower=lower)
    value = named(
        f"case when length($lower) <= {MAX_EMAIL_CHARS} and instr($lower, '@') <= {_MAX_LOCAL + 1} "
        f"and (length($lower) <= 65 or not regexp_matches($lower, '{_LONG_LABEL}')) "
        "and case when $plain then true else $whole end and not $masked then $lower end",
        plain=matches(lower, _ASCII_EMAIL),
        whole=matches(lower, _EMAIL),
        masked=masked,
        lower=lower,
    )
    bad = unreadable(cell, value)
    return CellSql(value, ((masked, "masked_email"), (bad, MISMATCH_REASONS["email"])))
