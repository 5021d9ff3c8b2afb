"""The command line: every step of the way on its own, resumable, for people and (--json) for machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, Literal

import typer

from pipelines.errors import Cancelled
from pipelines.quiet import quiet_third_parties
from studio.cli.albums import albums
from studio.cli.backbones import backbones
from studio.cli.bundles import bundles
from studio.cli.datasets import datasets
from studio.cli.donors import donors
from studio.cli.faces import faces
from studio.cli.grid import grids
from studio.cli.jobs import jobs
from studio.cli.models import lora, models
from studio.cli.packs import packs
from studio.cli.personas import personas
from studio.cli.pictures import pictures
from studio.cli.posts import posting
from studio.cli.recall import recalling
from studio.cli.rights import rights
from studio.cli.styles import styles
from studio.cli.taste import taste
from studio.cli.translation import translate_command
from studio.cli.upkeep import upkeep
from studio.cli.usage import USAGE_STATUS, UsageError, explain_usage
from studio.cli.users import users
from studio.cli.verifying import verifying
from studio.cli.votes import voting
from studio.cli.way import way
from studio.cli.workers import working
from studio.texts.terminal import LANGUAGE, in_words, print_error, terminal_texts
from studio.texts.texts import LANGUAGES, Language

__all__ = ["main"]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(way)
app.add_typer(posting)
app.add_typer(grids)
app.add_typer(bundles)
app.add_typer(verifying)
app.add_typer(pictures)
app.add_typer(packs, name="scenes")
app.add_typer(jobs, name="jobs")
app.add_typer(recalling)
app.add_typer(models)
app.add_typer(upkeep)
app.add_typer(backbones, name="backbones")
app.add_typer(donors, name="donors")
app.add_typer(datasets, name="dataset")
app.add_typer(styles, name="style")
app.add_typer(lora, name="lora")
app.add_typer(personas, name="personas")
app.add_typer(rights, name="rights")
app.add_typer(users, name="users")
app.add_typer(taste, name="taste")
app.add_typer(albums, name="albums")
app.add_typer(faces, name="faces")
app.add_typer(voting)
app.add_typer(working)


def _version(asked: bool) -> None:
    if asked:
        print(version("persona-studio"))
        raise typer.Exit


@app.callback()
def _options(
    told: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and end.")
    ] = False,
    language: Annotated[
        Literal["zh", "en"] | None,
        typer.Option(help="What help, results and errors are said in, whatever the terminal's locale is."),
    ] = None,
) -> None:
    """Persona Studio, step by step."""


def _language_asked(words: Sequence[str]) -> Language | None:
    """Return what --language before the command says, which must be known before the words are read: their help and
    what is wrong with them are said in it, too.
    """
    for i, word in enumerate(words):
        name, _, value = word.partition("=")
        if not word.startswith("-"):
            break
        if name == "--language":
            said = value or "".join(words[i + 1 : i + 2])
            return next((language for language in LANGUAGES if language == said), None)
    return None


def _command() -> Any:
    command = typer.main.get_command(app)
    translate_command(command, terminal_texts().language)
    return command


def main() -> None:
    """The entry point; ends the program, with status 2 where the words themselves are wrong."""
    quiet_third_parties()
    as_json = "--json" in sys.argv[1:]
    if (language := _language_asked(sys.argv[1:])) is not None:
        os.environ[LANGUAGE] = language
    with in_words(as_json):
        try:
            status = _command()(standalone_mode=False)
        except UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()
            else:
                print_error(explain_usage(error), as_json)
            raise SystemExit(USAGE_STATUS) from error
        except typer.Abort as error:  # a question that was not answered
            print_error(Cancelled("stopped_by_key"), as_json)
            raise SystemExit(1) from error
    raise SystemExit(status if isinstance(status, int) else 0)
