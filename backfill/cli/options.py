"""What the commands take: the arguments and options that several of them share.

Typer reads them while it puts ``--help`` together, so nothing heavy is imported here.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer


class ApiChoice(StrEnum):
    track = "track"
    events = "events"
    bulk = "bulk"


class MethodChoice(StrEnum):
    post = "post"
    get = "get"


class As(StrEnum):
    table = "table"
    json = "json"
    curl = "curl"
    js = "js"


class RepeatsChoice(StrEnum):
    discard = "discard"
    refuse = "refuse"


class ProfilesChoice(StrEnum):
    newest = "newest"
    none = "none"
    every = "every"


SchemaFile = Annotated[
    str,
    typer.Argument(
        metavar="SCHEMA", help="The YAML file, or the name of a schema that comes along."
    ),
]
ExportFiles = Annotated[
    list[str],
    typer.Argument(metavar="EXPORT…", help="CSV or Parquet files, or globs; read as one export."),
]
ApiOption = Annotated[
    ApiChoice | None,
    typer.Option(
        "--api",
        help="bulk (Bulk Create Events, for a private key), events (one event a request) or track "
        "(for a public key; retired for live accounts). The kind of key tells.",
    ),
]
AccountOption = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="NAME",
        help="The account's public key, where the private key may not read it.",
    ),
]
MethodOption = Annotated[
    MethodChoice,
    typer.Option(
        "--method", help="Of Track's requests; get is Klaviyo's form for backwards compatibility."
    ),
]
UrlOption = Annotated[str, typer.Option("--url", help="Where Klaviyo is; a sandbox's URL.")]
ProfilesOption = Annotated[
    ProfilesChoice | None,
    typer.Option(
        "--profiles",
        help="Whose attributes old orders may write: newest (a new account), none (an account in "
        "use), every. Overrides the schema.",
    ),
]
TimezoneOption = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        metavar="ZONE",
        help="Of the shop's clock, such as Europe/Berlin, for times without an offset. Overrides "
        "the schema.",
    ),
]
StateOption = Annotated[
    Path,
    typer.Option(
        "--state", envvar="BACKFILL_STATE", help="The folder of the ledger and of all runs."
    ),
]
UntilOption = Annotated[
    str | None,
    typer.Option("--until", metavar="DATE", help="Only events before DATE, in the schema's zone."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="The last line of stdout is one JSON object.")
]
STATE: Final = Path(".backfill")
