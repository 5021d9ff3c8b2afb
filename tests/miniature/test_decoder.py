"""What the decoder learns faces from: windows of renders, and the very crop that insightface would cut."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from insightface.utils import face_align

from miniature.decoder import crop_maps
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.shots import vary_shots


class _Still(np.random.Generator):
    """Without any trembling."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size=None, *_, **__):  # type: ignore[no-untyped-def, override]
        return np.zeros(()) if size is None else np.zeros(size)


def test_a_windows_crop_is_insightfaces_of_the_whole_picture() -> None:
    identity, _ = people(3, 770_001)
    shots = vary_shots(3, 770_001, framings=("half-body",))
    drawn = render(World(identity, shots, sample_scenes([s.setting for s in shots], [1, 2, 3]), 4))
    images, points = drawn.images.numpy(), drawn.keypoints[:, :5, :2].numpy().astype(np.float32)
    corners = np.array([[16, 0], [32, 16], [16, 16]])
    windows = np.stack([p[y : y + 144, x : x + 144] for p, (x, y) in zip(images, corners, strict=True)])
    maps = crop_maps(points, corners, 144, 144, _Still())
    pixels = torch.from_numpy(windows).permute(0, 3, 1, 2).float()
    where = F.affine_grid(maps.cpu(), [3, 3, 112, 112], align_corners=False)
    ours = F.grid_sample(pixels, where, align_corners=False).permute(0, 2, 3, 1).numpy()
    for crop, image, five in zip(ours, images, points, strict=True):
        theirs = cv2.warpAffine(image, face_align.estimate_norm(five, 112), (112, 112)).astype(float)
        inside = crop.min(axis=2) > 0  # a window ends before the picture does
        assert inside.mean() > 0.6
        assert np.abs(crop - theirs)[inside].mean() < 1.5
