"""Photos of a character, laid out as an adapter reads them: cut out, in squares, whole and in parts. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.adapters.character_layout import Layout
from pipelines.errors import BadInput
from pipelines.pictures import check_rgb

__all__ = ["LEAST_PX", "CharacterPhoto", "LaidOut", "lay_out"]

LEAST_PX = 64
"""Of a photo's shorter side and of its subject's longer one: with less there is no face to keep."""

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class CharacterPhoto:
    """A photo uint8 [h, w, 3], the `mask` bool [h, w] of its subject, and masks of `parts` of it by their regions."""

    image: Rgb
    mask: Mask
    parts: Mapping[str, Mask] = field(default_factory=dict)

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

    def seen(self, region: str) -> Mask | None:
        """Return where a region is to be seen, None where it is not; "whole" is the subject."""
        mask = self.mask if region == "whole" else self.parts.get(region)
        return mask if mask is not None and mask.any() else None


@dataclass(frozen=True, eq=False)
class LaidOut:
    """Squares uint8 [side, side, 3]: `regions` by their number in the layout, and the whole's `quarters`, if any."""

    regions: Mapping[int, Rgb]
    quarters: tuple[Rgb, ...]


def lay_out(photo: CharacterPhoto, layout: Layout, side: int, off: Collection[str] = ()) -> LaidOut:
    """Return the photo's regions as the encoders read them, `side` pixels; those that are `off` or not seen are left
    out, and what is off is nowhere to be seen in the whole either.
    """
    erased = np.zeros(photo.mask.shape, np.bool_)
    for region in off:
        erased |= photo.parts.get(region, erased)
    regions: dict[int, Rgb] = {}
    quarters: tuple[Rgb, ...] = ()
    for number, region in enumerate(layout.regions):
        mask = None if region in off else photo.seen(region)
        mask = None if mask is None else mask & ~erased
        if mask is None or not mask.any():
            continue
        square = Image.fromarray(_square(photo.image, mask, layout))
        regions[number] = _resized(square, side)
        if number == 0 and layout.quarters:
            large = _resized(square, 2 * side)
            halves = (slice(None, side), slice(side, None))
            quarters = tuple(np.ascontiguousarray(large[rows, columns]) for rows in halves for columns in halves)
    return LaidOut(regions, quarters)


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
