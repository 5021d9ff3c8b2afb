"""Are both eyes of a face whole, and of one colour? What people see first, and what a model draws wrong the most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import onnxruntime

from personas.measures.eyes import cut_eyes
from personas.measures.measure import Measure

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = ["EYES", "NETWORK", "WholeEyesReader", "find_whole_eyes_reader"]

NETWORK = "whole_eyes.onnx"
_SPREAD = 0.3  # how far two irises are apart, RGB in [0, 1], where a third of the value is left
_LEAST = 0.6  # of 48 renders one in twelve has less


class WholeEyesReader:
    """Holds the network of a reader's folder, `whole_eyes.onnx`."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1  # too small to be shared
        data = (folder / NETWORK).read_bytes()
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def read(self, image: npt.NDArray[np.uint8], keypoints: npt.NDArray[np.float32]) -> float | None:
        """Return how surely both eyes of a picture uint8 [h, w, 3] are whole and alike, in [0, 1].

        That is the lower probability that one is whole, times exp(-d / .3) for irises that are d apart. None where the
        head is too small; `keypoints` [20, 3] as of Regions.
        """
        cuts = cut_eyes(image, keypoints)
        if cuts is None:
            return None
        x = cuts[..., :3].transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        said = np.asarray(self._session.run(None, {"eyes": x})[0], np.float64)
        apart = float(np.linalg.norm(said[0, 1:] - said[1, 1:]))
        return float(said[:, 0].min() * np.exp(-apart / _SPREAD))


def find_whole_eyes_reader(folder: Path) -> WholeEyesReader | None:
    """Return the one of a reader's folder; None where there is none, and eyes are not judged."""
    return WholeEyesReader(folder) if (folder / NETWORK).is_file() else None


def eyes_shown(subject: Subject) -> float | None:
    """Return how surely both eyes are whole and alike; None where the reader cannot tell."""
    assert subject.regions is not None
    return subject.regions.whole_eyes


def _looks_at_us(subject: Subject) -> bool:
    return subject.shot is not None and subject.shot.view == "front"


EYES = Measure(
    "eyes", frozenset({"regions", "shot"}), eyes_shown, words={"en": "eyes", "zh": "眼睛"},
    on_posts=True, weak_below=_LEAST, applies=_looks_at_us,
)  # fmt: skip
