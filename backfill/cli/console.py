"""Words for people, on stderr; results go to stdout."""

import typer


def echo(line: str = "") -> None:
    typer.echo(line, err=True)
