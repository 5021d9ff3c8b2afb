"""Bundling: a post set, as drawn or as a person arranged it, to a zip; and a zip drawn again from its manifest."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from personas.shots import Shot
from pipelines.adapters.ip_adapter import adapter_of
from pipelines.errors import BadInput
from pipelines.families.flux1.companions import drawing_spec
from pipelines.progress import SILENT, Progress
from pipelines.sampling.request import DrawRequest
from studio.application import Studio, software_versions
from studio.domain.requests import ExportRequest, PostRequest
from studio.export.bundle import (
    BundlePost,
    CompanionFacts,
    DonorFacts,
    DrawFacts,
    Drawing,
    DrawnShot,
    FixFacts,
    Manifest,
    ReduxFacts,
    SceneFacts,
    pixels_sha256,
    read_manifest,
    write_bundle,
)
from studio.export.recall import remember_export
from studio.library.records import BundleRecord
from studio.workflows import Run
from studio.workflows.injections import Injections
from studio.workflows.post import draw_requests, plan_requests
from studio.workflows.takes import fix_region

__all__ = ["export_bundle", "export_posts", "redraw_bundle"]


def export_bundle(
    studio: Studio, post_set: dict[str, Any], platform: str, path: Path, title: str = "", body: str = ""
) -> Manifest:
    """Write the zip and record it. Raises what `write_bundle` raises."""
    import torch

    persona, scene, backbone = post_set["persona"], post_set["scene"], studio.backbone
    landmark, goods = scene["landmark"] if post_set["keep_landmark"] else None, post_set.get("goods")
    weights = persona["recipe"]["mix_weights"]
    by_id = dict(zip(persona["recipe"]["donors"], weights, strict=True))
    manifest = write_bundle(
        path,
        [
            BundlePost(
                image=studio.store.get_picture(p["picture"]),
                prompt=p["prompt"],
                caption=p["caption"],
                seed=p["seed"],
                num_inference_steps=p["num_inference_steps"],
                guidance_scale=p["guidance_scale"],
                true_cfg_scale=p["true_cfg_scale"],
                identity_guidance=p.get("identity_guidance", False),
                shot=p["shot"],
                scores=p["scores"],
                composite=landmark is not None or (goods is not None and post_set["goods_as"] == "pixels"),
                origin=tuple(p["origin"]) if "drawings" in post_set else None,
                fixes=tuple(FixFacts.model_validate(fix) for fix in p["fixes"]),
            )
            for p in post_set["posts"]
        ],
        persona={k: persona[k] for k in ("id", "name", "version", "lora", "trigger", "subject", "enrolment")},
        recipe=persona["recipe"],
        donors=[
            DonorFacts(
                id=d["id"], name=d["name"], mix_weight=by_id[d["id"]], licence=d["licence"], consent=d["consent"]
            )
            for d in persona["donors"]
        ],
        scene=SceneFacts(
            name=scene["name"],
            sha256=scene["sha256"],
            photo=scene["photo"],
            landmark=landmark or "",
            scale=post_set["scale"],
            redux=None if post_set["redux"] is None else ReduxFacts.model_validate(post_set["redux"]),
            goods=goods,
            goods_as=post_set["goods_as"],
            goods_box=post_set["goods_box"],
        ),
        draw=DrawFacts(
            backbone=backbone.spec.id,
            backbone_sha256=studio.backbone_sha256,
            batch_size=studio.settings.batch_size,
            batches=tuple(tuple(b) for b in post_set["batches"]),
            dtype=str(backbone.dtype).removeprefix("torch."),
            precision=backbone.plan.precision,
            offload=backbone.plan.offload,
            device=backbone.device.type,
            threads=torch.get_num_threads(),
            height=backbone.spec.height,
            width=backbone.spec.width,
            detail=post_set.get("detail", 0.0),
            renoise=post_set.get("renoise", 0.0),
            panels=post_set.get("panels", 1),
            keep=post_set["keep"],
            inject=post_set["inject"],
            blocks=post_set["blocks"],
            **post_set["ip_adapter"],
            companions=_companion_facts(studio, post_set["companion"]),
        ),
        drawings=[
            Drawing(shots=tuple(DrawnShot(**{name: p[name] for name in DrawnShot.model_fields}) for p in d["posts"]))
            for d in post_set.get("drawings", ())
        ],
        platform=platform,
        title=title,
        body=body,
        software=software_versions(),
    )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    studio.records.keep(
        BundleRecord(
            id=sha256[:16],
            owner=post_set["owner"],
            post_set=post_set["id"],
            platform=platform,
            path=str(path.resolve()),
            sha256=sha256,
        )
    )
    remember_export(studio, manifest, post_set["owner"])
    return manifest


def export_posts(studio: Studio, request: ExportRequest, run: Run, progress: Progress = SILENT) -> dict[str, Any]:
    """Write a set's bundle into the store; its key, name and size as JSON."""
    progress.check_cancelled()

    def export() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=studio.work) as scratch:
            path = Path(scratch) / f"{request.platform}.zip"
            manifest = export_bundle(studio, request.post_set, request.platform, path, request.title, request.body)
            data = path.read_bytes()
        return {"bundle": studio.store.put(data), "bytes": len(data), "pictures": len(manifest.posts)}

    studio.work.mkdir(parents=True, exist_ok=True)
    written = run("export", export)
    post_set = request.post_set
    name = f"{post_set['persona']['name']}-{request.platform}-{post_set['id'][:6]}.zip"
    return {
        "id": written["bundle"][:16],
        "post_set": post_set["id"],
        "platform": request.platform,
        "name": name,
    } | written


def _companion_facts(studio: Studio, role: str) -> tuple[CompanionFacts, ...]:
    if not role:
        return ()
    spec = drawing_spec(studio.backbone.spec, role)
    sha256 = studio.transformer_sha256(spec.folder)
    return (CompanionFacts(role=role, id=spec.id, sha256=sha256, licence=spec.licence),)


def redraw_bundle(studio: Studio, path: Path, run: Run, progress: Progress = SILENT) -> tuple[str, ...]:
    """Draw a bundle's posts again from its manifest alone; what differs, one sentence each.

    The persona's LoRA and the scene are taken from this studio's store by their hashes. Raises BadInput where they
    are not there, or where the bundle was drawn with other weights or another number type.
    """
    manifest = read_manifest(path)
    backbone = studio.backbone
    if manifest.draw.backbone_sha256 != studio.backbone_sha256:
        raise BadInput("The bundle was drawn with another backbone.", f"Load {manifest.draw.backbone} as it was then.")
    dtype = str(backbone.dtype).removeprefix("torch.")
    # block by block, a LoRA is added beside the weights, which rounds differently
    then = (manifest.draw.precision, manifest.draw.dtype, manifest.draw.device, manifest.draw.offload == "group")
    plan = backbone.plan
    if then != (plan.precision, dtype, backbone.device.type, plan.offload == "group"):
        raise BadInput(
            f"The bundle was drawn in {manifest.draw.precision} ({manifest.draw.dtype}, offload "
            f"{manifest.draw.offload}) on {manifest.draw.device}, and this is {plan.precision} ({dtype}, offload "
            f"{plan.offload}) on {backbone.device.type}.",
            "Draw it again on a machine like that one.",
        )
    for drew in manifest.draw.companions:
        if _companion_facts(studio, drew.role)[0].sha256 != drew.sha256:
            raise BadInput(
                f"The bundle was drawn with another {drew.id}.", f"Name the folder of that one as {drew.role}_folder."
            )
    adapter = manifest.draw.ip_adapter_sha256
    if adapter and adapter_of(backbone).file.sha256 != adapter:
        raise BadInput(
            "The bundle was drawn with another IP-Adapter.", "Name the folder of that one as ip_adapter_folder."
        )
    place = manifest.scene
    scene = {
        "id": "",
        "name": place.name,
        "sha256": place.sha256,
        "photo": place.photo,
        "landmark": place.landmark or None,
    }
    request = PostRequest(
        manifest.persona,
        scene,
        [],
        0,
        scale=place.scale,
        detail=manifest.draw.detail,
        renoise=manifest.draw.renoise,
        panels=manifest.draw.panels,
        goods=place.goods,
        inject=manifest.draw.inject,
        redux=None if place.redux is None else place.redux.model_dump(),
        blocks=manifest.draw.blocks,
        keep=manifest.draw.keep,
        goods_as=place.goods_as,
        goods_box=place.goods_box,
    )
    injections = Injections(studio, request)
    pictures = _redraw_shots(studio, request, injections, manifest, run, progress)
    wrong = []
    for number, post in enumerate(manifest.posts):
        image = studio.store.get_picture(pictures[post.origin or (0, number)])
        for fix in post.fixes:
            if pixels_sha256(image) != fix.parent:
                break
            image = fix_region(studio, request, injections, image, post.model_dump(), fix.model_dump())
        if pixels_sha256(image) != post.drawn_sha256:
            wrong.append(f"{post.file} came out differently.")
    return tuple(wrong)


def _redraw_shots(
    studio: Studio, request: PostRequest, injections: Injections, manifest: Manifest, run: Run, progress: Progress
) -> dict[tuple[int, int], str]:
    """The pictures of all drawings that posts are from, by drawing and number in it."""
    pictures: dict[tuple[int, int], str] = {}
    drawings = manifest.drawings or (Drawing(shots=tuple(_as_shot(p) for p in manifest.posts)),)
    used = {(p.origin or (0, 0))[0] for p in manifest.posts}
    given = None
    for number, drawing in enumerate(drawings):
        # panels of later drawings are drawn around the first one's first picture
        if number not in used and not (number == 0 and request.panels > 1):
            continue
        shots = [Shot(**s.shot) for s in drawing.shots]
        planned = plan_requests(studio, request, shots, injections)
        requests = [_as_it_was(r, s) for r, s in zip(planned, drawing.shots, strict=True)]
        drawn = draw_requests(studio, run, f"redraw {number}", request, requests, progress, given)
        if number == 0:
            given = (drawn.pictures[0], drawing.shots[0].prompt)
        pictures |= {(number, i): key for i, key in enumerate(drawn.pictures)}
    return pictures


def _as_shot(post: Any) -> DrawnShot:
    return DrawnShot(**{name: getattr(post, name) for name in DrawnShot.model_fields})


def _as_it_was(request: DrawRequest, shot: DrawnShot) -> DrawRequest:
    return replace(
        request,
        prompt=shot.prompt,
        seed=shot.seed,
        num_inference_steps=shot.num_inference_steps,
        distilled_guidance=shot.guidance_scale,
        cfg_scale=shot.true_cfg_scale,
        identity_guidance=shot.identity_guidance,
    )
