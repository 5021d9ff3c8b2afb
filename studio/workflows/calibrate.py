"""Calibrate: thresholds for any face pack from a merchant's own labelled photos."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personas.gates import Gates
from personas.measures.calibration import FaceStatistics, face_statistics
from personas.measures.face import FaceReader, find_pack
from personas.novelty import default_gates
from pipelines.errors import BadInput
from pipelines.pictures import load_scene
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from studio.domain.report import StudioStage
from studio.settings import ASSETS

__all__ = ["Calibrated", "calibrate_folder"]

_PHOTOS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class Calibrated:
    """Meaning of the pack's cosines, the gates that follow, and the photos in which no face was found."""

    statistics: FaceStatistics
    gates: Gates
    without_face: tuple[str, ...]


def calibrate_folder(pack: Path, photos: Path, progress: Progress = SILENT) -> Calibrated:
    """One subfolder of photos per person. Writes `calibration.json` into the pack (a folder, or a name that
    insightface knows).

    Pictures without a face are left out and named. Raises BadInput for a folder without people and for the bundled
    packs, NotEnough where too few faces are found, BadPicture for a damaged photo.
    """
    folder = find_pack(pack)
    if ASSETS in folder.resolve().parents:
        raise BadInput("pack_is_calibrated", pack=folder.name)
    people = sorted(p for p in photos.iterdir() if p.is_dir()) if photos.is_dir() else []
    files = [(k, f) for k, who in enumerate(people) for f in sorted(who.iterdir()) if f.suffix.lower() in _PHOTOS]
    if not files:
        raise BadInput("no_people", folder=str(photos))
    reader = FaceReader(folder)
    embeddings, owner, without = [], [], []
    for number, (who, file) in enumerate(files):
        progress.check_cancelled()
        face = reader.read(load_scene(file).image)
        if face is None:
            without.append(str(file.relative_to(photos)))
        else:
            embeddings.append(face.embedding)
            owner.append(who)
        progress.tell(StageProgress(Stage(StudioStage.FACES), number + 1, len(files)))
    statistics = face_statistics(np.array(embeddings, np.float32), np.array(owner), reader.sha256)
    (folder / "calibration.json").write_text(statistics.calibration.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return Calibrated(statistics, default_gates(statistics.calibration), tuple(without))
