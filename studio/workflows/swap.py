"""Swap: a LoRA's face put into existing pictures; the rest of each picture stays as it was, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from personas.shots import EXPRESSIONS, FRAMINGS, GOODS, LIGHTS, OUTFIT_COLOURS, OUTFITS, SETTINGS, VIEWS, Shot
from pipelines.errors import BadInput
from pipelines.lora import Lora
from pipelines.progress import SILENT, Progress
from pipelines.references.swap import face_region, grow_region, paste_face, swap_landmark
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import identity_request
from studio.application import Studio
from studio.library.records import content_id
from studio.workflows import Run
from studio.workflows.drawing import persona_lora

__all__ = ["SwapRequest", "read_shot", "swap_face", "swap_faces"]

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SwapRequest:
    """`persona` is JSON of consolidation, `pictures` are pairs of a name and a store key; `strength` in (0, 1].

    More strength is more of the persona and less of the old face; `hair` swaps the hair, too.
    """

    persona: dict[str, Any]
    pictures: list[tuple[str, str]]
    seed: int
    owner: str = "me"
    strength: float = 0.8
    hair: bool = True


def swap_faces(studio: Studio, request: SwapRequest, run: Run, progress: Progress = SILENT) -> dict[str, Any]:
    """Every picture is a step of its own; the swap as JSON, with the identity before and after.

    Raises BadInput for a picture without a face.
    """
    lora = persona_lora(studio, request.persona)
    enrolment = np.asarray(request.persona["enrolment"], np.float32)
    rows: list[dict[str, Any]] = []
    for number, (name, key) in enumerate(request.pictures):
        progress.check_cancelled()

        def step(name: str = name, key: str = key, seed: int = request.seed + number) -> dict[str, Any]:
            before = studio.store.get_picture(key)
            after = swap_face(studio, name, before, lora, request.persona, seed, request.strength, request.hair)
            return {"name": name, "before": key, "picture": studio.store.put_picture(after), "seed": seed} | _scores(
                studio, before, after, enrolment
            )

        rows.append(run(f"swap-{number}", step))
        progress.step("swap", number + 1, len(request.pictures))
    return {
        "id": content_id({"request": asdict(request) | {"persona": request.persona["id"]}}),
        "persona": request.persona["id"],
        "pictures": rows,
    }


def swap_face(
    studio: Studio,
    name: str,
    image: Picture,
    lora: Lora,
    who: dict[str, Any],
    seed: int,
    strength: float,
    hair: bool,
) -> Picture:
    """The picture with the face of the LoRA; `who` has its `subject` and `trigger`. Raises BadInput without a face."""
    face = studio.faces.read(image)
    if face is None:
        raise BadInput(f"There is no face in {name}.", "Use a picture in which a face is clearly seen.")
    spec = studio.backbone.spec
    canvas = (spec.height, spec.width)
    region = face_region(image.shape[:2], face.box, face.landmarks, canvas)
    upright = swap_landmark(image, region, *canvas).image
    seen = studio.regions.read([upright])[0]
    if hair:
        region = grow_region(region, seen.head)
    request = identity_request(
        spec,
        # what must be said again so that pose and light stay; all else of the picture is kept
        replace(read_shot(seen.attributes), framing="close-up").prompt(who["subject"], who["trigger"]),
        seed,
        loras=(lora,),
        references=(swap_landmark(image, region, *canvas),),
        strength=strength,
    )
    (drawn,) = draw_batch(studio.backbone, [request])
    return paste_face(image, drawn, region)


def read_shot(attributes: Mapping[str, str]) -> Shot:
    """The shot that a picture shows, as far as it was read; the rest as it usually is."""
    words = {
        "framing": FRAMINGS, "view": VIEWS, "expression": EXPRESSIONS, "light": LIGHTS, "outfit": OUTFITS,
        "outfit_colour": OUTFIT_COLOURS, "setting": SETTINGS, "goods": GOODS,
    }  # fmt: skip
    return Shot(**{name: attributes[name] for name, choices in words.items() if attributes.get(name) in choices})


def _scores(
    studio: Studio, before: Picture, after: Picture, enrolment: npt.NDArray[np.float32]
) -> dict[str, float | None]:
    """Cosine to the enrolment before and after, and how far the landmarks moved, as a share of the face's height."""
    old, new = studio.faces.read(before), studio.faces.read(after)
    assert old is not None
    if new is None:
        return {"identity_before": float(enrolment @ old.embedding), "identity": 0.0, "moved": None}
    shift = float(np.hypot(*(new.landmarks - old.landmarks).T).mean()) / (old.box[3] - old.box[1])
    return {
        "identity_before": float(enrolment @ old.embedding),
        "identity": float(enrolment @ new.embedding),
        "moved": shift,
    }
