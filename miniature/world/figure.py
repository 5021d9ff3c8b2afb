"""One person on the canvas: hair, body and head, with labels and keypoints.

Everything is measured in head heights `u` (chin to crown) in pixels, from the middle of the head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from miniature.world.body import Body
from miniature.world.canvas import HAIR, Canvas, Look, shade
from miniature.world.head import Head
from miniature.world.identity import Colours, colours, trait
from miniature.world.shapes import block, cover

KEYPOINT_COUNT = 20

OUTFIT_RGB = {
    "red": (200, 40, 44), "orange": (240, 130, 36), "yellow": (244, 208, 60), "green": (60, 150, 80),
    "blue": (52, 92, 190), "purple": (124, 66, 168), "pink": (244, 150, 186), "white": (246, 244, 240),
    "black": (36, 36, 42), "brown": (122, 80, 50),
}  # fmt: skip


def paint_figure(canvas: Canvas, identity: Tensor, look: Look, x: Tensor, y: Tensor) -> Tensor:
    """Paint the people on the canvas; pixel coordinates x, y [1, h, w]. Returns keypoints [b, 20, 3] in pixels."""
    c = colours(identity)
    u = look.unit[:, None, None]
    hx, hy = look.head_x[:, None, None], look.head_y[:, None, None]
    head = Head(identity, look, c)
    _back_hair(canvas, identity, c, x - hx, y - hy, u, look)
    body_points = Body(identity, look, c, x, y, hx, hy, u).paint(canvas)
    cos, sin = torch.cos(look.tilt)[:, None, None], torch.sin(look.tilt)[:, None, None]
    lx, ly = x - hx, y - hy - 0.35 * u
    lx, ly = cos * lx + sin * ly, -sin * lx + cos * ly + 0.35 * u
    head.paint(canvas, lx, ly, u)
    face_points = head.points(u, hx, hy, cos, sin)
    return torch.cat([face_points, body_points], dim=1)


def _back_hair(canvas: Canvas, identity: Tensor, c: Colours, x: Tensor, y: Tensor, u: Tensor, look: Look) -> None:
    length = trait(identity, "hair_length") * 0.5 + 0.5
    volume = 1 + 0.18 * trait(identity, "hair_volume")
    reach = (0.12 + 1.55 * length.clamp(min=0.12)) * u
    width = (0.43 + 0.05 * trait(identity, "face_width") + 0.06 * length) * u * volume
    shift = -0.1 * u * torch.sin(look.yaw)[:, None, None]
    distance = block(x - shift, y - reach * 0.5, width, reach * 0.5 + 0.12 * u, 0.1 * length, 0.75)
    strands = 0.62 + 0.07 * torch.sin(x / u * 34 + 3 * torch.sin(y / u * 3))
    long = (trait(identity, "hair_length") > -0.6).to(x.dtype)
    canvas.lay(cover(distance) * long, shade(c.hair, strands.expand_as(distance)), HAIR)
