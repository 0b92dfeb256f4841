"""Time zones: the names of the tz database, and the many others that programs write in cells."""

import functools
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Collection
from importlib import resources
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

from babel.core import get_global

_LISTS: Final = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_OFFSET: Final = re.compile(r"(?:UTC|GMT)? ?([+\u2212-])([0-9]{1,2})(?::?([0-5][0-9]))?")
_MAX_MINUTES: Final = 14 * 60
_PREFIX: Final = re.compile(r"\((?:UTC|GMT)[^()]*\) *(?=.)")
"""The offset in ``(GMT-05:00) Eastern Time (US & Canada)``: the name after it has summer time."""


@functools.cache
def iana_zones() -> frozenset[str]:
    """The names of the tz database that this machine has.

    The package tzdata lists them. ``zoneinfo`` alone takes any file beside them for one, such as
    ``localtime``, which is another zone on another machine. ``Factory`` says that nobody chose one.
    """
    listed = (resources.files("tzdata") / "zones").read_text(encoding="utf-8").split()
    return frozenset(available_timezones().intersection(listed) - {"Factory"})


def zone_reader(known: Collection[str]) -> Callable[[str], str | None]:
    """A function that reads a cell as a time zone.

    Args:
        known: the zones' names that DuckDB takes.

    Returns:
        A function of a cell. It gives a name of ``known``, a fixed offset such as ``GMT+05:30``, or
        None for a cell that names no zone, or several.
    """

    @functools.cache  # few schemas have a column of zones
    def names() -> dict[str, str]:
        return _names(iana_zones().intersection(known))

    def read(cell: str) -> str | None:
        if cell in (hours_east := _LISTS["hours"]):
            return _fixed(round(hours_east[cell] * 60))
        offset = _OFFSET.fullmatch(cell)
        if offset is not None:
            sign, hours, minutes = offset.groups()
            east = int(hours) * 60 + int(minutes or 0)
            return _fixed(east if sign == "+" else -east) if east <= _MAX_MINUTES else None
        name = _normalized(_PREFIX.sub("", cell, count=1))
        return names().get(name) or names().get(name.replace(" daylight time", " standard time"))

    return read


def _fixed(minutes: int) -> str:
    """DuckDB's name of a fixed offset; plus is east of Greenwich."""
    hours, rest = divmod(abs(minutes), 60)
    return f"GMT{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def _names(zones: Collection[str]) -> dict[str, str]:
    """Each zone by its names in lower case. IANA's names win over others, those over places."""
    places: defaultdict[str, set[str]] = defaultdict(set)
    for zone in zones:
        area, _, place = zone.partition("/")
        if area in _LISTS["areas"] and place not in _LISTS["no_cities"] and "/" not in place:
            places[_normalized(place)].add(zone)
    only = {place: zone for place, found in places.items() if len(found) == 1 for zone in found}
    others = {
        _normalized(name): zone
        for name, zone in {**_LISTS["names"], **get_global("windows_zone_mapping")}.items()
        if zone in zones
    }
    iana = {_normalized(zone): zone for zone in zones}
    return only | others | iana


def _normalized(name: str) -> str:
    return name.replace("_", " ").casefold()
