"""A persona made of photos of somebody who agreed to it: enrolled by their face, and drawn without any training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from personas.looks import find_category
from personas.measures.face import mean_embedding
from personas.recipes import Recipe
from personas.shots import Shot
from pipelines.adapters.character import character_of
from pipelines.errors import BadInput
from pipelines.progress import SILENT, Progress, Stage
from pipelines.references.character import CharacterReference
from pipelines.sampling.request import identity_request
from studio.application import Studio
from studio.domain.capabilities import sees_people
from studio.domain.character import Character, wear
from studio.domain.persona import ConsolidateRequest, Persona, Sample
from studio.domain.report import SamplesDrawn, StudioStage
from studio.domain.values import FileKey
from studio.library.characters import read_worn
from studio.library.consents import check_photos
from studio.library.persona_versions import keep_version
from studio.library.records import PersonaRecord
from studio.library.row import content_id
from studio.workflows import Run
from studio.workflows.character import faces_of, reference_of
from studio.workflows.drawing import draw_all

__all__ = ["persona_of_photos"]

Embedding = npt.NDArray[np.float32]

_SEED = 900
_STRIP = (
    Shot(framing="close-up", expression="smiling"),
    Shot(framing="close-up", view="left"),
    Shot(framing="half-body", setting="cafe", pose="hand on hip"),
    Shot(framing="half-body", view="right", expression="laughing", setting="park"),
    Shot(framing="full-body", setting="street"),
)
"""Near and far, from all sides: what a person looks at before they believe that it is the same one."""


def persona_of_photos(studio: Studio, request: ConsolidateRequest, run: Run, progress: Progress = SILENT) -> Persona:
    """Enrol who is in a request's photos, draw a strip of five and record the persona.

    Raises ModelMissing where the backbone has no adapter for photos of people, ConsentMissing where nobody agrees any
    longer, and BadInput where no photo shows a face or two of them show different people.
    """
    assert request.character is not None
    check_photos(studio.records, request.owner, request.character, request.character_consent)
    spec, trigger = studio.backbone.spec, character_of(studio.backbone).file.metadata.get("trigger", "")
    enrolment = _enrol(studio, request.character)
    character = request.character
    if sees_people(studio.settings):
        character = character.model_copy(update={"worn": read_worn(studio.library, studio.regions, character)})
    subject, reference = find_category(request.category).subject, reference_of(studio, character)
    sample = _draw_strip(studio, character, reference, subject, trigger, enrolment, run, progress)
    told = request.model_dump(mode="json", include={"character", "character_consent", "category", "name"})
    recipe = Recipe(
        id="", category=request.category, donors=(), mix_weights=(), seed=0, equalise=False, family=spec.family,
        width=studio.backbone.model.width,
    )  # fmt: skip
    result = Persona(
        id=content_id(told | {"backbone": studio.backbone_sha256}),
        name=request.name,
        version=1,  # until it is counted
        trigger=trigger,
        subject=subject,
        enrolment=tuple(float(x) for x in enrolment),
        recipe=recipe,
        donors=(),
        backbone=spec.id,
        request=request.consolidation,
        samples=(sample,),
        character=character,
        character_consent=request.character_consent,
    )
    facts = result.model_dump(mode="json", include={"trigger", "subject", "enrolment", "recipe", "donors", "backbone"})
    row = PersonaRecord(id=result.id, owner=request.owner, name=request.name, design="", lora="", facts=facts)
    return result.model_copy(update={"version": keep_version(studio.records, row)})


def _enrol(studio: Studio, character: Character) -> Embedding:
    """Return the mean unit embedding of the faces in the photos that are for the head.

    Raises BadInput where none shows a face, and where two faces are of different people.
    """
    found = [(number, face) for number, face in enumerate(faces_of(studio, character), 1) if face is not None]
    if not found:
        raise BadInput("character_without_face")
    for i, (number, one) in enumerate(found):
        for other, two in found[i + 1 :]:
            alike = float(one.embedding @ two.embedding)
            if alike < studio.least_identity:
                raise BadInput("character_photos_differ", number=number, other=other, alike=round(alike, 2))
    return mean_embedding(np.stack([face.embedding for _, face in found]))


def _draw_strip(
    studio: Studio,
    character: Character,
    reference: CharacterReference,
    subject: str,
    trigger: str,
    enrolment: Embedding,
    run: Run,
    progress: Progress,
) -> Sample:
    """Draw five shots of them, dressed as in the photos; how near their faces are to the enrolment (no face: 0)."""
    shots = wear(_STRIP, character.worn)
    requests = [
        identity_request(studio.backbone.spec, shot.prompt(subject, trigger), _SEED + i, references=(reference,))
        for i, shot in enumerate(shots)
    ]
    drawn = draw_all(studio, run, Stage(StudioStage.SAMPLES), requests, progress)
    faces = studio.faces.read_many([studio.store.get_picture(key) for key in drawn.pictures])
    alike = [0.0 if face is None else float(enrolment @ face.embedding) for face in faces]
    sample = Sample(step=0, pictures=tuple(map(FileKey, drawn.pictures)), identity=float(np.mean(alike)))
    progress.tell(SamplesDrawn((sample,)))
    return sample
