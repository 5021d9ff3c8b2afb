"""Redrawing: a bundle's posts drawn again from its manifest, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from personas.shots import Shot
from pipelines.adapters.character import character_of
from pipelines.adapters.ip_adapter import adapter_of
from pipelines.errors import BadInput
from pipelines.progress import SILENT, Progress, Stage
from pipelines.sampling.request import DrawRequest
from studio.application import Studio
from studio.domain.design import UsedDonor
from studio.domain.persona import Persona
from studio.domain.posts import Fix, PostRequest
from studio.domain.report import StudioStage
from studio.domain.scene import ReferenceDials, Scene
from studio.domain.values import FileKey
from studio.export.bundle import pixels_sha256
from studio.export.manifest import Drawing, Manifest, ManifestPost, ManifestShot, read_manifest
from studio.workflows import Run
from studio.workflows.drawn_with import note_drawing, note_reader
from studio.workflows.finishing import finish_picture
from studio.workflows.injections import Injections
from studio.workflows.post import draw_requests, plan_requests
from studio.workflows.takes import fix_region
from studio.workflows.touch_up import FacePatch, draw_face

__all__ = ["redraw_bundle"]


def redraw_bundle(studio: Studio, path: Path, run: Run, progress: Progress = SILENT) -> tuple[str, ...]:
    """Draw a bundle's posts again from its manifest alone; what differs, one sentence each.

    The persona's LoRA and the scene are taken from this studio's store by their hashes. Raises BadInput where they
    are not there, or where the bundle was drawn with other weights, another reader or another number type.
    """
    manifest = read_manifest(path)
    backbone = studio.backbone
    if manifest.draw.backbone_sha256 != studio.backbone_sha256:
        raise BadInput("bundle_of_another_backbone", backbone=manifest.draw.backbone)
    dtype = str(backbone.dtype).removeprefix("torch.")
    # block by block, a LoRA is added beside the weights, which rounds differently
    draw, plan = manifest.draw, backbone.plan
    then = (draw.precision, draw.dtype, draw.device, draw.offload == "group")
    if then != (plan.precision, dtype, backbone.device.type, plan.offload == "group"):
        raise BadInput(
            "bundle_of_another_machine",
            then=[draw.precision, draw.dtype, draw.device, draw.offload],
            now=[plan.precision, dtype, backbone.device.type, plan.offload],
        )
    for drew in manifest.draw.companions:
        if note_drawing(studio, drew.role).companions[0].sha256 != drew.sha256:
            raise BadInput("bundle_of_another_companion", model=drew.id, role=drew.role)
    adapter = manifest.draw.ip_adapter_sha256
    if adapter and adapter_of(backbone).file.sha256 != adapter:
        raise BadInput("bundle_of_another_ip_adapter")
    if draw.character_sha256 and character_of(backbone).file.sha256 != draw.character_sha256:
        raise BadInput("bundle_of_another_character")
    if draw.character_reader_sha256 and note_reader(studio) != draw.character_reader_sha256:
        raise BadInput("bundle_of_another_reader")
    request = _asked(manifest)
    injections = Injections(studio, request)
    _check_reader(manifest, injections)
    pictures = _redraw_shots(studio, request, injections, manifest, run, progress)
    wrong = []
    for number, post in enumerate(manifest.posts):
        image = studio.store.get_picture(pictures[post.origin or (0, number)])
        for fix in post.fixes:
            if pixels_sha256(image) != fix.parent:
                break
            image = fix_region(studio, request, injections, image, post.as_drawn(), Fix(**fix.model_dump()))
        if pixels_sha256(image) != post.drawn_sha256:
            wrong.append(f"{post.file} came out differently.")
        elif not _finishes_alike(studio, request, injections, post, image):
            wrong.append(f"{post.file} was drawn alike and came out differently when it was finished.")
    return tuple(wrong)


def _finishes_alike(
    studio: Studio, request: PostRequest, injections: Injections, post: ManifestPost, drawn: npt.NDArray[np.uint8]
) -> bool:
    """Return whether the drawn picture is finished to the same pixels; yes where the upscaler of then is not here: the
    drawing is what must be the same.
    """
    told, finisher = post.finishing, studio.finisher
    if told is None or finisher is None or finisher.sha256 != told.sha256:
        return True
    shot, face = post.as_drawn(), None
    if told.face is not None:
        canvas = draw_face(studio, request, shot, drawn, finisher, injections.character, told.face)
        face = FacePatch(told.face, canvas)
    large, _ = finish_picture(studio, finisher, request, shot, drawn, (told.height, told.width), face)
    return pixels_sha256(large) == told.pixels_sha256


def _asked(manifest: Manifest) -> PostRequest:
    """The set's request, as far as its pictures depend on it. Raises BadInput where it is none."""
    place, draw, told = manifest.scene, manifest.draw, manifest.persona
    persona = Persona(
        id=told.id,
        name=told.name,
        version=told.version,
        trigger=told.trigger,
        subject=told.subject,
        enrolment=told.enrolment,
        recipe=manifest.recipe,
        donors=tuple(UsedDonor(id=d.id, name=d.name, licence=d.licence, consent=d.consent) for d in manifest.donors),
        lora=FileKey(told.lora) if told.lora else None,
        scale=told.scale,
        checkpoint=told.checkpoint,
    )
    landmark = FileKey(place.landmark) if place.landmark else None
    scene = Scene(
        id="bundle", name=place.name, sha256=place.sha256, photo=FileKey(place.photo), landmark=landmark,
        crops=place.crops,
    )  # fmt: skip
    return PostRequest.make(
        persona=persona,
        scene=scene,
        shots=(manifest.posts[0].as_drawn().shot,),
        person_as=draw.person_as,
        person_picture=FileKey(draw.person_picture) if draw.person_picture else None,
        scale=place.scale,
        detail=draw.detail,
        renoise=draw.renoise,
        panels=draw.panels,
        goods=place.goods,
        inject=draw.inject,
        dials=place.redux or ReferenceDials(),
        blocks=draw.blocks,
        keep=draw.keep,
        goods_as=place.goods_as,
        goods_box=place.goods_box,
        shape=draw.shape,
        character=draw.character,
        style=None if draw.style is None else draw.style.as_style(),
        style_strength=1.0 if draw.style is None else draw.style.strength,
    )


def _used_drawings(manifest: Manifest) -> Iterator[tuple[int, Drawing]]:
    """The drawings that posts are from, with their numbers, and the first one where others are drawn around it."""
    used = {(p.origin or (0, 0))[0] for p in manifest.posts}
    for number, drawing in enumerate(manifest.drawings or (Drawing(shots=manifest.posts),)):
        # panels of later drawings are drawn around the first one's first picture
        if number in used or (number == 0 and manifest.draw.panels > 1):
            yield number, drawing


def _check_reader(manifest: Manifest, injections: Injections) -> None:
    """Raise BadInput where something else than now said where the person is, or nothing does now."""
    layered = [shot for _, drawing in _used_drawings(manifest) for shot in drawing.shots if shot.layered]
    asked = {shot.reader_sha256 for shot in layered} | {
        fix.reader_sha256 for post in manifest.posts for fix in post.fixes if fix.reader_sha256
    }
    now = injections.reader_sha256
    if asked and (not now or asked - {now, ""}):  # "": drawn before it was noted
        raise BadInput("bundle_of_another_reader")


def _redraw_shots(
    studio: Studio, request: PostRequest, injections: Injections, manifest: Manifest, run: Run, progress: Progress
) -> dict[tuple[int, int], str]:
    """The pictures of all drawings that posts are from, by drawing and number in it."""
    pictures: dict[tuple[int, int], str] = {}
    given = None
    for number, drawing in _used_drawings(manifest):
        shots = [Shot(**s.shot) for s in drawing.shots]
        planned = plan_requests(studio, request, shots, injections)
        requests = [_as_it_was(r, s, injections) for r, s in zip(planned, drawing.shots, strict=True)]
        stage = Stage(StudioStage.REDRAW, str(number + 1))
        drawn = draw_requests(studio, run, stage, request, requests, progress, given)
        if number == 0:
            given = (drawn.pictures[0], drawing.shots[0].prompt)
        pictures |= {(number, i): key for i, key in enumerate(drawn.pictures)}
    return pictures


def _as_it_was(request: DrawRequest, shot: ManifestShot, injections: Injections) -> DrawRequest:
    return replace(
        request,
        references=injections.beside(injections.landmark(Shot(**shot.shot), shot.layered), Shot(**shot.shot)),
        prompt=shot.prompt,
        seed=shot.seed,
        num_inference_steps=shot.num_inference_steps,
        distilled_guidance=shot.guidance_scale,
        cfg_scale=shot.true_cfg_scale,
        identity_guidance=shot.identity_guidance,
    )
