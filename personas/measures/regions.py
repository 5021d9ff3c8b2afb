"""Regions, keypoints, attributes and hair of a picture; the miniature's are read by one small network (`reader.onnx`).

The folder's `reader.json` repeats the words below, so that a reader trained on other words is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from personas import shots
from personas.measures.arms import read_pose
from personas.measures.eyes import find_eyes_reader
from personas.measures.whole_eyes import find_whole_eyes_reader
from pipelines.errors import BadInput, ModelMissing
from pipelines.families.folders import reading

__all__ = ["ATTRIBUTES", "HEAD", "KEYPOINTS", "LABELS", "PERSON", "PictureReader", "RegionReader", "Regions"]

LABELS = ("background", "landmark", "body_skin", "face", "hair", "clothes", "goods")
PERSON = tuple(LABELS.index(name) for name in ("body_skin", "face", "hair", "clothes", "goods"))
HEAD = (LABELS.index("face"), LABELS.index("hair"))
KEYPOINTS = (
    "eye_left", "eye_right", "nose", "mouth_left", "mouth_right", "head_top", "chin", "neck",
    "shoulder_left", "shoulder_right", "elbow_left", "elbow_right", "hand_left", "hand_right",
    "hip_left", "hip_right", "knee_left", "knee_right", "foot_left", "foot_right",
)  # fmt: skip
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "framing": shots.FRAMINGS,
    "view": shots.VIEWS,
    "expression": shots.EXPRESSIONS,
    "light": shots.LIGHTS,
    "outfit": shots.OUTFITS,
    "outfit_colour": shots.OUTFIT_COLOURS,
    "setting": shots.SETTINGS,
    "goods": shots.GOODS,
}
_NO_GOODS = 0.002  # share of a picture that is called goods where there are none
HEIGHT, WIDTH = 256, 192  # what the reader sees; other sizes are resized to it


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of one picture of h × w pixels.

    `labels` uint8 [h, w], indices of LABELS; `keypoints` float32 [20, 3]: x, y in pixels and the probability of being
    inside the picture; `attributes` the likeliest word of each table that the reader knows, and the "pose" where arms
    are seen, `probabilities` a word's share; `hair_embedding` float32 [d], of length 1 where there is hair. `quality`
    in [0, 1] is a trained judge's, and `people` are counted; both None where the reader cannot tell. `eyes` float32 [3]
    is their colour in daylight, CIELAB; None where they are too small, hidden or differ. `whole_eyes` in [0, 1] says
    how surely both are as eyes are; None where nobody judges them, or they are too small.
    """

    labels: npt.NDArray[np.uint8]
    keypoints: npt.NDArray[np.float32]
    attributes: Mapping[str, str]
    probabilities: Mapping[str, float]
    hair_embedding: npt.NDArray[np.float32]
    quality: float | None = None
    people: int | None = None
    eyes: npt.NDArray[np.float32] | None = None
    whole_eyes: float | None = None

    @property
    def told(self) -> dict[str, str]:
        """Return the attributes without goods of which words and regions say different things."""
        share = float((self.labels == LABELS.index("goods")).mean())
        is_unsure = self.attributes.get("goods") == "nothing" and share > _NO_GOODS
        return {name: word for name, word in self.attributes.items() if not (is_unsure and name == "goods")}

    @property
    def head(self) -> npt.NDArray[np.bool_]:
        """Where face and hair are, bool [h, w]."""
        return np.isin(self.labels, HEAD)

    @property
    def goods(self) -> npt.NDArray[np.bool_]:
        """Where goods are, bool [h, w]."""
        return np.asarray(self.labels == LABELS.index("goods"))

    @property
    def person(self) -> npt.NDArray[np.bool_]:
        """Where the person is, bool [h, w]."""
        return np.isin(self.labels, PERSON)


class PictureReader(Protocol):
    """Reads what is where in a picture. There is one for the miniature's pictures and one for photographs."""

    def read(self, images: Sequence[npt.NDArray[np.uint8]]) -> tuple[Regions, ...]:
        """Read pictures uint8 [h, w, 3] RGB of any sizes."""
        ...


class RegionReader:
    """The miniature's; holds the network's session."""

    def __init__(self, folder: Path | str) -> None:
        """Raises ModelMissing, or BadInput if the reader was trained on other words."""
        network, words = Path(folder) / "reader.onnx", Path(folder) / "reader.json"
        if not network.is_file() or not words.is_file():
            raise ModelMissing("attribute_reader_missing", folder=str(folder))
        expected = {
            "labels": list(LABELS),
            "keypoints": list(KEYPOINTS),
            "attributes": {k: list(v) for k, v in ATTRIBUTES.items()},
        }
        with reading(str(folder)):
            if json.loads(words.read_text(encoding="utf-8")) != expected:
                raise BadInput("attribute_reader_other_words", folder=str(folder))
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            self._session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
            self._eyes = find_eyes_reader(Path(folder))
            self._whole_eyes = find_whole_eyes_reader(Path(folder))
        self._outputs = [o.name for o in self._session.get_outputs()]

    def read(self, images: Sequence[npt.NDArray[np.uint8]]) -> tuple[Regions, ...]:
        """Read pictures uint8 [h, w, 3] RGB, one at a time, so that a reading does not depend on its neighbours."""
        return tuple(self._read_one(image) for image in images)

    def _read_one(self, image: npt.NDArray[np.uint8]) -> Regions:
        height, width = image.shape[:2]
        fitted = image if (height, width) == (HEIGHT, WIDTH) else np.asarray(
            Image.fromarray(image).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
        )  # fmt: skip
        x = fitted.transpose(2, 0, 1)[None].astype(np.float32) / 255
        out = dict(zip(self._outputs, self._session.run(None, {"image": x}), strict=True))
        small = out["labels"][0].argmax(0).astype(np.uint8)
        labels = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST))
        keypoints = (out["keypoints"][0] * np.array([width, height, 1])).astype(np.float32)
        shares = {name: _softmax(out[name][0]) for name in ATTRIBUTES}
        return Regions(
            labels=labels,
            keypoints=keypoints,
            attributes={name: ATTRIBUTES[name][int(p.argmax())] for name, p in shares.items()} | read_pose(keypoints),
            probabilities={name: float(p.max()) for name, p in shares.items()},
            hair_embedding=out["hair_embedding"][0].astype(np.float32),
            eyes=None if self._eyes is None else self._eyes.read(image, keypoints),
            whole_eyes=None if self._whole_eyes is None else self._whole_eyes.read(image, keypoints),
        )


def _softmax(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    e = np.exp(x - x.max())
    return np.asarray(e / e.sum(), np.float32)
