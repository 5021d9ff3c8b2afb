"""What a checkpoint of the base draws, beside what the world would show: `python -m miniature.preview`.

Always the same forty prompts and seeds, so that sheets of one training can be laid side by side.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.shots import GOODS, Shot, vary_shots
from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.families.flux1.model import Flux1Model
from pipelines.sampling.draw import draw
from pipelines.sampling.request import request_from

Picture = NDArray[np.uint8]
SEED, COUNT, COLUMNS = 5_000_000, 40, 10
LEARNT = ("transformer", "text_encoder", "text_encoder_2")


def load_checkpoint_weights(backbone: Backbone, checkpoint: Path) -> None:
    """Put the averaged weights of a checkpoint into a loaded backbone."""
    average = torch.load(checkpoint, weights_only=True, map_location="cpu")["average"]
    assert isinstance(backbone.model, Flux1Model)
    for name in LEARNT:
        start = name + "."
        part = {key.removeprefix(start): value for key, value in average.items() if key.startswith(start)}
        backbone.model.pipeline.components[name].load_state_dict(part)


def preview_shots(count: int = COUNT) -> tuple[Shot, ...]:
    """Every pose and framing, goods in every other."""
    return vary_shots(count, SEED, goods=("nothing",) * 4 + GOODS[1:])


def draw_preview(backbone: Backbone, shots: Sequence[Shot]) -> list[Picture]:
    """People whom no LoRA names, women and men by turns."""
    requests = [
        request_from(backbone.spec, shot.prompt("a man" if i % 2 else "a woman"), SEED + i)
        for i, shot in enumerate(shots)
    ]
    return [picture for _, picture in draw(backbone, requests, 8)]


def render_preview(shots: Sequence[Shot]) -> list[Picture]:
    """The same shots as the world shows them, of other people."""
    identity, _ = people(len(shots) + 8, SEED)
    scenes = sample_scenes([s.setting for s in shots], [SEED + i for i in range(len(shots))])
    pictures = list[Picture]()
    for i in range(0, len(shots), 4):
        rows = list(range(i, min(i + 4, len(shots))))
        world = World(identity[rows], tuple(shots[r] for r in rows), scenes.take(rows), SEED + i)
        pictures += list(render(world).images.numpy())
    return pictures


def save_sheet(pictures: Sequence[Picture], path: Path) -> None:
    height, width = pictures[0].shape[:2]
    page = Image.new("RGB", (COLUMNS * width, -(-len(pictures) // COLUMNS) * height), "white")
    for i, picture in enumerate(pictures):
        page.paste(Image.fromarray(picture), (i % COLUMNS * width, i // COLUMNS * height))
    page.save(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=None, help="default: the shipped weights")
    parser.add_argument("--out", type=Path, default=Path("preview.png"))
    parser.add_argument("--renders", action="store_true", help="the world's own pictures instead")
    args = parser.parse_args()
    if args.renders:
        save_sheet(render_preview(preview_shots()), args.out)
    else:
        loaded = load_backbone(resolve_backbone("miniature"))
        if args.checkpoint:
            load_checkpoint_weights(loaded, args.checkpoint)
        save_sheet(draw_preview(loaded, preview_shots()), args.out)
