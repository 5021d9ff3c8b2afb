"""Swap: a LoRA's face put into existing pictures; the rest of each picture stays as it was, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from personas.measures.hair import HAIR, old_hair_left
from personas.shots import EXPRESSIONS, FRAMINGS, GOODS, LIGHTS, OUTFIT_COLOURS, OUTFITS, SETTINGS, VIEWS, Shot
from pipelines.errors import BadInput, NotEnough
from pipelines.finishing.finisher import Finisher
from pipelines.lora import Lora
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from pipelines.references.swap import (
    FaceRegion,
    crop_canvas,
    face_region,
    grow_region,
    paste_face,
    resize_canvas,
    swap_landmark,
    times_enlarged,
    view_head,
)
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import identity_request
from studio.application import Studio
from studio.domain.capabilities import own_look
from studio.domain.finishing import finishes
from studio.domain.persona import Swap, SwappedPicture, SwapRequest
from studio.domain.report import LeftOut, PicturesDrawn, StudioStage
from studio.domain.swap_scores import swap_faults
from studio.domain.values import FileKey, LeftOutPicture, NamedPicture
from studio.library.records import content_id
from studio.workflows import Run
from studio.workflows.drawing import persona_lora

__all__ = ["find_face", "paste_sharp", "read_shot", "swap_face", "swap_faces"]

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SwapScores:
    """See `SwappedPicture`."""

    identity_before: float
    identity: float
    moved: float | None
    old_face: float | None
    old_hair: float | None


def swap_faces(studio: Studio, request: SwapRequest, run: Run, progress: Progress = SILENT) -> Swap:
    """Every picture is a step of its own; one without a face, or of another look than the backbone's, is left out and
    named, and the others are done.

    Raises NotEnough where none is left, for a single one what is wrong with it.
    """
    lora = persona_lora(studio, request.persona)
    enrolment = np.asarray(request.persona.enrolment, np.float32)
    who = request.persona
    least = studio.least_identity
    rows: list[SwappedPicture] = []
    left_out: list[LeftOutPicture] = []
    look = own_look(studio.settings)
    for number, given in enumerate(request.pictures):
        progress.check_cancelled()
        seed = request.seed + number

        def step(given: NamedPicture = given, seed: int = seed) -> dict[str, object]:
            before = studio.store.get_picture(given.picture)
            is_other = None if look is None else look.is_other(before)
            try:
                if is_other and not request.any_look:
                    raise BadInput("picture_of_other_look", name=given.name)
                after, region = swap_face(
                    studio, given.name, before, lora, who.subject, who.trigger, seed, request.strength, request.hair
                )
            except BadInput as error:
                return {"raised": error.as_json()}
            old_hair = _old_hair(studio, before, after, region) if request.hair else None
            scores = asdict(_scores(studio, before, after, enrolment, old_hair))
            return {"picture": studio.store.put_picture(after), "other_look": is_other} | scores

        made = run(f"swap-{number}", step)
        if "raised" in made:
            left_out.append(LeftOutPicture(name=given.name, raised=made["raised"]))
        else:
            picture = FileKey(made.pop("picture"))
            row = SwappedPicture(name=given.name, before=given.picture, picture=picture, seed=seed, **made)
            rows.append(row.model_copy(update={"faults": swap_faults(row, least)}))
            progress.tell(PicturesDrawn(tuple(row.picture for row in rows)))
        progress.tell(StageProgress(Stage(StudioStage.SWAP), number + 1, len(request.pictures)))
    if not rows:
        if len(left_out) == 1:
            raise left_out[0].error
        raise NotEnough("no_picture_swapped", names=[picture.name for picture in left_out][:20])
    progress.tell(LeftOut(tuple(picture.error for picture in left_out)))
    told = request.model_dump(mode="json") | {"persona": who.id}
    return Swap(id=content_id({"request": told}), persona=who.id, pictures=tuple(rows), left_out=tuple(left_out))


def find_face(studio: Studio, name: str, image: Picture) -> FaceRegion:
    """Return the region of a picture's face. Raises BadInput where there is none, or only one that is too small."""
    face = studio.faces.read(image)
    if face is None:
        raise BadInput("picture_without_face", name=name)
    spec = studio.backbone.spec
    return face_region(image.shape[:2], face.box, face.landmarks, (spec.height, spec.width))


def swap_face(
    studio: Studio,
    name: str,
    image: Picture,
    lora: Lora,
    subject: str,
    trigger: str,
    seed: int,
    strength: float,
    hair: bool,
) -> tuple[Picture, FaceRegion]:
    """The picture with the face of the LoRA that `subject` and `trigger` call, and where it was drawn anew.

    Raises what `find_face` raises.
    """
    spec = studio.backbone.spec
    canvas = (spec.height, spec.width)
    region = find_face(studio, name, image)
    upright = swap_landmark(image, region, *canvas).image
    seen = studio.regions.read([upright])[0]
    if hair:
        region = grow_region(region, seen.head)
    request = identity_request(
        spec,
        # what must be said again so that pose and light stay; all else of the picture is kept
        replace(read_shot(seen.attributes), framing="close-up").prompt(subject, trigger),
        seed,
        loras=(lora,),
        references=(swap_landmark(image, region, *canvas),),
        strength=strength,
    )
    (drawn,) = draw_batch(studio.backbone, [request])
    return paste_sharp(studio.finisher, image, drawn, region), region


def paste_sharp(finisher: Finisher | None, image: Picture, drawn: Picture, region: FaceRegion) -> Picture:
    """The picture with the drawn face; finished before, where it is larger in the picture than it was drawn."""
    times, (height, width) = times_enlarged(region), drawn.shape[:2]
    if finisher is None or times <= 1 or not finishes(None, True, height, width):
        return paste_face(image, drawn, region)
    times = min(times, float(finisher.scale))
    region, part = crop_canvas(region, drawn)
    height, width = part.shape[:2]
    size = round(height * times), round(width * times)
    return paste_face(image, finisher.finish(part, *size), resize_canvas(region, (height, width), size))


def read_shot(attributes: Mapping[str, str]) -> Shot:
    """The shot that a picture shows, as far as it was read; the rest as it usually is."""
    words = {
        "framing": FRAMINGS, "view": VIEWS, "expression": EXPRESSIONS, "light": LIGHTS, "outfit": OUTFITS,
        "outfit_colour": OUTFIT_COLOURS, "setting": SETTINGS, "goods": GOODS,
    }  # fmt: skip
    return Shot(**{name: attributes[name] for name, choices in words.items() if attributes.get(name) in choices})


def _scores(
    studio: Studio, before: Picture, after: Picture, enrolment: npt.NDArray[np.float32], old_hair: float | None
) -> SwapScores:
    old, new = studio.faces.read(before), studio.faces.read(after)
    assert old is not None
    was = float(enrolment @ old.embedding)
    if new is None:
        return SwapScores(was, 0.0, None, None, old_hair)
    shift = float(np.hypot(*(new.landmarks - old.landmarks).T).mean()) / (old.box[3] - old.box[1])
    now, alike = float(enrolment @ new.embedding), float(old.embedding @ new.embedding)
    return SwapScores(was, now, shift, alike, old_hair)


def _old_hair(studio: Studio, before: Picture, after: Picture, region: FaceRegion) -> float | None:
    """Return how much of the old hair is left, as seen on the upright head."""
    spec = studio.backbone.spec
    was, there, drawn = view_head(before, region, spec.height, spec.width)
    now, _, _ = view_head(after, region, spec.height, spec.width)
    old, new = studio.regions.read([was, now])
    return old_hair_left(was, now, (old.labels == HAIR) & there, (new.labels == HAIR) & drawn)
