"""What the VAE learns faces from: windows of renders, and the very crop that insightface would cut."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from insightface.utils import face_align

from miniature.faces.crops import crop_maps
from miniature.faces.train import Renders
from miniature.likeness import Faces
from miniature.renders import people
from miniature.world import World, render, sample_scenes
from personas.measures.regions import LABELS
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


@pytest.mark.parametrize("whole", [False, True])
def test_pixels_weights_and_crops_are_of_one_place(whole: bool, tmp_path: Path) -> None:
    """Every cell of these pictures says where it is, all is face. Two people of eight pictures, one is held out."""
    count, height, width = 8, 256, 192
    rows, ys, xs = np.mgrid[:count, :height, :width]
    np.save(tmp_path / "images.npy", np.stack([rows, ys // 16, xs // 16], axis=3).astype(np.uint8))
    np.save(tmp_path / "labels.npy", np.full((count, height, width), LABELS.index("face"), np.uint8))
    points = np.zeros((count, 20, 3), np.float32)
    eyes_nose_mouth = np.array([[88, 50], [104, 50], [96, 60], [90, 68], [102, 68]])
    points[:, :5, :2] = eyes_nose_mouth + 4 * np.arange(count)[:, None, None]
    np.save(tmp_path / "keypoints.npy", points)
    np.save(tmp_path / "identity.npy", np.arange(count) // 4)
    np.save(tmp_path / "identity_vectors.npy", np.zeros((count, 26), np.float32))
    (tmp_path / "attributes.json").write_text(json.dumps([{"framing": "full-body"}] * count))
    (tmp_path / "done.txt").write_text(str(count))
    faces = Faces(Renders(tmp_path))
    some = faces.draw("full-body", 12, np.random.default_rng(4), whole)
    cells = ((some["pixels"] + 1) * 127.5).round()[:, :, ::16, ::16]
    assert cells[:, 0].max() < 4
    assert cells.shape[2:] == ((16, 12) if whole else (9, 9))
    for picture, weight, theta in zip(some["pixels"], some["weight"], some["maps"], strict=True):
        row = int(((picture[0, 0, 0] + 1) * 127.5).round())
        where = F.affine_grid(theta[None], [1, 3, 112, 112], align_corners=False)
        crop = (F.grid_sample(picture[None], where, align_corners=False)[0, :, 72, 56] + 1) * 127.5
        middle = eyes_nose_mouth.mean(axis=0) + 4 * row  # where insightface puts the nose, give or take the trembling
        assert abs(float(crop[1]) - middle[1] / 16 + 0.5) < 1.5
        assert abs(float(crop[2]) - middle[0] / 16 + 0.5) < 1.5
        y, x = divmod(int(weight[0].argmax()), weight.shape[2])
        heaviest = ((picture[1:, y, x] + 1) * 127.5).round().tolist()
        features = (eyes_nose_mouth + 4 * row).round() // 16
        assert heaviest[::-1] in features.tolist()
        assert weight.max() > 2 * weight.min() > 2
