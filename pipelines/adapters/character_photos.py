"""Photos of a character, laid out as an adapter reads them: cut out, in squares, whole and in parts. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.adapters.character_layout import COLOURS, Layout
from pipelines.errors import BadInput
from pipelines.pictures import check_rgb

__all__ = ["LEAST_PX", "CharacterPhoto", "LaidOut", "align_face", "best_views", "lay_out", "part_colours"]

LEAST_PX = 64
"""Of a photo's shorter side and of its subject's longer one: with less there is no face to keep."""
_LEAST_PART = 24  # pixels of a part: with less it is not seen

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CharacterPhoto:
    """A photo uint8 [h, w, 3], the `mask` bool [h, w] of its subject, and masks of `parts` of it by their regions.

    `landmarks` float32 [5, 2] in pixels are the face's: eyes, nose, corners of the mouth; None where none was found. Of
    a photo that gives some regions only (the clothes of somebody else), `shown` names them: the others are never seen.
    """

    image: Rgb
    mask: Mask
    parts: Mapping[str, Mask] = field(default_factory=dict)
    landmarks: npt.NDArray[np.float32] | None = None
    shown: frozenset[str] | None = None

    def __post_init__(self) -> None:
        check_rgb(self.image)
        for mask in (self.mask, *self.parts.values()):
            if mask.shape != self.image.shape[:2]:
                raise BadInput("character_mask_size", mask=list(mask.shape), picture=list(self.image.shape[:2]))
        if min(self.image.shape[:2]) < LEAST_PX:
            height, width = self.image.shape[:2]
            raise BadInput("character_photo_small", height=height, width=width, least=LEAST_PX)
        if not self.mask.any():
            raise BadInput("character_not_cut_out")

    def seen(self, off: Collection[str] = ()) -> dict[str, Mask]:
        """Return where each region is to be seen, "whole" is the subject; what is `off` is nowhere in it, either."""
        hidden = self.hidden(off)
        erased = np.zeros(self.mask.shape, np.bool_)
        for region in hidden:
            erased |= self.parts.get(region, erased)
        own = {region: mask & ~erased for region, mask in {"whole": self.mask, **self.parts}.items()}
        least = {region: 1 if region == "whole" else _LEAST_PART for region in own}
        return {r: mask for r, mask in own.items() if r not in hidden and mask.sum() >= least[r]}

    def hidden(self, off: Collection[str] = ()) -> set[str]:
        """Return the regions that are not to be seen: those that are `off`, and those that the photo is not for."""
        return set(off) | (set() if self.shown is None else {"whole", *self.parts, "face"} - self.shown)


@dataclass(frozen=True, eq=False)
class LaidOut:
    """Squares uint8 [side, side, 3]: `regions` by their number in the layout, and the whole's `quarters`, if any.

    By the same numbers, `colours` float32 [7] of each region (`part_colours`), and its `worth` among photos, ≥ 0.
    `face` is the aligned face, None where there is none or it is off.
    """

    regions: Mapping[int, Rgb]
    quarters: tuple[Rgb, ...]
    colours: Mapping[int, npt.NDArray[np.float32]]
    worth: Mapping[int, float]
    face: Rgb | None = None


def lay_out(photo: CharacterPhoto, layout: Layout, side: int, off: Collection[str] = (), face_side: int = 0) -> LaidOut:
    """Return the photo's regions as the encoders read them, `side` pixels; those that are `off` or not seen are left
    out, and what is off is nowhere to be seen in the whole, nor beside the face, either.
    """
    masks, hidden = photo.seen(off), photo.hidden(off)
    seen = {number: masks[region] for number, region in enumerate(layout.regions) if region in masks}
    regions: dict[int, Rgb] = {}
    quarters: tuple[Rgb, ...] = ()
    for number, mask in seen.items():
        square = Image.fromarray(_square(photo.image, mask, layout))
        regions[number] = _resized(square, side)
        if number == 0 and layout.quarters:
            large = _resized(square, 2 * side)
            halves = (slice(None, side), slice(side, None))
            quarters = tuple(np.ascontiguousarray(large[rows, columns]) for rows in halves for columns in halves)
    face = None
    if face_side and photo.landmarks is not None and "face" not in hidden:
        image = photo.image.copy()
        for region in hidden & photo.parts.keys():
            image[photo.parts[region]] = layout.ground
        face = align_face(image, photo.landmarks, face_side)
    return LaidOut(
        regions, quarters, {n: part_colours(photo.image, mask, photo.mask) for n, mask in seen.items()},
        {n: _worth(photo.image, mask) for n, mask in seen.items()}, face,
    )  # fmt: skip


def align_face(image: Rgb, landmarks: npt.NDArray[np.float32], side: int) -> Rgb:
    """Return the face uint8 [side, side, 3] as insightface's recognisers take it, in RGB; five landmarks [5, 2]."""
    from insightface.utils import face_align

    return np.asarray(face_align.norm_crop(np.ascontiguousarray(image), landmarks, side), np.uint8)


def part_colours(image: Rgb, mask: Mask, subject: Mask) -> npt.NDArray[np.float32]:
    """Return what colours a part has, float32 [7]: mean and deviation of its own pixels in units of a quarter of the
    range, and the square root of its share of the subject.
    """
    own = image[mask].astype(np.float32) / 255
    share = np.sqrt(min(1.0, mask.sum() / max(1, subject.sum())))
    found = np.concatenate([4 * own.mean(axis=0) - 2, 4 * own.std(axis=0), [share]]).astype(np.float32)
    assert len(found) == COLOURS
    return found


def best_views(laid: Sequence[LaidOut], most: int) -> dict[int, list[int]]:
    """Return by each region's number which photos show it best, at most `most`, in the photos' order."""
    numbers = sorted({number for one in laid for number in one.regions})
    found = {}
    for number in numbers:
        having = [k for k, one in enumerate(laid) if number in one.regions]
        found[number] = sorted(sorted(having, key=lambda k: -laid[k].worth[number])[:most])
    return found


def _worth(image: Rgb, mask: Mask) -> float:
    """How much a part's picture says: its sharpness, its size, how little of its outline the picture's edge cuts."""
    grey = image.mean(axis=2)
    steps = np.abs(np.diff(grey, axis=1))[mask[:, 1:] & mask[:, :-1]]
    edge = mask[0].sum() + mask[-1].sum() + mask[:, 0].sum() + mask[:, -1].sum()
    around = 2 * (mask.any(axis=0).sum() + mask.any(axis=1).sum())
    sharp = 1.0 + (float(steps.mean()) if len(steps) else 0.0)
    return float(sharp * np.sqrt(mask.sum()) * (1 - min(1.0, edge / around)))


def _square(image: Rgb, mask: Mask, layout: Layout) -> Rgb:
    """The mask's own pixels on the layout's ground, in the smallest square around them and its margin."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    cut = np.where(mask[window][..., None], image[window], np.uint8(layout.ground))
    height, width = cut.shape[:2]
    longer = max(height, width)
    side = longer + 2 * round(layout.margin * longer)
    square = np.full((side, side, 3), layout.ground, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = cut
    return square


def _resized(square: Image.Image, side: int) -> Rgb:
    return np.asarray(square.resize((side, side), Image.Resampling.BICUBIC))
