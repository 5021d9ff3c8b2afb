"""Who is in the picture: face, landmarks and embedding, by any insightface pack in a folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import ModelMissing

__all__ = ["FaceCalibration", "FaceReader", "FaceReading", "mean_embedding", "pairwise_mean", "read_calibration"]

DETECTION_THRESHOLD = 0.5
_SIDE = 32  # sides of what the detector sees must be multiples of its largest stride
# An SCRFD finds no face much larger than its largest anchor, so a tight portrait is looked at small, too.
_SMALL, _LARGE = 256, 640


@dataclass(frozen=True, eq=False)
class FaceReading:
    """`embedding` float32 [d] of length 1; `score` in [0, 1]; `box` (x0, y0, x1, y1) and `landmarks` [5, 2] in pixels.

    Landmarks: the eye on the picture's left, the one on its right, nose, left and right corner of the mouth.
    `height_share` is the box's height as a share of the picture's.
    """

    embedding: npt.NDArray[np.float32]
    score: float
    box: tuple[float, float, float, float]
    landmarks: npt.NDArray[np.float32]
    height_share: float


class FaceCalibration(BaseModel):
    """What a recogniser's cosines mean, measured on people it was not trained on (`miniature.faces.calibrate`).

    `novelty_ceiling`: 99% of same-person, different-shot pairs exceed it. `true_accept_at_1e3`: share of same-person
    pairs over the cosine that one in a thousand different-person pairs exceeds, which is `different_people`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    novelty_ceiling: float = Field(ge=-1, le=1)
    different_people: float = Field(ge=-1, le=1)
    same_person_mean: float = Field(ge=-1, le=1)
    auc: float = Field(ge=0, le=1)
    true_accept_at_1e3: float = Field(ge=0, le=1)
    people: int = Field(gt=1)
    shots: int = Field(gt=1)
    seed: int


class FaceReader:
    """A pack (detection and recognition only). Looks for faces at the picture's own size, up to 640, and at 256."""

    def __init__(self, folder: Path | str) -> None:
        """Raises ModelMissing where the folder holds no pack."""
        self.folder = Path(folder)
        if not any(self.folder.glob("*.onnx")):
            raise ModelMissing(
                f"There are no face models in {folder}.", "It holds a detector and a recogniser as ONNX."
            )
        from insightface.app import FaceAnalysis

        self._app = FaceAnalysis(
            name=str(self.folder), allowed_modules=["detection", "recognition"], providers=["CPUExecutionProvider"]
        )
        self._app.prepare(ctx_id=-1, det_thresh=DETECTION_THRESHOLD, det_size=(256, 256))

    @cached_property
    def sha256(self) -> str:
        """Of the pack's files, so that cached embeddings of another pack are never compared."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.glob("*.onnx")):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def faces(self, image: npt.NDArray[np.uint8]) -> list[FaceReading]:
        """Every face in uint8 [h, w, 3] RGB, the best first: score, size and nearness to the upper middle together."""
        height, width = image.shape[:2]
        side = min(max(_SMALL, -(-max(height, width) // _SIDE) * _SIDE), _LARGE)
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        sizes = [(_SMALL, _SMALL)] if side == _SMALL else [(_SMALL, _SMALL), (side, side)]
        boxes, points = self._app.det_model.detect(bgr, input_size=sizes, max_num=0)
        readings = []
        for k in range(len(boxes)):
            x0, y0, x1, y1, score = (float(v) for v in boxes[k])
            readings.append((self._rank(boxes[k], height, width), k, score, (x0, y0, x1, y1)))
        readings.sort(key=lambda r: -r[0])
        return [self._read(bgr, points[k], score, box, height) for _, k, score, box in readings]

    def read(self, image: npt.NDArray[np.uint8]) -> FaceReading | None:
        """The face that the picture is of, None where there is none."""
        found = self.faces(image)
        return found[0] if found else None

    @staticmethod
    def _rank(box: npt.NDArray[np.float32], height: int, width: int) -> float:
        # The largest "face" may be a dog or a poster: a sure face in the middle is worth more.
        x, y = (box[0] + box[2]) / 2 / width - 0.5, (box[1] + box[3]) / 2 / height - 0.35
        size = np.sqrt(max(0.0, (box[2] - box[0]) * (box[3] - box[1])) / (height * width))
        return float(box[4] * (0.5 + size) * np.exp(-2 * (x * x + y * y)))

    def _read(
        self, bgr: npt.NDArray[np.uint8], points: npt.NDArray[np.float32], score: float,
        box: tuple[float, float, float, float], height: int,
    ) -> FaceReading:  # fmt: skip
        from insightface.app.common import Face

        face = Face(bbox=np.array(box), kps=points, det_score=score)
        self._app.models["recognition"].get(bgr, face)
        embedding = np.asarray(face.embedding, np.float32)
        embedding /= max(float(np.linalg.norm(embedding)), 1e-9)
        return FaceReading(embedding, score, box, np.asarray(points, np.float32), (box[3] - box[1]) / height)


def read_calibration(folder: Path | str) -> FaceCalibration:
    """`calibration.json` of a pack. Raises ModelMissing."""
    path = Path(folder) / "calibration.json"
    try:
        return FaceCalibration.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ModelMissing(
            f"The face pack {Path(folder).name} has no valid calibration: {error}", "Calibrate it before you use it."
        ) from error


def mean_embedding(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The normalised mean [d] of unit embeddings [n, d]: what a person is compared with (the Phota protocol)."""
    mean = np.asarray(embeddings, np.float64).mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


def pairwise_mean(embeddings: list[npt.NDArray[np.float32] | None]) -> float:
    """Mean cosine over all pairs; a pair in which a face is missing (None) counts 0."""
    n = len(embeddings)
    if n < 2:
        return 0.0
    there = np.stack([e for e in embeddings if e is not None]) if any(e is not None for e in embeddings) else None
    if there is None:
        return 0.0
    cosines = np.asarray(there, np.float64) @ np.asarray(there, np.float64).T
    return float((cosines.sum() - np.trace(cosines)) / (n * (n - 1)))
