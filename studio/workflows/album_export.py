"""Album: all its sets as folders of numbered pictures, in one zip for each platform or in a single one."""

from __future__ import annotations

import json
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.errors import BadInput
from pipelines.file_names import file_name
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from studio.application import Studio
from studio.domain.album_export import AlbumArchive, AlbumExport, AlbumExportRequest, LeftOutSet, folder_of
from studio.domain.bundle import ExportRequest
from studio.domain.report import LeftOut, StudioStage
from studio.library.records import content_id
from studio.workflows import Run
from studio.workflows.bundling import export_bundle

__all__ = ["export_album"]

_STAGE = Stage(StudioStage.ALBUM)
_EPOCH = (2026, 1, 1, 0, 0, 0)


def export_album(studio: Studio, request: AlbumExportRequest, run: Run, progress: Progress = SILENT) -> AlbumExport:
    """Write the archives into the store; a set that a platform, or the content checker, does not take is named, and the
    others are in it. Raises what is wrong with the first where none is taken.
    """
    groups = [request.platforms] if request.together else [(platform,) for platform in request.platforms]
    archives: list[AlbumArchive] = []
    left_out: list[LeftOutSet] = []
    total = len(request.platforms) * len(request.sets)
    for number, platforms in enumerate(groups):
        progress.check_cancelled()
        made = run(f"archive-{number}", partial(_archive, studio, request, platforms, progress))
        left_out += [LeftOutSet.model_validate_json(json.dumps(row)) for row in made["left_out"]]
        if made["archive"] is not None:
            archives.append(AlbumArchive.model_validate_json(json.dumps(made["archive"])))
        progress.tell(StageProgress(_STAGE, (number + 1) * total // len(groups), total))
    if not archives:
        raise left_out[0].error
    progress.tell(LeftOut(tuple(row.error for row in left_out)))
    told = {"name": request.name, "archives": [archive.bundle for archive in archives]}
    sets = tuple(post_set.id for post_set in request.sets)
    return AlbumExport(
        id=content_id(told), name=request.name, post_sets=sets, archives=tuple(archives), left_out=tuple(left_out)
    )


def _archive(
    studio: Studio, request: AlbumExportRequest, platforms: tuple[str, ...], progress: Progress
) -> dict[str, Any]:
    """Return the archive of these platforms as JSON, None where no set is in it, and the sets that are left out."""
    left_out, pictures, here = [], 0, []
    studio.library.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=studio.library.work) as folder:
        whole, part = Path(folder) / "album.zip", Path(folder) / "set.zip"
        with zipfile.ZipFile(whole, "w") as album:
            for platform in platforms:
                for number, post_set in enumerate(request.sets, 1):
                    progress.check_cancelled()
                    asked = request.of_set(post_set, platform)
                    if (error := _export(studio, asked, part)) is not None:
                        name = post_set.request.persona.name
                        row = LeftOutSet(post_set=post_set.id, name=name, platform=platform, raised=error.as_json())
                        left_out.append(row.model_dump(mode="json"))
                        continue
                    inside = folder_of(number, post_set)
                    _copy(part, album, f"{platform}/{inside}" if len(platforms) > 1 else inside)
                    pictures += asked.picture_count
                    here.append(platform)
        if not here:
            return {"archive": None, "left_out": left_out}
        data = whole.read_bytes()
    ending = ".zip" if len(platforms) > 1 else f"-{platforms[0]}.zip"
    archive = AlbumArchive(
        platforms=tuple(dict.fromkeys(here)), name=file_name(request.name, ending, "album"),
        bundle=studio.store.put(data), bytes=len(data), pictures=pictures,
    )  # fmt: skip
    return {"archive": archive.model_dump(mode="json"), "left_out": left_out}


def _export(studio: Studio, asked: ExportRequest, part: Path) -> BadInput | None:
    """Write a set's zip; return why not where the platform, or the content checker, does not take it."""
    try:
        asked.check_before()
    except BadInput as error:
        return error
    try:
        export_bundle(studio, asked, part)
    except BadInput as error:
        if error.code != "content_flagged":
            raise
        return error
    return None


def _copy(part: Path, album: zipfile.ZipFile, folder: str) -> None:
    """Put a set's files into a folder of the album, bit by bit, and in the same order."""
    with zipfile.ZipFile(part) as bundle:
        for known in bundle.infolist():
            entry = zipfile.ZipInfo(f"{folder}/{known.filename}", _EPOCH)
            entry.external_attr = known.external_attr
            album.writestr(entry, bundle.read(known), known.compress_type)
