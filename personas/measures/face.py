"""Reading of who is in the picture: face, landmarks and embedding, by any insightface pack."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from personas.measures.measure import Measure
from pipelines.errors import ModelMissing
from pipelines.families.folders import reading

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = [
    "FACE_HEIGHT", "FACE_SIMILARITY", "IDENTITY", "FaceCalibration", "FaceReader", "FaceReading", "face_height",
    "face_likeness", "face_rank", "find_pack", "identity", "mean_embedding", "pack_sha256", "pairwise_mean",
    "read_calibration",
]  # fmt: skip

DETECTION_THRESHOLD = 0.5
_SIDE = 32  # sides of what the detector sees must be multiples of its largest stride
# An SCRFD finds no face much larger than its largest anchor, so a tight portrait is looked at small, too.
_SMALL, _LARGE = 256, 640
_NAMED_PACKS = Path("~/.insightface/models")  # where insightface keeps the packs that it knows by name


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
    """Meaning of a recogniser's cosines, measured on people it was not trained on (`miniature.faces.calibrate`).

    `novelty_ceiling`: 99% of same-person, different-shot pairs exceed it. `true_accept_at_1e3`: share of same-person
    pairs over the cosine that one in a thousand different-person pairs exceeds, which is `different_people`.
    `pack_sha256` is of the pack that was measured; for no other are the numbers true.
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
    pack_sha256: str = Field(pattern="[0-9a-f]{64}")


def find_pack(name_or_folder: Path | str) -> Path:
    """The folder of a pack: as given, or by its name ("buffalo_l") among insightface's. Raises ModelMissing.

    Never downloads: the known packs are for research only, so a merchant has to choose one knowingly.
    """
    given = Path(name_or_folder).expanduser()
    named = (_NAMED_PACKS / given).expanduser()
    for folder in (given, named) if len(given.parts) == 1 else (given,):
        if any(folder.glob("*.onnx")) or (folder / "manifest.json").is_file():
            return folder
    raise ModelMissing("face_pack_missing", folder=str(given), packs=str(_NAMED_PACKS))


def pack_sha256(folder: Path | str) -> str:
    """Return the SHA-256 of all models of a pack, in hexadecimal; their names do not count."""
    files = (hashlib.sha256(path.read_bytes()).digest() for path in Path(folder).rglob("*.onnx"))
    return hashlib.sha256(b"".join(sorted(files))).hexdigest()


def face_rank(box: Sequence[float], score: float, height: int, width: int) -> float:
    """How likely the picture is of this face, ≥ 0: the detector's score, size and nearness to the upper middle.

    `box` (x0, y0, x1, y1) in a picture of height × width. The largest "face" may be a dog or a poster: a sure face in
    the middle is worth more.
    """
    x, y = (box[0] + box[2]) / 2 / width - 0.5, (box[1] + box[3]) / 2 / height - 0.35
    size = np.sqrt(max(0.0, (box[2] - box[0]) * (box[3] - box[1])) / (height * width))
    return float(score * (0.5 + size) * np.exp(-2 * (x * x + y * y)))


@dataclass(frozen=True, eq=False)
class _Found:
    """A detected face whose embedding is not known yet; `crop` uint8 [s, s, 3] BGR, aligned for the recogniser."""

    score: float
    box: tuple[float, float, float, float]
    landmarks: npt.NDArray[np.float32]
    height_share: float
    crop: npt.NDArray[np.uint8]

    def reading(self, embedding: npt.NDArray[np.float32]) -> FaceReading:
        unit = np.asarray(embedding / max(float(np.linalg.norm(embedding)), 1e-9), np.float32)
        return FaceReading(unit, self.score, self.box, self.landmarks, self.height_share)


class FaceReader:
    """A pack (detection and recognition only). Looks for faces at the picture's own size, up to 640, and at 256."""

    def __init__(self, name_or_folder: Path | str) -> None:
        """See `find_pack`. Raises ModelMissing."""
        self.folder = find_pack(name_or_folder)
        from insightface.app import FaceAnalysis

        with reading(self.folder.name):
            try:
                self._app = FaceAnalysis(
                    name=str(self.folder), allowed_modules=["detection", "recognition"],
                    providers=["CPUExecutionProvider"],
                )  # fmt: skip
                self._recogniser = self._app.models["recognition"]
            except (AssertionError, KeyError) as error:  # insightface asserts that there is a detector
                raise ModelMissing("face_pack_incomplete", pack=self.folder.name) from error
        if not self._app.det_model.use_kps:
            raise ModelMissing("face_detector_without_landmarks", pack=self.folder.name)
        self._app.prepare(ctx_id=-1, det_thresh=DETECTION_THRESHOLD, det_size=(256, 256))

    @property
    def recogniser(self) -> Any:
        """insightface's own: `model_file`, `input_size`, `input_mean`, `input_std`."""
        return self._recogniser

    @cached_property
    def sha256(self) -> str:
        """Return the pack's SHA-256, so that embeddings of another one are never compared."""
        return pack_sha256(self.folder)

    def faces(self, image: npt.NDArray[np.uint8]) -> list[FaceReading]:
        """Every face in uint8 [h, w, 3] RGB, the best first (`face_rank`)."""
        found = self._detect(image)
        embeddings = self._embed([face.crop for face in found])
        return [face.reading(row) for face, row in zip(found, embeddings, strict=True)]

    def read(self, image: npt.NDArray[np.uint8]) -> FaceReading | None:
        """The face that the picture is of, None where there is none."""
        return self.read_many([image])[0]

    def read_many(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[FaceReading | None]:
        """The face of each picture. Detection takes one picture at a time, recognition all best faces in one batch."""
        best = [found[0] if (found := self._detect(image)) else None for image in images]
        rows = iter(self._embed([face.crop for face in best if face is not None]))
        return [None if face is None else face.reading(next(rows)) for face in best]

    def _detect(self, image: npt.NDArray[np.uint8]) -> list[_Found]:
        from insightface.utils import face_align

        height, width = image.shape[:2]
        side = min(max(_SMALL, -(-max(height, width) // _SIDE) * _SIDE), _LARGE)
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        sizes = [(_SMALL, _SMALL)] if side == _SMALL else [(_SMALL, _SMALL), (side, side)]
        boxes, points = self._app.det_model.detect(bgr, input_size=sizes, max_num=0)
        found = []
        for row, landmarks in zip(boxes, points, strict=True):
            x0, y0, x1, y1, score = (float(v) for v in row)
            crop = face_align.norm_crop(bgr, landmark=landmarks, image_size=self._recogniser.input_size[0])
            found.append(_Found(score, (x0, y0, x1, y1), np.asarray(landmarks, np.float32), (y1 - y0) / height, crop))
        return sorted(found, key=lambda face: -face_rank(face.box, face.score, height, width))

    def _embed(self, crops: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
        """[n, d], not of length 1 yet. Some packs' recognisers take one crop at a time only."""
        if not crops:
            return np.zeros((0, 0), np.float32)
        fixed = isinstance(self._recogniser.input_shape[0], int)
        parts = [[crop] for crop in crops] if fixed else [list(crops)]
        return np.concatenate([np.asarray(self._recogniser.get_feat(part), np.float32) for part in parts])


def read_calibration(folder: Path | str) -> FaceCalibration:
    """`calibration.json` of a pack. Raises ModelMissing where there is none, or one of other models."""
    path = Path(folder) / "calibration.json"
    try:
        calibration = FaceCalibration.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise ModelMissing("calibration_invalid", pack=Path(folder).name, reason=str(error)) from error
    if calibration.pack_sha256 != pack_sha256(folder):
        raise ModelMissing("calibration_of_other_models", pack=Path(folder).name)
    return calibration


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


def face_height(subject: Subject) -> float:
    """Return the face's height as a share of the picture's; 0 where no face was found."""
    assert subject.faces is not None
    return subject.faces[0].height_share if subject.faces else 0.0


def face_likeness(subject: Subject) -> float | None:
    """Return the cosine of a candidate's face to the group's centre."""
    candidate, group = subject.candidate, subject.group
    assert candidate is not None and group is not None  # noqa: PT018
    return None if candidate.face is None else float(group.centre @ candidate.face)


def identity(subject: Subject) -> float:
    """Return the cosine of a post's face to the persona's enrolment; 0 where no face was found."""
    assert subject.faces is not None and subject.enrolment is not None  # noqa: PT018
    return float(subject.enrolment @ subject.faces[0].embedding) if subject.faces else 0.0


FACE_SIMILARITY = Measure(
    "face_similarity", frozenset({"candidate", "group"}), face_likeness, words={"en": "face", "zh": "脸"},
    low=-1, on_candidates=True,
)  # fmt: skip
FACE_HEIGHT = Measure(
    "face_height", frozenset({"faces"}), face_height, words={"en": "face size", "zh": "脸部大小"},
    on_candidates=True,
)  # fmt: skip
IDENTITY = Measure(
    "identity", frozenset({"faces", "enrolment"}), identity, words={"en": "person", "zh": "人物"},
    low=-1, on_posts=True, weak_below="strangers",
)  # fmt: skip
