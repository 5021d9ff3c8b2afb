"""The command line: every step of the way on its own, resumable, for people and (--json) for machines."""

from __future__ import annotations

import sys

import typer

from pipelines.errors import StudioError
from studio.cli.backbones import backbones
from studio.cli.donors import donors
from studio.cli.models import lora, models
from studio.cli.users import users
from studio.cli.way import way

__all__ = ["main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(way)
app.add_typer(models)
app.add_typer(backbones, name="backbones")
app.add_typer(donors, name="donors")
app.add_typer(lora, name="lora")
app.add_typer(users, name="users")


def main() -> None:
    """The entry point: errors that somebody can act on are sentences, not tracebacks."""
    try:
        app()
    except StudioError as error:
        print(f"{error.message}\n  → {error.advice}" if error.advice else error.message, file=sys.stderr)
        raise SystemExit(1) from error
