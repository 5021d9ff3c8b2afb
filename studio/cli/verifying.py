"""`persona-studio verify FILE`: what a bundle or an exported picture says of itself, and whether it is still so."""

from __future__ import annotations

import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studio.application import Studio
from studio.cli.options import Data, Json, Owner, check_file, say, settings_of, tell
from studio.cli.progress import Bars
from studio.settings import Settings

if TYPE_CHECKING:
    from studio.export.content_credentials import CredentialsFound
    from studio.export.manifest import ContentCheck
    from studio.export.verifying import PictureProvenance

__all__ = ["verifying"]

verifying = typer.Typer()
_PICTURES = (".jpg", ".png", ".webp")


@verifying.command()
def verify(
    path: Annotated[Path, typer.Argument(help="A bundle, or an exported picture.")],
    redraw: Annotated[bool, typer.Option(help="Draw every post again and compare pixels.")] = False,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Say what an exported picture's labels and signature tell, and check every hash of a bundle; with --redraw, draw
    its posts again.
    """
    from studio.export.verifying import is_picture_file, verify_picture  # takes a second: a refusal does not

    check_file(path)
    settings = settings_of(data, owner)
    if is_picture_file(path):
        studio = _studio_of(settings)
        found = verify_picture(path, None if studio is None else studio.library, settings.owner)
        wrong = _wrong(found)
        say({"wrong": wrong, **_told(found)}, as_json, "\n".join(_say_picture(found)))
    else:
        from studio.export.bundle import verify_bundle
        from studio.export.manifest import read_manifest

        wrong = list(verify_bundle(path))
        pictures = {} if wrong else _pictures_of(path)
        wrong += [f"{name}: {line}" for name, found in pictures.items() for line in _wrong(found)]
        if redraw:
            from studio.workflows import run_directly
            from studio.workflows.redrawing import redraw_bundle

            with Bars(as_json) as bars:
                wrong += redraw_bundle(Studio(settings), path, run_directly, bars)
        check = read_manifest(path).content_check
        lines = [*wrong] or [tell("cli.as_manifest"), *_say_pictures(pictures), *_say_content(check)]
        told = {name: _told(found) for name, found in pictures.items()}
        content = None if check is None else check.model_dump(mode="json")
        say({"wrong": wrong, "pictures": told, "content_check": content}, as_json, "\n".join(lines))
    if wrong:
        raise typer.Exit(1)


def _studio_of(settings: Settings) -> Studio | None:
    """Return the studio that may have exported a picture; None where there is none yet, and none is made for a look."""
    there = settings.data.is_dir() or settings.database.get_secret_value()
    return Studio(settings) if there else None


def _pictures_of(path: Path) -> dict[str, PictureProvenance]:
    """Read every picture of a bundle whose hashes hold."""
    from studio.export.verifying import verify_picture

    found = {}
    with zipfile.ZipFile(path) as bundle, tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(bundle.namelist()):
            if name.endswith(_PICTURES):
                place = Path(folder) / f"{number}{Path(name).suffix}"
                place.write_bytes(bundle.read(name))
                found[name] = verify_picture(place)
    return found


def _wrong(found: PictureProvenance) -> list[str]:
    wrong = [_say_credentials(found.credentials)] if found.credentials.state in ("changed", "invalid") else []
    return wrong if found.is_labelled else [*wrong, tell("verify.unlabelled")]


def _say_pictures(pictures: dict[str, PictureProvenance]) -> list[str]:
    """Return each line once, with the pictures of which it holds where that is not all."""
    lines: dict[str, list[str]] = {}
    for name, found in pictures.items():
        for line in (_say_credentials(found.credentials), _say_visible(found)):
            lines.setdefault(line, []).append(name)
    return [line if len(of) == len(pictures) else f"{line}  ({', '.join(of)})" for line, of in lines.items()]


def _say_picture(found: PictureProvenance) -> list[str]:
    lines = [_say_credentials(found.credentials)]
    aigc = {"producer": found.producer, "id": found.produce_id}
    lines.append(tell("verify.aigc", **aigc) if found.produce_id else tell("verify.aigc_none"))
    lines.append(tell("verify.iptc", source=found.source) if found.source else tell("verify.iptc_none"))
    lines.append(_say_visible(found))
    if not found.persona:
        lines.append(tell("verify.unknown"))
    else:
        lines.append(tell("verify.recipe" if found.has_recipe else "verify.known", persona=found.persona))
    lines += _say_content(found.content_check)
    lines += [tell("verify.last")] if found.as_last_exported else []
    return lines if found.is_labelled else [*lines, tell("verify.unlabelled")]


def _say_credentials(found: CredentialsFound) -> str:
    if found.state == "none":
        return tell("verify.c2pa_none")
    if found.state == "invalid":
        return tell("verify.c2pa_invalid", codes=", ".join(found.codes))
    if found.state == "changed":
        return tell("verify.c2pa_changed", signer=found.signer)
    words = "verify.c2pa_test" if found.is_test else "verify.c2pa_signed"
    return tell(words, signer=found.signer, source=found.source, software=found.software)


def _say_content(check: ContentCheck | None) -> list[str]:
    """What was found in the pictures before they left; nothing where nobody tells."""
    if check is None:
        return []
    if check.state == "not checked":
        return [tell("verify.content_none")]
    threshold = "–" if check.threshold is None else f"{check.threshold:.2f}"
    facts = {"classifier": check.classifier, "score": f"{check.highest:.2f}", "threshold": threshold}
    words = "verify.content_allowed" if check.allowed else "verify.content"
    return [tell(words, sha=check.sha256[:12], **facts)]


def _say_visible(found: PictureProvenance) -> str:
    from studio.export.provenance import LABEL_WORDS

    if found.visible is None:
        return tell("verify.visible_none")
    return tell("verify.visible", words=LABEL_WORDS[found.visible])


def _told(found: PictureProvenance) -> dict[str, object]:
    """Return what is printed for machines."""
    told, check = asdict(found), found.content_check
    content = None if check is None else check.model_dump(mode="json")
    return {"c2pa": told.pop("credentials"), **told, "content_check": content}
