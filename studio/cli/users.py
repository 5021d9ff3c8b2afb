"""`persona-studio users …`"""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated

import typer

from studio.application import Studio
from studio.cli.options import Data, Json, say, settings_of, tell
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
    text = tell("cli.user_added", name=kept)
    if first and kept != settings.owner:
        text += "\n" + tell("cli.user_first", owner=settings.owner)
    say({"name": kept}, as_json, text)


@users.command("list")
def list_users(data: Data = None, as_json: Json = False) -> None:
    """Everybody who may log in."""
    names = Users(Studio(settings_of(data, None)).records).names()
    say({"users": names}, as_json, "\n".join(names) or tell("cli.no_users"))


@users.command("remove")
def remove_user(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Lock a user out at once. Their work stays on disk, and belongs to whoever gets this name later."""
    found = Users(Studio(settings_of(data, None)).records)
    found.remove(name)
    text = tell("cli.user_removed", name=name)
    say({"removed": name}, as_json, text if found.exist() else f"{text}\n{tell('cli.users_gone')}")


@users.command("password")
def change_password(name: Name, password_stdin: Machine = False, data: Data = None, as_json: Json = False) -> None:
    """Give a user another password, and end their sessions."""
    Users(Studio(settings_of(data, None)).records).change(name, _password(password_stdin))
    say({"changed": name}, as_json, tell("cli.user_changed", name=name))


@users.command("sessions")
def list_sessions(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Where a user is logged in: since when, when it was last seen, and from which address."""
    found = Users(Studio(settings_of(data, None)).records)
    rows = found.sessions(found.known(name))
    lines = [
        tell("cli.session", since=_moment(one.since), seen=_moment(one.seen), address=one.address or "–")
        for one in rows
    ]
    told = [
        {"since": one.since.isoformat(), "until": one.until.isoformat(), "seen": one.seen.isoformat(),
         "address": one.address}
        for one in rows
    ]  # fmt: skip
    say({"sessions": told}, as_json, "\n".join(lines) or tell("cli.no_sessions", name=name))


@users.command("log-out")
def log_out(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Log a user out everywhere."""
    found = Users(Studio(settings_of(data, None)).records)
    ended = found.log_out_everywhere(found.known(name))
    say({"ended": ended}, as_json, tell("cli.logged_out", name=name, count=ended))


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _password(from_stdin: bool) -> str:
    """Never an argument: those are seen by everybody on the machine."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
