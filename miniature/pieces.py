"""What the base learns from: renders in six sizes, as latents, piece by piece. `python -m miniature.pieces`.

A piece is a file of 160 pictures of one size, forty people four times each; every other piece has the studio's own size.
Hands that wave or are set on a hip, held goods and garments that reach low come more often than others: they are
what is learnt last. Pictures themselves aren't kept: latents, where people and their parts are, cut-outs of the parts
and photographs of the empty place say all that a training asks. Pieces that are there stay, so a training
may start on the first ones; delete the folder when the world or the VAE has changed.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL

from miniature.faces.crops import Recogniser, embed_faces
from miniature.parts import cut_parts, find_parts
from miniature.renders import SHOTS_PER_PERSON, people, photograph
from miniature.training import DEVICE, autocast
from miniature.vae import CELL, LATENT_CHANNELS
from miniature.world import World, render, sample_scenes
from personas.measures.regions import LABELS
from personas.shots import FRAMINGS, GOODS, LIGHTS, OUTFITS, POSES, Shot, vary_shots
from pipelines.training.losses import focus_weights

SIZES = ((256, 192), (256, 256), (320, 256), (320, 192), (192, 256), (384, 288))  # height, width
PIECE = 160
PHOTO = 128  # pixels of a place's photograph, each way
_TURNS = (0, 1, 0, 2, 0, 3, 0, 4, 0, 5)
_SEED = 40_000_000
_OFTEN: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "framing": (FRAMINGS, (0.3, 0.35, 0.35)),
    "pose": (POSES, (0.25, 0.4, 0.35)),
    "goods": (GOODS, (0.36, 0.16, 0.16, 0.16, 0.16)),
    "outfit": (OUTFITS, (0.16, 0.16, 0.26, 0.16, 0.26)),
}
# A mouth decides what a face says, and is a hundredth of a picture; hands are skin.
WEIGHT_OF_LABEL = np.array(
    [{"face": 1.0, "goods": 1.0, "hair": 0.4, "body_skin": 0.3}.get(name, 0.0) for name in LABELS], np.float32
)
FOCUS = 0.8

Piece = dict[str, Any]
"""What `torch.save` holds of one: see `draw_piece`."""


def draw_shots(count: int, seed: int) -> tuple[Shot, ...]:
    """Shots in which what is hard comes more often (`_OFTEN`)."""
    rng = random.Random(seed)
    often = {name: rng.choices(words, shares, k=count) for name, (words, shares) in _OFTEN.items()}
    plain = vary_shots(count, seed)
    return tuple(Shot(**asdict(s) | {name: words[i] for name, words in often.items()}) for i, s in enumerate(plain))


def draw_piece(number: int, vae: AutoencoderKL, recogniser: Recogniser, count: int = PIECE) -> Piece:
    """Render and encode piece `number`.

    "latents" float16 [n, 2, 32, h/16, w/16], mean and deviation; "focus" float16 [n, h/16, w/16], a cell's weight;
    "photos" uint8 [n, 128, 128, 3] of the empty places; "people" [n, 26]; "who" [n, 128], each person's mean face;
    "points" [n, 20, 3] in pixels; "eyes", "mouth" and "hands", cut-outs of `miniature.parts`; "facts", JSON.
    """
    height, width = SIZES[_TURNS[number % len(_TURNS)]]
    seed = _SEED + number * PIECE
    persons, looks = people(count // SHOTS_PER_PERSON, seed)
    owner = [i // SHOTS_PER_PERSON for i in range(count)]
    identity, shots = persons[owner], draw_shots(count, seed)
    scenes = sample_scenes([s.setting for s in shots], list(range(seed, seed + count)))
    rows: list[dict[str, Tensor]] = []
    for i in range(0, count, 4):
        some = list(range(i, min(i + 4, count)))
        drawn = render(World(identity[some].to(DEVICE), tuple(shots[r] for r in some), scenes.take(some), seed + i),
                       height, width)  # fmt: skip
        points = drawn.keypoints.cpu()
        x = drawn.images.to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad(), autocast():
            posterior = vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist
        rows.append({
            "latents": torch.stack([posterior.mean, posterior.std], dim=1).half().cpu(),
            "focus": _cell_weights(drawn.labels.cpu(), points).half(),
            "photos": photograph(scenes.take(some), [_other_light(seed + r) for r in some], seed + i, PHOTO),
            "points": points,
            "faces": embed_faces(drawn.images.cpu().numpy(), points[:, :5, :2].numpy(), recogniser),
        } | cut_parts(drawn.images.cpu(), find_parts(points, height, width)))  # fmt: skip
    piece: Piece = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    faces = piece.pop("faces").unflatten(0, (-1, SHOTS_PER_PERSON))
    means = torch.nn.functional.normalize(faces.mean(dim=1), dim=1)
    facts = [
        asdict(s) | {"look": looks[k], "masculine": bool(persons[k, -1] > 0)} for s, k in zip(shots, owner, strict=True)
    ]
    return piece | {"people": identity, "who": means[owner], "facts": json.dumps(facts)}


def _other_light(seed: int) -> str:
    return random.Random(seed).choice((*LIGHTS[:2], "day"))


def _cell_weights(labels: Tensor, points: Tensor) -> Tensor:
    """`focus_weights` of face, goods, hands and, less so, hair and skin, [n, h/16, w/16]; labels [n, h, w]."""
    count, height, width = labels.shape
    share = torch.from_numpy(WEIGHT_OF_LABEL)[labels.long()]
    hands = find_parts(points, height, width)["hands"]
    ys, xs = torch.arange(height)[None, :, None], torch.arange(width)[None, None, :]
    for k in range(2):
        x, y = hands.centre[:, k, 0, None, None], hands.centre[:, k, 1, None, None]
        reach = hands.side[:, k, None, None] / 2
        inside = ((xs - x).abs() < reach) & ((ys - y).abs() < reach) & hands.seen[:, k, None, None]
        share = torch.where(inside, share.clamp(min=0.8), share)
    cells = share.view(count, height // CELL, CELL, width // CELL, CELL).mean(dim=(2, 4))
    return focus_weights(cells, FOCUS)


def draw_pieces(folder: Path, count: int, assets: Path) -> None:
    """Draw the first `count` pieces that are missing, with the shipped VAE and recogniser."""
    folder.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderKL.from_pretrained(assets / "flux" / "vae", torch_dtype=torch.float32).eval()
    vae = vae.to(DEVICE, memory_format=torch.channels_last)
    recogniser, begin = Recogniser(assets / "faces"), time.time()
    assert vae.config.latent_channels == LATENT_CHANNELS
    for number in range(count):
        path = folder / f"{number:04d}.pt"
        if not path.exists():
            part = path.with_suffix(".part")
            torch.save(draw_piece(number, vae, recogniser), part)
            part.replace(path)
            print(f"piece {number}, {time.time() - begin:.0f} s", flush=True)


def load_pieces(folder: Path) -> list[Piece]:
    """All pieces that are there, in their order, mapped from the disk."""
    return [torch.load(path, weights_only=True, mmap=True) for path in sorted(folder.glob("????.pt"))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("build/pieces"))
    parser.add_argument("--assets", type=Path, default=Path("assets/miniature"))
    args = parser.parse_args()
    draw_pieces(args.folder, args.count, args.assets)
