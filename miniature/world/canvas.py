"""What a figure is painted on, and how the people of a batch stand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from miniature.world.faults import Faults

BODY_SKIN, FACE, HAIR, CLOTHES, GOODS = 2, 3, 4, 5, 6  # personas.measures.regions.LABELS


@dataclass(frozen=True)
class Wear:
    """What the people of a batch wear besides their outfit, so that somebody can be dressed alike twice.

    RGB in [0, 1], [b, 3] each.
    """

    bottom_rgb: Tensor
    shoe_rgb: Tensor
    goods_rgb: Tensor


@dataclass(frozen=True)
class Look:
    """How the people of a batch stand: all [b], except rgb [b, 3]. Sizes in pixels, angles in radians.

    `outfit`, `pose` and `goods` are places in the tables of `personas.shots`; `close` is 1 in a close-up, else 0;
    where `raised` is 1 the arm that poses is above the head.
    """

    head_x: Tensor
    head_y: Tensor
    unit: Tensor
    yaw: Tensor
    tilt: Tensor
    smile: Tensor
    mouth_open: Tensor
    brow: Tensor
    eye_open: Tensor
    outfit: Tensor
    outfit_rgb: Tensor
    bottom_rgb: Tensor
    shoe_rgb: Tensor
    pose: Tensor
    goods: Tensor
    goods_rgb: Tensor
    close: Tensor
    faults: Faults | None = None
    raised: Tensor | None = None


class Canvas:
    """RGB [b, 3, h, w] and labels [b, h, w] that shapes are laid on, back to front."""

    def __init__(self, rgb: Tensor, labels: Tensor) -> None:
        self.rgb, self.labels = rgb, labels

    def lay(self, mask: Tensor, colour: Tensor, label: int) -> None:
        """Cover [b, h, w]; colour [b, 3] or [b, 3, h, w]."""
        if colour.ndim == 2:
            colour = colour[:, :, None, None]
        self.rgb = torch.lerp(self.rgb, colour, mask[:, None])
        self.labels = torch.where(mask > 0.5, torch.full_like(self.labels, label), self.labels)

    def darken(self, mask: Tensor, factor: float) -> None:
        """A shadow [b, h, w]: what lies there stays what it is."""
        self.rgb = torch.lerp(self.rgb, self.rgb * factor, mask[:, None])


def shade(colour: Tensor, amount: Tensor) -> Tensor:
    """Lighten or darken [b, 3] by a factor per pixel [b, h, w]."""
    return (colour[:, :, None, None] * amount[:, None]).clamp(0, 1)
