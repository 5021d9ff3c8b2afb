"""Bundling: a post set, as drawn or as a person arranged it, to a zip; and a zip drawn again from its manifest."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from personas.shots import Shot
from pipelines.adapters.ip_adapter import adapter_of
from pipelines.errors import BadInput
from pipelines.file_names import keep_beside
from pipelines.progress import SILENT, Progress, Stage
from pipelines.sampling.request import DrawRequest
from studio.application import Studio, software_versions
from studio.domain.bundle import Bundle, ExportRequest, bundle_name
from studio.domain.design import UsedDonor
from studio.domain.persona import Persona
from studio.domain.posts import DrawnShot, Fix, PostRequest, PostSet
from studio.domain.report import StudioStage
from studio.domain.scene import ReferenceDials, Scene
from studio.domain.values import FileKey
from studio.export.bundle import BundlePost, pixels_sha256, write_bundle
from studio.export.manifest import (
    CompanionFacts,
    DonorFacts,
    DrawFacts,
    Drawing,
    FixFacts,
    Manifest,
    ManifestPersona,
    ManifestShot,
    SceneFacts,
    read_manifest,
)
from studio.export.recall import remember_export
from studio.library.records import BundleRecord
from studio.workflows import Run
from studio.workflows.drawn_with import drawn_with, note_drawing
from studio.workflows.injections import Injections
from studio.workflows.post import draw_requests, plan_requests
from studio.workflows.takes import fix_region

__all__ = ["export_bundle", "keep_bundle", "export_posts", "redraw_bundle"]


def export_bundle(
    studio: Studio, post_set: PostSet, platform: str, path: Path, title: str = "", body: str = "", *, owner: str
) -> Manifest:
    """Write the zip and record it as the `owner`'s, whoever the set says that it was drawn for: a program may send a
    set of its own making. Raises what `write_bundle` raises."""
    manifest = _write(studio, post_set, platform, path, title, body)
    _record(studio, post_set, platform, path, manifest, owner)
    return manifest


def keep_bundle(studio: Studio, post_set: PostSet, platform: str, wanted: Path, owner: str) -> tuple[Path, Manifest]:
    """Write the zip at `wanted`, or beside it where another file has that name, and record it.

    Raises what `export_bundle` raises.
    """
    studio.library.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=studio.library.work) as folder:
        scratch = Path(folder) / "bundle.zip"
        manifest = _write(studio, post_set, platform, scratch, "", "")
        place = keep_beside(wanted, scratch.read_bytes())
    _record(studio, post_set, platform, place, manifest, owner)
    return place, manifest


def _write(studio: Studio, post_set: PostSet, platform: str, path: Path, title: str, body: str) -> Manifest:
    asked = post_set.request
    persona, goods = asked.persona, asked.goods
    landmark = asked.scene.landmark if asked.keep_landmark else None
    by_id = dict(zip(persona.recipe.donors, persona.recipe.mix_weights, strict=True))
    drawings = [drawing.id for drawing in post_set.drawings]
    return write_bundle(
        path,
        [
            BundlePost(
                image=studio.store.get_picture(p.picture),
                caption=p.caption,
                scores=dict(p.scores),
                composite=landmark is not None or (goods is not None and asked.goods_as != "reference"),
                origin=(drawings.index(p.origin[0]), p.origin[1]) if drawings else None,
                fixes=tuple(FixFacts(**fix.model_dump()) for fix in p.fixes),
                **_as_told(p),
            )
            for p in post_set.posts
        ],
        persona=ManifestPersona(**{name: getattr(persona, name) for name in ManifestPersona.model_fields}),
        recipe=persona.recipe,
        donors=[
            DonorFacts(id=d.id, name=d.name, mix_weight=by_id[d.id], licence=d.licence, consent=d.consent)
            for d in persona.donors
        ],
        scene=_scene_facts(asked),
        draw=_draw_facts(studio, post_set),
        drawings=[
            Drawing(shots=tuple(ManifestShot(**_as_told(p)) for p in drawing.posts)) for drawing in post_set.drawings
        ],
        platform=platform,
        title=title,
        body=body,
        software=software_versions(),
    )


def _record(studio: Studio, post_set: PostSet, platform: str, path: Path, manifest: Manifest, owner: str) -> None:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    studio.records.keep(
        BundleRecord(
            id=sha256[:16],
            owner=owner,
            post_set=post_set.id,
            platform=platform,
            path=str(path.resolve()),
            sha256=sha256,
        )
    )
    remember_export(studio.library, manifest, owner)


def _scene_facts(asked: PostRequest) -> SceneFacts:
    """Return what the manifest says of the place and the goods."""
    scene = asked.scene
    return SceneFacts(
        name=scene.name,
        sha256=scene.sha256,
        photo=scene.photo,
        landmark=(scene.landmark if asked.keep_landmark else None) or "",
        scale=asked.scale,
        redux=None if asked.dials == ReferenceDials() else asked.dials,
        goods=asked.goods,
        goods_as=asked.goods_as,
        goods_box=asked.goods_box,
    )


def _draw_facts(studio: Studio, post_set: PostSet) -> DrawFacts:
    """Return what else than the requests decides pixels."""
    asked, drawn = post_set.request, drawn_with(studio, post_set)
    return DrawFacts(
        **drawn.model_dump(exclude={"companions"}),
        batches=post_set.batches,
        detail=asked.detail,
        renoise=asked.renoise,
        panels=asked.panels,
        keep=asked.keep,
        inject=asked.inject,
        person_as=asked.person_as,
        person_picture=asked.person_picture or "",
        blocks=asked.blocks,
        ip_adapter_sha256="" if post_set.ip_adapter is None else post_set.ip_adapter.sha256,
        ip_adapter_licence="" if post_set.ip_adapter is None else post_set.ip_adapter.licence,
        companions=tuple(CompanionFacts(**one.model_dump()) for one in drawn.companions),
        references=post_set.references,
    )


def _as_told(post: DrawnShot) -> dict[str, Any]:
    """The fields of ManifestShot."""
    return {name: getattr(post, name) for name in ManifestShot.model_fields} | {"shot": asdict(post.shot)}


def export_posts(studio: Studio, request: ExportRequest, run: Run, progress: Progress = SILENT) -> Bundle:
    """Write a set's bundle into the store."""
    progress.check_cancelled()

    def export() -> tuple[str, int, int]:
        with tempfile.TemporaryDirectory(dir=studio.library.work) as scratch:
            path = Path(scratch) / f"{request.platform}.zip"
            manifest = export_bundle(
                studio, request.post_set, request.platform, path, request.title, request.body, owner=request.owner
            )
            data = path.read_bytes()
        return studio.store.put(data), len(data), len(manifest.posts)

    studio.library.work.mkdir(parents=True, exist_ok=True)
    key, size, pictures = run("export", export)
    post_set, platform = request.post_set, request.platform
    return Bundle(
        id=key[:16],
        post_set=post_set.id,
        platform=platform,
        name=bundle_name(post_set, platform),
        bundle=FileKey(key),
        bytes=size,
        pictures=pictures,
    )


def redraw_bundle(studio: Studio, path: Path, run: Run, progress: Progress = SILENT) -> tuple[str, ...]:
    """Draw a bundle's posts again from its manifest alone; what differs, one sentence each.

    The persona's LoRA and the scene are taken from this studio's store by their hashes. Raises BadInput where they
    are not there, or where the bundle was drawn with other weights or another number type.
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
    request = _asked(manifest)
    injections = Injections(studio, request)
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
    return tuple(wrong)


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
        lora=FileKey(told.lora),
    )
    landmark = FileKey(place.landmark) if place.landmark else None
    scene = Scene(id="bundle", name=place.name, sha256=place.sha256, photo=FileKey(place.photo), landmark=landmark)
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
    )


def _redraw_shots(
    studio: Studio, request: PostRequest, injections: Injections, manifest: Manifest, run: Run, progress: Progress
) -> dict[tuple[int, int], str]:
    """The pictures of all drawings that posts are from, by drawing and number in it."""
    pictures: dict[tuple[int, int], str] = {}
    drawings = manifest.drawings or (Drawing(shots=manifest.posts),)
    used = {(p.origin or (0, 0))[0] for p in manifest.posts}
    given = None
    for number, drawing in enumerate(drawings):
        # panels of later drawings are drawn around the first one's first picture
        if number not in used and not (number == 0 and request.panels > 1):
            continue
        shots = [Shot(**s.shot) for s in drawing.shots]
        planned = plan_requests(studio, request, shots, injections)
        requests = [_as_it_was(r, s) for r, s in zip(planned, drawing.shots, strict=True)]
        stage = Stage(StudioStage.REDRAW, str(number + 1))
        drawn = draw_requests(studio, run, stage, request, requests, progress, given)
        if number == 0:
            given = (drawn.pictures[0], drawing.shots[0].prompt)
        pictures |= {(number, i): key for i, key in enumerate(drawn.pictures)}
    return pictures


def _as_it_was(request: DrawRequest, shot: ManifestShot) -> DrawRequest:
    return replace(
        request,
        prompt=shot.prompt,
        seed=shot.seed,
        num_inference_steps=shot.num_inference_steps,
        distilled_guidance=shot.guidance_scale,
        cfg_scale=shot.true_cfg_scale,
        identity_guidance=shot.identity_guidance,
    )
