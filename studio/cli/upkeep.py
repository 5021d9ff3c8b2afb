"""Commands that keep a studio whole: `doctor`, `backup`, `restore`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli.options import Data, Json, check_file, say, settings_of, tell
from studio.library.integrity import Integrity, Repaired

__all__ = ["upkeep"]

upkeep = typer.Typer()
_SHOWN = 20  # lines


@upkeep.command()
def doctor(
    files: Annotated[
        bool, typer.Option("--files", help="Read every stored file and compare it with its hash.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put damaged files aside and delete what nothing needs; no job may wait.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check the installation: models, versions, hardware, known flaws; and the stored files."""
    from studio.library.integrity import check_files, repair_files
    from studio.workflows.doctor import examine

    studio = Studio(settings_of(data, None))
    findings = examine(studio)
    lines = [f"{'ok ' if f.ok else 'BAD'}  {f.what}: {f.found}" for f in findings]
    told: dict[str, object] = {"findings": [asdict(f) for f in findings]}
    ok = all(f.ok for f in findings)
    if repair:
        with _bar(as_json) as bar:
            repaired = repair_files(studio.library, bar)
        told["repaired"] = asdict(repaired)
        lines += _say_repaired(repaired)
    if files or repair:
        with _bar(as_json) as bar:
            found = check_files(studio.library, bar)
        told["files"] = asdict(found)
        lines += _say_files(found)
        ok = ok and not found.lost
    say(told, as_json, "\n".join(lines))
    if not ok:
        raise typer.Exit(1)


def _say_files(found: Integrity) -> list[str]:
    lines = [
        tell(
            "upkeep.files_checked",
            files=found.files,
            unneeded=found.unneeded,
            megabytes=round(found.unneeded_bytes / 1e6),
        )
    ]
    for lost in found.lost[:_SHOWN]:
        words = "upkeep.file_damaged" if lost.damaged else "upkeep.file_missing"
        lines.append(f"BAD  {tell(words, name=lost.key[:12], jobs=', '.join(lost.jobs) or '–')}")
    if len(found.lost) > _SHOWN:
        lines.append(tell("upkeep.and_more", count=len(found.lost) - _SHOWN))
    return lines


def _say_repaired(found: Repaired) -> list[str]:
    return [tell("upkeep.repaired", aside=len(found.aside), freed=found.freed, megabytes=round(found.bytes / 1e6))]


@upkeep.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new ZIP file.")], data: Data = None, as_json: Json = False
) -> None:
    """Put the whole data folder into one file; jobs may go on meanwhile."""
    settings = settings_of(data, None)
    if not settings.data.is_dir():
        raise BadInput("no_data_folder", folder=str(settings.data))
    if not file.parent.is_dir():
        raise BadInput("backup_no_folder", folder=str(file.parent))
    from studio.library.backup import back_up

    with _bar(as_json) as bar:
        made = back_up(Studio(settings).library, file, bar)
    text = tell("upkeep.backed_up", file=str(file), files=made.files, megabytes=round(made.bytes / 1e6))
    if made.missing:
        text += "\n" + tell("upkeep.backup_missing", count=len(made.missing))
    say({"file": str(file)} | asdict(made), as_json, text)


@upkeep.command()
def restore(
    file: Annotated[Path, typer.Argument(help="The file that `backup` wrote.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make the data folder anew from a backup; it must be empty or not there."""
    check_file(file)
    settings = settings_of(data, None)
    if settings.database.get_secret_value():
        raise BadInput("backup_of_server")
    from studio.library.backup import restore as take_back
    from studio.library.records_place import open_records
    from studio.library.store_place import move_files

    with _bar(as_json) as bar:
        found = take_back(file, settings.data, bar, settings.bucket)
    move_files(settings, open_records(settings))
    text = tell(
        "upkeep.restored",
        folder=str(settings.data),
        files=found.files,
        made=f"{found.made.astimezone():%Y-%m-%d %H:%M}",
    )
    say({"data": str(settings.data)} | asdict(found) | {"made": found.made.isoformat()}, as_json, text)


@contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show how much is done, on standard error, where somebody looks at it."""
    shown = sys.stderr.isatty() and not quiet
    with Progress(console=Console(stderr=True), disable=not shown) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
