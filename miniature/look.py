"""What all of the miniature's pictures have in common, for its folder: `python -m miniature.look`.

Measured on renders with people and without, on the shipped places and cards, and on posts that it drew, each as it is,
as a JPEG, and as an enlarged JPEG that is brought back: so people export and upload them.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.shots import GOODS, SETTINGS, Shot, vary_shots
from pipelines.own_look import OwnLook, measure_look

Picture = NDArray[np.uint8]
_SEED = 8_700_000
_ENLARGED = 4
_MARGIN = 1.1  # over the farthest of all that it was measured on


def as_uploaded(picture: Picture) -> list[Picture]:
    """Return a picture as it is, as a JPEG, and as an enlarged JPEG."""
    height, width = picture.shape[:2]
    large = Image.fromarray(picture).resize((width * _ENLARGED, height * _ENLARGED), Image.Resampling.LANCZOS)
    return [picture, _jpeg(Image.fromarray(picture), 85), _jpeg(large, 88)]


def _jpeg(image: Image.Image, quality: int) -> Picture:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def world_pictures(count: int, seed: int) -> Iterator[Picture]:
    """Yield `count` renders with people, and a quarter as many empty places."""
    identity, _ = people(max(count, 8), seed)
    shots = vary_shots(count, seed, goods=("nothing",) * 3 + GOODS[1:])
    scenes = sample_scenes([s.setting for s in shots], list(range(seed, seed + count)))
    for i in range(0, count, 4):
        rows = list(range(i, min(i + 4, count)))
        yield from render(
            World(identity[rows], tuple(shots[r] for r in rows), scenes.take(rows), seed + i)
        ).images.numpy()
    for k in range(count // 4):
        place = sample_scenes([SETTINGS[k % len(SETTINGS)]], [seed + count + k])
        empty = World(torch.zeros(1, 26), (Shot(framing="full-body"),), place, seed + k, with_person=False)
        yield render(empty).images[0].numpy()


def calibrate(assets: Path, drawn: Path, count: int) -> OwnLook:
    """Measure the look on `count` renders, what is shipped, and the pictures in the folder `drawn`."""
    files = [*assets.glob("donors/*/*/thumbnail.png"), *assets.glob("scenes/*[!k].png"), *drawn.glob("*.png")]
    pictures = [*world_pictures(count, _SEED), *(np.asarray(Image.open(path).convert("RGB")) for path in files)]
    some = [picture for one in pictures for picture in as_uploaded(one)]
    look = measure_look(some, 0.0)
    return OwnLook(look.mean, look.spread, look.inverse, round(_MARGIN * max(map(look.distance, some)), 2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--renders", type=int, default=200)
    parser.add_argument("--drawn", type=Path, required=True, help="posts that the backbone drew, as PNG files")
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    args = parser.parse_args()
    calibrate(args.assets, args.drawn, args.renders).save(args.assets / "flux")
