"""Sample scenes for the command line's demo, one of each class: `python -m miniature.samples`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from miniature.world import World, render, sample_scenes
from personas.shots import SETTINGS, Shot

SIZE = (640, 480)


def scene_photo(setting: str, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A photo [640, 480, 3] of an empty place and where its landmark is [640, 480]."""
    world = World(
        torch.zeros(1, 26), (Shot(framing="full-body"),), sample_scenes([setting], [seed]), seed, with_person=False
    )
    drawn = render(world, *SIZE, pan=torch.zeros(1))
    return drawn.images[0].numpy(), drawn.labels[0].numpy() == 1


def save_scene(folder: Path, setting: str, seed: int) -> tuple[Path, Path]:
    """Write photo and mask as PNG files; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    photo, mask = scene_photo(setting, seed)
    paths = folder / f"{setting}.png", folder / f"{setting}_landmark.png"
    Image.fromarray(photo).save(paths[0], optimize=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(paths[1], optimize=True)
    return paths


if __name__ == "__main__":
    for index, name in enumerate(SETTINGS):
        save_scene(Path("assets/miniature/scenes"), name, 5_000_000 + index)
