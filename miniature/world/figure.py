"""One person on the canvas: body, clothes, head, hair, with labels and keypoints.

Everything is measured in head heights `u` (chin to crown) in pixels, from the middle of the head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from miniature.world.canvas import BODY_SKIN, CLOTHES, HAIR, Canvas, Look, shade
from miniature.world.hands import held_goods, paint_goods, paint_grip, paint_hand, place_arms
from miniature.world.head import Head
from miniature.world.identity import Colours, colours, trait
from miniature.world.shapes import block, cover, ellipse, limb

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
    body_points = _body(canvas, identity, look, c, x, y, hx, hy, u)
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


def _body(
    canvas: Canvas, identity: Tensor, look: Look, c: Colours, x: Tensor, y: Tensor, hx: Tensor, hy: Tensor, u: Tensor
) -> Tensor:
    masculine, build, height = (trait(identity, n) for n in ("masculine", "build", "height"))
    turn = 0.8 + 0.2 * torch.cos(look.yaw * 1.4)[:, None, None]
    neck_y = hy + 0.56 * u
    shoulder_y = hy + (0.8 - 0.02 * masculine) * u
    shoulder = (0.72 + 0.13 * masculine + 0.13 * build) * u * turn
    hip = (0.56 - 0.06 * masculine + 0.12 * build) * u * turn
    waist = (0.47 + 0.05 * masculine + 0.13 * build) * u * turn
    hip_y = shoulder_y + (1.6 + 0.12 * height) * u
    foot_y = hip_y + (2.35 + 0.4 * height) * u
    outfit = look.outfit[:, None, None]
    tee, hoodie, dress, suit, coat = ((outfit == k).to(x.dtype) for k in range(5))
    cloth = look.outfit_rgb
    skin = c.skin
    relaxed = (look.pose == 0).to(x.dtype)[:, None, None]
    arm_r = (0.125 + 0.02 * masculine + 0.03 * build) * u

    left, right = place_arms(look, hx, hy, shoulder_y, shoulder, u)

    # Where the feet stand, the floor is darker.
    canvas.darken(cover(ellipse(x - hx, y - foot_y - 0.07 * u, 0.75 * u, 0.13 * u), 5.0), 0.72)

    # Legs and shoes.
    skirt_legs = dress
    gap = 0.27 * u * turn
    leg_r = (0.2 + 0.035 * build) * u
    for side in (-1, 1):
        d, _ = limb(x, y, hx + side * gap, hip_y, hx + side * gap * 0.9, foot_y, leg_r, leg_r * 0.55)
        bottom = look.bottom_rgb[:, :, None, None]
        colour = (
            torch.lerp(bottom, skin[:, :, None, None], skirt_legs[:, None])
            * (0.9 + 0.12 * cover(d + leg_r * 0.5))[:, None]
        )
        mask = cover(d)
        canvas.lay(mask * (1 - skirt_legs), colour, CLOTHES)
        canvas.lay(mask * skirt_legs, colour, BODY_SKIN)
        shoe, _ = limb(x, y, hx + side * gap * 0.9, foot_y + 0.02 * u, hx + side * gap * 1.25, foot_y + 0.05 * u,
                       0.12 * u, 0.1 * u)  # fmt: skip
        canvas.lay(cover(shoe), look.bottom_rgb * 0.45, CLOTHES)

    # Neck.
    neck, _ = limb(x, y, hx, hy + 0.25 * u, hx, shoulder_y + 0.1 * u, (0.185 + 0.035 * masculine) * u, 0.2 * u)
    canvas.lay(cover(neck), shade(skin, 0.84 + 0.1 * ((y - neck_y) / (0.4 * u)).clamp(0, 1)), BODY_SKIN)

    # Arms behind the torso's edge.
    held = held_goods(look)
    hanging = 1 - held.upright - held.bag
    for arm in (left, right):
        upper, t_upper = limb(x, y, *arm.shoulder, *arm.elbow, arm_r * 1.15, arm_r * 0.92)
        lower, _ = limb(x, y, *arm.elbow, *arm.hand, arm_r * 0.9, arm_r * 0.7)
        bare = torch.minimum(upper, lower)
        canvas.lay(cover(bare), shade(skin, 0.86 + 0.14 * cover(bare + arm_r * 0.6)), BODY_SKIN)
        paint_hand(canvas, look, x, y, arm, arm_r, skin, hanging if arm is left else relaxed)
        long_sleeve = hoodie + suit + coat
        short = (tee + dress * 0.9) * (t_upper < 0.55).to(x.dtype)
        sleeve = cover(upper - 0.03 * u) * (long_sleeve + short) + 0 * lower
        canvas.lay(sleeve.clamp(0, 1), shade(cloth, 0.84 + 0.14 * cover(upper + arm_r * 0.5)), CLOTHES)
        canvas.lay(
            cover(lower - 0.03 * u) * long_sleeve, shade(cloth, 0.84 + 0.14 * cover(lower + arm_r * 0.5)), CLOTHES
        )

    # Torso: shoulders to waist, then waist to the hem.
    waist_y = shoulder_y + 0.62 * (hip_y - shoulder_y)
    top_h = (waist_y - shoulder_y) * 0.5
    chest = block(
        x - hx,
        y - shoulder_y - top_h,
        (shoulder + waist) / 2,
        top_h + 0.07 * u,
        (waist - shoulder) / (shoulder + waist),
        0.6,
    )
    hem_y = hip_y + (0.08 * tee + 0.12 * hoodie + 1.15 * dress + 0.1 * suit + 1.3 * coat) * u
    hem_w = hip * (1 + 0.45 * dress + 0.22 * coat + 0.05 * hoodie)
    low_h = (hem_y - waist_y) * 0.5
    skirt = block(
        x - hx, y - waist_y - low_h, (waist + hem_w) / 2, low_h + 0.06 * u, (hem_w - waist) / (hem_w + waist), 0.12
    )
    slope = torch.minimum(*(
        limb(x, y, hx, shoulder_y + 0.02 * u, hx + side * shoulder * 0.8, shoulder_y + 0.13 * u, 0.15 * u, 0.16 * u)[0]
        for side in (-1, 1)
    ))  # fmt: skip
    torso = torch.minimum(torch.minimum(chest, skirt), slope)
    light = (
        1.0
        - 0.16 * ((x - hx) / (shoulder * 1.1)).square().clamp(0, 1.2)
        - 0.05 * ((y - shoulder_y) / (2.2 * u)).clamp(0, 1)
    )
    folds = 1 + 0.035 * torch.sin((x - hx) / u * 16) * ((y - waist_y) / u).clamp(0, 1) * (dress + coat)
    canvas.lay(cover(torso), shade(cloth, light * folds), CLOTHES)

    # What tells the outfits apart: necklines, lapels, pockets, hems.
    neckline = ellipse(x - hx, y - shoulder_y + 0.06 * u, (0.27 + 0.03 * dress) * u, (0.19 + 0.08 * dress) * u)
    canvas.lay(cover(neckline) * (tee + dress), shade(skin, torch.full_like(neckline, 0.92)), BODY_SKIN)
    hood = ellipse(x - hx, y - shoulder_y + 0.02 * u, 0.44 * u, 0.2 * u)
    hood_in = ellipse(x - hx, y - shoulder_y + 0.1 * u, 0.27 * u, 0.17 * u)
    canvas.lay(cover(hood) * hoodie, cloth * 0.78, CLOTHES)
    canvas.lay(cover(hood_in) * hoodie, skin * 0.9, BODY_SKIN)
    pocket = block(x - hx, y - waist_y - 0.2 * u, 0.32 * u, 0.17 * u, 0.2, 0.3)
    canvas.lay(cover(pocket) * hoodie, cloth * 0.8, CLOTHES)
    for side in (-1, 1):
        cord = block(x - hx - side * 0.11 * u, y - shoulder_y - 0.28 * u, 0.022 * u, 0.16 * u, 0.0, 0.9)
        canvas.lay(cover(cord) * hoodie, torch.full_like(cloth, 0.95), CLOTHES)
    vee = (x - hx).abs() - (0.3 * u - (y - shoulder_y + 0.1 * u) * 0.3)
    shirt = torch.maximum(vee, torch.maximum(shoulder_y - 0.12 * u - y, y - shoulder_y - 0.9 * u))
    canvas.lay(cover(shirt) * suit, torch.full_like(cloth, 0.96), CLOTHES)
    tie = block(x - hx, y - shoulder_y - 0.42 * u, 0.055 * u, 0.42 * u, 0.3, 0.2)
    canvas.lay(cover(tie) * suit, 1 - cloth * 0.75, CLOTHES)
    lapel = (shirt.abs() - 0.05 * u).clamp(min=-3)
    canvas.lay(cover(lapel) * suit * cover(torso), cloth * 0.66, CLOTHES)
    inner = block(x - hx, y - shoulder_y - 1.4 * u, 0.17 * u, 1.5 * u, 0.12, 0.2)
    canvas.lay(cover(inner) * coat, torch.full_like(cloth, 0.9) * torch.tensor([1.0, 0.96, 0.88]), CLOTHES)
    collar = inner.abs() - 0.055 * u
    canvas.lay(cover(collar) * coat * cover(torso), cloth * 0.7, CLOTHES)
    belt = block(x - hx, y - waist_y, waist * 1.05, 0.05 * u, 0.0, 0.3)
    canvas.lay(cover(belt) * dress, cloth * 0.6, CLOTHES)

    # A forearm that holds something crosses the torso; so does a hand that poses.
    fore, _ = limb(x, y, *left.elbow, *left.hand, arm_r * 0.92, arm_r * 0.72)
    sleeve_colour = shade(cloth, 0.8 + 0.18 * cover(fore + arm_r * 0.5))
    bare_colour = shade(skin, 0.86 + 0.14 * cover(fore + arm_r * 0.6))
    holding = 1 - hanging
    canvas.lay(cover(fore) * holding * (hoodie + suit + coat), sleeve_colour, CLOTHES)
    canvas.lay(cover(fore) * holding * (tee + dress), bare_colour, BODY_SKIN)
    paint_hand(canvas, look, x, y, right, arm_r, skin, 1 - relaxed)
    paint_goods(canvas, look, x, y, left, u)
    paint_grip(canvas, look, x, y, left, arm_r, skin)

    one = torch.ones_like(u)
    points = [
        (hx, hy - 0.5 * u), (hx, hy + 0.5 * u), (hx, neck_y),
        left.shoulder, right.shoulder, left.elbow, right.elbow, left.hand, right.hand,
        (hx - hip * 0.8, hip_y), (hx + hip * 0.8, hip_y),
        (hx - gap, (hip_y + foot_y) / 2), (hx + gap, (hip_y + foot_y) / 2),
        (hx - gap * 0.9, foot_y), (hx + gap * 0.9, foot_y),
    ]  # fmt: skip
    return torch.stack([torch.cat([(px * one)[:, 0], (py * one)[:, 0], one[:, 0]], dim=1) for px, py in points], dim=1)
