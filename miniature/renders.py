"""A cached set of renders, which every recipe of the miniature trains on: `python -m miniature.renders`.

Four shots of each person in a row; half of the people belong to a look category, every other picture has goods in
it. The smaller set in the folder `square` has other people, at 256×256. Written piece by piece, so that a
recipe may start on the first pieces, and a broken run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.format import open_memmap

from miniature.training import DEVICE
from miniature.world import (
    IDENTITY_DIM,
    SceneBatch,
    World,
    look_identities,
    render,
    sample_identities,
    sample_scenes,
)
from personas.shots import GOODS, Shot, vary_shots

FOLDER = Path("build/renders")
LOOKS = ("sweet", "mature", "ceo", "boyish")
SHOTS_PER_PERSON = 4
HEIGHT, WIDTH = 256, 192
SQUARE = "square"
_GOODS = ("nothing",) * (len(GOODS) - 1) + GOODS[1:]
_PIECE = 200
# A CPU keeps small batches in its caches. Jitter is per batch, so that each kind of device draws a set of its own.
_BATCH = 4 if DEVICE.type == "cpu" else 100


def people(count: int, seed: int) -> tuple[torch.Tensor, list[str]]:
    """`count` identities [count, 26] and the look of each ("" for none in particular)."""
    g = torch.Generator().manual_seed(seed)
    identity, looks = sample_identities(count, g), [""] * count
    for k, look in enumerate(LOOKS):
        rows = list(range(k * 2, count, 2 * len(LOOKS)))
        identity[rows] = look_identities(look, len(rows), g)
        for row in rows:
            looks[row] = look
    return identity, looks


def photograph(scenes: SceneBatch, lights: Sequence[str], seed: int, side: int) -> torch.Tensor:
    """Small square photographs uint8 [n, side, side, 3] of empty places, in these lights, from a little aside."""
    shots = tuple(Shot(framing="full-body", light=light) for light in lights)
    nobody = torch.zeros(len(shots), IDENTITY_DIM, device=DEVICE)
    # The studio fits a photo to its canvas, 3:4, whatever it draws; SigLIP's processor then squeezes it to a square.
    drawn = render(World(nobody, shots, scenes, seed, with_person=False), side * 4 // 3 + 1, side).images.cpu()
    square = F.interpolate(
        drawn.permute(0, 3, 1, 2).float(), size=(side, side), mode="bilinear", antialias=True
    )  # fmt: skip
    return square.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


def draw_set(folder: Path, pictures: int, seed: int, height: int = HEIGHT, width: int = WIDTH) -> None:
    """Render `pictures` pictures into `folder` (see the module's text); goes on after an interruption."""
    folder.mkdir(parents=True, exist_ok=True)
    identity, looks = people(pictures // SHOTS_PER_PERSON, seed)
    rows = torch.arange(pictures) // SHOTS_PER_PERSON
    shots = vary_shots(pictures, seed, goods=_GOODS)
    np.save(folder / "identity.npy", rows.numpy().astype(np.int32))
    np.save(folder / "identity_vectors.npy", identity[rows].numpy().astype(np.float32))
    facts = [
        asdict(s) | {"look": looks[int(r)], "masculine": bool(identity[r, -1] > 0), "place": seed + i}
        for i, (s, r) in enumerate(zip(shots, rows, strict=True))
    ]
    done_file = folder / "done.txt"
    done = int(done_file.read_text()) if done_file.exists() else 0
    if done and json.loads((folder / "attributes.json").read_text())[:done] != facts[:done]:
        raise SystemExit(f"{folder} holds {done} pictures of another world: delete the folder.")
    (folder / "attributes.json").write_text(json.dumps(facts))
    mode = "r+" if done else "w+"
    shapes = {"images": (pictures, height, width, 3), "labels": (pictures, height, width)}
    arrays = {n: open_memmap(folder / f"{n}.npy", mode, np.uint8, shape) for n, shape in shapes.items()}
    keypoints = open_memmap(folder / "keypoints.npy", mode, np.float32, (pictures, 20, 3))
    scenes = sample_scenes([s.setting for s in shots], list(range(seed, seed + pictures)))
    for start in range(done, pictures, _PIECE):
        for i in range(start, min(start + _PIECE, pictures), _BATCH):
            batch = range(i, min(i + _BATCH, pictures))
            world = World(
                identity[rows[list(batch)]].to(DEVICE), tuple(shots[j] for j in batch), scenes.take(batch), seed + i
            )
            drawn = render(world, height, width)
            arrays["images"][i : i + len(batch)] = drawn.images.cpu().numpy()
            arrays["labels"][i : i + len(batch)] = drawn.labels.cpu().numpy()
            keypoints[i : i + len(batch)] = drawn.keypoints.cpu().numpy()
        done_file.write_text(str(min(start + _PIECE, pictures)))
    assert identity.shape[1] == IDENTITY_DIM


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=14000)
    parser.add_argument("--square", type=int, default=4000)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=int, default=20)
    args = parser.parse_args()
    draw_set(args.folder, args.pictures, args.seed)
    draw_set(args.folder / SQUARE, args.square, args.seed + 1_000_000, HEIGHT, HEIGHT)
