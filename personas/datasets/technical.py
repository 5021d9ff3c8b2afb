"""How a picture is as a picture, whatever it shows: sharp, noisy, flat, enlarged, framed by bars, dark, pale. Pure.

All numbers are of a grey copy of at most 1024 pixels a side, in tiles, because a soft background is no fault: the
sharpest tenth of the picture decides.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

__all__ = ["LONGEST_PX", "Technical", "crisp_at", "grey_copy", "measure_technical"]

LONGEST_PX = 1024
_TILES, _LEAST_TILE_PX = 12, 16
_SHARPEST = 90  # percentile of the tiles
_FINE, _MIDDLE, _COARSE, _NOTHING = 0.8, 1.0, 3.0, 0.05
_FLAT, _STEP, _ACROSS = 3.0, 12.0, 0.5
_NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)

Grey = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]
Box = tuple[float, float, float, float]


class Technical(BaseModel):
    """`crisp`: what is finer than .8 pixels over what is between 1 and 3 (standard deviations, in the sharpest tenth of
    the tiles); over .36 on renders and photos as they come, under .3 once they are blurred by a pixel or were enlarged
    to twice their size. `noise`: standard deviation in 8 bits of the quietest tenth (Immerkær 1996). `spread`: standard
    deviation of the brightness in 8 bits. `bars`: share of the picture in plain bars at its edges. `darkest` and
    `brightest`: 5th and 99th percentile of the brightness in [0, 1]. `blocks`: steps at every eighth pixel over steps
    elsewhere, about 1 where no JPEG's blocks are to be seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    crisp: float
    noise: float
    spread: float
    bars: float
    darkest: float
    brightest: float
    blocks: float


def grey_copy(picture: Picture) -> Grey:
    """Return the brightness of uint8 [h, w, 3] RGB in [0, 255], reduced to at most LONGEST_PX a side."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    scale = LONGEST_PX / max(grey.shape)
    if scale >= 1:
        return grey
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def measure_technical(picture: Picture, grey: Grey | None = None) -> Technical:
    """Measure uint8 [h, w, 3] RGB of at least 64 pixels a side; `grey` is its `grey_copy`, if it is known."""
    small = grey_copy(picture) if grey is None else grey
    darkest, brightest = np.percentile(small, (5, 99)) / 255
    return Technical(
        crisp=_rounded(_crisp(small)),
        noise=_rounded(_noise(small)),
        spread=_rounded(float(small.std())),
        bars=_rounded(_bars(small)),
        darkest=_rounded(float(darkest)),
        brightest=_rounded(float(brightest)),
        blocks=_rounded(_blocks(picture)),
    )


def crisp_at(grey: Grey, box: Box) -> float:
    """Return `crisp` within (x0, y0, x1, y1) in pixels of the grey copy."""
    height, width = grey.shape
    x0, y0 = int(np.clip(box[0], 0, width - 8)), int(np.clip(box[1], 0, height - 8))
    x1, y1 = int(np.clip(box[2], x0 + 8, width)), int(np.clip(box[3], y0 + 8, height))
    return _rounded(_crisp(grey[y0:y1, x0:x1]))


def _deviation_in_tiles(values: Grey) -> float:
    """The 90th percentile over tiles of the standard deviation."""
    side = max(_LEAST_TILE_PX, max(values.shape) // _TILES)
    rows, columns = values.shape[0] // side, values.shape[1] // side
    if not rows or not columns:
        return float(values.std())
    tiles = values[: rows * side, : columns * side].reshape(rows, side, columns, side).swapaxes(1, 2)
    return float(np.percentile(tiles.reshape(rows * columns, -1).std(axis=1), _SHARPEST))


def _noise(grey: Grey) -> float:
    rough = np.abs(cv2.filter2D(grey, cv2.CV_32F, _NOISE, borderType=cv2.BORDER_REFLECT)) * np.sqrt(np.pi / 2) / 6
    side = max(_LEAST_TILE_PX, max(grey.shape) // _TILES)
    mean = cv2.blur(rough, (side, side))[side // 2 :: side, side // 2 :: side]
    return float(np.percentile(mean, 10)) if mean.size else float(rough.mean())


def _crisp(grey: Grey) -> float:
    """What is finer than a pixel's blur over what is coarser, each in the sharpest tiles: no contrast changes it."""
    fine = _deviation_in_tiles(grey - cv2.GaussianBlur(grey, (0, 0), _FINE))
    coarse = _deviation_in_tiles(cv2.GaussianBlur(grey, (0, 0), _MIDDLE) - cv2.GaussianBlur(grey, (0, 0), _COARSE))
    return fine / coarse if coarse > _NOTHING else 1.0  # a plain picture is not blurred


def _bars(grey: Grey) -> float:
    """Share of the picture in plain rows or columns at two opposite edges that end at once, all across."""
    height, width = grey.shape
    shares = []
    for turned, length in ((grey, height), (grey.T, width)):
        first, last = _bar(turned), _bar(turned[::-1])
        shares.append((first + last) / length if min(first, last) else 0.0)
    return min(1.0, sum(shares))


def _bar(grey: Grey) -> int:
    """How many rows at the top are one plain colour, if what follows differs from it nearly everywhere."""
    colour = float(np.median(grey[0]))
    plain = np.abs(grey - colour).max(axis=1) <= _FLAT
    deep = len(plain) if plain.all() else int(plain.argmin())
    if deep == 0 or deep > len(grey) // 2:
        return 0
    behind = grey[min(len(grey) - 1, deep + 2)]  # compression smears a row or two
    return deep if float((np.abs(behind - colour) > _STEP).mean()) >= _ACROSS else 0


def _blocks(picture: Picture) -> float:
    """Steps of brightness at every eighth column and row over those elsewhere, in the picture's own pixels."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    shares = []
    for turned in (grey, grey.T):
        steps = np.abs(np.diff(turned, axis=1)).mean(axis=0)
        if len(steps) < 24:
            continue
        edge = np.arange(len(steps)) % 8 == 7
        shares.append(float(steps[edge].mean() + 0.5) / float(steps[~edge].mean() + 0.5))
    return float(np.mean(shares)) if shares else 1.0


def _rounded(value: float) -> float:
    return round(value, 4)
