"""Whether a picture looks like what a backbone draws: a model of drawn people cannot draw the place of a real photo.

Eight numbers of a picture say how it is painted, whatever it shows: how much changes from one pixel to the next, how
strong edges are, how much there is between flat areas and edges, how many colours there are, how strong and how bright
they are, and how much light and dark differ.
What a backbone draws has its own range of them (`OwnLook`), measured once and kept beside its files. A picture that is
finer and farther from it than nearly all that the backbone draws is of another look. No torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.pictures import fit_to_canvas

__all__ = ["LOOK_FILE", "OwnLook", "describe_look", "measure_look", "read_look"]

LOOK_FILE = "look.json"
_HEIGHT, _WIDTH = 256, 192  # every picture is looked at in this size
_SMOOTHED = 0.01  # of each number's variance, so that alike pictures are no reason to divide by zero
_NUMBERS = 8

Picture = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OwnLook:
    """What a backbone's pictures have in common. `mean` and `spread` [8] are of the numbers of `describe_look`,
    `inverse` [8][8] is of their correlations, and `farthest` the distance (Mahalanobis) that is its own at most.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    inverse: tuple[tuple[float, ...], ...]
    farthest: float

    def distance(self, picture: Picture) -> float:
        """Return how far a picture uint8 [h, w, 3] RGB is from the backbone's, ≥ 0."""
        z = (describe_look(picture) - self.mean) / self.spread
        return float(np.sqrt(z @ np.asarray(self.inverse) @ z))

    def is_other(self, picture: Picture) -> bool:
        """Whether a picture is finer than the backbone's, and farther from them than they are; a plain one never is."""
        is_finer = describe_look(picture)[0] > self.mean[0]
        return bool(is_finer and self.distance(picture) > self.farthest)

    def save(self, folder: Path) -> None:
        """Write it beside a backbone's files."""
        (folder / LOOK_FILE).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


def describe_look(picture: Picture) -> Vector:
    """Return eight numbers of a picture uint8 [h, w, 3] RGB, float64: see the module's text."""
    small = fit_to_canvas(picture, _HEIGHT, _WIDTH)
    grey = small.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    steps = np.abs(np.diff(grey, axis=1))
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    light = lab[..., 0]
    edges = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1))
    between = np.abs(cv2.GaussianBlur(light, (0, 0), 1.5) - cv2.GaussianBlur(light, (0, 0), 4))
    bins = np.bincount((small >> 4).astype(np.int64).reshape(-1, 3) @ [256, 16, 1], minlength=4096) / grey.size
    said = bins[bins > 0]
    return np.array([
        np.log(np.median(steps) + 0.1),
        np.log(np.quantile(edges, 0.75) + 0.05),
        np.log(np.median(between) + 0.05),
        np.log(np.quantile(between, 0.8) + 0.05),
        -(said * np.log(said)).sum(),
        np.median(np.hypot(lab[..., 1], lab[..., 2])) / 50,
        small.max(axis=2).mean() / 255,
        grey.std() / 64,
    ])  # fmt: skip


def measure_look(pictures: list[Picture], farthest: float) -> OwnLook:
    """Return what pictures of a backbone have in common."""
    numbers = np.stack([describe_look(picture) for picture in pictures])
    mean, spread = numbers.mean(axis=0), np.maximum(numbers.std(axis=0), 1e-6)
    z = (numbers - mean) / spread
    inverse = np.linalg.inv(np.cov(z.T) + _SMOOTHED * np.eye(_NUMBERS))
    return OwnLook(_rounded(mean), _rounded(spread), tuple(map(_rounded, inverse)), farthest)


def _rounded(values: Vector) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def read_look(folder: Path) -> OwnLook | None:
    """Return the look that lies in a backbone's folder; None where there is none, or none that can be read."""
    try:
        told = json.loads((folder / LOOK_FILE).read_text(encoding="utf-8"))
        look = OwnLook(tuple(told["mean"]), tuple(told["spread"]), tuple(map(tuple, told["inverse"])), told["farthest"])
    except (OSError, KeyError, TypeError, ValueError):
        return None
    fits = len(look.mean) == len(look.spread) == _NUMBERS and np.shape(look.inverse) == (_NUMBERS, _NUMBERS)
    return look if fits else None
