"""The arguments and options of the commands, with the choices that they offer.

Typer reads them to write ``--help``, so this imports nothing heavy. Commands import the module as
``opt``.
"""

from pathlib import Path
from typing import Annotated, Final, Literal

from typer import Argument, Option

STATE: Final = Path(".backfill")

SchemaFile = Annotated[
    str, Argument(metavar="SCHEMA", help="The YAML file, or the name of a shipped schema.")
]
ExportFiles = Annotated[
    list[str],
    Argument(metavar="EXPORT…", help="CSV or Parquet files, or globs; read as one export."),
]
Api = Annotated[
    Literal["track", "events", "bulk"] | None,
    Option(
        "--api",
        help="bulk (Bulk Create Events, for a private key), events (one event a request) or track "
        "(for a public key; retired for live accounts). The kind of key tells.",
    ),
]
Account = Annotated[
    str | None,
    Option(
        "--account",
        metavar="NAME",
        help="The account's public key, where the private key may not read it.",
    ),
]
Method = Annotated[
    Literal["post", "get"],
    Option(
        "--method", help="Of Track's requests; get is Klaviyo's form for backwards compatibility."
    ),
]
Url = Annotated[str, Option("--url", help="Where Klaviyo is; a sandbox's URL.")]
Profiles = Annotated[
    Literal["newest", "none", "every"] | None,
    Option(
        "--profiles",
        help="Whose attributes old orders may write: newest (a new account), none (an account in "
        "use), every. Overrides the schema.",
    ),
]
Timezone = Annotated[
    str | None,
    Option(
        "--timezone",
        metavar="ZONE",
        help="Of the shop's clock, such as Europe/Berlin, for times without an offset. Overrides "
        "the schema.",
    ),
]
State = Annotated[
    Path,
    Option("--state", envvar="BACKFILL_STATE", help="The folder of the ledger and of all runs."),
]
Until = Annotated[
    str | None,
    Option("--until", metavar="DATE", help="Only events before DATE, in the schema's zone."),
]
MaxRejects = Annotated[
    str | None, Option("--max-rejects", metavar="N|N%", help="The most orders that may be rejects.")
]
KeepPlan = Annotated[bool, Option("--keep-plan", help="Keep the plan's Parquet files.")]
Json = Annotated[bool, Option("--json", help="The last line of stdout is one JSON object.")]

# of preview alone
Form = Annotated[
    Literal["table", "json", "curl", "js"],
    Option(
        "--as",
        help="table to read, json for programs, curl to paste into a shell, js for the front end.",
    ),
]

# of run alone
Limit = Annotated[int | None, Option("--limit", min=0, help="Send at most N events now.")]
Concurrency = Annotated[
    int, Option("--concurrency", min=1, max=256, help="Requests at the same time.")
]
Rate = Annotated[
    str | None, Option("--rate", metavar="N/s,N/min|none", help="Requests a second and a minute.")
]
Quota = Annotated[
    str,
    Option(
        "--quota",
        metavar="N%",
        help="The share of the allowed requests to use; the rest is left to live integrations.",
    ),
]
TriggerFlows = Annotated[
    bool,
    Option(
        "--trigger-flows",
        help="Let old orders start the account's live flows: customers get mails of them.",
    ),
]
Expect = Annotated[str | None, Option("--expect", metavar="DIGEST", help="Send only this plan.")]
NewIds = Annotated[bool, Option("--new-ids", help="The edited $event_id rule is meant.")]
EqualRows = Annotated[
    bool, Option("--equal-rows", help="Rows that are equal in every column are lines of their own.")
]
Verify = Annotated[
    bool | None,
    Option(
        "--verify/--no-verify",
        help="After the run, ask the account whether it shows what was delivered, and wait for "
        "what is not visible yet. A live account with a private key is asked.",
    ),
]
VisibilityDelay = Annotated[
    str,
    Option(
        "--visibility-delay",
        metavar="N(s|m|h)",
        help="How long Klaviyo may hide an event that it acknowledged; younger ones are not "
        "missing.",
    ),
]
Yes = Annotated[bool, Option("--yes", help="Do not ask before a live account.")]
