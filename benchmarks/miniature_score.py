"""How well the miniature draws: `python -m benchmarks.miniature_score --out out`.

One table, contact sheets to look at, and out/miniature-score.json: {name: {value, low, high, n}}. Everything is drawn
and rendered here, from seeds that no training saw; what pictures show is read by networks trained on renders only.
Trainings are judged by the first recogniser, so what it says of faces is said by the second, too (`..._second`).
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.bench import Bench, Embedding, Picture, plot_recall, render_shots, tell_scores
from benchmarks.statistics import Score, bootstrap, mean_score
from miniature.donors import NAMES, chosen_people
from miniature.faces.calibrate import read_people
from miniature.renders import people
from miniature.wordings import clauses
from miniature.world import World, render, sample_scenes
from personas.fusion import fuse_donors
from personas.looks import find_category
from personas.measures.calibration import face_statistics
from personas.measures.face import FaceCalibration, mean_embedding, pairwise_mean
from personas.measures.scene import scene_similarity
from personas.recipes import plan_recipe
from personas.shots import GOODS, SETTINGS, Shot, vary_shots
from pipelines.lora import Lora, read_lora
from pipelines.references.redux import ReduxReference
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from studio.application import Studio
from studio.settings import Settings
from studio.texts.terminal import in_words

SEED = 5_000_000  # far from every seed of a training
PERSON_ATTRIBUTES = ("view", "framing", "expression", "outfit", "outfit_colour")

TARGETS: dict[str, tuple[str, float]] = {
    "vae_psnr": ("≥", 32),
    "vae_identity": ("≥", 0.95),
    "vae_identity_second": ("≥", 0.95),
    "attributes_min": ("≥", 0.95),
    "chinese_attributes_min": ("≥", 0.95),
    "square_attributes_min": ("≥", 0.95),
    "one_face": ("≥", 0.99),
    "square_one_face": ("≥", 0.99),
    "face_auc": ("≥", 0.999),
    "face_tar": ("≥", 0.98),
    "donor_ratio": ("≥", 0.80),
    "donor_ratio_second": ("≥", 0.80),
    "fused_ratio": ("≥", 0.70),
    "fused_ratio_second": ("≥", 0.70),
    "novel_share": ("≥", 0.95),
    "redux_scene": ("≥", 0.90),
    "redux_scene_without": ("≤", 0.25),
    "redux_person": ("≥", 0.90),
    "diversity_people": ("≥", 0.90),
    "diversity_scenes": ("≥", 0.90),
    "seconds_picture": ("≤", 1.0),
}


def vae(bench: Bench) -> dict[str, Score]:
    """Held-out renders at 256² through the VAE and back."""
    count = bench.count(96)
    identity, _ = people(count, SEED)
    originals = render_shots(identity, vary_shots(count, SEED), SEED, 256, 256)
    model, dtype = bench.studio.backbone.model.vae, bench.studio.backbone.dtype
    back: list[Picture] = []
    for picture in originals:
        x = torch.from_numpy(picture).permute(2, 0, 1)[None].to(dtype) / 127.5 - 1
        with torch.no_grad():
            y = model.decode(model.encode(x).latent_dist.mode()).sample.float()
        back.append(((y[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy())
    errors = [np.square(a.astype(float) - b).mean() / 255**2 for a, b in zip(originals, back, strict=True)]
    scores = {"vae_psnr": mean_score(-10 * np.log10(errors))}
    for end, reader in bench.readers.items():
        pairs = zip(bench.embeddings(originals, reader), bench.embeddings(back, reader), strict=True)
        scores["vae_identity" + end] = mean_score(
            [0.0 if b is None else float(a @ b) for a, b in pairs if a is not None]
        )
    bench.sheet("vae", [np.concatenate(pair, axis=1) for pair in zip(originals, back, strict=True)], 6)
    return scores


def plain(bench: Bench) -> dict[str, Score]:
    """People from words alone: what was asked for, one face, as many different people and places as the world has."""
    count = bench.count(200)
    shots = _shots(count, SEED + 1)
    words = ["a man" if i % 2 else "a woman" for i in range(count)]
    spec = bench.studio.backbone.spec
    requests = [request_from(spec, s.prompt(w), SEED + i) for i, (s, w) in enumerate(zip(shots, words, strict=True))]
    drawn = bench.draw(requests)
    bench.sheet("plain", drawn)
    right = _obeyed(bench, drawn, shots)
    scores = {"attributes_min": _worst(right)}
    scores |= {f"attribute_{name}": mean_score(values.astype(float)) for name, values in right.items()}
    scores["one_face"] = mean_score([float(len(bench.studio.faces.faces(p)) == 1) for p in drawn])
    identity, _ = people(count, SEED + 2)
    identity[:, -1] = torch.tensor([1.0 if w == "a man" else -1.0 for w in words]) * identity[:, -1].abs()
    world = render_shots(identity, shots, SEED + 3)
    scores["diversity_people"] = _ratio_of_spreads(bench.embeddings(drawn), bench.embeddings(world))
    scores["diversity_scenes"] = _scene_diversity(bench, drawn, world, shots)
    return scores


def chinese(bench: Bench) -> dict[str, Score]:
    """The same asked for in Chinese."""
    count = bench.count(100)
    shots, rng = _shots(count, SEED + 20), random.Random(SEED)
    spec = bench.studio.backbone.spec
    texts = [
        "，".join(c.text for c in clauses(s, "a man" if i % 2 else "a woman", "", rng, chinese=True))
        for i, s in enumerate(shots)
    ]
    drawn = bench.draw([request_from(spec, text, SEED + 5000 + i) for i, text in enumerate(texts)])
    bench.sheet("chinese", drawn)
    return {"chinese_attributes_min": _worst(_obeyed(bench, drawn, shots))}


def square(bench: Bench) -> dict[str, Score]:
    """The same at 256×256; read in the 3:4 in the middle, the shape that the reader knows."""
    count, side = bench.count(100), bench.studio.backbone.spec.height
    shots = _shots(count, SEED + 21)
    spec = bench.studio.backbone.spec
    requests = [
        request_from(spec, s.prompt("a man" if i % 2 else "a woman"), SEED + 6000 + i, width=side)
        for i, s in enumerate(shots)
    ]
    drawn = bench.draw(requests)
    bench.sheet("square", drawn)
    edge = (side - spec.width) // 2
    middle = [np.ascontiguousarray(p[:, edge : side - edge]) for p in drawn]
    faces = [float(len(bench.studio.faces.faces(p)) == 1) for p in drawn]
    return {
        "square_attributes_min": _worst(_obeyed(bench, middle, shots)),
        "square_one_face": mean_score(faces),
    }


def _shots(count: int, seed: int) -> tuple[Shot, ...]:
    """Varied ones, goods in every other."""
    return vary_shots(count, seed, goods=("nothing",) * (len(GOODS) - 1) + GOODS[1:])


def _obeyed(bench: Bench, drawn: Sequence[Picture], shots: Sequence[Shot]) -> dict[str, NDArray[np.bool_]]:
    """Whether each picture shows what was asked for, attribute by attribute."""
    seen = bench.studio.regions.read(drawn)
    return {
        name: np.array([r.attributes[name] == getattr(s, name) for r, s in zip(seen, shots, strict=True)])
        for name in seen[0].attributes
    }


def _worst(right: dict[str, NDArray[np.bool_]]) -> Score:
    """Of the attribute that is obeyed least."""
    matrix = np.stack(list(right.values()))
    return bootstrap(matrix.shape[1], lambda rows: float(matrix[:, rows].mean(axis=1).min()))


def _ratio_of_spreads(ours: Sequence[Embedding | None], theirs: Sequence[Embedding | None]) -> Score:
    """Mean pairwise cosine distance of drawn faces over that of the world's own."""
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    a, b = (np.stack(rows) for rows in zip(*pairs, strict=True))
    far_a, far_b = 1 - a @ a.T, 1 - b @ b.T
    return bootstrap(len(pairs), lambda i: float(far_a[np.ix_(i, i)].mean() / far_b[np.ix_(i, i)].mean()))


def _scene_diversity(bench: Bench, drawn: Sequence[Picture], world: Sequence[Picture], shots: Sequence[Shot]) -> Score:
    """The same for places, between pictures of one kind of place: 1 - scene similarity, people masked out."""
    ratios = []
    for setting in SETTINGS:
        rows = [i for i, s in enumerate(shots) if s.setting == setting]
        if len(rows) < 2:
            continue
        spreads = []
        for pictures in (drawn, world):
            masks = [r.person for r in bench.studio.regions.read([pictures[i] for i in rows])]
            found = [
                scene_similarity(pictures[rows[i]], masks[i], pictures[rows[j]], masks[j])
                for i in range(len(rows))
                for j in range(i)
            ]
            spreads.append(1 - float(np.mean([f for f in found if f is not None])))
        ratios.append(spreads[0] / spreads[1])
    return mean_score(ratios)


def recogniser(bench: Bench) -> dict[str, Score]:
    """Pairs of unseen people in other views, expressions and lights; resampled by person."""
    count, each = bench.count(48, 12), 8
    embeddings, owner, _ = read_people(bench.studio.faces, count, each, SEED + 4)
    by_person = [np.flatnonzero(owner == k) for k in range(count)]

    def measure(pick: Callable[[FaceCalibration], float]) -> Score:
        def of(rows: NDArray[np.int64]) -> float:
            chosen = np.unique(rows)  # a person twice would be an impostor of themselves
            index = np.concatenate([by_person[k] for k in chosen])
            return pick(
                face_statistics(embeddings[index], owner[index], bench.studio.faces.sha256, SEED + 4).calibration
            )

        return bootstrap(count, of, rounds=100)

    return {"face_auc": measure(lambda c: c.auc), "face_tar": measure(lambda c: c.true_accept_at_1e3)}


def single_donors(bench: Bench) -> dict[str, Score]:
    """Donors drawn in varied shots against the mean of 24 renders of the same invented person."""
    ours, theirs = ({end: list[float]() for end in bench.readers} for _ in range(2))
    sheet = list[Picture]()
    for look, names in NAMES.items():
        identities = chosen_people(look, len(names), bench.studio.faces)
        for k in range(0, len(names), 2):
            donor = next((d for d in bench.donors if d.name == names[k]), None)
            if donor is None:
                continue
            shots = vary_shots(bench.count(16), SEED + 5 + k)
            enrolment = render_shots(identities[[k] * 24], vary_shots(24, SEED + 6), SEED + 7)
            drawn = bench.shots(
                shots, find_category(look).subject, donor.trigger, SEED + 8, (Lora(read_lora(donor.lora_path).layers),)
            )
            renders = render_shots(identities[[k] * len(shots)], shots, SEED + 9)
            sheet += [p for pair in zip(renders[:2], drawn[:2], strict=True) for p in pair]
            for end, reader in bench.readers.items():
                own = mean_embedding(np.stack([e for e in bench.embeddings(enrolment, reader) if e is not None]))
                for cosines, pictures in ((ours[end], drawn), (theirs[end], renders)):
                    cosines += [0.0 if e is None else float(own @ e) for e in bench.embeddings(pictures, reader)]
    bench.sheet("donors", sheet)
    plot_recall(bench.out / "recall.png", {"donors": np.array(ours[""]), "renders": np.array(theirs[""])})
    return {"donor_ratio" + end: _ratio(np.array(ours[end]), np.array(theirs[end])) for end in bench.readers}


def _ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> Score:
    return bootstrap(len(a), lambda i: float(a[i].mean() / b[i].mean()))


def fused(bench: Bench) -> dict[str, Score]:
    """Recipes of every look: as consistent as renders of one person? And how many are new enough against all donors?

    One recipe differs from the next by .06, so it takes twenty to tell a mean to .03.
    """
    ceiling = bench.studio.calibration.novelty_ceiling
    ratios = {end: list[float]() for end in bench.readers}
    novel, sheet = [], list[Picture]()
    shots = vary_shots(bench.count(48), SEED + 10)
    for n, look in enumerate(NAMES):
        category = find_category(look)
        identity, _ = people(8, SEED + 13 + n)
        renders = render_shots(identity[[0] * len(shots)], shots, SEED + 14)
        for attempt in range(bench.count(5, 2)):
            pool = [d for d in bench.donors if d.category == look]
            recipe = plan_recipe(pool, look, 4, seed=SEED + attempt, ceiling=ceiling).recipe
            loras, trigger = (Lora(fuse_donors(recipe, pool).layers),), pool[0].trigger
            drawn = bench.shots(shots, category.subject, trigger, SEED + 12, loras)
            found = bench.embeddings(drawn)
            centre = mean_embedding(np.stack([e for e in found if e is not None]))
            novel.append(float(max(float(centre @ f) for f in bench.donor_faces.values()) < ceiling))
            for end, reader in bench.readers.items():
                alike = [pairwise_mean(bench.embeddings(pictures, reader)) for pictures in (drawn, renders)]
                ratios[end].append(alike[0] / alike[1])
            if attempt == 0:
                sheet += drawn[:12]
    bench.sheet("fused", sheet)
    scores = {"fused_ratio" + end: mean_score(values) for end, values in ratios.items()}
    return scores | {"novel_share": mean_score(novel)}


def redux(bench: Bench) -> dict[str, Score]:
    """A place given by a picture: found again among ten of its kind? And is the person still who was asked for?"""
    count, others = bench.count(60), 9
    settings = [SETTINGS[i % len(SETTINGS)] for i in range(count)]
    shots = [
        Shot(**{**asdict(s), "setting": setting, "light": "day"})
        for s, setting in zip(vary_shots(count, SEED + 15, framings=("half-body", "full-body")), settings, strict=True)
    ]
    nobody = torch.zeros(1 + others, 26)
    places: list[list[Picture]] = []
    for i, setting in enumerate(settings):
        scenes = sample_scenes([setting] * (1 + others), [SEED + 100 * i + k for k in range(1 + others)])
        empty = World(nobody, (Shot(framing="full-body"),) * (1 + others), scenes, i, with_person=False)
        places.append(list(render(empty).images.numpy()))
    spec = bench.studio.backbone.spec
    result: dict[str, Score] = {}
    for name, with_reference in (("redux_scene", True), ("redux_scene_without", False)):
        requests = [
            request_from(
                spec, s.prompt("a woman", with_setting=not with_reference), SEED + i,
                references=(ReduxReference(p[0]),) if with_reference else (),
            )
            for i, (s, p) in enumerate(zip(shots, places, strict=True))
        ]  # fmt: skip
        drawn = bench.draw(requests)
        seen = bench.studio.regions.read(drawn)
        hits = []
        for picture, regions, candidates in zip(drawn, seen, places, strict=True):
            found = [scene_similarity(picture, regions.person, c) or 0.0 for c in candidates]
            hits.append(float(int(np.argmax(found)) == 0))
        result[name] = mean_score(hits)
        if with_reference:
            asked = [
                np.mean([r.attributes[a] == getattr(s, a) for a in PERSON_ATTRIBUTES])
                for r, s in zip(seen, shots, strict=True)
            ]
            result["redux_person"] = mean_score([float(a) for a in asked])
            bench.sheet("redux", [p for pair in zip([p[0] for p in places], drawn, strict=True) for p in pair])
    return result


def speed(bench: Bench) -> dict[str, Score]:
    """Seconds a 256×256 picture at default steps, eight at once; the first batch warms up."""
    spec = bench.studio.backbone.spec
    seconds = []
    for round_ in range(4):
        batch = [
            request_from(spec, "close-up portrait of a woman", SEED + 8 * round_ + i, width=spec.height)
            for i in range(8)
        ]
        begin = time.perf_counter()
        draw_batch(bench.studio.backbone, batch)
        seconds.append((time.perf_counter() - begin) / 8)
    return {"seconds_picture": mean_score(seconds[1:])}


PARTS = (vae, recogniser, plain, chinese, square, redux, single_donors, fused, speed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--scale", type=float, default=1.0, help="smaller samples, in (0, 1]")
    parser.add_argument("--backbone", default="miniature", help="another folder, such as one that is still in training")
    parser.add_argument("--only", nargs="*", choices=[p.__name__ for p in PARTS])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(Studio(Settings(data=args.out / "score-data", backbone=args.backbone)), args.out, args.scale)
    scores: dict[str, Score] = {}
    for part in PARTS:
        if args.only and part.__name__ not in args.only:
            continue
        begin = time.perf_counter()
        scores |= part(bench)
        print(f"{part.__name__}: {time.perf_counter() - begin:.0f} s", flush=True)
    tell_scores(args.out, "miniature-score.json", scores, TARGETS)


if __name__ == "__main__":
    with in_words():
        main()
