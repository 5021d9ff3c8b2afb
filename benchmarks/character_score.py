"""How well photos say who is shown: `python -m benchmarks.character_score --out out`.

People whom no training saw are photographed in one outfit, and drawn in other shots by the shipped adapter: from one
photo, from three, from one with clothes from somebody else's, in the shipped styles, and without any. Renders of the
same people in the same shots are the ceiling. Faces are compared by a recogniser that no training was judged by.
Outfits are said in words, as the studio does by itself (`read_worn`), except in what ends in `_silent`. A table, sheets
(photo, render, drawn, drawn without photos), and out/character-score.json: {name: {value, low, high, n}}.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.bench import Bench, Embedding, Picture, tell_scores
from benchmarks.statistics import Score, clustered_score, mean_score
from miniature.captions import NEUTRAL_TRIGGER
from miniature.characters.data import sample_wear
from miniature.renders import people
from miniature.world import Wear, World, render, sample_scenes
from personas.body_regions import body_regions
from personas.measures.body import body_proportions, body_similarity
from personas.measures.face import mean_embedding
from personas.measures.hair import hair_similarity, read_hair
from personas.measures.regions import Regions
from personas.measures.scene import scene_similarity, to_lab
from personas.shots import OUTFIT_COLOURS, OUTFITS, Shot, vary_shots
from pipelines.adapters.character_photos import CharacterPhoto
from pipelines.lora import Lora, read_lora
from pipelines.references.character import CharacterReference
from pipelines.sampling.request import DrawRequest, identity_request, request_from
from studio.application import Studio
from studio.domain.character import CLOTHES, HEAD
from studio.library.shipped_styles import FILE, SHIPPED
from studio.settings import Settings
from studio.texts.terminal import in_words

SEED = 69_000_000  # of the people who are held out of the adapter's training
SHOTS, PHOTOS = 5, 3
_SAME_COLOUR = 12.0  # CIELAB
_STYLES = ("natural-light", "poster", "warm-pencil")
_PROMPT = ("expression", "view", "framing", "setting", "pose")
TARGETS: dict[str, tuple[str, float]] = {
    "identity_one": ("≥", 0.70), "identity_three": ("≥", 0.75), "outfit_type": ("≥", 0.90),
    "outfit_colour": ("≥", 0.90), "mixed_outfit": ("≥", 0.85), "mixed_identity": ("≥", 0.95),
    "shoes_trousers": ("≥", 0.80), "build": ("≥", 0.80), "hair": ("≥", 0.90), "copy_paste": ("≤", 0.10),
    "background_leak": ("≤", 0.02), "seconds_over_base": ("≤", 1.6),
    **{f"style_identity_{style}": ("≥", 0.90) for style in _STYLES},
}  # fmt: skip


@dataclass(frozen=True)
class People:
    """n people: photos [n][3] and true renders [n][5] of the `shots` [n][5], everybody in an outfit of their own."""

    photos: tuple[tuple[Picture, ...], ...]
    truth: tuple[tuple[Picture, ...], ...]
    shots: tuple[tuple[Shot, ...], ...]
    subjects: tuple[str, ...]


def photograph_people(count: int) -> People:
    """Render so many people, an even number, and what is to be drawn of them."""
    identity, _ = people(max(8, count), SEED)
    rng = np.random.default_rng(SEED)
    photos, truth, shots = [], [], []
    for n in range(count):
        outfit = {"outfit": OUTFITS[n % len(OUTFITS)], "outfit_colour": str(rng.choice(OUTFIT_COLOURS))}
        free = vary_shots(PHOTOS + SHOTS, SEED + n)
        worn = [replace(shot, goods="nothing", **outfit) for shot in free]  # type: ignore[arg-type]
        for k, framing in enumerate(("full-body", "half-body", "close-up")):
            worn[k] = replace(worn[k], framing=framing, view="front", light="day", pose="relaxed")
        colours = torch.tensor(sample_wear(random.Random(SEED + n)))
        wear = Wear(*(row[None].repeat(len(worn), 1) for row in colours))
        scenes = sample_scenes([shot.setting for shot in worn], [SEED + 50 * n + k for k in range(len(worn))])
        world = World(identity[[n] * len(worn)], tuple(worn), scenes, SEED + n, wear=wear)
        drawn = list(render(world).images.numpy())
        photos.append(tuple(drawn[:PHOTOS]))
        truth.append(tuple(drawn[PHOTOS:]))
        shots.append(tuple(worn[PHOTOS:]))
    subjects = tuple("a man" if float(row[-1]) > 0 else "a woman" for row in identity[:count])
    return People(tuple(photos), tuple(truth), tuple(shots), subjects)


@dataclass(frozen=True)
class Drawn:
    """Pictures [n·5] of one way, what the reader says of them, and the seconds that they took."""

    pictures: list[Picture]
    read: tuple[Regions, ...]
    seconds: float


class Characters:
    """What the measures share."""

    def __init__(self, bench: Bench, some: People) -> None:
        self.bench, self.some, self.reader = bench, some, bench.studio.regions

    @cached_property
    def seen(self) -> list[list[Regions]]:
        """What the reader says of the photos."""
        return [list(self.reader.read(list(own))) for own in self.some.photos]

    @cached_property
    def enrolled(self) -> list[Embedding]:
        """Everybody's mean face in their photos, by the second recogniser."""
        found = [self.faces(own) for own in self.some.photos]
        return [mean_embedding(np.stack([e for e in own if e is not None])) for own in found]

    def faces(self, pictures: Sequence[Picture]) -> list[Embedding | None]:
        return self.bench.embeddings(pictures, self.bench.readers["_second"])

    def photo(self, person: int, number: int, shown: Sequence[str] | None = None) -> CharacterPhoto:
        """Return a photo as the studio reads it; `shown` are the parts that it is for."""
        image, read = self.some.photos[person][number], self.seen[person][number]
        whole, parts = body_regions(read)
        face = self.bench.studio.faces.read(image)
        only = None if shown is None else frozenset(shown)
        return CharacterPhoto(image, whole, parts, None if face is None else face.landmarks, only)

    def draw(
        self,
        photos: Callable[[int], tuple[CharacterPhoto, ...]] | None,
        said: Callable[[int], int | None],
        loras: tuple[Lora, ...] = (),
    ) -> Drawn:
        """Draw all shots by the photos of each person, in the outfit of the person that `said` names; None: silent."""
        spec, asked = self.bench.studio.backbone.spec, list[DrawRequest]()
        for n, shots in enumerate(self.some.shots):
            shown = () if photos is None else (CharacterReference(photos(n)),)
            whose = said(n)
            for k, shot in enumerate(shots):
                if whose is not None:
                    worn = self.seen[whose][0].attributes
                    shot = replace(shot, outfit=worn["outfit"], outfit_colour=worn["outfit_colour"])
                words = shot.prompt(self.some.subjects[n], NEUTRAL_TRIGGER if shown else "")
                if whose is None:
                    words = ", ".join(clause for clause in words.split(", ") if not clause.startswith("wearing "))
                make = identity_request if shown else request_from
                asked.append(make(spec, words, SEED + 10 * n + k, references=shown, loras=loras))
        begin = time.perf_counter()
        pictures = self.bench.draw(asked)
        return Drawn(pictures, self.reader.read(pictures), time.perf_counter() - begin)

    def identity(self, pictures: Sequence[Picture]) -> list[list[float]]:
        """Cosines to the enrolment by person; without a face 0."""
        found = self.faces(pictures)
        rows = [found[i : i + SHOTS] for i in range(0, len(found), SHOTS)]
        return [
            [0.0 if e is None else float(e @ who) for e in row] for row, who in zip(rows, self.enrolled, strict=True)
        ]


def _over(values: list[list[float]], ceiling: list[list[float]]) -> Score:
    top = float(np.mean([v for row in ceiling for v in row]))
    return clustered_score([[v / top for v in row] for row in values])


def _obeyed(drawn: Drawn, shots: Sequence[Shot]) -> Score:
    """The mean share of what words ask that the reader finds, without outfit and goods."""
    return mean_score([
        float(np.mean([read.attributes[name] == getattr(shot, name) for name in _PROMPT if name in read.attributes]))
        for read, shot in zip(drawn.read, shots, strict=True)
    ])  # fmt: skip


def _part_colour(picture: Picture, read: Regions, part: str) -> NDArray[np.float64] | None:
    mask = body_regions(read)[1].get(part)
    return None if mask is None or mask.sum() < 12 else np.median(to_lab(picture)[mask], axis=0)


def _worn_alike(drawn: Drawn, truth: Sequence[Picture], seen: Sequence[Regions]) -> Score:
    """The share of trousers and shoes whose colour is as in the renders, of those that both show."""
    right = []
    for picture, read, true, known in zip(drawn.pictures, drawn.read, truth, seen, strict=True):
        for part in ("legs", "shoes"):
            wanted, shown = _part_colour(true, known, part), _part_colour(picture, read, part)
            if wanted is not None:
                right.append(float(shown is not None and np.linalg.norm(shown - wanted) <= _SAME_COLOUR))
    return mean_score(right)


def _copied(
    one: Sequence[Embedding | None], truth: Sequence[Embedding | None], photos: Sequence[Embedding | None]
) -> Score:
    """WithAnyone's index (arXiv:2510.14975 §4): how much nearer a face is to the photo's than to the truth's, to 1."""

    def angle(a: Embedding, b: Embedding) -> float:
        return float(np.arccos(np.clip(a @ b, -1, 1)))

    rows = []
    for drawn, true, photo in zip(one, truth, photos, strict=True):
        if drawn is not None and true is not None and photo is not None and angle(true, photo) > 0.1:
            rows.append((angle(drawn, true) - angle(drawn, photo)) / angle(true, photo))
    return mean_score(rows)


def _ratio(seen: Sequence[Sequence[object]], alike: Callable[[object, object], float | None]) -> Score:
    """How alike what is drawn is to the photo, over how alike renders are to it; `seen` are of drawn, render and photo.
    What is not seen is left out.
    """
    drawn, truth, photos = seen
    pairs = [(alike(d, p), alike(t, p)) for d, t, p in zip(drawn, truth, photos, strict=True)]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    top = float(np.mean([b for _, b in known]))
    return mean_score([a / top for a, _ in known])


def _hair(a: object, b: object) -> float | None:
    return None if a is None or b is None else hair_similarity(a, b)  # type: ignore[arg-type]


def measure(bench: Bench, count: int) -> dict[str, Score]:
    """Return all scores of `count` people."""
    some = photograph_people(count)
    all_ = Characters(bench, some)
    shots = [shot for own in some.shots for shot in own]
    truth = [picture for own in some.truth for picture in own]
    first = [own[0] for own in some.photos for _ in range(SHOTS)]
    known = all_.reader.read(truth)
    read_photos = [own[0] for own in all_.seen for _ in range(SHOTS)]
    top = all_.identity(truth)
    base = all_.draw(None, lambda n: n)
    one = all_.draw(lambda n: (all_.photo(n, 0),), lambda n: n)
    silent = all_.draw(lambda n: (all_.photo(n, 0),), lambda n: None)
    three = all_.draw(lambda n: tuple(all_.photo(n, k) for k in range(PHOTOS)), lambda n: n)
    mixed = all_.draw(lambda n: (all_.photo(n, 0, HEAD), all_.photo(n ^ 1, 0, CLOTHES)), lambda n: n ^ 1)
    mine = all_.identity(one.pictures)
    styled = dict[str, Score]()
    for style in _STYLES:
        layers = read_lora(SHIPPED / style / FILE).layers
        drawn = all_.draw(lambda n: (all_.photo(n, 0),), lambda n: n, (Lora(layers, stays=True),))
        styled[f"style_identity_{style}"] = _over(all_.identity(drawn.pictures), mine)
        bench.sheet(f"character-{style}", drawn.pictures)

    def worn(drawn: Drawn, whose: Callable[[int], int], *names: str) -> Score:
        right = []
        for i, read in enumerate(drawn.read):
            other = some.shots[whose(i // SHOTS)][0]
            right.append(float(all(read.attributes[name] == getattr(other, name) for name in names)))
        return mean_score(right)

    leaks = [
        (scene_similarity(a, ra.person, p, rp.person) or 0.0) - (scene_similarity(b, rb.person, p, rp.person) or 0.0)
        for a, ra, b, rb, p, rp in zip(
            one.pictures, one.read, base.pictures, base.read, first, read_photos, strict=True
        )
    ]  # fmt: skip
    hairs = [
        [read_hair(p, r) for p, r in zip(pictures, read, strict=True)]
        for pictures, read in ((one.pictures, one.read), (truth, known), (first, read_photos))
    ]
    bodies = [[body_proportions(r) for r in read] for read in (one.read, known, read_photos)]
    sheet = [p for row in zip(first, truth, one.pictures, base.pictures, strict=True) for p in row]
    bench.sheet("character", sheet)
    bench.sheet("character-mixed", [p for i in range(len(first)) for p in (first[i], some.photos[i // SHOTS ^ 1][0],
                                                                           mixed.pictures[i])])  # fmt: skip
    return {
        "identity_one": _over(mine, top), "identity_three": _over(all_.identity(three.pictures), top),
        "identity_base": _over(all_.identity(base.pictures), top),
        "outfit_type": worn(one, lambda n: n, "outfit"), "outfit_colour": worn(one, lambda n: n, "outfit_colour"),
        "outfit_type_silent": worn(silent, lambda n: n, "outfit"),
        "outfit_colour_silent": worn(silent, lambda n: n, "outfit_colour"),
        "mixed_outfit": worn(mixed, lambda n: n ^ 1, "outfit", "outfit_colour"),
        "mixed_identity": _over(all_.identity(mixed.pictures), mine),
        "shoes_trousers": _worn_alike(one, truth, known), "shoes_trousers_base": _worn_alike(base, truth, known),
        "build": _ratio(bodies, body_similarity), "hair": _ratio(hairs, _hair),  # type: ignore[arg-type]
        "prompt": _obeyed(one, shots), "prompt_base": _obeyed(base, shots),
        "copy_paste": _copied(all_.faces(one.pictures), all_.faces(truth), all_.faces(first)),
        "background_leak": mean_score(leaks),
        "seconds_over_base": mean_score([one.seconds / base.seconds]),
        **styled,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--people", type=int, default=40, help="an even number")
    parser.add_argument(
        "--character", type=Path, help="another adapter's folder, such as one that is still in training"
    )
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    settings = Settings(data=args.out / "score-data", character_folder=args.character)
    begin = time.perf_counter()
    scores = measure(Bench(Studio(settings), args.out, 1.0), args.people - args.people % 2)
    print(f"{args.people} people: {time.perf_counter() - begin:.0f} s", flush=True)
    tell_scores(args.out, "character-score.json", scores, TARGETS)


if __name__ == "__main__":
    with in_words():
        main()
