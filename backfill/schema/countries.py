"""The country that a cell names: by ISO 3166 code, or by a name in one of many languages."""

import functools
import gettext
import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Final

import pycountry

_ALIASES: Final = Path(__file__).with_name("countries.toml")

_CODE_BEHIND: Final = re.compile(r"(.+) \([A-Z]{2}\)")
"""``United States (US)``, as WooCommerce shows a country."""
_MARKS: Final = re.compile("[\u0300-\u036f.]")


def country_code(cell: str) -> str | None:
    """The ISO 3166 code of two letters; None for what names no country, or one here and one there.

    English is asked first, then all languages at once.
    """
    try:
        return str(pycountry.countries.lookup(cell).alpha_2)
    except LookupError:
        pass
    behind = _CODE_BEHIND.fullmatch(cell)
    name = _folded(behind.group(1) if behind else cell)
    return _in_english().get(name) or _in_any_language().get(name)


@functools.cache
def _in_english() -> dict[str, str]:
    names = {_folded(name): code for code, name in _official()}
    for code, aliases in tomllib.loads(_ALIASES.read_text(encoding="utf-8")).items():
        names |= dict.fromkeys(map(_folded, aliases), code)
    return names


@functools.cache
def _in_any_language() -> dict[str, str]:
    """What pycountry's translations call a country, where no two of them mean different ones."""
    meant: defaultdict[str, set[str]] = defaultdict(set)
    for translation in _translations():
        for code, name in _official():
            meant[_folded(translation.gettext(name))].add(code)
    return {name: code for name, codes in meant.items() if len(codes) == 1 for code in codes}


def _translations() -> Iterator[gettext.GNUTranslations]:
    for language in files(pycountry).joinpath("locales").iterdir():
        names = language.joinpath("LC_MESSAGES", "iso3166-1.mo")
        if names.is_file():
            with names.open("rb") as file:
                yield gettext.GNUTranslations(file)


def _official() -> Iterator[tuple[str, str]]:
    for country in pycountry.countries:
        for kind in ("name", "official_name", "common_name"):
            if name := getattr(country, kind, None):
                yield country.alpha_2, name


def _folded(name: str) -> str:
    """Without accents, which exports lose, full stops, an article, and the difference of cases."""
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", name.casefold()))
    return " ".join(plain.split()).removeprefix("the ")
