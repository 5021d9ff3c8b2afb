"""Commands about bundles: export a post set, verify what was exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.application import Studio
from studio.cli.options import Data, Json, Owner, open_engine, say, settings_of, tell, warn_of_licence
from studio.cli.outputs import place_file
from studio.cli.progress import Bars
from studio.domain.bundle import bundle_name
from studio.domain.platforms import check_fits_platform, find_platform, load_platforms
from studio.domain.posts import PostSet

__all__ = ["bundles"]

bundles = typer.Typer()


@bundles.command()
def bundle(
    out: Annotated[str, typer.Argument(help="The zip to write, or the folder for it. Nothing there is replaced.")],
    post_set: Annotated[str, typer.Option(help="Which set; the newest if empty.")] = "",
    platform: Annotated[
        str, typer.Option(help=f"The platform: {', '.join(row.id for row in load_platforms())}.")
    ] = "xiaohongshu",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Export a post set (the newest if none is named) for a platform."""
    target = find_platform(platform)
    studio = Studio(settings_of(data, owner))
    chosen = studio.result_of(PostSet, post_set)
    check_fits_platform(target, len(chosen.posts), "", "")
    wanted = place_file(out, bundle_name(chosen, platform))
    warn_of_licence(studio, "outputs")
    with open_engine(studio, as_json):  # nobody else draws or empties the trash meanwhile
        from studio.workflows.bundling import keep_bundle  # takes seconds: a refusal does not

        path, manifest = keep_bundle(studio, chosen, platform, wanted, studio.settings.owner)
    place = str(path.resolve())
    say({"bundle": place, "pictures": len(manifest.posts)}, as_json, tell("cli.bundle", path=place))


@bundles.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A bundle.")],
    redraw: Annotated[bool, typer.Option(help="Draw every post again and compare pixels.")] = False,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Check every hash of a bundle; with --redraw, draw its posts again from the manifest."""
    from studio.export.bundle import verify_bundle

    wrong = verify_bundle(path)
    if redraw:
        from studio.workflows import run_directly
        from studio.workflows.bundling import redraw_bundle

        with Bars(as_json) as bars:
            wrong += redraw_bundle(Studio(settings_of(data, owner)), path, run_directly, bars)
    say({"wrong": list(wrong)}, as_json, "\n".join(wrong) or tell("cli.as_manifest"))
    if wrong:
        raise typer.Exit(1)
