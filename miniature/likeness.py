"""Does a drawn face look like the person named? A loss for the transformer's training, through the VAE's decoder.

As the ID loss of PuLID (Guo et al., arXiv 2404.16022 §3.2): the guess of the clean latents is decoded around the face,
aligned as insightface aligns, and its embedding compared with the mean embedding of the person's renders. The mean
belongs to no view and no light, which is the point: the squared error alone forgives a face that changes with both.
The recogniser is one that measures nothing else (`python -m miniature.faces.train coach`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from insightface.utils import face_align
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from miniature.faces.nets import ConvRecogniser
from miniature.faces.train import Renders, aligned_crops
from miniature.renders import SHOTS_PER_PERSON

CELL = 16  # pixels of a latent
WINDOW = 8  # latents a side that are decoded
CROP = 112
MOST_SIGMA = 0.8  # the guess at a noisier step is a blur that nobody can be read from
LEAST_FACE = 30.0  # pixels


class _Decoded(nn.Module):
    """Windows of latents [n, 32, 8, 8] and where the faces lie in them -> embeddings [n, 128] of unit length."""

    def __init__(self, vae: AutoencoderKL, recogniser: nn.Module) -> None:
        super().__init__()
        self.vae, self.recogniser = vae, recogniser

    def forward(self, windows: Tensor, grid: Tensor) -> Tensor:
        pictures = self.vae.decode(windows, return_dict=False)[0].float()
        crops = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return F.normalize(self.recogniser(crops).float(), dim=-1)


class Likeness:
    """How far drawn faces are from their people's; `spread` [32, 1, 1] is that of the VAE's latents.

    `usable` (bool [count]) says of which cached renders the face is large enough to read.
    """

    def __init__(
        self, renders: Renders, work: Path, recogniser: nn.Module, vae: AutoencoderKL, spread: Tensor,
        device: torch.device,
    ) -> None:  # fmt: skip
        net = _Decoded(vae, recogniser).eval().requires_grad_(False).to(device)
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch knows it, its stubs do not
        self.spread, self.device = spread, device
        self.people = _mean_embeddings(
            aligned_crops(renders, work / "crops.npy")[: renders.count], net.recogniser, device
        )
        self.embed = net  # not compiled: torch 2.13 gives no gradient then, and is no faster
        points = renders.keypoints[: renders.count, :5, :2].astype(np.float32)
        middle = points.mean(1) / CELL
        self.corner = np.clip(np.round(middle - WINDOW / 2), 0, (12 - WINDOW, 16 - WINDOW)).astype(int)
        matrices = np.stack([face_align.estimate_norm(p, CROP) for p in points])
        self.grids = _grids(matrices, self.corner)
        size = CROP / np.sqrt(np.abs(np.linalg.det(matrices[:, :, :2])))
        # the recogniser has not met the held-out people: they are never asked about
        self.usable = np.zeros(len(renders.facts), bool)
        self.usable[: renders.count] = size >= LEAST_FACE

    def __call__(self, latents: Tensor, rows: list[int]) -> Tensor:
        """1 - cosine of each of `latents` [n, 32, 16, 12] (unit spread) with the person of its render: [n]."""
        corners = self.corner[rows]
        windows = torch.stack([
            z[:, y : y + WINDOW, x : x + WINDOW] for z, (x, y) in zip(latents, corners, strict=True)
        ])  # fmt: skip
        grid = F.affine_grid(self.grids[rows].to(self.device), [len(rows), 3, CROP, CROP], align_corners=False)
        found = self.embed(windows * self.spread, grid)
        return 1 - (found * self.people[[r // SHOTS_PER_PERSON for r in rows]].to(self.device)).sum(-1)


def _grids(matrices: NDArray[np.floating], corner: NDArray[np.integer]) -> Tensor:
    """The affine maps [n, 2, 3] from a crop to its window, both from -1 to 1 (pixels' centres at halves)."""
    side = WINDOW * CELL
    thetas = []
    for matrix, (x, y) in zip(matrices, corner, strict=True):
        to_crop = np.vstack([matrix, [0, 0, 1]])
        unit = np.array([[CROP / 2, 0, CROP / 2 - 0.5], [0, CROP / 2, CROP / 2 - 0.5], [0, 0, 1]])
        window = np.array([[2 / side, 0, (1 - 2 * x * CELL) / side - 1], [0, 2 / side, (1 - 2 * y * CELL) / side - 1],
                           [0, 0, 1]])  # fmt: skip
        thetas.append((window @ np.linalg.inv(to_crop) @ unit)[:2])
    return torch.from_numpy(np.stack(thetas)).float()


def load_likeness(
    renders: Path, work: Path, vae: AutoencoderKL, spread: Tensor, device: torch.device
) -> Likeness:  # fmt: skip
    """The loss over the cached renders, with the recogniser that `faces.train coach` left in `work`."""
    coach = ConvRecogniser()
    coach.load_state_dict(torch.load(work / "coach_net.pt", weights_only=True))
    return Likeness(Renders(renders), work, coach, vae, spread, device)


@torch.no_grad()
def _mean_embeddings(crops: NDArray[np.uint8], net: nn.Module, device: torch.device) -> Tensor:
    """The direction [people, 128] in which the renders of each person lie."""
    margin = (crops.shape[1] - CROP) // 2
    found = []
    for i in range(0, len(crops), 200):
        x = torch.from_numpy(crops[i : i + 200, margin:-margin, margin:-margin].copy()).to(device)
        found.append(F.normalize(net(x.permute(0, 3, 1, 2).float() / 127.5 - 1), dim=-1).cpu())
    every = torch.cat(found).view(-1, SHOTS_PER_PERSON, found[0].shape[1])
    return F.normalize(every.mean(1), dim=-1)
