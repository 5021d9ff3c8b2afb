"""Regions, keypoints, hair and quality of photographs: the PictureReader of real backbones.

A matte says where people are, a face parser what is hair and face around the face that the picture is of, and a pose
model where the body's joints are. It knows no words for outfits or light, so it tells no attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage

from personas.measures.face import FaceReader, FaceReading
from personas.measures.facexlib_nets import (
    QUALITY,
    load_matting,
    load_parsing,
    load_quality,
    matte_picture,
    parse_crops,
    rate_faces,
)
from personas.measures.person import PersonReader, person_of
from personas.measures.pose import PoseReader, from_coco
from personas.measures.regions import KEYPOINTS, LABELS, Regions
from personas.measures.scene import to_lab
from pipelines.backbones import best_device

__all__ = ["PhotographicReader", "hair_embedding", "join_labels"]

Picture = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]
_BODY_SKIN, _FACE, _HAIR, _CLOTHES = (LABELS.index(name) for name in ("body_skin", "face", "hair", "clothes"))
# CelebAMask-HQ's classes in the order of facexlib's BiSeNet: background; skin, brows, eyes, glasses, ears; earring;
# nose, mouth, lips; neck, necklace, cloth, hair, hat. 0 leaves what the matte says.
_OF_CLASS = np.array(
    [0, *[_FACE] * 8, _CLOTHES, *[_FACE] * 4, _BODY_SKIN, _CLOTHES, _CLOTHES, _HAIR, _CLOTHES], np.uint8
)
_CROP = 2.6  # the parser's square in heights of the face's box: as much as in the portraits it was trained on
_LAB_BINS, _LAB_RANGES = (5, 5, 5), ((0.0, 100.0), (-40.0, 60.0), (-40.0, 60.0))
_ROWS, _HEADS = 5, 2.5  # hair is looked at from the crown to so many heads below it
_NO_HAIR = np.zeros(np.prod(_LAB_BINS) * _ROWS, np.float32)


class PhotographicReader:
    """Holds the nets of one folder; `faces` finds the face that a picture is of, `people` (if given) everybody.

    Without hyperIQA's file there is no quality, without a folder `pose` there are no keypoints of the body.
    """

    def __init__(
        self, folder: Path, faces: FaceReader, people: PersonReader | None = None, device: torch.device | None = None
    ) -> None:
        """Raises ModelMissing."""
        where = best_device() if device is None else device
        self._faces, self._people = faces, people
        self._parsing, self._matting = load_parsing(folder, where), load_matting(folder, where)
        self._quality = load_quality(folder, where) if (folder / QUALITY).is_file() else None
        self._pose = PoseReader(folder / "pose", where) if (folder / "pose").is_dir() else None

    def read(self, images: Sequence[Picture]) -> tuple[Regions, ...]:
        """Parsing and pose take all pictures in one batch; a reading differs by rounding only from one made alone."""
        images = [np.array(image) for image in images]  # torch takes no array that cannot be written to
        faces = self._faces.read_many(images)
        labels = self._labels(images, faces)
        everybody = [None if self._people is None else self._people.read(image) for image in images]
        boxes = [_body_box(*parts) for parts in zip(labels, faces, everybody, strict=True)]
        bodies = self._bodies(images, boxes)
        readings = []
        for i, (image, face) in enumerate(zip(images, faces, strict=True)):
            points = from_coco(bodies[i], *image.shape[:2])
            if face is not None:
                _add_head(points, labels[i], face)
            people = everybody[i]
            readings.append(
                Regions(
                    labels=labels[i],
                    keypoints=points,
                    attributes={},
                    probabilities={},
                    hair_embedding=hair_embedding(image, labels[i] == _HAIR, points),
                    quality=self._rate(image, face),
                    people=None if people is None else len(people),
                )
            )
        return tuple(readings)

    def _labels(self, images: Sequence[Picture], faces: Sequence[FaceReading | None]) -> list[npt.NDArray[np.uint8]]:
        mattes = [matte_picture(self._matting, image) for image in images]
        squares = [None if face is None else _square(face.box) for face in faces]
        crops = [_cut(image, s) for image, s in zip(images, squares, strict=True) if s is not None]
        parsed = iter(parse_crops(self._parsing, crops) if crops else ())
        return [
            join_labels(matte, None if square is None else next(parsed), square)
            for matte, square in zip(mattes, squares, strict=True)
        ]

    def _bodies(self, images: Sequence[Picture], boxes: Sequence[Box | None]) -> list[npt.NDArray[np.float32]]:
        seen = [i for i, box in enumerate(boxes) if box is not None]
        found = [np.zeros((17, 3), np.float32) for _ in images]
        if self._pose is not None and seen:
            poses = self._pose.read([images[i] for i in seen], [b for b in boxes if b is not None])
            for i, pose in zip(seen, poses, strict=True):
                found[i] = pose
        return found

    def _rate(self, image: Picture, face: FaceReading | None) -> float | None:
        if self._quality is None or face is None:
            return None
        height, width = image.shape[:2]
        x0, y0 = max(0, int(face.box[0])), max(0, int(face.box[1]))
        crop = image[y0 : min(height, int(face.box[3]) + 1), x0 : min(width, int(face.box[2]) + 1)]
        return rate_faces(self._quality, [crop])[0]


def join_labels(
    matte: npt.NDArray[np.float32], parsed: npt.NDArray[np.uint8] | None, square: tuple[int, int, int] | None
) -> npt.NDArray[np.uint8]:
    """Labels uint8 [h, w]: people by the matte [h, w], and face, hair and neck by the parser's classes [s, s].

    `square` (x0, y0, side) is where the parser looked, in pixels; it may stick out of the picture. Without it nobody's
    head is known, and a person is all clothes.
    """
    labels = np.where(matte >= 0.5, _CLOTHES, 0).astype(np.uint8)
    if parsed is None or square is None:
        return labels
    height, width = labels.shape
    x0, y0, side = square
    known = np.asarray(Image.fromarray(_OF_CLASS[parsed]).resize((side, side), Image.Resampling.NEAREST))
    top, left, bottom, right = max(0, y0), max(0, x0), min(height, y0 + side), min(width, x0 + side)
    seen = known[top - y0 : bottom - y0, left - x0 : right - x0]
    part = labels[top:bottom, left:right]
    part[seen > 0] = seen[seen > 0]
    return labels


def hair_embedding(
    image: Picture, hair: npt.NDArray[np.bool_], keypoints: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Colour and length together: the root of the hair's Lab histogram in rows from the crown down, of length 1.

    `hair` bool [h, w]; `keypoints` [20, 3] with crown and chin. The cosine of two is their Bhattacharyya coefficient
    in [0, 1]; bins are blurred, so that another light moves hair to its neighbours' bins and not to strangers'.
    Zeros [625] where there is no hair or no head.
    """
    top, chin = (keypoints[KEYPOINTS.index(name)] for name in ("head_top", "chin"))
    head = float(chin[1] - top[1])
    if not hair.any() or min(top[2], chin[2]) == 0 or head < 2:
        return _NO_HAIR
    rows = np.clip((np.nonzero(hair)[0] - top[1]) / head / _HEADS, 0, 1 - 1e-6)
    lab = np.clip(to_lab(image[hair]), *np.array(_LAB_RANGES).T)
    counts, _ = np.histogramdd(np.column_stack([lab, rows]), bins=(*_LAB_BINS, _ROWS), range=(*_LAB_RANGES, (0.0, 1.0)))
    root = np.sqrt(ndimage.gaussian_filter(counts, 0.6, mode="constant")).ravel()
    return np.asarray(root / np.linalg.norm(root), np.float32)


def _square(box: Box) -> tuple[int, int, int]:
    """Around a face (x0, y0, x1, y1), with room for hair."""
    side = max(16, round(_CROP * max(box[3] - box[1], box[2] - box[0])))
    return round((box[0] + box[2]) / 2 - side / 2), round((box[1] + box[3]) / 2 - side / 2), side


def _cut(image: Picture, square: tuple[int, int, int]) -> Picture:
    """The square of the picture; its edge goes on where the square sticks out."""
    x0, y0, side = square
    rows = np.clip(np.arange(y0, y0 + side), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(x0, x0 + side), 0, image.shape[1] - 1)
    return image[rows[:, None], columns]


def _body_box(labels: npt.NDArray[np.uint8], face: FaceReading | None, everybody: Sequence[Box] | None) -> Box | None:
    """Return the box of the face's person: by the person package, else the connected part of the labels around it."""
    if face is None:
        return None
    if everybody is not None and (box := person_of(everybody, face.box)) is not None:
        return box
    parts, _ = ndimage.label(labels > 0)
    y, x = (int((face.box[i] + face.box[i + 2]) / 2) for i in (1, 0))
    mine = parts[min(max(y, 0), labels.shape[0] - 1), min(max(x, 0), labels.shape[1] - 1)]
    if mine == 0:
        return None
    rows, columns = np.flatnonzero((parts == mine).any(1)), np.flatnonzero((parts == mine).any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _add_head(points: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], face: FaceReading) -> None:
    """Add what COCO lacks: mouth corners by the detector, crown and chin by the regions in the face's columns."""
    for name, landmark in zip(
        ("eye_left", "eye_right", "nose", "mouth_left", "mouth_right"), face.landmarks, strict=True
    ):
        points[KEYPOINTS.index(name)] = *landmark, 1
    x0, x1 = (int(np.clip(face.box[i], 0, labels.shape[1] - 1)) for i in (0, 2))
    columns = labels[:, x0 : x1 + 1]
    skin = np.flatnonzero((columns == _FACE).any(1))
    head = np.flatnonzero(np.isin(columns, (_FACE, _HAIR)).any(1))
    if not len(skin):
        return
    middle = (face.box[0] + face.box[2]) / 2
    points[KEYPOINTS.index("head_top")] = middle, head[0], 1
    points[KEYPOINTS.index("chin")] = middle, skin[-1], 1
