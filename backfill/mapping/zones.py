"""The time zone that a cell names, under one of the many names that programs have for it."""

import functools
import re
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Final
from zoneinfo import available_timezones

from babel.core import get_global

_HOURS: Final = (
    {"UTC": 0, "GMT": 0, "Z": 0}
    | {"BST": 1, "WEST": 1, "CEST": 2, "MESZ": 2, "EEST": 3, "MSK": 3}
    | {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
    | {"AKST": -9, "AKDT": -8, "HST": -10, "HDT": -9, "NST": -3.5, "NDT": -2.5}
    | {"AWST": 8, "ACST": 9.5, "ACDT": 10.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13}
    | {"SAST": 2, "PKT": 5, "ICT": 7, "WIB": 7, "HKT": 8, "SGT": 8, "PHT": 8, "JST": 9, "KST": 9}
)
"""Abbreviations that say an offset, in hours. Those of North America are taken as its own; one that
means several things elsewhere too (IST, AST) is none. CET, EET and WET are names of the IANA list,
with summer time: in winter the two readings are one, and in summer nobody keeps them."""

_RAILS: Final = {
    "Eastern Time (US & Canada)": "America/New_York",
    "Central Time (US & Canada)": "America/Chicago",
    "Mountain Time (US & Canada)": "America/Denver",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Atlantic Time (Canada)": "America/Halifax",
    "Alaska": "America/Juneau",
    "Hawaii": "Pacific/Honolulu",
    "Arizona": "America/Phoenix",
    "Indiana (East)": "America/Indiana/Indianapolis",
    "Newfoundland": "America/St_Johns",
    "Saskatchewan": "America/Regina",
    "Guadalajara": "America/Mexico_City",
    "Central America": "America/Guatemala",
    "Brasilia": "America/Sao_Paulo",
    "Quito": "America/Lima",
    "Azores": "Atlantic/Azores",
    "Cape Verde Is.": "Atlantic/Cape_Verde",
    "Edinburgh": "Europe/London",
    "Bern": "Europe/Zurich",
    "Kyiv": "Europe/Kiev",
    "Istanbul": "Europe/Istanbul",
    "St. Petersburg": "Europe/Moscow",
    "Ekaterinburg": "Asia/Yekaterinburg",
    "West Central Africa": "Africa/Algiers",
    "Pretoria": "Africa/Johannesburg",
    "Abu Dhabi": "Asia/Muscat",
    "Islamabad": "Asia/Karachi",
    "Chennai": "Asia/Kolkata",
    "Mumbai": "Asia/Kolkata",
    "New Delhi": "Asia/Kolkata",
    "Sri Jayawardenepura": "Asia/Colombo",
    "Hanoi": "Asia/Bangkok",
    "Beijing": "Asia/Shanghai",
    "Osaka": "Asia/Tokyo",
    "Sapporo": "Asia/Tokyo",
    "Canberra": "Australia/Melbourne",
    "Wellington": "Pacific/Auckland",
    "New Caledonia": "Pacific/Noumea",
    "Solomon Is.": "Pacific/Guadalcanal",
    "Marshall Is.": "Pacific/Majuro",
    "Eastern Time": "America/New_York",
    "Central Time": "America/Chicago",
    "Mountain Time": "America/Denver",
    "Pacific Time": "America/Los_Angeles",
    "Coordinated Universal Time": "Etc/UTC",
}
"""Names of Rails, which Square's exports speak, where the last part of an IANA name does not say
the same; and the plain ones of North America.

Source: ActiveSupport::TimeZone::MAPPING of rails/rails, looked up 2026-11-23. Left out: "Samoa",
which is a day away from IANA's US/Samoa, and "Astana", which Rails has put at Dhaka.
"""

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
        if cell in _HOURS:
            return _fixed(round(_HOURS[cell] * 60))
        offset = _OFFSET.fullmatch(cell)
        if offset is not None:
            sign, hours, minutes = offset.groups()
            east = int(hours) * 60 + int(minutes or 0)
            return _fixed(east if sign == "+" else -east) if east <= _MAX_MINUTES else None
        name = _folded(_PREFIX.sub("", cell, count=1))
        return names().get(name) or names().get(name.replace(" daylight time", " standard time"))

    return read


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
        for name, zone in {**_RAILS, **get_global("windows_zone_mapping")}.items()
        if zone in zones
    }
    iana = {_folded(zone): zone for zone in zones if zone not in ("Factory", "localtime")}
    return only | others | iana


def _folded(name: str) -> str:
    return name.replace("_", " ").casefold()
