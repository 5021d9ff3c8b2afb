"""Pairs that finishing learns from: windows of renders at six times the drawn size, and what the shipped models make of
them small.

The truth is always the render. Its small versions are (0) reduced with an antialiasing filter, (1) that through the VAE,
and (2, 3) that noised in latent space and drawn on by the base with the right words, so that its own faults are in the
input: mouths that smear, irises that run. Of each picture three windows are kept: its face, a hand, anything. Written
piece by piece; a broken run goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from miniature.parts import find_parts
from miniature.pieces import draw_shots
from miniature.renders import people
from miniature.world import Window, World, render, sample_scenes
from pipelines.backbones import Backbone
from pipelines.references.landmark import Landmark
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from

Picture = NDArray[np.uint8]

SCALE = 6
HEIGHT, WIDTH = 256, 192
SIDE = 80
"""The side of a window, in drawn pixels."""
WINDOWS = ("face", "hand", "anything")
WAYS = ("reduced", "vae", "redrawn", "redrawn far")
_STRENGTHS = {"redrawn": (0.125, 0.1875, 0.25), "redrawn far": (0.3125, 0.375)}
_REDUCED = 2  # the small render is the mean of so many pixels each way: the world's own edges are a pixel and a half
_SEED = 61_000_000
_BATCH = 4


@dataclass(frozen=True, eq=False)
class Pairs:
    """`large` uint8 [n, windows, 480, 480, 3]; `small` uint8 [n, windows, ways, 80, 80, 3]; `corners` [n, windows, 2] as
    (x, y) and keypoints `points` [n, 20, 3], both in drawn pixels."""

    large: Picture
    small: Picture
    corners: NDArray[np.int64]
    points: NDArray[np.float32]

    @property
    def count(self) -> int:
        return len(self.points)


def reduce_picture(large: Picture, scale: int) -> Picture:
    """The mean of each scale × scale pixels; uint8 [n, h, w, 3]."""
    x = torch.from_numpy(np.array(large)).permute(0, 3, 1, 2).float()
    return np.asarray(F.avg_pool2d(x, scale).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())


def draw_pairs(folder: Path, count: int, backbone: Backbone, seed: int = _SEED) -> None:
    """Draw the first `count` pairs that are missing into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    done_file, large = folder / "done.txt", SIDE * SCALE
    done = int(done_file.read_text()) if done_file.exists() else 0
    identity, shots = people(count, seed)[0], draw_shots(count, seed)
    scenes = sample_scenes([s.setting for s in shots], list(range(seed, seed + count)))
    told = [asdict(s) | {"masculine": bool(identity[i, -1] > 0)} for i, s in enumerate(shots)]
    (folder / "facts.json").write_text(json.dumps(told))
    many = (count, len(WINDOWS))
    shapes = {
        "large": ((*many, large, large, 3), np.uint8), "small": ((*many, len(WAYS), SIDE, SIDE, 3), np.uint8),
        "corners": ((*many, 2), np.int64), "points": ((count, 20, 3), np.float32),
    }  # fmt: skip
    arrays = {n: open_memmap(folder / f"{n}.npy", "r+" if done else "w+", kind, s) for n, (s, kind) in shapes.items()}
    for i in range(done, count, _BATCH):
        rows = list(range(i, min(i + _BATCH, count)))
        world = World(identity[rows], tuple(shots[r] for r in rows), scenes.take(rows), seed + i)
        drawn = render(world, HEIGHT * _REDUCED, WIDTH * _REDUCED)
        reduced, points = reduce_picture(drawn.images.numpy(), _REDUCED), drawn.keypoints.clone()
        points[..., :2] /= _REDUCED
        words = [shots[r].prompt("a man" if identity[r, -1] > 0 else "a woman") for r in rows]
        small = {"reduced": reduced, "vae": through_vae(backbone, reduced)}
        for way, strengths in _STRENGTHS.items():
            small[way] = draw_on(backbone, reduced, words, strengths[i // _BATCH % len(strengths)], seed + i)
        whole = np.stack([small[way] for way in WAYS], axis=1)
        for k, corners in enumerate(_corners(points, np.random.default_rng(seed + i))):
            window = Window(torch.from_numpy(corners * SCALE).float(), large, large)
            arrays["large"][rows, k] = render(world, HEIGHT * SCALE, WIDTH * SCALE, window=window).images.numpy()
            arrays["small"][rows, k] = [
                w[:, y : y + SIDE, x : x + SIDE] for w, (x, y) in zip(whole, corners, strict=True)
            ]
            arrays["corners"][rows, k] = corners
        arrays["points"][rows] = points.numpy()
        done_file.write_text(str(rows[-1] + 1))


def _corners(points: torch.Tensor, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Left upper corners (x, y) [n, 2] of each picture's windows."""
    room = np.array([WIDTH - SIDE, HEIGHT - SIDE])
    anything = rng.integers(0, room + 1, (len(points), 2))
    hands = find_parts(points, HEIGHT, WIDTH)["hands"]
    which = hands.seen.float().argmax(dim=1)
    at, rows = hands.centre.numpy(), np.arange(len(points))
    hand = np.where(hands.seen.any(dim=1).numpy()[:, None], at[rows, which.numpy()], anything + SIDE / 2)
    middles = (points[:, 2, :2].numpy(), hand)
    return [*(np.clip(np.round(m - SIDE / 2), 0, room).astype(np.int64) for m in middles), anything]


@torch.no_grad()
def through_vae(backbone: Backbone, pictures: Picture) -> Picture:
    """Pictures uint8 [n, h, w, 3], encoded and decoded."""
    model = backbone.model
    y = model.decode(model.encode_pictures(pictures)).float().clamp(-1, 1)
    return np.asarray(((y + 1) * 127.5).round().to(torch.uint8).cpu().permute(0, 2, 3, 1).numpy())


def draw_on(backbone: Backbone, pictures: Picture, words: Sequence[str], strength: float, seed: int) -> Picture:
    """Pictures uint8 [n, h, w, 3] noised as far as `strength` says, and drawn to the end by the base."""
    height, width = pictures.shape[1:3]
    one = np.zeros((height, width), np.bool_)
    one[0, 0] = True  # too little to keep a cell: all is drawn, from the noised picture on
    requests = [
        request_from(backbone.spec, text, seed + k, height=height, width=width, strength=strength,
                     references=(Landmark(picture, one, exact=False),))
        for k, (picture, text) in enumerate(zip(pictures, words, strict=True))
    ]  # fmt: skip
    return np.stack(draw_batch(backbone, requests))


def load_pairs(folder: Path) -> Pairs:
    """The pairs that are there."""
    done = int((folder / "done.txt").read_text())
    large, small, corners, points = (
        np.load(folder / f"{n}.npy", mmap_mode="r")[:done] for n in ("large", "small", "corners", "points")
    )
    return Pairs(large, small, np.array(corners), np.array(points))
