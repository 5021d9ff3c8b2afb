"""Products found in photos by a salient-object network, such as U²-Net's small one (Qin et al., 2020), as an ONNX file.

The studio brings none and fetches none: whoever has a file names it. It says roughly what the photo is of, also where
the background is not plain; the outline itself is then found by colour.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from pipelines.errors import BadInput, ModelMissing

__all__ = ["KNOWN", "Salient", "load_salient"]

KNOWN: Mapping[str, str] = {"309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8": "u2netp"}
"""SHA-256 of published files and what they are; u2netp is Apache-2.0 (github.com/xuebinqin/U-2-Net)."""
_MEAN, _STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)

Rgb = npt.NDArray[np.uint8]
Share = npt.NDArray[np.float32]


class Salient:
    """A loaded network; `name` is what its file is known as, else the file's name."""

    def __init__(self, name: str, session: onnxruntime.InferenceSession, side_px: int) -> None:
        self.name = name
        self._session, self._side = session, side_px

    def find(self, image: Rgb) -> Share:
        """Return how much each pixel of uint8 [h, w, 3] is of what the photo shows, float32 [h, w] in [0, 1].

        Raises BadInput where no number comes out.
        """
        small = Image.fromarray(image).resize((self._side, self._side), Image.Resampling.LANCZOS)
        x = np.asarray(small, np.float32)
        x = (x / max(float(x.max()), 1.0) - _MEAN) / _STD
        (y, *_) = self._session.run(None, {self._session.get_inputs()[0].name: x.transpose(2, 0, 1)[None]})
        found = np.asarray(y, np.float32).reshape(self._side, self._side)
        if not np.isfinite(found).all():
            raise BadInput("cutter_unknown", file=self.name)
        low, high = float(found.min()), float(found.max())
        if high - low < 0.1:  # it sees nothing: stretched, its noise would become a product
            return np.zeros(image.shape[:2], np.float32)
        grey = Image.fromarray((found - low) / (high - low))
        return np.asarray(grey.resize((image.shape[1], image.shape[0]), Image.Resampling.BILINEAR))


def load_salient(path: Path) -> Salient:
    """Load a network from its ONNX file. Raises ModelMissing where there is none, BadInput for what is none."""
    if not path.is_file():
        raise ModelMissing("cutter_missing", file=str(path))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # bytes of strangers make it raise anything
        raise BadInput("cutter_unknown", file=path.name) from error
    given, made = session.get_inputs(), session.get_outputs()
    side = given[0].shape[-1] if len(given) == 1 and len(given[0].shape) == 4 else None
    if not isinstance(side, int) or given[0].shape[1:] != [3, side, side] or made[0].shape[1:] != [1, side, side]:
        raise BadInput("cutter_unknown", file=path.name)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Salient(KNOWN.get(sha256, path.name), session, side)
