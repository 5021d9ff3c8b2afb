"""Subject of measures: one picture, what was read in it, and what it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from personas.measures.face import FaceReading
from personas.measures.hair import HairReading
from personas.measures.regions import Regions
from personas.shots import Shot
from pipelines.references.cutout import Cutout, Place

__all__ = ["NEEDS", "CandidateMeasures", "Group", "Need", "ShownGoods", "ShownKept", "ShownScene", "Subject"]

Need = Literal[
    "picture", "faces", "regions", "attributes", "shot", "enrolment", "scene", "goods", "kept", "candidate", "group"
]  # fmt: skip
NEEDS: frozenset[Need] = frozenset(get_args(Need))
Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class CandidateMeasures:
    """Measures of one candidate. `face` float32 [d] of length 1, None where no face was found; `body` float32
    [6], NaN where a ratio was not seen; `eyes` float32 [3] their colour in CIELAB, None where it could not be read.

    `thumbnail` float32 [n] is a small grey picture (mean 0, length 1) that near-duplicates are found by. `numbers` are
    by the names of MEASURES; absent, None or NaN where it could not be measured.
    """

    face: Vector | None
    body: Vector
    hair: HairReading | None
    thumbnail: Vector
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    eyes: Vector | None = None


@dataclass(frozen=True, eq=False)
class Group:
    """Group to compare candidates with: the person's face, and the typical body, hair and eyes of those who are that
    person.

    `centre`, `body` and `eyes` as `face`, `body` and `eyes` of CandidateMeasures; None while it is not known.
    """

    centre: Vector
    body: Vector | None = None
    hair: HairReading | None = None
    eyes: Vector | None = None


@dataclass(frozen=True, eq=False)
class ShownScene:
    """The scene's photo on the canvas, uint8 [h, w, 3] RGB, and where a person stands in it, bool [h, w]."""

    canvas: npt.NDArray[np.uint8]
    person: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ShownGoods:
    """A product and the place where its pixels were put; None where the model drew it anew."""

    cutout: Cutout
    place: Place | None


@dataclass(frozen=True, eq=False)
class ShownKept:
    """What a post keeps the pixels of: the scene's `photo` uint8 [h, w, 3] where `marked`, bool [h, w], behind the
    person (None: nothing of it), and where `goods` were laid in, bool [h, w] (None: nowhere).
    """

    photo: npt.NDArray[np.uint8]
    marked: npt.NDArray[np.bool_] | None = None
    goods: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """One picture to be measured; None is what is not given, and `faces` () is a picture without a face.

    `picture` uint8 [h, w, 3] RGB; `faces` the one whose picture it is (see `FaceReader.read`); `attributes` as of
    Regions; `enrolment` [d] of length 1.
    """

    picture: npt.NDArray[np.uint8] | None = None
    faces: tuple[FaceReading, ...] | None = None
    regions: Regions | None = None
    attributes: Mapping[str, str] | None = None
    shot: Shot | None = None
    enrolment: npt.NDArray[np.float64] | None = None
    scene: ShownScene | None = None
    goods: ShownGoods | None = None
    kept: ShownKept | None = None
    candidate: CandidateMeasures | None = None
    group: Group | None = None

    @property
    def given(self) -> frozenset[str]:
        """Return the names of what is given."""
        return frozenset(f.name for f in fields(self) if getattr(self, f.name) is not None)
