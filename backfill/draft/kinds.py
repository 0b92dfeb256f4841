"""What a cell can be, as conditions in SQL."""

from typing import Final

from backfill.mapping.cells import read_inline
from backfill.schema.types import Type

NOTHING: Final = (
    "NA",
    "N/A",
    "n/a",
    "NULL",
    "null",
    "Null",
    "None",
    "NaN",
    "nan",
    "nil",
    "-",
    "--",
    "\\N",
    "(null)",
    "(none)",
    "(not set)",
    "0000-00-00",
    "0000-00-00 00:00:00",
)
"""Cells that programs write for nothing."""

CELL: Final = "<cell>"


def kinds(latest: str) -> dict[str, str]:
    """For each kind, SQL that is true for a cell of that kind; ``CELL`` stands for the cell."""
    x, last = CELL, f"epoch(timestamp '{latest}')"
    read = {
        kind: read_inline(x, Type(kind))
        for kind in ("integer", "number", "money", "boolean", "email")
    } | {"money_comma": read_inline(x, Type("money", decimal=","))}
    whole = f"({read['integer']})"
    iso = "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    offset = "( ?(Z|[+-][0-9]{2}(:?[0-9]{2})?))"
    patterns = {
        "money_unclear": "[^0-9]*[0-9]{1,3}[.,][0-9]{3}[^0-9]*",
        "doubles": r"[+-]?[0-9]+\.0+",
        "zeros": "0[0-9]+",
        "fraction": "[+-]?[0-9]*[.,][0-9]*[1-9][0-9]*",
        "negative": r"([-(]|[A-Z]{0,3}\p{Sc} ?-).*[0-9].*",
        "offset": f"{iso}{offset}",
        "plus": r"(\+|00)[1-9].*",
        "ruined": r"[0-9]([.,][0-9]+)?E\+[0-9]+",
        "masked": r".*(\*{2,}|[xX]{4,}).*@.*|.*@.*(\*{2,}|[xX]{4,}).*|[xX*]{4,}",
        "excel_day": "[34][0-9]{4}([.,][0-9]+)?",
        "pairs": r"[A-Za-z_][\w .-]*[:=][^|;\n]*[|;\n][A-Za-z_][\w .-]*[:=][\s\S]*",
        "zone": "[A-Z][A-Za-z_]+/[A-Za-z_/]+|.*[Tt]ime.*|[A-Z]{3,4}|UTC.*",
    }
    digits = f"length(regexp_replace({x}, '[^0-9]', '', 'g'))"
    phone, day = "[+(]?[0-9][0-9 ()./-]{5,22}", f"try_cast({x}[1:10] as date)"
    return {
        **{kind: f"({value}) is not null" for kind, value in read.items()},
        **{kind: f"regexp_full_match({x}, '{pattern}')" for kind, pattern in patterns.items()},
        "iso": f"regexp_full_match({x}, '{iso}{offset}?') and {day} is not null",
        "epoch_s": f"{whole} between 473385600 and {last}",
        "epoch_ms": f"{whole} // 1000 between 473385600 and {last}",
        "phone": f"regexp_full_match({x}, '{phone}') and {digits} between 7 and 15",
        "list": f"starts_with({x}, '[') and json_valid({x})",
        "object": f"starts_with({x}, '{{') and json_valid({x})",
    }
