"""A loss of pictures beside flow matching: what the model would arrive at is decoded and judged as a picture.

Flow matching sees latents, in which the few numbers that make a face somebody's weigh next to nothing. A judge of
pictures, such as a face recogniser, sees just these (the identity losses of PuLID, arXiv:2404.16022 §3.3, and
ID-Aligner, arXiv:2404.15449 §3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch.nn import functional

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.training.buckets import Box, Frame

__all__ = ["Box", "FramedLoss", "PictureLoss", "check_differentiable", "decode_box", "picture_loss"]

_WINDOW = 32  # cells of latents a side: a decoder normalises over what it sees, so a smaller part would look different
_MARGIN = 2  # cells around a larger box


class PictureLoss(Protocol):
    """Judges pictures of the training's examples, which it knows by their row.

    `fingerprint` says what it judges by: a training resumes only with the same.
    """

    @property
    def fingerprint(self) -> str: ...

    def box(self, row: int) -> Box | None:
        """Return what it looks at, as x0, y0, x1, y1 in pixels of the canvas; None leaves the example alone."""

    def __call__(
        self, pixels: torch.Tensor, row: int, corner: tuple[int, int], generator: torch.Generator
    ) -> torch.Tensor:
        """A loss ≥ 0 of `pixels` [3, h, w] in [-1, 1], a part of the picture whose upper left is at `corner` (x, y)."""


class FramedLoss:
    """A judge of whole pictures that is shown framed ones, by their place in a set.

    What is decoded is brought back to the picture's own scale and place, where the judge found what it looks at; a
    frame that cuts it off leaves the example alone.
    """

    def __init__(self, judge: PictureLoss, rows: Sequence[int], frames: Sequence[Frame | None]) -> None:
        self._judge, self._rows, self._frames = judge, rows, frames

    def box(self, place: int) -> Box | None:
        """Return the judge's box as the frame shows it, in pixels of the set's size."""
        box, frame = self._judge.box(self._rows[place]), self._frames[place]
        if box is None or frame is None:
            return box
        across, down = _scales(frame)
        x0, y0 = (box[0] - frame.window[0]) * across, (box[1] - frame.window[1]) * down
        x1, y1 = (box[2] - frame.window[0]) * across, (box[3] - frame.window[1]) * down
        if min(x0, y0) < 0 or x1 > frame.width or y1 > frame.height:
            return None
        return int(x0), int(y0), -int(-x1 // 1), -int(-y1 // 1)

    def __call__(
        self, pixels: torch.Tensor, place: int, corner: tuple[int, int], generator: torch.Generator
    ) -> torch.Tensor:
        row, frame = self._rows[place], self._frames[place]
        if frame is None:
            return self._judge(pixels, row, corner, generator)
        across, down = _scales(frame)
        size = max(1, round(pixels.shape[1] / down)), max(1, round(pixels.shape[2] / across))
        whole = functional.interpolate(pixels[None], size=size, mode="bilinear", align_corners=False, antialias=True)[0]
        where = round(corner[0] / across) + frame.window[0], round(corner[1] / down) + frame.window[1]
        return self._judge(whole, row, where, generator)


def _scales(frame: Frame) -> tuple[float, float]:
    x0, y0, x1, y1 = frame.window
    return frame.width / (x1 - x0), frame.height / (y1 - y0)


def check_differentiable(backbone: Backbone) -> None:
    """Raises BadInput where parts of the backbone wait in RAM: they would leave the device before the way back."""
    if backbone.plan.offload != "none":
        raise BadInput("backbone_not_whole_on_device", backbone=backbone.spec.id, precision=backbone.plan.precision)


def picture_loss(
    backbone: Backbone,
    loss: PictureLoss | FramedLoss,
    clean: torch.Tensor,
    sigmas: torch.Tensor,
    rows: Sequence[int],
    size: tuple[int, int],
    generator: torch.Generator,
) -> torch.Tensor:
    """Return the mean loss of predicted clean states [b, …] of `size` (height, width), each weighed by 1 − its sigma.

    From much noise the prediction is the blur of all that may come: its judgement counts less.
    """
    total = clean.new_zeros(())
    for state, sigma, row in zip(clean, sigmas, rows, strict=True):
        box = loss.box(row)
        assert box is not None, "rows without a box must be left out"
        pixels, corner = decode_box(backbone, backbone.model.unpack(state[None], *size), box)
        total = total + (1 - sigma) * loss(pixels, row, corner, generator)
    return total / len(rows)


def decode_box(backbone: Backbone, z: torch.Tensor, box: Box) -> tuple[torch.Tensor, tuple[int, int]]:
    """Decode latents [1, c, h, w] around `box` only, with gradients: pixels [3, h', w'] in [-1, 1], their corner.

    The window is 32 cells a side, or a little larger than the box: what is smaller is decoded whole, and of a large
    picture only a part must be kept for the way back.
    """
    scale = backbone.model.cell_px
    left, right = _window(box[0], box[2], scale, z.shape[3])
    top, bottom = _window(box[1], box[3], scale, z.shape[2])
    pixels = backbone.model.decode(z[:, :, top:bottom, left:right])
    return pixels[0].float().clamp(-1, 1), (left * scale, top * scale)


def _window(low: int, high: int, scale: int, cells: int) -> tuple[int, int]:
    """Cells from and to, for pixels from `low` to `high`."""
    size = min(cells, max(_WINDOW, -(-(high - low) // scale) + 2 * _MARGIN))
    start = round((low + high) / 2 / scale - size / 2)
    start = min(max(start, 0), cells - size)
    return start, start + size
