"""Counts what people see first in the miniature's pictures: `python -m benchmarks.picture_score --out out`.

Eyes, mouths, hands, poses, held goods, places and edges of drawn pictures, beside those of renders of the same shots
(keys that end in `_renders`): the readers cannot find more. One table, sheets of all that is counted with faults
marked, and out/picture-score.json: {name: {value, low, high, n}}. Seeds and readers are of no training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.bench import Bench, Picture, render_shots, tell_scores
from benchmarks.finishing_score import FINISHED, finished_faces, product_text, sharp
from benchmarks.part_readers import PartReaders, Read
from benchmarks.seam_score import SEAMS, kept_parts
from benchmarks.statistics import Score, mean_score
from miniature.parts import find_parts
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.looks import find_category
from personas.measures.regions import LABELS, Regions
from personas.measures.scene import to_lab
from personas.measures.whole_eyes import EYES
from personas.shots import GOODS, Shot, vary_shots
from pipelines.lora import Lora, read_lora
from pipelines.references.redux import ReduxReference
from pipelines.sampling.request import identity_request, request_from
from studio.application import Studio
from studio.domain.posts import USUAL_RETAKES
from studio.settings import Settings
from studio.texts.terminal import in_words

SEED = 6_000_000  # far from every seed of a training
TARGETS: dict[str, tuple[str, float]] = {
    "eyes_alike": ("≥", 0.97),
    "eyes_alike_retaken": ("≥", 0.97),
    "eye_colour_kept": ("≥", 0.95),
    "mouth_in_place": ("≥", 0.98),
    "hands": ("≥", 0.85),
    "pose_obeyed": ("≥", 0.9),
    "goods_held": ("≥", 0.9),
    "place_kept": ("≥", 0.85),
    "donor_faults": ("≤", 0.025),
    **FINISHED,
    **SEAMS,
}
_GOODS, _LANDMARK = LABELS.index("goods"), LABELS.index("landmark")
_HELD = 0.03  # share of a hand's surroundings that goods cover at least
_SAME_PLACE = 12.0  # ΔE of a landmark's mean colour that still looks like the same thing
_SET = 9
_WEAK_EYES = float(EYES.weak_below or 0)
_MARK = 6  # pixels of the frame around a picture with a fault


def marked(picture: Picture, wrong: bool) -> Picture:
    """The picture, in a red frame where something was found wrong."""
    framed = picture.copy()
    if wrong:
        for edge in (np.s_[:_MARK], np.s_[-_MARK:], np.s_[:, :_MARK], np.s_[:, -_MARK:]):
            framed[edge] = (220, 30, 30)
    return framed


def eyes_right(read: Read, readers: PartReaders) -> NDArray[np.bool_]:
    """Whether both eyes of each face are whole and their irises of one colour, [n]."""
    return np.asarray(read.whole.all(axis=1) & (read.apart <= readers.apart))


def goods_in_hand(regions: Regions, height: int, width: int) -> bool:
    """Whether goods are where the hand that holds them is."""
    hand = find_parts(torch.from_numpy(regions.keypoints)[None], height, width)["hands"]
    (x, y), half = hand.centre[0, 0].tolist(), float(hand.side[0, 0]) * 0.6
    rows, columns = np.s_[max(0, int(y - half)) : int(y + half) + 1], np.s_[max(0, int(x - half)) : int(x + half) + 1]
    around = regions.labels[rows, columns]
    return bool(around.size and (around == _GOODS).mean() >= _HELD)


def plain(bench: Bench, readers: PartReaders) -> dict[str, Score]:
    """People from words alone, half of them from the front, and renders of the same shots."""
    count = bench.count(96)
    varied = vary_shots(count, SEED, goods=("nothing",) * 2 + GOODS[1:])
    shots = tuple(replace(s, view="front") if i % 2 else s for i, s in enumerate(varied))
    spec = bench.studio.backbone.spec
    words = ["a man" if i % 4 > 1 else "a woman" for i in range(count)]
    drawn = bench.draw(
        [request_from(spec, s.prompt(w), SEED + i) for i, (s, w) in enumerate(zip(shots, words, strict=True))]
    )
    identity, _ = people(count, SEED)
    again, pictures = retaken(bench, drawn, shots, words)
    kept = {n: s for n, s in count_parts(bench, readers, "retaken", again, shots, "_retaken").items() if "eyes" in n}
    cost = {"pictures_retaken": mean_score(np.full(count, pictures / count))}
    return (
        count_parts(bench, readers, "plain", drawn, shots, "")
        | kept
        | cost
        | count_parts(bench, readers, "renders", render_shots(identity, shots, SEED), shots, "_renders")
    )


def retaken(
    bench: Bench, drawn: Sequence[Picture], shots: Sequence[Shot], words: Sequence[str]
) -> tuple[list[Picture], int]:
    """Return the better of each picture's takes, as posts with weak eyes are drawn again, and how many were drawn."""
    best, count, spec = list(drawn), len(drawn), bench.studio.backbone.spec
    sure = [r.whole_eyes for r in bench.studio.regions.read(drawn)]
    for turn in range(1, USUAL_RETAKES + 1):
        weak = [i for i, s in enumerate(shots) if s.view == "front" and (v := sure[i]) is not None and v < _WEAK_EYES]
        asked = [request_from(spec, shots[i].prompt(words[i]), SEED + i + 1000 * turn) for i in weak]
        takes, count = bench.draw(asked), count + len(weak)
        for i, take, read in zip(weak, takes, bench.studio.regions.read(takes), strict=True):
            if (read.whole_eyes or 0) > (sure[i] or 0):
                best[i], sure[i] = take, read.whole_eyes
    return best, count


def _share(right: NDArray[np.bool_]) -> Score:
    return mean_score(right.astype(np.float64))


def count_parts(
    bench: Bench, readers: PartReaders, name: str, pictures: Sequence[Picture], shots: Sequence[Shot], end: str
) -> dict[str, Score]:
    """Eyes (from the front), mouths, hands that are asked for, poses of arms and held goods."""
    regions = bench.studio.regions.read(pictures)
    read, (height, width) = readers.read(pictures, regions), pictures[0].shape[:2]
    front = np.array([s.view == "front" for s in shots])
    arms = np.array([s.framing != "close-up" for s in shots])
    posed = arms & np.array([s.pose != "relaxed" for s in shots])
    asked = np.array([s.goods != "nothing" for s in shots])
    eyes, mouths = eyes_right(read, readers), read.slip <= readers.slip
    obeyed = np.array([p == s.pose for p, s in zip(read.poses, shots, strict=True)])
    held = np.array([
        r.attributes["goods"] == s.goods and goods_in_hand(r, height, width)
        for r, s in zip(regions, shots, strict=True)
    ])  # fmt: skip
    wrong = {
        "eyes": front & ~eyes, "mouth": ~mouths, "hands": arms & ~read.hands.all(axis=1), "pose": posed & ~obeyed,
        "goods": asked & ~held,
    }  # fmt: skip
    for part, faulty in wrong.items():
        bench.sheet(f"{name}-{part}", [marked(p, bool(f)) for p, f in zip(pictures, faulty, strict=True)])
    return {
        "eyes_alike" + end: _share(eyes[front]),
        "mouth_in_place" + end: _share(mouths),
        "hands" + end: _share(read.hands[arms].flatten()),
        "pose_obeyed" + end: _share(obeyed[posed]),
        "goods_held" + end: _share(held[asked]),
    }


def sets(bench: Bench, readers: PartReaders) -> dict[str, Score]:
    """Nine posts each of some donors in daylight: is the eye colour that of the set? Beside renders of one person."""
    donors = bench.donors[:: max(1, len(bench.donors) // bench.count(7, 2))]
    spec = bench.studio.backbone.spec
    kept: dict[str, list[float]] = {"": [], "_renders": []}
    for k, donor in enumerate(donors):
        shots = vary_shots(_SET, SEED + k, framings=("close-up", "half-body"), lights=("day",))
        shots = tuple(replace(s, view="front") for s in shots)
        loras, subject = (Lora(read_lora(donor.lora_path).layers),), find_category(donor.category).subject
        drawn = bench.draw([
            identity_request(spec, s.prompt(subject, donor.trigger), SEED + 100 * k + i, loras=loras)
            for i, s in enumerate(shots)
        ])  # fmt: skip
        identity, _ = people(8, SEED + k)
        for end, pictures in (("", drawn), ("_renders", render_shots(identity[[0] * _SET], shots, SEED + k))):
            irises = readers.read(pictures, bench.studio.regions.read(pictures)).irises
            far = np.linalg.norm(irises - np.median(irises.reshape(-1, 3), axis=0), axis=2).max(axis=1)
            kept[end] += [float(f <= readers.apart) for f in far]
        bench.sheet(f"set-{k}", drawn, _SET)
    return {"eye_colour_kept" + end: mean_score(values) for end, values in kept.items()}


def cards(bench: Bench, readers: PartReaders) -> dict[str, Score]:
    """The donors' cards, read as they are shipped: eyes or a mouth that are not as they should be."""
    pictures = [np.asarray(Image.open(d.thumbnail_path).convert("RGB")) for d in bench.donors]
    read = readers.read(pictures, bench.studio.regions.read(pictures))
    wrong = ~(eyes_right(read, readers) & (read.slip <= readers.slip))
    bench.sheet("cards", [marked(p, bool(w)) for p, w in zip(pictures, wrong, strict=True)], 10)
    return {"donor_faults": _share(wrong)}


def places(bench: Bench) -> dict[str, Score]:
    """Nine posts each at places that a photo gives: is the landmark's colour the photo's, and is it there?"""
    spec, settings = bench.studio.backbone.spec, ("cafe", "street", "park", "kitchen", "office", "gym")
    kept: dict[str, list[float]] = {"": [], "_renders": []}
    for k, setting in enumerate(settings[: bench.count(6, 2)]):
        scene = sample_scenes([setting], [SEED + k])
        empty = render(World(torch.zeros(1, 26), (Shot("full-body"),), scene, k, with_person=False))
        photo, mask = empty.images[0].numpy(), empty.labels[0].numpy() == _LANDMARK
        colour = to_lab(photo)[mask].mean(axis=0)
        shots = vary_shots(_SET, SEED + k, framings=("half-body", "full-body"), settings=(setting,), lights=("day",))
        prompts, shown_by = [s.prompt("a woman", with_setting=False) for s in shots], (ReduxReference(photo),)
        drawn = bench.draw([
            request_from(spec, text, SEED + 50 * k + i, references=shown_by) for i, text in enumerate(prompts)
        ])  # fmt: skip
        identity, _ = people(8, SEED + k)
        world = World(identity[[0] * _SET], shots, sample_scenes([setting] * _SET, [SEED + k] * _SET), SEED + k)
        for end, pictures in (("", drawn), ("_renders", list(render(world).images.numpy()))):
            for picture, seen in zip(pictures, bench.studio.regions.read(pictures), strict=True):
                there = seen.labels == _LANDMARK
                shown = there.mean() >= 0.3 * mask.mean() and there.any()
                far = np.linalg.norm(to_lab(picture)[there].mean(axis=0) - colour) if shown else np.inf
                kept[end].append(float(far <= _SAME_PLACE))
        bench.sheet(f"place-{setting}", [photo, *drawn], _SET + 1)
    share = float(np.mean(kept["_renders"]))
    return {"place_kept": mean_score(np.array(kept[""]) / share), "place_kept_renders": mean_score(kept["_renders"])}


READ = (plain, sets, cards)  # by networks that take minutes to train
SEEN = (places, kept_parts, sharp, finished_faces, product_text)
PARTS = (*READ, *SEEN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--scale", type=float, default=1.0, help="smaller samples, in (0, 1]")
    parser.add_argument("--backbone", default="miniature", help="another folder, such as one that is still in training")
    parser.add_argument(
        "--readers", type=Path, default=Path("build/part_readers.pt"), help="trained where it is missing"
    )
    parser.add_argument("--only", nargs="*", choices=[p.__name__ for p in PARTS])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(Studio(Settings(data=args.out / "score-data", backbone=args.backbone)), args.out, args.scale)
    wanted = [part for part in PARTS if not args.only or part.__name__ in args.only]
    tasks: dict[str, Callable[[], dict[str, Score]]] = {}
    if read := [part for part in READ if part in wanted]:
        readers = PartReaders.trained(args.readers, bench.studio.backbone.model.vae)
        tasks |= {part.__name__: partial(part, bench, readers) for part in read}
    tasks |= {part.__name__: partial(part, bench) for part in SEEN if part in wanted}
    scores: dict[str, Score] = {}
    for name, task in tasks.items():
        begin = time.perf_counter()
        scores |= task()
        print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    tell_scores(args.out, "picture-score.json", scores, TARGETS)


if __name__ == "__main__":
    with in_words():
        main()
