"""Kept pixels in depth: a landmark stands behind the person, goods before them, but behind their head and hands.

While a picture is drawn, what it will show is looked at early (its layout is settled long before its details): kept
cells are kept only where nobody stands before them, so a person is drawn whole. Afterwards the real pixels are laid
in behind what was drawn. The drawn background is bent to meet them, as `pipelines.references.landmark` does; a person
is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipelines.masks import MARGIN_PX
from pipelines.references.landmark import Landmark, bend_background, grow_mask

__all__ = ["FADE_PX", "GoodsPixels", "KeptLayers", "Look", "Seen", "front_of", "lay_behind"]

FADE_PX = 10
"""Drawn pixels beyond them over which the photo fades into the drawing."""
_EDGE = 0.7  # sigma in pixels of a soft outline
_SPECK = 0.0006  # share of a picture; smaller parts of a reading are noise
_ROOM_PX = 3  # around a person, drawn with them: cells are coarser than outlines
_RIM_PX = 3  # around goods, where their colours bleed into the drawing
_SHADOW = 0.35
_SHOWN = 0.5 / 255
_SAME = 1 / 70  # of a picture's height, by which two readings of an outline differ
_MOST_LOOKS = 4

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Share = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Seen:
    """What is seen in a picture, bool [h, w]: the `person`, and of them their `head` and their bare `hands`."""

    person: Mask
    head: Mask
    hands: Mask


Look = Callable[[Rgb], Seen]


@dataclass(frozen=True, eq=False)
class GoodsPixels:
    """Goods on the canvas: colours uint8 [h, w, 3] and how much of each pixel is theirs, float32 [h, w]."""

    image: Rgb
    share: Share

    @property
    def mask(self) -> Mask:
        return np.asarray(self.share >= 0.5, np.bool_)


@dataclass(frozen=True, eq=False)
class KeptLayers(Landmark):
    """A Landmark of layers. `look` reads a picture; `photo` uint8 [h, w, 3] is the scene, of which `marked` bool [h, w]
    is kept (None: nothing of it); `goods` stand before it, and before the person but for their head, and their hands
    where goods may be `held`: where somebody said where they are. Else they stand in front, and throw a `shadow`.

    `image` and `mask` hold all of them as they are kept while drawing: with some of the landmark's surroundings.
    """

    look: Look | None = None
    photo: Rgb | None = None
    marked: Mask | None = None
    goods: GoodsPixels | None = None
    held: bool = False
    shadow: bool = True

    @property
    def looks(self) -> bool:
        return self.look is not None

    def hidden(self, picture: Rgb) -> Mask:
        """Return what of the kept pixels the picture's person hides, with room around them, bool [h, w]."""
        assert self.look is not None
        seen = self.look(picture)
        hidden = grow_mask(_tidy(seen.person), _ROOM_PX) if seen.person.any() else seen.person
        if self.goods is None:
            return hidden
        near = self.nearest(seen)
        return np.where(self.goods.mask, near, hidden)

    def nearest(self, seen: Seen) -> Mask:
        """Return what is seen in front of the goods, bool [h, w]."""
        return _tidy(seen.head | seen.hands if self.held else seen.head)

    def finish(self, picture: Rgb) -> Rgb:
        return lay_behind(picture, self) if self.exact else picture


def lay_behind(drawn: Rgb, layers: KeptLayers) -> Rgb:
    """Lay the landmark and the goods into a drawn picture uint8 [h, w, 3], behind what stands before them.

    What is no longer seen as the person's once the real pixels are there was none of them, and is laid over.
    """
    assert layers.look is not None
    seen = layers.look(drawn)
    person, nearest = _tidy(seen.person), layers.nearest(seen)
    picture = _lay(drawn, layers, person, nearest)
    for _ in range(_MOST_LOOKS):
        again = layers.look(picture).person
        strange = person & layers.mask & (_away(again) > _SAME * len(again))
        if not strange.any():
            break
        person = person & ~strange
        picture = _lay(drawn, layers, person, nearest)
    return picture


def _lay(drawn: Rgb, layers: KeptLayers, person: Mask, nearest: Mask) -> Rgb:
    picture = drawn
    if layers.marked is not None and layers.photo is not None:
        picture = _lay_landmark(picture, layers.photo, layers.marked, _soft(person))
    if layers.goods is not None:
        shown = np.zeros_like(person)
        if layers.marked is not None and layers.photo is not None:
            shown = layers.marked & ~front_of(picture, layers.photo, layers.marked)
        picture = _lay_goods(picture, drawn, layers.goods, _soft(nearest), shown, layers.shadow)
    return picture


def _away(mask: Mask) -> Floats:
    """Distance in pixels of each pixel outside of the mask to it; infinite where it is empty."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    distance: Floats = ndimage.distance_transform_edt(~mask)
    return distance


def front_of(picture: Rgb, image: Rgb, mask: Mask) -> Mask:
    """Return where a picture shows something else than the image's own pixels within the mask, bool [h, w]."""
    return mask & (picture != image).any(axis=2)


def _lay_landmark(drawn: Rgb, photo: Rgb, marked: Mask, before: Share) -> Rgb:
    free = before < _SHOWN
    if not (marked & free).any():
        return drawn
    far = ndimage.distance_transform_edt(~marked)
    kept = (far <= MARGIN_PX) & free
    smooth = bend_background(drawn, photo, kept, ~free)
    t = np.clip((far - MARGIN_PX) / FADE_PX, 0, 1)
    share = (1 - t * t * (3 - 2 * t))[..., None]
    front = before.astype(np.float64)[..., None]
    mixed = front * drawn + (1 - front) * (share * photo + (1 - share) * smooth)
    result = mixed.round().clip(0, 255).astype(np.uint8)
    result[kept] = photo[kept]
    return result


def _lay_goods(picture: Rgb, drawn: Rgb, goods: GoodsPixels, before: Share, exact: Mask, shadow: bool) -> Rgb:
    """The picture with the goods in it; nothing around them is changed where it is `exact`."""
    share = goods.share * (1 - before)
    if not (share > 0.5).any():
        return picture
    touched = (goods.mask & (before > 0.5)).sum()
    around = _without_rim(picture, goods.mask, before)
    if shadow and not touched:
        around = _shade(around, goods.mask, before)
    around = np.where(exact[..., None], picture, around)
    mixed = share[..., None] * goods.image + (1 - share[..., None]) * around
    result = mixed.round().clip(0, 255).astype(np.uint8)
    held = goods.mask & (before > _SHOWN)
    result[held & (before > 0.5)] = drawn[held & (before > 0.5)]
    whole = goods.mask & (before < _SHOWN) & (goods.share > 1 - _SHOWN)
    result[whole] = goods.image[whole]
    return result


def _without_rim(picture: Rgb, goods: Mask, before: Share) -> Rgb:
    """The picture without the goods' colours around their outline: what is farther away goes on up to it."""
    rim = grow_mask(goods, _RIM_PX) & (before < 0.5)
    if rim.all():
        return picture
    nearest = ndimage.distance_transform_edt(rim, return_distances=False, return_indices=True)
    filled = picture[nearest[0], nearest[1]].astype(np.float32)
    smooth = cv2.GaussianBlur(filled, (0, 0), 1.5)
    return np.where(rim[..., None], smooth.round(), picture).astype(np.uint8)


def _shade(picture: Rgb, goods: Mask, before: Share) -> Rgb:
    """The picture with the shadow that goods throw where they stand; none where they reach over its lower edge."""
    rows, columns = np.flatnonzero(goods.any(axis=1)), np.flatnonzero(goods.any(axis=0))
    foot, tall, wide = int(rows[-1]), len(rows), int(columns[-1] - columns[0] + 1)
    if foot >= picture.shape[0] - 2:
        return picture
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    high = max(2.0, 0.05 * tall)
    u, v = (x - columns.mean()) / (0.6 * wide), (y - foot) / high
    dark = _SHADOW * np.exp(-2 * (u * u + v * v)) * (1 - before)
    return np.asarray((picture * (1 - dark[..., None])).round(), np.uint8)


def _tidy(mask: Mask) -> Mask:
    """The mask without specks and pinholes, its outline smoothed."""
    smooth = cv2.medianBlur(mask.astype(np.uint8), 5)
    least = max(4, round(_SPECK * mask.size))
    for value in (1, 0):
        count, parts, sizes, _ = cv2.connectedComponentsWithStats((smooth == value).astype(np.uint8), connectivity=4)
        small = [i for i in range(1, count) if sizes[i, cv2.CC_STAT_AREA] < least]
        smooth[np.isin(parts, small)] = 1 - value
    return np.asarray(smooth > 0, np.bool_)


def _soft(mask: Mask) -> Share:
    """How much of each pixel is the mask's, float32 [h, w] in [0, 1]: exactly 0 and 1 away from its outline."""
    soft = cv2.GaussianBlur(mask.astype(np.float32), (5, 5), _EDGE)
    return np.asarray(soft, np.float32)
