"""Currencies: their codes, and the decimal places of an amount.

Source: ISO 4217, list one (current currencies), as the package iso4217 carries it; for Stripe,
https://docs.stripe.com/currencies, "Zero-decimal currencies" and "Special cases" (2026-11-28).
"""

import functools
from typing import Final

import iso4217

_USUAL: Final = 2

_STRIPE: Final = {"ISK": 2, "MGA": 0, "UGX": 2}
"""The places by which Stripe counts minor units, where they are not those of ISO 4217."""


def places(currency: str | None, *, stripe: bool = False) -> int:
    """The decimal places of an amount: the currency's, or two if it has none or is unknown.

    Args:
        currency: an ISO 4217 code, or None where the schema names none.
        stripe: the places that Stripe's minor units have, not those of ISO 4217.
    """
    return _places(stripe=stripe).get(currency or "", _USUAL)


def currency_code(cell: str) -> str | None:
    """The ISO 4217 code in a cell, in capitals; None where it is no current code."""
    code = cell.upper()
    return code if code in _places(stripe=False) else None


def codes_by_places(*, stripe: bool = False) -> dict[int, list[str]]:
    """The codes of ISO 4217 by the decimal places of their amounts.

    Args:
        stripe: the places that Stripe's minor units have, not those of ISO 4217.
    """
    found: dict[int, list[str]] = {}
    for code, count in sorted(_places(stripe=stripe).items()):
        found.setdefault(count, []).append(code)
    return found


@functools.cache
def _places(*, stripe: bool) -> dict[str, int]:
    iso = {
        currency.code: _USUAL if currency.exponent is None else currency.exponent
        for currency in iso4217.Currency
    }
    return {**iso, **_STRIPE} if stripe else iso
