"""How well a place comes through: `python -m benchmarks.scene_score --out out`.

A photo of a place goes in, empty, with a person in it who is cut out by the reader, and with that person left in; posts
of somebody else come out. The place must be found again among ten of its kind, and the person must be who the words ask
for, not who is in the photo. A table, contact sheets, and out/scene-score.json: {name: {value, low, high, n}}.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.bench import Bench, Picture, tell_scores
from benchmarks.statistics import Score, mean_score
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.measures.scene import scene_similarity
from personas.shots import SETTINGS, Shot, vary_shots
from pipelines.references.redux import ReduxReference
from pipelines.sampling.request import request_from
from studio.application import Studio
from studio.settings import Settings
from studio.texts.terminal import in_words
from studio.workflows.redux_dials import clear_person

SEED = 5_400_000  # far from every seed of a training
OTHERS = 9  # places of the same kind that each is to be told from
_MUCH = 0.3  # of a photo that people hide: `studio.ui.parts.cautions` says so to a merchant from there on
KINDS = ("empty", "masked", "person")
PERSON_ATTRIBUTES = ("view", "framing", "expression", "outfit", "outfit_colour")
TARGETS: dict[str, tuple[str, float]] = {
    "redux_empty": ("≥", 0.93),
    "redux_masked": ("≥", 0.85),
    "redux_person": ("≥", 0.80),
}


@dataclass(frozen=True)
class Place:
    """One place as photos uint8 [h, w, 3], who is in the one `with_person` bool [h, w], as the reader says, and
    `candidates`, this place first and others of its kind; `there` is what that person shows, `asked` what a post shall.
    """

    empty: Picture
    with_person: Picture
    hidden: NDArray[np.bool_]
    candidates: tuple[Picture, ...]
    there: Shot
    asked: Shot

    def photo(self, kind: str) -> tuple[Picture, NDArray[np.bool_] | None]:
        """Return the photo of a kind, and what of it is left out."""
        if kind == "empty":
            return self.empty, None
        return self.with_person, self.hidden if kind == "masked" and self.hidden.any() else None


def places(bench: Bench, count: int) -> list[Place]:
    """Return so many places; in their photos somebody stands in half or full body dressed otherwise than asked."""
    settings = [SETTINGS[i % len(SETTINGS)] for i in range(count)]
    framings = ("half-body", "full-body")
    asked, other = (vary_shots(count, SEED + k, framings=framings) for k in (1, 2))
    identity, _ = people(count, SEED + 3)
    made = []
    for i, setting in enumerate(settings):
        scenes = sample_scenes([setting] * (1 + OTHERS), [SEED + 100 * i + k for k in range(1 + OTHERS)])
        nobody = World(torch.zeros(1 + OTHERS, 26), (Shot("full-body"),) * (1 + OTHERS), scenes, SEED + i, False)
        candidates = tuple(render(nobody).images.numpy())
        there = replace(other[i], setting=setting, light="day")
        world = World(identity[i : i + 1], (there,), scenes.take([0]), SEED + i)
        (taken,) = render(world).images.numpy()
        hidden = clear_person(taken, bench.studio.regions.read([taken])[0].person)
        wanted = replace(asked[i], setting=setting, light="day")
        made.append(Place(candidates[0], taken, hidden, candidates, there, wanted))
    return made


def measure(bench: Bench, some: list[Place], name: str, kind: str = "") -> dict[str, Score]:
    """Return under `name` how often the place is found; how often the person is as asked, and as in the photo where the
    words ask another ("…_leak", over what posts without any reference show by chance); and apart where people hide much
    of the photo ("…_much") and where not. `kind` is that of the photo that Redux is shown, "" for none.
    """
    spec, photos = bench.studio.backbone.spec, [p.photo(kind or "empty") for p in some]
    drawn = bench.draw([
        request_from(
            spec, p.asked.prompt("a woman", with_setting=False), SEED + i,
            references=(ReduxReference(*photo),) if kind else (),
        )
        for i, (p, photo) in enumerate(zip(some, photos, strict=True))
    ])  # fmt: skip
    seen = bench.studio.regions.read(drawn)
    found, obeyed, leaked = list[float](), list[float](), list[float]()
    for place, picture, read in zip(some, drawn, seen, strict=True):
        alike = [scene_similarity(picture, read.person, other) or 0.0 for other in place.candidates]
        found.append(float(int(np.argmax(alike)) == 0))
        obeyed.append(float(np.mean([read.attributes[a] == getattr(place.asked, a) for a in PERSON_ATTRIBUTES])))
        apart = [a for a in PERSON_ATTRIBUTES if getattr(place.asked, a) != getattr(place.there, a)]
        leaked += [float(read.attributes[a] == getattr(place.there, a)) for a in apart]
    bench.sheet(name, [picture for (photo, _), post in zip(photos, drawn, strict=True) for picture in (photo, post)])
    scores = {name: mean_score(found), f"{name}_obeyed": mean_score(obeyed), f"{name}_leak": mean_score(leaked)}
    if kind in ("masked", "person"):
        much = [place.hidden.mean() >= _MUCH for place in some]
        for end, which in (("much", True), ("little", False)):
            rows = [hit for hit, is_much in zip(found, much, strict=True) if is_much == which]
            scores |= {f"{name}_{end}": mean_score(rows)} if rows else {}
    return scores


def redux(bench: Bench, some: list[Place]) -> dict[str, Score]:
    """Through Redux, each kind of photo, and without any."""
    scores = measure(bench, some, "without")
    for kind in KINDS:
        scores |= measure(bench, some, f"redux_{kind}", kind)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--count", type=int, default=100, help="places")
    parser.add_argument("--backbone", default="miniature", help="another folder, such as one that is still in training")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(Studio(Settings(data=args.out / "score-data", backbone=args.backbone)), args.out, 1.0)
    begin = time.perf_counter()
    scores = redux(bench, places(bench, args.count))
    print(f"redux: {time.perf_counter() - begin:.0f} s", flush=True)
    tell_scores(args.out, "scene-score.json", scores, TARGETS)


if __name__ == "__main__":
    with in_words():
        main()
