"""``python -m backfill`` is the command ``backfill``."""

from backfill.cli.commands import main

main()
