"""The time zone that a cell names, under one of the many names that programs have for it."""

import functools
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final
from zoneinfo import available_timezones

from babel.core import get_global

_AREAS: Final = frozenset(
    {
        *("Africa", "America", "Antarctica", "Arctic", "Asia"),
        *("Atlantic", "Australia", "Europe", "Indian", "Pacific"),
    }
)
_NO_PLACES: Final = frozenset({"act", "general", "lhi", "north", "nsw", "samoa", "south", "west"})

_OFFSET: Final = re.compile(r"(?:UTC|GMT)? ?([+\u2212-])([0-9]{1,2})(?::?([0-5][0-9]))?")
_MAX_MINUTES: Final = 14 * 60
_PREFIX: Final = re.compile(r"\((?:UTC|GMT)[^()]*\) *(?=.)")
"""``(GMT-05:00) Eastern Time (US & Canada)``: what stands behind it knows summer time."""


def zone_reader(known: Collection[str]) -> Callable[[str], str | None]:
    """What reads a cell as one of the zones in ``known``, or as a fixed offset ``GMT+05:30``.

    The result is None for a cell that names no zone, or no single one.
    """

    @functools.cache  # few schemas have a column of zones
    def names() -> dict[str, str]:
        return _names(available_timezones().intersection(known))

    def read(cell: str) -> str | None:
        if cell in (hours_east := _written()["hours"]):
            return _fixed(round(hours_east[cell] * 60))
        offset = _OFFSET.fullmatch(cell)
        if offset is not None:
            sign, hours, minutes = offset.groups()
            east = int(hours) * 60 + int(minutes or 0)
            return _fixed(east if sign == "+" else -east) if east <= _MAX_MINUTES else None
        name = _folded(_PREFIX.sub("", cell, count=1))
        return names().get(name) or names().get(name.replace(" daylight time", " standard time"))

    return read


@functools.cache
def _written() -> dict[str, dict[str, Any]]:
    """``hours`` of abbreviations, ``names`` of zones."""
    text = Path(__file__).with_name("zones.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def _fixed(minutes: int) -> str:
    """A zone without rules, as DuckDB knows it: its sign is the everyday one, plus is east."""
    hours, rest = divmod(abs(minutes), 60)
    return f"GMT{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def _names(zones: Collection[str]) -> dict[str, str]:
    """Each name that a zone goes by, as ``_folded`` has it; the later ones count."""
    places: defaultdict[str, set[str]] = defaultdict(set)
    for zone in zones:
        area, _, place = zone.partition("/")
        if area in _AREAS and "/" not in place:
            places[_folded(place)].add(zone)
    only = {
        place: zone
        for place, found in places.items()
        if place not in _NO_PLACES and len(found) == 1
        for zone in found
    }
    others = {
        _folded(name): zone
        for name, zone in {**_written()["names"], **get_global("windows_zone_mapping")}.items()
        if zone in zones
    }
    iana = {_folded(zone): zone for zone in zones if zone not in ("Factory", "localtime")}
    return only | others | iana


def _folded(name: str) -> str:
    return name.replace("_", " ").casefold()
