"""The main job, measured: `python -m benchmarks.main_job --out out --seed 1`.

Runs the same code as `persona-studio demo`, then asks the world's ground truth and a second recogniser what the
pictures are worth. Every number in out/report.json is computed in this run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.strip import draw_strip
from miniature.donors import NAMES, chosen_people, make_donor
from miniature.samples import save_scene
from miniature.world import World, look_identities, render, sample_scenes
from personas.fusion import FusedLora, fuse_donors
from personas.looks import find_category
from personas.measures.face import FaceReader, pairwise_mean
from personas.measures.prompt import SHOT_ATTRIBUTES, attributes_obeyed
from personas.measures.seam import exact_share
from personas.recipes import plan_recipe
from personas.shots import SETTINGS, Shot
from pipelines.errors import BadLora
from pipelines.lora import Lora, LoraLayer, check_fits, read_lora
from pipelines.masks import load_mask
from pipelines.pictures import fit_mask, fit_to_canvas, load_scene
from pipelines.references.landmark import grow_mask
from pipelines.sampling.draw import draw
from pipelines.sampling.request import identity_request
from studio.application import Studio
from studio.cli.progress import Bars
from studio.domain.design import Design
from studio.jobs.engine import Engine
from studio.jobs.main_job import MainJob, MainJobRequest, run_main_job
from studio.settings import ASSETS, Settings
from studio.texts.errors import say_error
from studio.texts.terminal import in_words
from studio.texts.texts import Texts
from studio.workflows import run_directly
from studio.workflows.drawing import persona_lora
from studio.workflows.faces import trigger_of
from studio.workflows.post import draw_posts

Picture = NDArray[np.uint8]
LOOKS = tuple(NAMES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backbone", default="miniature")
    parser.add_argument("--category", default="sweet", choices=LOOKS)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    look: str = args.category
    with ThreadPoolExecutor(1) as before:  # a thread that ends leaves the cores to the one that the jobs compute in
        wish = Settings(data=args.out / f"data-{args.seed}", backbone=args.backbone)
        settings = before.submit(fitting_donors, wish, look, args.out).result()
        place = SETTINGS[args.seed % len(SETTINGS)]
        photo, mask = before.submit(save_scene, args.out / "scene", place, 7_000_000 + args.seed).result()
    with Bars() as bars, Engine(Studio(settings), bars) as engine:
        job = run_main_job(engine, MainJobRequest(look, args.seed, photo, mask, args.out / f"bundle-{args.seed}.zip"))
        begin = time.perf_counter()
        report = engine.compute(measure, engine.studio, job, look, args.seed, photo, mask)
        save_strip(engine.studio, job, photo, args.out / "strip.jpg")
        report["seconds"] = job.seconds | {"measuring": time.perf_counter() - begin}
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    sheet = engine.studio.store.open_local(job.design.contact_sheet)
    print(json.dumps({k: v for k, v in report.items() if k != "posts"}, indent=1))
    print(f"In one strip: {(args.out / 'strip.jpg').resolve()}")
    print(f"Candidates: {sheet}\nReport: {(args.out / 'report.json').resolve()}\nThe bundle is {job.bundle}")


def save_strip(studio: Studio, job: MainJob, photo: Path, path: Path) -> None:
    """Write what went in and what came out: the donors, the new person, the place, four of the posts."""
    donors = {donor.id: donor for donor in studio.donors()}
    mixed = [load_scene(donors[one].thumbnail_path).image for one in job.design.recipe.donors[:3]]
    person = [studio.store.get_picture(job.design.pictures[k]) for k in job.design.kept[:2]]
    posts = [studio.store.get_picture(post.large) for post in job.post_set.posts[:4]]
    strip = draw_strip((mixed, person, [load_scene(photo).image], posts), ("→", "+", "→"))
    strip.save(path, quality=88, optimize=True)


def fitting_donors(settings: Settings, look: str, out: Path) -> Settings:
    """With bundled donors that fit the backbone: another than the miniature learns five each of two looks anew.

    They are people of the world, as the miniature's own are; on a backbone of the merchant's choice their own donors
    take their place.
    """
    studio = Studio(settings)
    bundled = studio.donors(look)
    try:
        for donor in bundled:
            check_fits(read_lora(donor.lora_path).layers, studio.backbone.model, donor.name)
        return settings
    except BadLora as error:
        why = say_error(error, Texts("en"))[0]
        print(f"{why} Ten donors are trained for {studio.backbone.spec.id} now; this takes a while.")
    folder = out / f"donors-{studio.backbone.spec.id}"
    for each in (look, other_look(look)):
        for index, person in enumerate(chosen_people(each, len(NAMES[each]), studio.faces)):
            if not (folder / "donors" / each / NAMES[each][index] / "donor.json").exists():
                make_donor(studio.backbone, each, index, person, folder / "work", folder, studio.faces)
                print(f"{each}: {NAMES[each][index]}", flush=True)
    return settings.model_copy(update={"bundled_donors": folder / "donors"})


def other_look(look: str) -> str:
    return LOOKS[(LOOKS.index(look) + 1) % len(LOOKS)]


def measure(studio: Studio, job: MainJob, look: str, seed: int, photo: Path, mask: Path) -> dict[str, Any]:
    """All that the report says beyond the job's own seconds."""
    design, persona = job.design, job.persona
    shots = design.shots
    fused = [studio.store.get_picture(k) for k in design.pictures]
    again = _draw(studio, persona_lora(studio, persona), design.prompts, design.seeds)
    others = _other_category(studio, look, seed, len(shots))
    renders = _render_person(look, shots, seed)
    sets = {"fused": fused, "persona": again, "renders": renders}
    second = FaceReader(ASSETS / "faces_second")
    faces = {name: _embeddings(studio.faces, pictures) for name, pictures in sets.items()}
    donors = studio.donors()
    recipe_donors = [d for d in donors if d.id in design.recipe.donors]
    return {
        "seed": seed,
        "look": look,
        "novelty_max": design.novelty_max,
        "novelty_ceiling": design.novelty_ceiling,
        "redraws": design.redraws,
        "rejected_recipes": len(design.rejected),
        "kept": len(design.kept),
        "pairwise_face": {name: pairwise_mean(e) for name, e in faces.items()},
        "pairwise_face_second": {name: pairwise_mean(_embeddings(second, p)) for name, p in sets.items()},
        "shots_obeyed": {name: _obeyed(studio, sets[name], shots) for name in ("fused", "persona")},
        "cross_face": _cross(faces["persona"], _embeddings(studio.faces, others)),
        "fusion_error": fusion_error(
            fuse_donors(design.recipe, donors),
            [read_lora(d.lora_path).layers for d in _ordered(design, recipe_donors)],
        ),
        "landmark_exact": _landmark_exact(studio, job, photo, mask),
        "posts": _posts(studio, job),
        "bundle": str(job.bundle),
    }


def _draw(
    studio: Studio,
    lora: Lora,
    prompts: Sequence[str],
    seeds: Sequence[int],
) -> list[Picture]:
    spec = studio.backbone.spec
    requests = [identity_request(spec, p, s, loras=(lora,)) for p, s in zip(prompts, seeds, strict=True)]
    return [picture for _, picture in draw(studio.backbone, requests, studio.settings.batch_size)]


def _other_category(studio: Studio, look: str, seed: int, count: int) -> list[Picture]:
    """Fused candidates of the next category, in other shots."""
    from personas.shots import vary_shots

    other = other_look(look)
    donors = studio.donors(other)
    plan = plan_recipe(donors, other, 4, seed=seed, ceiling=studio.calibration.novelty_ceiling)
    used = [d for d in donors if d.id in plan.recipe.donors]
    prompts = [s.prompt(find_category(other).subject, trigger_of(used)) for s in vary_shots(count, seed + 1)]
    seeds = [int(s) for s in np.random.default_rng([seed, 9]).integers(0, 2**32, count)]
    return _draw(studio, Lora(fuse_donors(plan.recipe, donors).layers), prompts, seeds)


def _render_person(look: str, shots: Sequence[Shot], seed: int) -> list[Picture]:
    """The same shots of one person of the world: how consistent a person can be at most."""
    identity = look_identities(look, 1, torch.Generator().manual_seed(880_000 + seed))
    scenes = sample_scenes([s.setting for s in shots], [8_000_000 + i for i in range(len(shots))])
    pictures: list[Picture] = []
    for i in range(0, len(shots), 4):
        rows = range(i, min(i + 4, len(shots)))
        world = World(identity.expand(len(rows), -1), tuple(shots[r] for r in rows), scenes.take(rows), seed + i)
        pictures += list(render(world).images.numpy())
    return pictures


def _embeddings(reader: FaceReader, pictures: Sequence[Picture]) -> list[NDArray[np.float32] | None]:
    return [None if (face := reader.read(p)) is None else face.embedding for p in pictures]


def _obeyed(studio: Studio, pictures: Sequence[Picture], shots: Sequence[Shot]) -> float | None:
    """None where the reader knows no attributes."""
    regions = studio.regions.read(pictures)
    told = [attributes_obeyed(s, r.attributes, SHOT_ATTRIBUTES) for s, r in zip(shots, regions, strict=True)]
    known = [share for share in told if share is not None]
    return float(np.mean(known)) if known else None


def _cross(a: Sequence[NDArray[np.float32] | None], b: Sequence[NDArray[np.float32] | None]) -> float:
    x, y = (np.stack([e for e in rows if e is not None]) for rows in (a, b))
    return float((x.astype(np.float64) @ y.T).mean())


def _ordered(design: Design, donors: Sequence[Any]) -> list[Any]:
    by_id = {d.id: d for d in donors}
    return [by_id[i] for i in design.recipe.donors]


def fusion_error(fused: FusedLora, stacks: Sequence[Sequence[LoraLayer]]) -> float:
    """Largest relative error over the layers of the fused ΔW against the float64 weighted sum."""
    worst = 0.0
    for layer in fused.layers:
        want = sum(
            scale * one.scale * (one.up.double() @ one.down.double())
            for scale, stack in zip(fused.scales, stacks, strict=True)
            for one in stack
            if one.module == layer.module
        )
        got = layer.scale * (layer.up.float() @ layer.down.float()).double()
        assert isinstance(want, torch.Tensor)
        worst = max(worst, float((got - want).norm() / want.norm()))
    return worst


def _landmark_exact(studio: Studio, job: MainJob, photo: Path, mask: Path) -> bool:
    """Are the landmark's pixels of every stored post, but for those where the person stands, the resized scene's?"""
    spec = studio.backbone.spec
    scene = load_scene(photo).image
    canvas = fit_to_canvas(scene, spec.height, spec.width)
    keep = grow_mask(fit_mask(load_mask(mask, scene.shape[:2]), spec.height, spec.width), 5)
    pictures = [studio.store.get_picture(p.picture) for p in job.post_set.posts]
    people = [regions.person for regions in studio.regions.read(pictures)]
    return all(exact_share(p, canvas, keep, person) in (None, 1.0) for p, person in zip(pictures, people, strict=True))


def _posts(studio: Studio, job: MainJob) -> list[dict[str, float | None]]:
    """Scores of the nine posts, and of the same seeds without any injection.

    `prompt` is the share of outfit and framing obeyed; the studio's own score also asks for the outfit's colour.
    """
    request = job.post_set.request.changed(scale=0.0, keep_landmark=False)
    bare = draw_posts(studio, request, run_directly)
    regions = studio.regions.read([studio.store.get_picture(p.picture) for p in job.post_set.posts])
    return [
        {
            **p.scores,
            "prompt": attributes_obeyed(p.shot, seen.attributes, ("outfit", "framing")),
            "prompt_and_colour": p.scores["prompt"],
            "scene_without": b.scores["scene"],
        }
        for p, b, seen in zip(job.post_set.posts, bare.posts, regions, strict=True)
    ]


if __name__ == "__main__":
    with in_words():
        main()
