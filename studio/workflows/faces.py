"""Mean faces: of a source face's own file and of a mix, on the same eight plain pictures, so that they can be compared.

What a preview shows, and what a design is refused by before its candidates are drawn, is the same number: the cosine of
the one to the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from personas.donors import Donor
from personas.fusion import FusedLora
from personas.looks import LookCategory
from personas.measures.face import mean_embedding
from personas.shots import vary_shots
from pipelines.errors import NotEnough
from pipelines.lora import Lora, read_lora
from pipelines.progress import Progress, Stage
from pipelines.sampling.request import identity_request
from studio.application import Studio
from studio.domain.report import StudioStage
from studio.library.donor_faces import keep_face, known_face
from studio.library.records import content_id
from studio.workflows import run_directly
from studio.workflows.drawing import WithoutPictures, draw_all

__all__ = ["FACE_PICTURES", "donor_face", "mean_face", "mix_face", "mix_similarity", "trigger_of"]

FACE_PICTURES = 8


def donor_face(studio: Studio, donor: Donor, look: LookCategory, progress: Progress) -> list[float]:
    """Return the normalised mean face of a source face's own LoRA [d]: measured once per machine, backbone and
    recogniser. Raises NotEnough where fewer than half of the pictures show a face.
    """
    told = {
        "donor": donor.id, "subject": look.subject, "trigger": donor.trigger, "backbone": studio.backbone_sha256,
        "precision": studio.settings.precision, "shots": FACE_PICTURES,
        "recogniser": studio.calibration.model_dump(mode="json"),
    }  # fmt: skip
    key = content_id(told)
    if (known := known_face(studio.library, donor.id, key)) is not None:
        return known
    lora = Lora(read_lora(donor.lora_path, donor.family).layers)
    face = mean_face(studio, Stage(StudioStage.DONOR, donor.name), lora, look, donor.trigger, progress)
    if face is None:
        raise NotEnough("donor_without_face", found=0, count=FACE_PICTURES, donor=donor.name)
    keep_face(studio.library, donor.id, key, face)
    return face


def mix_face(
    studio: Studio, fused: FusedLora, donors: Sequence[Donor], look: LookCategory, progress: Progress
) -> list[float] | None:
    """Return the normalised mean face [d] of a mix; None where fewer than half of its pictures show one."""
    stage = Stage(StudioStage.NOVELTY)
    return mean_face(studio, stage, Lora(fused.layers), look, trigger_of(donors), progress)


def mix_similarity(face: Sequence[float], faces: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return by donor the cosine of a mix's mean face to theirs, in [-1, 1]: what the novelty gate's ceiling is for."""
    own = np.asarray(face, np.float32)
    return {donor: float(own @ np.asarray(other, np.float32)) for donor, other in faces.items()}


def trigger_of(donors: Sequence[Donor]) -> str:
    """Return the trigger that donors of one recipe share; different ones are all said, most common first."""
    words = [donor.trigger for donor in donors]
    return " ".join(sorted(set(words), key=lambda w: (-words.count(w), w)))


def mean_face(
    studio: Studio, stage: Stage, lora: Lora, look: LookCategory, trigger: str, progress: Progress
) -> list[float] | None:
    """Return the normalised mean face [d] of a LoRA from eight plain close pictures; None where fewer than half of them
    show one.
    """
    shots = vary_shots(FACE_PICTURES, 5, framings=("close-up", "half-body"), settings=("studio",), lights=("day",))
    requests = [
        identity_request(studio.backbone.spec, shot.prompt(look.subject, trigger), 700 + i, loras=(lora,))
        for i, shot in enumerate(shots)
    ]
    drawn = draw_all(studio, run_directly, stage, requests, WithoutPictures(progress))
    read = (studio.faces.read(studio.store.get_picture(key)) for key in drawn.pictures)
    found = [face.embedding for face in read if face is not None]
    return [float(v) for v in mean_embedding(np.stack(found))] if len(found) >= FACE_PICTURES // 2 else None
