"""E-mail addresses: their grammar, and the addresses that somebody masked."""

from typing import Final

from backfill.limits import MAX_EMAIL_CHARS
from backfill.mapping.cell_sql import NOT_OF_TYPE, CellSql, Name, fault_of, matches
from backfill.mapping.query import Sql, sql

# RFC 5321 and 5322, the dot-atom form, with letters beyond ASCII as RFC 6531 allows them, and at
# least one dot in the domain. U+FFFD, which a program writes for a letter that it lost, is allowed:
# the address still tells people apart.
_MAX_LOCAL: Final = 64
_ATOM: Final = r"(?:[a-z0-9!#$%&''*+/=?^_`{|}~-]|[^\x00-\x7F\p{Z}\p{C}])+"
# A label's 63 characters are counted by a pattern of their own: with {0,61} in this one, RE2 takes
# 75 ms to compile it, once for each statement that reads an address.
_LABEL: Final = r"[a-z0-9\p{L}](?:[a-z0-9\p{L}\p{M}\p{N}-]*[a-z0-9\p{L}\p{M}\p{N}])?"
_TOP: Final = r"[a-z\p{L}](?:[a-z0-9\p{L}\p{M}\p{N}-]*[a-z0-9\p{L}\p{M}\p{N}])?"
_LONG_LABEL: Final = "@.*[^.@]{64}"
_EMAIL: Final = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_TOP}"
_ASCII_EMAIL: Final = "[a-z0-9_+-]+(?:[.][a-z0-9_+-]+)*@[a-z0-9]+(?:[.-][a-z0-9]+)*[.][a-z]{2,24}"
"""Most addresses, ten times as fast as the whole rule."""
_STARS: Final = "*\u2022\u25cf"
_MASKED: Final = (
    f"[{_STARS}]{{2,}}|^[^@]?[{_STARS}]"
    "|^x{3,}(?:@|$)|^[^@]{0,2}x{4,}[^@]{0,2}@|@x{3,}[.]?$|@x{4,}[.]"
)
"""What is left of an address, in lower case, after somebody masked it. It identifies nobody, and
all masked addresses that look alike would become one person."""


def read_email(cell: Sql, name: Name) -> CellSql:
    """The address in lower case."""
    lower = name(sql("lower(ltrim($cell, chr(39)))", cell=cell))  # a spreadsheet's apostrophe
    fits = sql(
        "case when $plain then true else $whole end",
        plain=matches(lower, _ASCII_EMAIL),
        whole=matches(lower, _EMAIL),
    )
    short = sql(
        f"length($cell) <= {MAX_EMAIL_CHARS} and instr($cell, '@') <= {_MAX_LOCAL + 1} "
        f"and (length($cell) <= 65 or not regexp_matches($cell, '{_LONG_LABEL}'))",
        cell=cell,
    )
    # RE2 is asked where one of the signs stands at all: seldom.
    signs = " or ".join(f"contains($lower, '{sign}')" for sign in (*_STARS, "xxx"))
    masked = name(sql(f"(({signs}) and regexp_matches($lower, '{_MASKED}'))", lower=lower))
    value = name(
        sql(
            "case when $short and $fits and not $masked then $lower end",
            short=short,
            fits=fits,
            masked=masked,
            lower=lower,
        )
    )
    bad = fault_of(cell, value)
    return CellSql(value, ((masked, "masked_email"), (bad, NOT_OF_TYPE["email"])))
