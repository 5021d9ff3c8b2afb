"""Facts of one picture, measured once and kept; limits are applied when they are read (`verdicts.judge`)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from personas.datasets.colours import Swatch, outfit_colour, palette
from personas.datasets.hashes import fingerprint
from personas.datasets.technical import Technical, crisp_at, grey_copy, measure_technical
from personas.measures.body import is_seen
from personas.measures.face import FaceReading
from personas.measures.regions import Regions

__all__ = ["THUMB_PX", "FaceFacts", "PictureFacts", "embedding_of", "measure_picture", "thumb_of", "yaw_of"]

THUMB_PX = 32
_NOSE = 1.1  # how far the tip of a nose stands out, in half distances of the eyes
_FACE_PX, _AROUND = 24, 1.5  # pixels of the square; its side in heights of the face
_WHITE = 246
_SPECK = 0.002  # share of a picture: a region that is smaller is none
_SURE = 0.8  # a reader's word counts from this probability on

Picture = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FaceFacts(_Facts):
    """`box` (x0, y0, x1, y1) in shares of the picture; `short_px` its shorter side in pixels of the photo as it was
    brought; `yaw` in degrees, negative to the picture's left. `embedding` is float16 [d] of length 1 in base 64.
    `crisp` as of `measure_technical`, `brightness` (median) in [0, 1], and `burnt`, the share of pixels that are white
    or nearly so, within the box. `around` is
    24 × 24 RGB in base 64 of a square around it.
    """

    box: tuple[float, float, float, float]
    short_px: float
    score: float
    yaw: float
    crisp: float
    brightness: float
    burnt: float
    around: str
    embedding: str

    @property
    def height(self) -> float:
        """Return the height of the box as a share of the picture's."""
        return self.box[3] - self.box[1]


class PictureFacts(Technical):
    """How it is as a picture (`Technical`), and what it shows. `pixels` is the SHA-256 of the size and the pixels.
    `width` and `height` are those of the photo as it was brought. `thumb` is 32 × 32 RGB in base 64. `faces` are the
    best first. `people` is how many a detector of people counts, `body` the share of the picture that a person takes,
    `hair` an embedding of the hair as `FaceFacts`' ("" where there is none), `feet` and `hips` whether joints are in
    the picture: None where no reader can tell. `words` are what the backbone's own reader is sure of; none of a
    photograph that is not of the backbone's look (`own_look` False). `keep` are boxes as of faces, of head and goods,
    that no crop may cut; none where no reader can tell.
    """

    pixels: str
    width: int
    height: int
    dhash: str
    phash: str
    dhash_mirrored: str
    phash_mirrored: str
    thumb: str
    faces: tuple[FaceFacts, ...] = ()
    people: int | None = None
    body: float | None = None
    hips: bool | None = None
    feet: bool | None = None
    hair: str = ""
    own_look: bool = True
    words: Mapping[str, str] = Field(default_factory=dict)
    outfit: Swatch | None = None
    palette: tuple[Swatch, ...] = ()
    keep: tuple[tuple[float, float, float, float], ...] = ()

    @property
    def face(self) -> FaceFacts | None:
        """Return the face that the picture is of."""
        return self.faces[0] if self.faces else None


def measure_picture(
    picture: Picture,
    faces: Sequence[FaceReading],
    regions: Regions | None,
    *,
    own_look: bool = True,
    brought: tuple[int, int] | None = None,
) -> PictureFacts:
    """Return the facts of uint8 [h, w, 3] RGB.

    `regions` are a reader's that knows such pictures; None where it was made for others. `brought` (height, width) is
    the size of the photo before it was reduced.
    """
    height, width = picture.shape[:2]
    tall, wide = (height, width) if brought is None else brought
    grey = grey_copy(picture)
    small = cv2.resize(picture, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    found = tuple(_face(picture, grey, one, tall / height) for one in faces)
    told: dict[str, object] = {}
    if regions is not None:
        told = {
            "people": regions.people,
            "body": round(float(regions.person.mean()), 4),
            "hair": _packed(regions.hair_embedding) if regions.hair_embedding.any() else "",
            "hips": is_seen(regions, "hip_left") and is_seen(regions, "hip_right"),
            "feet": is_seen(regions, "foot_left") or is_seen(regions, "foot_right"),
            "words": {
                name: word for name, word in regions.told.items() if regions.probabilities.get(name, 0.0) >= _SURE
            },
            "keep": tuple(filter(None, map(_box_of, (regions.head, regions.goods)))),
        }
    return PictureFacts.model_validate(
        {
            "pixels": hashlib.sha256(f"{height} {width} ".encode() + picture.tobytes()).hexdigest(),
            "width": wide,
            "height": tall,
            "thumb": base64.b64encode(small.tobytes()).decode(),
            "faces": found,
            "own_look": own_look,
            "outfit": outfit_colour(picture, found[0].box) if found else None,
            "palette": palette(picture),
            **asdict(fingerprint(grey)),
            **measure_technical(picture, grey).model_dump(),
            **told,
        }
    )


def yaw_of(landmarks: Vector) -> float:
    """Return how far a head is turned, in degrees, from the five landmarks [5, 2] of a `FaceReading`.

    The nose stands out by p half distances of the eyes: turned by θ it is seen p·tan θ of them beside their middle.
    """
    left, right, nose = landmarks[0], landmarks[1], landmarks[2]
    along = np.asarray(right - left, np.float64)
    apart = float(np.hypot(*along))
    if apart < 1e-3:
        return 90.0
    beside = float(np.dot(np.asarray(nose - (left + right) / 2, np.float64), along / apart))
    return round(float(np.degrees(np.arctan(2 * beside / apart / _NOSE))), 1)


def embedding_of(packed: str) -> Vector:
    """Return a packed embedding as float32 [d] of length 1."""
    row = np.frombuffer(base64.b64decode(packed), np.float16).astype(np.float32)
    return np.asarray(row / max(float(np.linalg.norm(row)), 1e-9), np.float32)


def thumb_of(packed: str) -> Vector:
    """Return a packed square of RGB as float32 [s, s, 3] in [0, 1]."""
    flat = np.frombuffer(base64.b64decode(packed), np.uint8).astype(np.float32) / np.float32(255)
    side = round((len(flat) / 3) ** 0.5)
    return np.asarray(flat.reshape(side, side, 3), np.float32)


def _box_of(seen: npt.NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    """The box around the largest part of a region, in shares; None where that is a speck."""
    _, _, parts, _ = cv2.connectedComponentsWithStats(seen.astype(np.uint8), connectivity=8)
    x, y, wide, tall, area = max((row.tolist() for row in parts[1:]), key=lambda row: row[4], default=[0] * 5)
    if area < _SPECK * seen.size:
        return None
    height, width = seen.shape
    return round(x / width, 4), round(y / height, 4), round((x + wide) / width, 4), round((y + tall) / height, 4)


def _face(picture: Picture, grey: Vector, face: FaceReading, enlarged: float) -> FaceFacts:
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = face.box
    scale = grey.shape[0] / height
    box = (x0 * scale, y0 * scale, x1 * scale, y1 * scale)
    rows = slice(max(0, int(box[1])), max(1, int(box[3])))
    columns = slice(max(0, int(box[0])), max(1, int(box[2])))
    inside = grey[rows, columns]
    return FaceFacts(
        box=(round(x0 / width, 4), round(y0 / height, 4), round(x1 / width, 4), round(y1 / height, 4)),
        short_px=round(min(x1 - x0, y1 - y0) * enlarged, 1),
        score=round(face.score, 4),
        yaw=yaw_of(face.landmarks),
        crisp=crisp_at(grey, box),
        brightness=round(float(np.median(inside)) / 255, 4) if inside.size else 0.0,
        burnt=round(float((inside >= _WHITE).mean()), 4) if inside.size else 0.0,
        around=_around(picture, face.box),
        embedding=_packed(face.embedding),
    )


def _around(picture: Picture, box: tuple[float, float, float, float]) -> str:
    """A square half as high again as the face, where it sticks out with the picture's edge going on."""
    x, y, side = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, _AROUND * (box[3] - box[1])
    scale = side / _FACE_PX
    move = np.array(
        [[scale, 0, x - side / 2 + scale / 2 - 0.5], [0, scale, y - side / 2 + scale / 2 - 0.5]], np.float32
    )
    soft = cv2.GaussianBlur(picture, (0, 0), max(0.3, 0.4 * scale))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(soft, move, (_FACE_PX, _FACE_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return base64.b64encode(np.ascontiguousarray(cut, np.uint8).tobytes()).decode()


def _packed(embedding: npt.NDArray[np.floating]) -> str:
    return base64.b64encode(np.asarray(embedding, np.float16).tobytes()).decode()
