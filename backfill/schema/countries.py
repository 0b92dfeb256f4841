"""The country that a cell names, by its ISO 3166 code or by its name in one of many languages."""

import functools
import gettext
import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pycountry

_ALIASES: Final = Path(__file__).with_name("countries.toml")

_NAME_WITH_CODE: Final = re.compile(r"(.+) \([A-Z]{2}\)")
"""``United States (US)``, as WooCommerce shows a country."""
_ACCENTS_AND_STOPS: Final = re.compile("[\u0300-\u036f.]")


def country_code(cell: str) -> str | None:
    """The ISO 3166 code of two letters.

    English names come first, then those of all other languages.

    Returns:
        None where the cell names no country, or different countries in different languages.
    """
    try:
        return str(pycountry.countries.lookup(cell).alpha_2)
    except LookupError:
        pass
    with_code = _NAME_WITH_CODE.fullmatch(cell)
    name = _normalized(with_code.group(1) if with_code else cell)
    return _in_english().get(name) or _in_any_language().get(name)


@functools.cache
def _in_english() -> dict[str, str]:
    names = {_normalized(name): code for code, name in _official()}
    for code, aliases in tomllib.loads(_ALIASES.read_text(encoding="utf-8")).items():
        names |= dict.fromkeys(map(_normalized, aliases), code)
    return names


@functools.cache
def _in_any_language() -> dict[str, str]:
    """The names in pycountry's translations, without those that mean several countries."""
    codes_of: defaultdict[str, set[str]] = defaultdict(set)
    for language in Path(pycountry.LOCALES_DIR).iterdir():
        translation = gettext.translation(
            "iso3166-1", pycountry.LOCALES_DIR, [language.name], fallback=True
        )
        for code, name in _official():
            codes_of[_normalized(translation.gettext(name))].add(code)
    return {name: code for name, codes in codes_of.items() if len(codes) == 1 for code in codes}


def _official() -> Iterator[tuple[str, str]]:
    for country in pycountry.countries:
        for kind in ("name", "official_name", "common_name"):
            if name := getattr(country, kind, None):
                yield country.alpha_2, name


def _normalized(name: str) -> str:
    """A name in lower case, without accents (exports lose them), full stops and an article."""
    plain = _ACCENTS_AND_STOPS.sub("", unicodedata.normalize("NFKD", name.casefold()))
    return " ".join(plain.split()).removeprefix("the ")
