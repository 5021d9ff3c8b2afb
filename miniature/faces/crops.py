"""Aligned crops of faces through which gradients flow, and the recogniser behind them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from insightface.utils import face_align
from numpy.typing import NDArray
from torch import Tensor, nn

from miniature.faces.nets import EMBEDDING_DIM
from miniature.renders import SHOTS_PER_PERSON
from miniature.training import DEVICE, autocast
from personas.identity_loss import recogniser_module, to_unit

CROP = 112


class Recogniser:
    """The trained recogniser of aligned faces, through which gradients flow."""

    def __init__(self, pack: Path) -> None:
        """Of a face pack's folder."""
        self.net: nn.Module = recogniser_module(pack / "recognition.onnx").to(DEVICE)

    def embed(self, pixels: Tensor, theta: Tensor) -> Tensor:
        """Pixels [n, 3, h, w] in [-1, 1], maps [n, 2, 3] from crop to picture -> unit embeddings [n, 128]."""
        where = F.affine_grid(theta, [len(pixels), 3, CROP, CROP], align_corners=False)
        # outside the picture there is black, as in insightface's crops
        crop = F.grid_sample(pixels.float().clamp(-1, 1) + 1, where, align_corners=False) - 1
        with autocast():
            found = self.net(crop)
        return F.normalize(found.float())


def crop_maps(points: NDArray[np.float32], corners: NDArray[np.int64], height: int, width: int,
              rng: np.random.Generator) -> Tensor:  # fmt: skip
    """From the aligned crop to windows of a picture, for `affine_grid`, [n, 2, 3]; they tremble a little.

    `points` [n, 5, 2] in pixels of the picture, `corners` [n, 2] the windows' (x, y).
    """
    maps = []
    for five, corner in zip(points, corners, strict=True):
        back = np.linalg.inv(np.vstack([face_align.estimate_norm(five - corner, CROP), [0, 0, 1]]))
        theta = to_unit(height, width) @ back @ np.linalg.inv(to_unit(CROP, CROP))
        zoom, (x, y) = 1 + 0.04 * rng.standard_normal(), 0.03 * rng.standard_normal(2)
        maps.append((theta @ np.array([[zoom, 0, x], [0, zoom, y], [0, 0, 1]]))[:2])
    return torch.from_numpy(np.stack(maps)).float().to(DEVICE)


def crop_boxes(points: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The first and last corner, (x, y) [n, 2] each in pixels, of what an aligned crop shows of the picture."""
    square = np.array([[x, y, 1] for x in (0, CROP) for y in (0, CROP)], np.float64)
    backs = [np.linalg.inv(np.vstack([face_align.estimate_norm(five, CROP), [0, 0, 1]])) for five in points]
    corners = np.stack([(square @ back.T)[:, :2] for back in backs])
    return corners.min(axis=1), corners.max(axis=1)


@torch.no_grad()
def embed_people(folder: Path, recogniser: Recogniser) -> Tensor:
    """The mean unit embedding of the person in each render, [n, 128]."""
    images = np.load(folder / "images.npy", mmap_mode="r")
    points = np.load(folder / "keypoints.npy", mmap_mode="r")[:, :5, :2].astype(np.float32)
    found = []
    for i in range(0, int((folder / "done.txt").read_text()), 64):
        found.append(embed_faces(images[i : i + 64], points[i : i + 64], recogniser))
    each = torch.cat(found)
    means = F.normalize(each.view(-1, SHOTS_PER_PERSON, EMBEDDING_DIM).mean(dim=1))
    return means.repeat_interleave(SHOTS_PER_PERSON, dim=0)


@torch.no_grad()
def embed_faces(images: NDArray[np.uint8], points: NDArray[np.float32], recogniser: Recogniser) -> Tensor:
    """Unit embeddings [n, 128] on the CPU of faces in pictures uint8 [n, h, w, 3]; five points each [n, 5, 2]."""
    crops = [
        cv2.warpAffine(np.ascontiguousarray(image), face_align.estimate_norm(five, CROP), (CROP, CROP))
        for image, five in zip(images, points, strict=True)
    ]
    x = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).to(DEVICE).float() / 127.5 - 1
    with autocast():
        return F.normalize(recogniser.net(x).float()).cpu()
