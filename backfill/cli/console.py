"""Words for people, on stderr; results go to stdout."""

import typer

from backfill.display import brief


def echo(line: str = "", *, whole: bool = False) -> None:
    """Show a line.

    Args:
        line: is cut if it is over long, by the length of a name in it for example.
        whole: show all of it, because a person copies it: a command.
    """
    typer.echo(line if whole else brief(line), err=True)
