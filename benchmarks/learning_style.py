"""How far drawn pictures moved to another look, and what they lost on the way, for `learning_score`.

Looks are compared by numbers of each picture, never by one network alone: the latents' moments, which trainings see,
and numbers of pixels, which none does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.statistics import Score, bootstrap
from personas.measures.face import FaceReader
from personas.measures.regions import RegionReader
from personas.shots import Shot
from pipelines.backbones import Backbone
from pipelines.training.style_losses import channel_moments

__all__ = ["Judge", "Numbers", "diversity", "fit_judge", "frechet", "layout_errors", "look_numbers", "moved"]

_FIELDS = ("framing", "view", "expression", "outfit", "setting", "goods")

Numbers = npt.NDArray[np.float64]
Pictures = npt.NDArray[np.uint8]


def look_numbers(backbone: Backbone, pictures: Pictures) -> tuple[Numbers, Numbers, Numbers]:
    """Return moments [n, 2c] of latents, numbers of pixels [n, 26], and the latents themselves [n, …]."""
    grids = []
    with torch.no_grad():
        for i in range(0, len(pictures), 8):
            grids.append(backbone.model.encode_pictures(pictures[i : i + 8]).float())
    z = torch.cat(grids)
    moments = torch.cat(channel_moments(z), dim=1)
    return moments.double().numpy(), _pixel_numbers(pictures), z.double().numpy()


def _pixel_numbers(pictures: Pictures) -> Numbers:
    """Tones, saturation, split-tone and edges [n, 26] of pictures."""
    rows = []
    for picture in pictures:
        x = picture.astype(np.float64) / 255
        luma = x @ np.array([0.299, 0.587, 0.114])
        most, least = x.max(axis=2), x.min(axis=2)
        saturation = (most - least) / np.maximum(most, 1e-3)
        dark, light = luma <= np.quantile(luma, 0.3), luma >= np.quantile(luma, 0.7)
        across, down = np.abs(np.diff(luma, axis=1)), np.abs(np.diff(luma, axis=0))
        rows.append([
            *np.quantile(luma, [0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98]), luma.std(),
            *np.quantile(saturation, [0.25, 0.5, 0.75]), saturation.mean(), (most - least).mean(),
            *(x[dark].mean(axis=0) - luma[dark].mean()), *(x[light].mean(axis=0) - luma[light].mean()),
            across.mean(), down.mean(), *np.quantile(across, [0.5, 0.9]), *np.quantile(down, [0.5, 0.9]),
            (across > 0.1).mean(),
        ])  # fmt: skip
    return np.asarray(rows)


def frechet(a: Numbers, b: Numbers) -> float:
    """Return the Fréchet distance of two sets of numbers [n, d] as if each number were by itself (diagonal)."""
    gap = a.mean(axis=0) - b.mean(axis=0)
    return float((gap**2 + (a.std(axis=0) - b.std(axis=0)) ** 2).mean())


def moved(drawn: Numbers, base: Numbers, real: Numbers) -> Score:
    """Return 1 − d(drawn, real)/d(base, real), resampled over pictures of the same prompts."""
    return bootstrap(len(drawn), lambda rows: 1 - frechet(drawn[rows], real) / frechet(base[rows], real), rounds=200)


@dataclass(frozen=True)
class Judge:
    """A logistic judge of numbers that says whether a picture is of the other look."""

    mean: Numbers
    spread: Numbers
    weights: Numbers

    def calls(self, numbers: Numbers) -> Numbers:
        """Return 1 where a picture is called real, else 0."""
        x = (numbers - self.mean) / self.spread
        return np.asarray(x @ self.weights[:-1] + self.weights[-1] > 0, np.float64)


def fit_judge(real: Numbers, plain: Numbers, decay: float = 0.03) -> Judge:
    """Fit a logistic regression by Newton's steps, with a little weight decay; the classes count alike."""
    both = np.concatenate([real, plain])
    mean, spread = both.mean(axis=0), both.std(axis=0) + 1e-6
    x = np.concatenate([(both - mean) / spread, np.ones((len(both), 1))], axis=1)
    y = np.repeat([1.0, 0.0], [len(real), len(plain)])
    share = np.where(y > 0, 0.5 / len(real), 0.5 / len(plain))
    weights = np.zeros(x.shape[1])
    penalty = decay * np.eye(x.shape[1])
    penalty[-1, -1] = 0
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (share * (p - y)) + penalty @ weights
        bend = (x * (share * p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(x.shape[1])
        weights = weights - np.linalg.solve(bend, slope)
    return Judge(mean, spread, weights)


def layout_errors(reader: RegionReader, faces: FaceReader, pictures: Pictures, shots: Sequence[Shot]) -> Numbers:
    """Return of each picture the share of what was asked for that it does not show, [n].

    Framing, view, expression, outfit, place and goods as the reader reads them, and that there is one face.
    """
    rows = []
    for regions, picture, shot in zip(reader.read(list(pictures)), pictures, shots, strict=True):
        wrong = [float(regions.attributes[name] != getattr(shot, name)) for name in _FIELDS]
        rows.append(np.mean([*wrong, float(len(faces.faces(picture)) != 1)]))
    return np.asarray(rows)


def diversity(latents: Numbers) -> float:
    """Return how far pictures are from each other: the mean distance of latents [n, c, h, w], each channel over its own
    deviation, so that a changed contrast is no variety.
    """
    mean, spread = latents.mean(axis=(0, 2, 3), keepdims=True), latents.std(axis=(0, 2, 3), keepdims=True)
    x = ((latents - mean) / spread).reshape(len(latents), -1)
    squares = (x**2).sum(axis=1)
    gaps = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * x @ x.T, 0))
    return float(gaps[np.triu_indices(len(x), 1)].mean())
