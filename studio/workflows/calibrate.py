"""Calibrate: thresholds for any face pack from a merchant's own labelled photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personas.gates import Gates
from personas.measures.calibration import FaceStatistics, face_statistics
from personas.measures.face import FaceReader, find_pack
from personas.novelty import default_gates
from pipelines.errors import BadInput, BadPicture, StudioError
from pipelines.pictures import load_scene
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from studio.domain.report import LeftOut, StudioStage
from studio.library.picture_folders import list_pictures
from studio.settings import ASSETS

__all__ = ["Calibrated", "calibrate_folder"]


@dataclass(frozen=True)
class Calibrated:
    """Meaning of the pack's cosines, the gates that follow, the photos in which no face was found, and why other files
    took no part.
    """

    statistics: FaceStatistics
    gates: Gates
    without_face: tuple[str, ...]
    left_out: tuple[StudioError, ...]


def calibrate_folder(pack: Path, photos: Path, progress: Progress = SILENT) -> Calibrated:
    """One subfolder of photos per person. Writes `calibration.json` into the pack (a folder, or a name that
    insightface knows).

    Pictures without a face, damaged ones and other files are left out and named. Raises BadInput for a folder without
    people and for the bundled packs, NotEnough where too few faces are found.
    """
    folder = find_pack(pack)
    if ASSETS in folder.resolve().parents:
        raise BadInput("pack_is_calibrated", pack=folder.name)
    files, left_out = _list_people(photos)
    if not files:
        raise BadInput("no_people", folder=str(photos))
    progress.tell(LeftOut(tuple(left_out)))
    reader = FaceReader(folder)
    embeddings, owner, without = [], [], []
    for number, (who, file) in enumerate(files):
        progress.check_cancelled()
        try:
            image = load_scene(file).image
        except BadPicture as error:
            left_out.append(error)
            continue
        face = reader.read(image)
        if face is None:
            without.append(str(file.relative_to(photos)))
        else:
            embeddings.append(face.embedding)
            owner.append(who)
        progress.tell(StageProgress(Stage(StudioStage.FACES), number + 1, len(files)))
    statistics = face_statistics(np.array(embeddings, np.float32), np.array(owner), reader.sha256)
    (folder / "calibration.json").write_text(statistics.calibration.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Calibrated(statistics, default_gates(statistics.calibration), tuple(without), tuple(left_out))


def _list_people(photos: Path) -> tuple[list[tuple[int, Path]], list[StudioError]]:
    """Return (number of the person, photo) of all subfolders, and why other files are left out."""
    if not photos.is_dir():
        return [], []
    loose = list_pictures(photos)
    left_out = [error for error in loose.left_out if error.code != "subfolder_left_out"]
    left_out += [BadInput("photo_of_nobody", name=path.name) for path in loose.pictures]
    files = []
    for number, name in enumerate(sorted(p.name for p in photos.iterdir() if p.is_dir() and p.name[0] != ".")):
        found = list_pictures(photos / name)
        files += [(number, path) for path in found.pictures]
        left_out += found.left_out
    return files, left_out
