"""Drawing batch by batch into the store, and measures of what was drawn."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from personas.measures.body import body_proportions
from personas.measures.catalogue import CANDIDATE_MEASURES, measure_subject
from personas.measures.face import FaceReading
from personas.measures.hair import read_hair
from personas.measures.regions import Regions
from personas.measures.subject import CandidateMeasures, Subject
from personas.shots import Shot
from pipelines.progress import Event, Progress, Stage, StageProgress, tell_steps
from studio.application import Studio
from studio.domain.capabilities import backbone_facts
from studio.domain.choice import Speed
from studio.domain.fit import style_misfit
from studio.domain.measured import StoredHair, StoredMeasures
from studio.domain.report import PicturesDrawn
from studio.domain.values import FileKey
from studio.library.saved_settings import note_speed
from studio.library.styles import as_kept
from studio.workflows import Run

if TYPE_CHECKING:
    from pipelines.lora import Lora
    from pipelines.sampling.request import DrawRequest
    from studio.domain.persona import Persona
    from studio.domain.posts import PostRequest
    from studio.domain.style import Style

__all__ = [
    "Arrived", "Drawn", "WithoutPictures", "draw_all", "draw_beside", "draw_panels", "judged", "loras_of",
    "measure_pictures", "persona_lora",
]  # fmt: skip

Arrived = Callable[[int, str], None]

_THUMBNAIL = (24, 32)


@dataclass(frozen=True)
class Drawn:
    """Keys of the pictures in the order of the requests, and which were drawn together."""

    pictures: tuple[str, ...]
    batches: tuple[tuple[int, ...], ...]


def draw_all(
    studio: Studio,
    run: Run,
    stage: Stage,
    requests: Sequence[DrawRequest],
    progress: Progress,
    arrived: Arrived = lambda number, key: None,
) -> Drawn:
    """Draw every batch as a step of its own: what was drawn before a crash is not drawn again.

    A batch that the device has no room for is drawn in smaller ones. `arrived` is told of every picture's number and
    key as soon as its batch is drawn. Raises BadInput before the first is drawn where any of them cannot be.
    """
    from pipelines.sampling.draw import check_requests, draw_fitting
    from pipelines.sampling.request import plan_batches

    check_requests(studio.backbone, requests)
    planned = deque(plan_batches(requests, studio.settings.batch_size))
    batches: list[tuple[int, ...]] = []
    keys: dict[int, str] = {}
    progress.tell(StageProgress(stage, 0, len(requests)))
    while planned:
        batch = planned.popleft()

        def step(batch: tuple[int, ...] = batch) -> list[str]:
            backbone, asked = studio.backbone, [requests[i] for i in batch]
            began = time.monotonic()
            pictures = draw_fitting(backbone, asked, tell_steps(progress, stage))
            _note_speed(studio, asked[: len(pictures)], time.monotonic() - began)
            return [studio.store.put_picture(picture) for picture in pictures]

        drawn: list[str] = run(f"{stage}-{len(batches)}", step)  # how many fitted is told by what is remembered
        if rest := batch[len(drawn) :]:
            planned.appendleft(rest)
            batch = batch[: len(drawn)]
        batches.append(batch)
        keys |= zip(batch, drawn, strict=True)
        progress.tell(PicturesDrawn(tuple(FileKey(keys[i]) for i in sorted(keys))))
        progress.tell(StageProgress(stage, len(keys), len(requests)))
        for i in batch:
            arrived(i, keys[i])
    return Drawn(tuple(keys[i] for i in range(len(requests))), tuple(batches))


def _note_speed(studio: Studio, requests: Sequence[DrawRequest], seconds: float) -> None:
    """Note how long a picture by the backbone alone took, for whoever chooses one."""
    one, spec = requests[0], studio.backbone.spec
    if any(request.references for request in requests):
        return
    speed = Speed(
        family=spec.family,
        width=studio.backbone.model.width,
        steps=one.num_inference_steps,
        passes=2 if one.cfg_scale > 1 else 1,
        pixels=one.height * one.width,
        recent=(seconds / len(requests),),
    )
    note_speed(studio.settings.data, studio.settings.backbone, speed)


def persona_lora(studio: Studio, persona: Persona) -> Lora:
    """The persona's LoRA from the store, as strong as the persona says.

    Raises BadInput where it has none, BadLora where it is for another family or width of backbones.
    """
    from pipelines.lora import Lora, check_fits, read_lora

    if persona.lora is None:
        from pipelines.errors import BadInput

        raise BadInput("persona_without_lora", name=persona.name)
    file = read_lora(studio.store.open_local(persona.lora))
    check_fits(file.layers, studio.backbone.model, persona.name, file.family)
    return Lora(file.layers, persona.scale)


def loras_of(studio: Studio, request: PostRequest) -> tuple[Lora, ...]:
    """Return all LoRAs of a set's pictures: the persona's, where it says who is shown, and the style's."""
    person = [persona_lora(studio, request.persona)] if request.by_lora else []
    style = (
        [] if request.styled is None else [_style_lora(studio, request.owner, request.styled, request.style_strength)]
    )
    return (*person, *style)


def _style_lora(studio: Studio, owner: str, style: Style, strength: float) -> Lora:
    """The style's LoRA from the store; it stays on where guidance leads to a person.

    Raises BadInput where it was made for another model or for other weights.
    """
    from pipelines.lora import Lora, check_fits, read_lora

    facts, style = backbone_facts(studio.settings), as_kept(studio.library, owner, style)
    if (why := style_misfit(facts, style, studio.backbone_sha256)) is not None:
        raise why
    file = read_lora(studio.store.open_local(style.lora), style.family)
    check_fits(file.layers, studio.backbone.model, style.names["en"], file.family)
    return Lora(file.layers, strength, stays=True)


def draw_panels(
    studio: Studio,
    run: Run,
    stage: Stage,
    requests: Sequence[DrawRequest],
    panels: int,
    progress: Progress,
    arrived: Arrived = lambda number, key: None,
) -> Drawn:
    """Draw `panels` requests as one picture; the set's first picture is a given panel of all later ones.

    `arrived` as in `draw_all`. Raises BadInput where the panels fit no grid, and as `draw_all` does.
    """
    from pipelines.sampling.draw import check_requests, draw_batch
    from pipelines.sampling.panels import join_panels, plan_panels, split_panels

    keys: list[str] = []
    groups = plan_panels(len(requests), panels)
    joints = [join_panels([requests[i] for i in (0,) * (n > 0) + group]) for n, group in enumerate(groups)]
    check_requests(studio.backbone, joints)
    progress.tell(StageProgress(stage, 0, len(requests)))
    for number, group in enumerate(groups):

        def step(group: tuple[int, ...] = group, drawn: tuple[str, ...] = tuple(keys)) -> list[str]:
            given = [studio.store.get_picture(key) for key in drawn[:1]]
            members = [requests[i] for i in (*range(len(given)), *group)]
            request = join_panels(members, given)
            (joint,) = draw_batch(studio.backbone, [request], tell_steps(progress, stage))
            pictures = split_panels(joint, members, given)
            return [studio.store.put_picture(picture) for picture in pictures[len(given) :]]

        keys += run(f"{stage} panels-{number}", step)
        progress.tell(StageProgress(stage, len(keys), len(requests)))
        for i in group:
            arrived(i, keys[i])
    return Drawn(tuple(keys), groups)


def draw_beside(
    studio: Studio,
    run: Run,
    stage: Stage,
    requests: Sequence[DrawRequest],
    given: tuple[str, str],
    progress: Progress,
    arrived: Arrived = lambda number, key: None,
) -> Drawn:
    """Draw each request as the second of two panels whose first is `given`: the key of a picture and its prompt.

    Raises as `draw_all` does.
    """
    from pipelines.sampling.draw import check_requests, draw_batch
    from pipelines.sampling.panels import join_panels, split_panels

    check_requests(studio.backbone, [join_panels([replace(r, prompt=given[1]), r]) for r in requests])
    keys: list[str] = []
    progress.tell(StageProgress(stage, 0, len(requests)))
    for number, request in enumerate(requests):

        def step(request: DrawRequest = request) -> str:
            shown = [studio.store.get_picture(given[0])]
            members = [replace(request, prompt=given[1]), request]
            joint = join_panels(members, shown)
            (drawn,) = draw_batch(studio.backbone, [joint], tell_steps(progress, stage))
            return studio.store.put_picture(split_panels(drawn, members, shown)[1])

        keys.append(run(f"{stage} beside-{number}", step))
        progress.tell(StageProgress(stage, len(keys), len(requests)))
        arrived(number, keys[number])
    return Drawn(tuple(keys), tuple((i,) for i in range(len(requests))))


def measure_pictures(studio: Studio, keys: Sequence[str]) -> tuple[StoredMeasures, ...]:
    """Return all that selection wants to know of stored pictures."""
    images = [studio.store.get_picture(key) for key in keys]
    faces, regions = studio.faces.read_many(images), studio.regions.read(images)
    return tuple(_measures(*parts) for parts in zip(images, faces, regions, strict=True))


def _measures(image: npt.NDArray[np.uint8], face: FaceReading | None, regions: Regions) -> StoredMeasures:
    """Measure what compares candidates, and the numbers of CANDIDATE_MEASURES that need nothing but the picture."""
    hair = read_hair(image, regions)
    subject = Subject(picture=image, faces=() if face is None else (face,), regions=regions)
    return StoredMeasures(
        face=None if face is None else face.embedding.tolist(),
        body=tuple(None if not np.isfinite(v) else float(v) for v in body_proportions(regions)),
        hair=None
        if hair is None
        else StoredHair(share=hair.share, length=hair.length, lab=hair.lab.tolist(), embedding=hair.embedding.tolist()),
        attributes=dict(regions.attributes),
        thumbnail=_thumbnail(image).tolist(),
        eyes=None if regions.eyes is None else regions.eyes.tolist(),
        **measure_subject(subject, CANDIDATE_MEASURES),
    )


def judged(measures: StoredMeasures, shot: Shot) -> CandidateMeasures:
    """Return what selection judges: the stored measures, and what they say of the shot that was asked for."""
    stored = {row.name: measures.numbers[row.name] for row in CANDIDATE_MEASURES if row.name in measures.numbers}
    subject = Subject(attributes=measures.attributes, shot=shot)
    return CandidateMeasures(
        face=None if measures.face is None else np.asarray(measures.face, np.float32),
        body=np.array([np.nan if v is None else v for v in measures.body], np.float32),
        hair=None if measures.hair is None else measures.hair.as_reading(),
        thumbnail=np.asarray(measures.thumbnail, np.float32),
        numbers=stored | measure_subject(subject, CANDIDATE_MEASURES),
        eyes=None if measures.eyes is None else np.asarray(measures.eyes, np.float32),
    )


def _thumbnail(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    small = np.asarray(Image.fromarray(image).convert("L").resize(_THUMBNAIL, Image.Resampling.BOX), np.float32).ravel()
    small -= small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), 1e-6), np.float32)


class WithoutPictures:
    """Tells how far it is and not what was drawn: nobody is to see these pictures."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def tell(self, event: Event) -> None:
        if not isinstance(event, PicturesDrawn):
            self._progress.tell(event)

    def check_cancelled(self) -> None:
        self._progress.check_cancelled()
