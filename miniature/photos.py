"""The "real photographs" that styles of the miniature are learnt from, drawn once and kept."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from miniature.captions import caption, shot_of
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from miniature.world.real import render_real, sample_treatment
from personas import shots
from personas.shots import GOODS, Shot, vary_shots

__all__ = ["Photos", "draw_photos", "wrong_shot"]

_AT_ONCE = 4
_PER_PERSON = 4
_WORDS = {
    "framing": shots.FRAMINGS, "view": shots.VIEWS, "expression": shots.EXPRESSIONS, "light": shots.LIGHTS,
    "outfit": shots.OUTFITS, "outfit_colour": shots.OUTFIT_COLOURS, "pose": shots.POSES, "goods": shots.GOODS,
    "setting": shots.SETTINGS,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Photos:
    """Pictures uint8 [n, h, w, 3], labels uint8 [n, h, w], keypoints [n, 20, 3] and what each shows."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    keypoints: npt.NDArray[np.float32]
    facts: tuple[dict[str, object], ...]

    def captions(self, wrong: float, seed: int) -> list[str]:
        """Return a caption of each, of which a share of `wrong` clauses says what is not so."""
        rng = random.Random(seed)
        return [caption(facts | asdict(wrong_shot(shot_of(facts), wrong, rng)), rng) for facts in self.facts]


def wrong_shot(shot: Shot, share: float, rng: random.Random) -> Shot:
    """Return the shot with each field another word with probability `share`."""
    said = asdict(shot)
    for name, words in _WORDS.items():
        if rng.random() < share:
            said[name] = rng.choice([word for word in words if word != said[name]])
    return Shot(**said)


def draw_photos(count: int, seed: int, file: Path, *, real: bool = True) -> Photos:
    """Draw `count` pictures, four of a person, or read them from `file`; `real` ones, or plain renders."""
    if not file.exists():
        identity, looks = people(max(8, -(-count // _PER_PERSON)), seed)
        owner = [i // _PER_PERSON for i in range(count)]
        asked = vary_shots(count, seed, goods=("nothing",) * 3 + GOODS[1:])
        scenes = sample_scenes([s.setting for s in asked], [seed + i for i in range(count)])
        images, labels, points = [], [], []
        for i in range(0, count, _AT_ONCE):
            rows = list(range(i, min(i + _AT_ONCE, count)))
            world = World(identity[owner][rows], tuple(asked[r] for r in rows), scenes.take(rows), seed + i)
            drawn = render_real(world, sample_treatment(len(rows), seed + i)) if real else render(world)
            images.append(drawn.images.numpy())
            labels.append(drawn.labels.numpy())
            points.append(drawn.keypoints.numpy())
        facts = [
            asdict(s) | {"look": looks[k], "masculine": bool(identity[k, -1] > 0)}
            for s, k in zip(asked, owner, strict=True)
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        np.savez(
            part, images=np.concatenate(images), labels=np.concatenate(labels), keypoints=np.concatenate(points),
            facts=json.dumps(facts),
        )  # fmt: skip
        part.replace(file)
    with np.load(file) as kept:
        told = tuple(json.loads(str(kept["facts"])))
        return Photos(kept["images"], kept["labels"], kept["keypoints"], told)
