"""Currencies: their codes, and the decimal places of an amount.

Source: ISO 4217, list one (current currencies), as the package iso4217 carries it.
"""

import functools
from typing import Final

import iso4217

_USUAL: Final = 2


def places(currency: str | None) -> int:
    """The decimal places of an amount: the currency's, or two if it has none or is unknown.

    Args:
        currency: an ISO 4217 code, or None where the schema names none.
    """
    return _places().get(currency or "", _USUAL)


def currency_code(cell: str) -> str | None:
    """The ISO 4217 code in a cell, in capitals; None where it is no current code."""
    code = cell.upper()
    return code if code in _places() else None


def codes_by_places() -> dict[int, list[str]]:
    """The codes of ISO 4217 by the decimal places of their amounts."""
    found: dict[int, list[str]] = {}
    for code, count in sorted(_places().items()):
        found.setdefault(count, []).append(code)
    return found


@functools.cache
def _places() -> dict[str, int]:
    return {
        currency.code: _USUAL if currency.exponent is None else currency.exponent
        for currency in iso4217.Currency
    }
