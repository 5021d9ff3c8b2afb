"""Commands about bundles: export a post set, verify what was exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.file_names import keep_beside
from studio.application import Studio
from studio.cli.options import (
    AllowFlagged,
    Data,
    Json,
    Owner,
    Seed,
    Unlabelled,
    open_jobs,
    option,
    say,
    settings_of,
    tell,
    warn_of_licence,
)
from studio.cli.outputs import check_folder, place_file
from studio.domain.bundle import CheckRequest, ExportCheck, ExportRequest, bundle_name
from studio.domain.captions import CaptionsRequest
from studio.domain.checked import say_checked
from studio.domain.platforms import find_platform, load_platforms, tag_text
from studio.domain.posts import PostSet
from studio.texts.terminal import terminal_texts

__all__ = ["bundles"]

bundles = typer.Typer()


@bundles.command()
def bundle(
    out: Annotated[str, typer.Argument(help="The zip to write, or the folder for it. Nothing there is replaced.")],
    post_set: Annotated[str, typer.Option(help="Which set; the newest if empty.")] = "",
    platform: Annotated[
        str, typer.Option(help=f"The platform: {', '.join(row.id for row in load_platforms())}.")
    ] = "xiaohongshu",
    content: Annotated[
        str, option(ExportRequest, "content", "The whole bundle, or pictures and captions only, for a colleague")
    ] = "bundle",
    title: Annotated[str, typer.Option(help="Goes before the captions.")] = "",
    body: Annotated[str, typer.Option(help="Goes before the captions.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag without its #; may be repeated.")] = None,
    finish: Annotated[
        bool | None, typer.Option(help="Enlarge and sharpen the pictures; as the set was asked for if you say neither.")
    ] = None,
    unlabelled: Unlabelled = False,
    allow_flagged: AllowFlagged = False,
    look: Annotated[
        bool, typer.Option("--look", help="Write each picture as the platform shows it into OUT, and no bundle.")
    ] = False,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Export a post set (the newest if none is named) for a platform, or look at its pictures before."""
    find_platform(platform)
    studio = Studio(settings_of(data, owner))
    chosen = studio.result_of(PostSet, post_set)
    fields = {
        "owner": studio.settings.owner, "post_set": chosen, "platform": platform, "content": content, "title": title,
        "body": body, "tags": tuple(tag or ()), "finish": finish, "unlabelled": unlabelled,
        "allow_flagged": allow_flagged,
    }  # fmt: skip
    asked = ExportRequest.make(**fields)
    asked.check_before()
    if look:
        folder = check_folder(Path(out))
        with open_jobs(studio, as_json) as engine:
            _write_looks(studio, engine.run(CheckRequest.make(**fields), ExportCheck), folder, as_json)
        return
    wanted = place_file(out, bundle_name(chosen, platform))
    from studio.jobs.exports import keep_exported  # takes seconds: a refusal does not
    from studio.jobs.open_studio import OpenStudio

    with open_jobs(studio, as_json) as engine:  # nobody else draws or empties the trash meanwhile
        if not isinstance(engine, OpenStudio):  # which says so itself
            warn_of_licence(studio, "outputs")
        place = str(keep_exported(engine, asked, wanted).resolve())
    say({"bundle": place, "pictures": asked.picture_count}, as_json, tell("cli.bundle", path=place))


def _write_looks(studio: Studio, made: ExportCheck, folder: Path, as_json: bool) -> None:
    """Write the files, and say what crop and label do to each."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix, rows, lines = "." + find_platform(made.platform).format.lower().replace("jpeg", "jpg"), [], []
    for number, row in enumerate(made.pictures, 1):
        data = studio.store.get(row.picture)
        place = keep_beside(folder / f"{number:02d}{suffix}", data)
        rows.append(row.model_dump(mode="json", exclude={"picture"}) | {"file": str(place)})
        lines.append(f"{place}  {say_checked(terminal_texts(), row)}")
    say({"pictures": rows}, as_json, "\n".join(lines))


@bundles.command()
def captions(
    post_set: Annotated[str, typer.Option(help="Which set; the newest if empty.")] = "",
    platform: Annotated[
        str, typer.Option(help=f"The platform: {', '.join(row.id for row in load_platforms())}.")
    ] = "xiaohongshu",
    product: Annotated[str, typer.Option(help="What you say of your goods; nothing else is claimed of them.")] = "",
    voice: Annotated[str, typer.Option(help="How to write, in free words, such as: lively, with emoji.")] = "",
    language: Annotated[str, option(CaptionsRequest, "language", "The platform's language if empty")] = "",
    writer: Annotated[
        str, option(CaptionsRequest, "writer", "The studio's own sentences, or the language model of the settings")
    ] = "templates",
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Write title, text, tags and a caption for each post of a set (the newest if none is named)."""
    from studio.workflows import run_directly
    from studio.workflows.captions import write_captions

    studio = Studio(settings_of(data, owner))
    asked = CaptionsRequest.make(
        owner=studio.settings.owner, post_set=studio.result_of(PostSet, post_set), platform=platform, product=product,
        voice=voice, language=language, writer=writer, seed=seed,
    )  # fmt: skip
    made = write_captions(studio, asked, run_directly)
    told = made.model_dump(mode="json", exclude={"schema_version", "id", "post_set"})
    lines = (made.title, made.body, tag_text(made.tags), "", *made.captions)
    say(told, as_json, "\n".join(lines).strip())
