"""Sharpness and exposure of the part that matters: the face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from personas.measures.measure import Measure

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = ["PEOPLE", "QUALITY", "SHARPNESS", "Quality", "people", "quality", "read_quality", "sharpness"]


@dataclass(frozen=True)
class Quality:
    """`sharpness`: variance of the Laplacian of luma (0..1) times 1000; `brightness` mean luma in [0, 1]."""

    sharpness: float
    brightness: float


def read_quality(image: npt.NDArray[np.uint8], box: tuple[float, float, float, float] | None = None) -> Quality:
    """Measure the box (x0, y0, x1, y1), or of the whole picture; uint8 [h, w, 3] RGB."""
    luma = image.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
    if box is not None:
        height, width = luma.shape
        x0, y0 = int(np.clip(box[0], 0, width - 4)), int(np.clip(box[1], 0, height - 4))
        x1, y1 = int(np.clip(np.ceil(box[2]), x0 + 4, width)), int(np.clip(np.ceil(box[3]), y0 + 4, height))
        luma = luma[y0:y1, x0:x1]
    centre = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * centre
    return Quality(float(laplacian.var() * 1000), float(luma.mean()))


def sharpness(subject: Subject) -> float:
    """Return the sharpness of the face, or of the whole picture where no face was found (see `read_quality`)."""
    assert subject.picture is not None and subject.faces is not None  # noqa: PT018
    return read_quality(subject.picture, subject.faces[0].box if subject.faces else None).sharpness


def quality(subject: Subject) -> float | None:
    """Return what a trained judge says of the picture, in [0, 1]; None where the reader has none."""
    assert subject.regions is not None
    return subject.regions.quality


def people(subject: Subject) -> int | None:
    """Return how many people are in the picture; None where the reader counts none."""
    assert subject.regions is not None
    return subject.regions.people


SHARPNESS = Measure(
    "sharpness", frozenset({"picture", "faces"}), sharpness, words={"en": "sharpness", "zh": "清晰度"},
    high=None, on_candidates=True,
)  # fmt: skip
QUALITY = Measure(
    "quality", frozenset({"regions"}), quality, words={"en": "quality", "zh": "画质"},
    on_candidates=True,
)  # fmt: skip
PEOPLE = Measure(
    "people", frozenset({"regions"}), people, words={"en": "people", "zh": "人数"},
    high=None, higher_is_better=False, on_candidates=True,
)  # fmt: skip
