"""The other reading of a time format: day first for month first."""

import re


def swapped(form: str) -> str | None:
    """The same format with day and month changed over, where both stand as numbers.

    Behind the year nobody writes the day before the month.
    """
    if form.startswith(("%Y", "%y")) or not (re.search("%-?m", form) and re.search("%-?d", form)):
        return None
    return re.sub("%(-?)([dm])", lambda sign: f"%{sign[1]}{'m' if sign[2] == 'd' else 'd'}", form)
