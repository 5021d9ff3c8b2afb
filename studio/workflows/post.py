"""Post: a scene's picture, a list of shots, one persona: pictures, scores, and the bundle."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from personas.measures.prompt import attributes_obeyed
from personas.measures.scene import scene_similarity
from personas.shots import Shot
from pipelines.companions import drawing_spec
from pipelines.draw import DrawRequest, request_from
from pipelines.errors import BadInput
from pipelines.progress import SILENT, Progress
from pipelines.realism import Realism
from studio.application import Studio, software_versions
from studio.bundle import (
    BundlePost,
    CompanionFacts,
    DonorFacts,
    DrawFacts,
    Manifest,
    ReduxFacts,
    SceneFacts,
    pixels_sha256,
    read_manifest,
    write_bundle,
)
from studio.recall import remember_export
from studio.records import BundleRecord, PostRecord, PostSetRecord, content_id
from studio.requests import ExportRequest, PostRequest
from studio.workflows import Run
from studio.workflows.drawing import Drawn, draw_all, draw_panels, persona_layers
from studio.workflows.references import Injections

__all__ = ["draw_posts", "export_bundle", "export_posts", "redraw_bundle"]


def draw_posts(studio: Studio, request: PostRequest, run: Run, progress: Progress = SILENT) -> dict[str, Any]:
    """Draw and score a set; the set as JSON."""
    persona, shots = request.persona, [Shot(**s) for s in request.shots]
    injections = Injections(studio, request)
    requests = _requests(studio, request, shots, injections)
    drawn = _draw(studio, run, "posts", persona, requests, request.panels, progress)
    post_set = content_id({"pictures": drawn.pictures, "persona": persona["id"], "scene": request.scene["id"]})

    def score() -> list[dict[str, float | None]]:
        return _score(studio, request, shots, drawn.pictures, injections)

    scores = run("score", score)
    posts = [
        {
            "picture": key,
            "prompt": r.prompt,
            "seed": r.seed,
            "shot": asdict(shot),
            "scores": s,
            "caption": f"{persona['name']}: {shot.outfit_colour} {shot.outfit}",
            "num_inference_steps": r.num_inference_steps,
            "guidance_scale": r.guidance_scale,
            "true_cfg_scale": r.true_cfg_scale,
        }
        for key, r, shot, s in zip(drawn.pictures, requests, shots, scores, strict=True)
    ]
    studio.records.keep(
        PostSetRecord(
            id=post_set,
            owner=request.owner,
            persona=persona["id"],
            scene=request.scene["id"],
            facts={"seed": request.seed, "scale": request.scale},
        ),
        *(
            PostRecord(
                id=f"{post_set}-{i:03d}",
                owner=request.owner,
                post_set=post_set,
                number=i + 1,
                picture=p["picture"],
                facts=p,
            )
            for i, p in enumerate(posts)
        ),
    )
    return {
        "id": post_set,
        "persona": persona,
        "scene": request.scene,
        "posts": posts,
        "owner": request.owner,
        "scale": request.scale,
        "keep_landmark": request.keep_landmark,
        "detail": request.detail,
        "renoise": request.renoise,
        "panels": request.panels,
        "goods": request.goods,
        "inject": request.inject,
        "redux": request.redux,
        "blocks": request.blocks,
        "ip_adapter": _adapter_facts(studio, injections),
        "keep": request.keep,
        "goods_as": request.goods_as,
        "goods_box": request.goods_box,
        "companion": injections.companion,
        "seed": request.seed,
        "batches": [list(b) for b in drawn.batches],
    }


def _draw(
    studio: Studio,
    run: Run,
    name: str,
    persona: dict[str, Any],
    requests: Sequence[DrawRequest],
    panels: int,
    progress: Progress,
) -> Drawn:
    layers = persona_layers(studio, persona)
    if panels == 1:
        return draw_all(studio, run, name, layers, requests, progress)
    return draw_panels(studio, run, name, layers, requests, panels, progress)


def _requests(studio: Studio, request: PostRequest, shots: Sequence[Shot], injections: Injections) -> list[DrawRequest]:
    persona, spec = request.persona, drawing_spec(studio.backbone.spec, injections.companion)
    seeds = np.random.default_rng([request.seed, 2]).integers(0, 2**32, len(shots))
    return [
        request_from(
            spec,
            # the place comes from the reference; without one the words must say it
            injections.words(shot.prompt(persona["subject"], persona["trigger"], with_setting=not injections.referred)),
            int(seed),
            reference=injections.reference,
            context=injections.context,
            ip_adapter=injections.ip_adapter,
            keep=request.keep,
            landmark=injections.landmark(shot),
            realism=Realism(request.detail, request.renoise),
        )
        for shot, seed in zip(shots, seeds, strict=True)
    ]


def _score(
    studio: Studio, request: PostRequest, shots: Sequence[Shot], pictures: Sequence[str], injections: Injections
) -> list[dict[str, float | None]]:
    enrolment = np.asarray(request.persona["enrolment"], np.float64)
    scores: list[dict[str, float | None]] = []
    for shot, key in zip(shots, pictures, strict=True):
        image = studio.store.get_picture(key)
        face = studio.faces.read(image)
        regions = studio.regions.read([image])[0]
        row: dict[str, float | None] = {
            "identity": 0.0 if face is None else float(enrolment @ face.embedding),
            "scene": scene_similarity(image, regions.person, injections.canvas, injections.person),
            "prompt": attributes_obeyed(shot, regions.attributes),
        }
        if request.goods is not None:
            row["goods"] = injections.goods_score(shot, image)
        scores.append(row)
    return scores


def export_bundle(studio: Studio, post_set: dict[str, Any], platform: str, path: Path) -> Manifest:
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
                shot=p["shot"],
                scores=p["scores"],
                composite=landmark is not None or (goods is not None and post_set["goods_as"] == "pixels"),
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
        platform=platform,
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
        ),
    )
    remember_export(studio, manifest, post_set["owner"])
    return manifest


def export_posts(studio: Studio, request: ExportRequest, run: Run, progress: Progress = SILENT) -> dict[str, Any]:
    """Write a set's bundle into the store; its key, name and size as JSON."""
    progress.check_cancelled()

    def export() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=studio.work) as scratch:
            path = Path(scratch) / f"{request.platform}.zip"
            manifest = export_bundle(studio, request.post_set, request.platform, path)
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


def _adapter_facts(studio: Studio, injections: Injections) -> dict[str, str]:
    """The IP-Adapter's fields of DrawFacts; none where it is off."""
    if injections.ip_adapter is None:
        return {}
    file = studio.backbone.ip_adapter.file
    return {"ip_adapter_sha256": file.sha256, "ip_adapter_licence": file.licence}


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
    if adapter and backbone.ip_adapter.file.sha256 != adapter:
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
        [p.shot for p in manifest.posts],
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
    shots = [Shot(**p.shot) for p in manifest.posts]
    requests = [
        replace(
            r,
            prompt=p.prompt,
            seed=p.seed,
            num_inference_steps=p.num_inference_steps,
            guidance_scale=p.guidance_scale,
            true_cfg_scale=p.true_cfg_scale,
        )
        for r, p in zip(_requests(studio, request, shots, Injections(studio, request)), manifest.posts, strict=True)
    ]
    drawn = _draw(studio, run, "redraw", manifest.persona, requests, request.panels, progress)
    return tuple(
        f"{p.file} came out differently."
        for p, key in zip(manifest.posts, drawn.pictures, strict=True)
        if pixels_sha256(studio.store.get_picture(key)) != p.drawn_sha256
    )
