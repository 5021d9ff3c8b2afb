"""`persona-studio users …`"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from studio.application import Studio
from studio.cli.options import Data, Json, say, settings_of
from studio.library.users import Users

__all__ = ["users"]

users = typer.Typer(no_args_is_help=True, help="Who may log in to the pages. As long as there are none, nobody has to.")

Name = Annotated[str, typer.Argument(help="The name to log in with.")]
Machine = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]


@users.command("add")
def add_user(name: Name, password_stdin: Machine = False, data: Data = None, as_json: Json = False) -> None:
    """Add a user; from the first one on, every page asks for a login."""
    settings = settings_of(data, None)
    found = Users(Studio(settings).records)
    first = not found.exist()
    kept = found.add(name, _password(password_stdin))
    text = f"{kept} may log in now."
    if first and kept != settings.owner:
        text += (
            f" The pages ask for a login from now on. What was made without one belongs to {settings.owner}: "
            f"add a user of that name to see it."
        )
    say({"name": kept}, as_json, text)


@users.command("list")
def list_users(data: Data = None, as_json: Json = False) -> None:
    """Everybody who may log in."""
    names = Users(Studio(settings_of(data, None)).records).names()
    say({"users": names}, as_json, "\n".join(names) or "There are no users: nobody has to log in.")


@users.command("remove")
def remove_user(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Lock a user out at once. Their work stays on disk, and belongs to whoever gets this name later."""
    found = Users(Studio(settings_of(data, None)).records)
    found.remove(name)
    text = f"{name} may no longer log in. Their work is still there."
    say({"removed": name}, as_json, text if found.exist() else text + " There are no users left.")


@users.command("password")
def change_password(name: Name, password_stdin: Machine = False, data: Data = None, as_json: Json = False) -> None:
    """Give a user another password, and end their sessions."""
    Users(Studio(settings_of(data, None)).records).change(name, _password(password_stdin))
    say({"changed": name}, as_json, f"{name} has a new password.")


def _password(from_stdin: bool) -> str:
    """Never an argument: those are seen by everybody on the machine."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
