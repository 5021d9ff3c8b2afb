"""Colour of the eyes, as it would be in daylight: read by a small network, and how alike it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime

from personas.measures.measure import Measure

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = [
    "EYE_SIDE", "EYE_SIMILARITY", "UNIT", "EyesReader", "cut_eyes", "eye_likeness", "eye_similarity",
    "find_eyes_reader",
]  # fmt: skip

EYE_SIDE = 24  # pixels of what the network sees
UNIT = 50.0  # ΔE of one unit of what it says
_EYE_EXTENT, _FACE_EXTENT = 0.36, 1.2  # head heights
_SMALLEST_HEAD = 30.0  # pixels; of a smaller one an iris is two pixels wide
_TOP, _CHIN, _EYES = 5, 6, (0, 1)  # places in KEYPOINTS
_SPREAD = 25.0  # ΔE; so far apart are two of the miniature's eye colours that lie beside each other

Picture = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]


class EyesReader:
    """Holds the network of a reader's folder, `eyes.onnx`, and what of it is told, `eyes.json`: `most_off` is the most
    that an eye's colour is expected to be off, `most_apart` the most that two eyes of one face differ by, both ΔE.
    """

    def __init__(self, folder: Path) -> None:
        """Raises OSError, KeyError or ValueError where a file is missing, or none of these."""
        told = json.loads((folder / "eyes.json").read_text(encoding="utf-8"))
        self._most_off, self._most_apart = float(told["most_off"]), float(told["most_apart"])
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1  # too small to be shared
        data = (folder / "eyes.onnx").read_bytes()
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def read(self, image: Picture, keypoints: Vector) -> Vector | None:
        """Return both eyes' mean colour, CIELAB [3], of a picture uint8 [h, w, 3] with keypoints [20, 3] (`Regions`).

        None where eyes are too small, of different colours, or not surely read.
        """
        cuts = cut_eyes(image, keypoints)
        if cuts is None:
            return None
        colours, off = self.look(cuts)
        apart = float(np.linalg.norm(colours[0] - colours[1]))
        sure = off.max() <= self._most_off and apart <= self._most_apart
        return np.asarray(colours.mean(axis=0), np.float32) if sure else None

    def look(self, cuts: Picture) -> tuple[Vector, Vector]:
        """Return colours [n, 3] of cut-outs uint8 [n, 24, 24, 6], and how far off each is expected to be [n], ΔE."""
        x = cuts.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        said = np.asarray(self._session.run(None, {"cuts": x})[0], np.float32) * [UNIT, UNIT, UNIT, 1]
        return said[:, :3].astype(np.float32), (np.exp(said[:, 3]) * UNIT).astype(np.float32)


def find_eyes_reader(folder: Path) -> EyesReader | None:
    """Return the one of a reader's folder; None where there is none, and no eyes are measured."""
    return EyesReader(folder) if (folder / "eyes.json").is_file() else None


def cut_eyes(image: Picture, keypoints: Vector) -> Picture | None:
    """Return each eye with its face, [2, 24, 24, 6]; None where the head is too small. As for `EyesReader.read`."""
    top, chin = keypoints[_TOP], keypoints[_CHIN]
    tall = float(abs(chin[1] - top[1]))
    if tall < _SMALLEST_HEAD:
        return None
    face = _square(image, float(top[0] + chin[0]) / 2, float(top[1] + chin[1]) / 2, _FACE_EXTENT * tall)
    eyes = [_square(image, float(x), float(y), _EYE_EXTENT * tall) for x, y, _ in keypoints[list(_EYES)]]
    return np.stack([np.concatenate([eye, face], axis=2) for eye in eyes])


def _square(image: Picture, x: float, y: float, extent: float) -> Picture:
    """Return the square of `extent` pixels around a point, [24, 24, 3]; the picture's edge goes on outside."""
    size = max(2, round(extent))
    rows = np.clip(np.arange(size) + round(y - size / 2), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(size) + round(x - size / 2), 0, image.shape[1] - 1)
    how = cv2.INTER_AREA if size > EYE_SIDE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image[rows[:, None], columns], (EYE_SIDE, EYE_SIDE), interpolation=how), np.uint8)


def eye_similarity(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """How alike two eye colours are, CIELAB [3] each: exp(-½(ΔE/25)²), in (0, 1]."""
    far = np.linalg.norm(np.asarray(a, np.float64) - b)
    return float(np.exp(-0.5 * (far / _SPREAD) ** 2))


def eye_likeness(subject: Subject) -> float | None:
    """Return a candidate's `eye_similarity` to the group's usual eyes; None where either could not be read."""
    candidate, group = subject.candidate, subject.group
    assert candidate is not None and group is not None  # noqa: PT018
    return None if candidate.eyes is None or group.eyes is None else eye_similarity(candidate.eyes, group.eyes)


EYE_SIMILARITY = Measure(
    "eye_similarity", frozenset({"candidate", "group"}), eye_likeness, words={"en": "eye colour", "zh": "眼睛颜色"},
    on_candidates=True,
)  # fmt: skip
