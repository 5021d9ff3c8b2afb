"""Arms, hands with fingers, and what the hands hold. Sizes in head heights `u` in pixels, like the rest of a figure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from miniature.world.canvas import BODY_SKIN, GOODS, Canvas, Look, shade
from miniature.world.faults import FINGERS, STUMP
from miniature.world.shapes import block, cover, ellipse, limb
from personas.shots import GOODS as GOODS_WORDS

Point = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Arm:
    """Joints in pixels, each ([b, 1, 1], [b, 1, 1]); `spread` in [0, 1] says how far the fingers stand apart."""

    shoulder: Point
    elbow: Point
    hand: Point
    spread: Tensor
    side: int  # -1 is on the picture's left, where goods are held; 1 is the arm that poses


@dataclass(frozen=True)
class Held:
    """Which of the people hold what, 0 or 1 each [b, 1, 1]."""

    bottle: Tensor
    cup: Tensor
    book: Tensor
    bag: Tensor

    @property
    def upright(self) -> Tensor:
        """Held up by its side, not hung from its handle."""
        return self.bottle + self.cup + self.book


def held_goods(look: Look) -> Held:
    goods = look.goods[:, None, None]
    return Held(**{name: (goods == GOODS_WORDS.index(name)).to(look.unit.dtype) for name in GOODS_WORDS[1:]})


def place_arms(look: Look, hx: Tensor, hy: Tensor, shoulder_y: Tensor, shoulder: Tensor, u: Tensor) -> tuple[Arm, Arm]:
    """The two arms: the pose moves the right one, goods are held in the left one, beside the face or at the chest."""
    pose, held = look.pose[:, None, None], held_goods(look)
    waving, on_hip = (pose == 1).to(u.dtype), (pose == 2).to(u.dtype)
    relaxed = 1 - waving - on_hip
    left_x, right_x = hx - shoulder + 0.1 * u, hx + shoulder - 0.1 * u
    y = shoulder_y + 0.12 * u
    right = Arm(
        (right_x, y),
        (
            right_x + (0.16 * relaxed + 0.42 * waving + 0.5 * on_hip) * u,
            y + (0.78 * relaxed + 0.42 * waving + 0.62 * on_hip) * u,
        ),
        (
            right_x + (0.1 * relaxed + 0.52 * waving - 0.12 * on_hip) * u,
            y + (1.5 * relaxed - 0.42 * waving + 1.15 * on_hip) * u,
        ),
        0.15 + 0.75 * waving,
        1,
    )
    if look.raised is not None:
        high = look.raised[:, None, None]
        elbow_at = torch.lerp(right.elbow[0], right_x + 0.4 * u, high), torch.lerp(right.elbow[1], y - 0.5 * u, high)
        hand_at = torch.lerp(right.hand[0], right_x + 0.12 * u, high), torch.lerp(right.hand[1], y - 1.25 * u, high)
        right = Arm(right.shoulder, elbow_at, hand_at, right.spread, 1)
    up, bag, near = held.upright, held.bag, look.close[:, None, None]
    # A bag hangs from the hand; in a close-up it is lifted into the picture.
    bag_x, bag_y = left_x - 0.14 * u, torch.where(near > 0, hy + 0.72 * u, y + 0.95 * u)
    empty = 1 - up - bag
    hand = (
        empty * (left_x - 0.1 * u) + up * (hx - 0.66 * u) + bag * torch.where(near > 0, hx - 0.66 * u, bag_x),
        empty * (y + 1.5 * u) + up * (hy + 1.14 * u) + bag * bag_y,
    )
    elbow = (
        left_x - (0.16 + 0.14 * up + 0.12 * bag) * u,
        y + (0.78 + 0.06 * up - (0.25 + 0.1 * near) * bag) * u,
    )
    return Arm((left_x, y), elbow, hand, 0.15 * torch.ones_like(u), -1), right


def _fingers(look: Look, arm: Arm) -> Tensor | int:
    """How many this hand has, [b, 1, 1]; `STUMP` where there is no palm either."""
    return FINGERS if look.faults is None else look.faults.fingers[:, int(arm.side > 0), None, None]


def paint_hand(
    canvas: Canvas, look: Look, x: Tensor, y: Tensor, arm: Arm, radius: Tensor, skin: Tensor, shown: Tensor
) -> None:
    """Palm, four fingers and a thumb along the forearm, where `shown` [b, 1, 1] is 1."""
    if not shown.any():
        return
    (ex, ey), (cx, cy) = arm.elbow, arm.hand
    length = ((cx - ex).square() + (cy - ey).square()).sqrt() + 1e-3
    ux, uy = (cx - ex) / length, (cy - ey) / length
    vx, vy = -uy * arm.side, ux * arm.side  # towards the thumb
    palm, fingers = ellipse(x - cx, y - cy, radius * 0.82, radius * 0.92), _fingers(look, arm)
    canvas.lay(cover(palm) * shown * (fingers > STUMP), shade(skin, 0.88 + 0.1 * cover(palm + radius * 0.5)), BODY_SKIN)
    for number, (k, reach) in enumerate(((-1.5, 1.45), (-0.5, 1.8), (0.5, 1.75), (1.5, 1.5), (2.6, 1.1))):
        thumb = k > 2
        turn = k * (0.1 + 0.28 * arm.spread) if not thumb else 0.75 + 0.25 * arm.spread
        cos, sin = torch.cos(torch.as_tensor(turn)), torch.sin(torch.as_tensor(turn))
        fx, fy = ux * cos + vx * sin, uy * cos + vy * sin
        across = radius * (0.42 * k if not thumb else 0.6)
        ax, ay = cx + vx * across, cy + vy * across
        finger, _ = limb(x, y, ax, ay, ax + fx * radius * reach, ay + fy * radius * reach, radius * 0.27, radius * 0.2)
        canvas.lay(
            cover(finger) * shown * (fingers > number),
            shade(skin, 0.8 + 0.18 * cover(finger + radius * 0.13)),
            BODY_SKIN,
        )


def paint_goods(canvas: Canvas, look: Look, x: Tensor, y: Tensor, arm: Arm, u: Tensor) -> None:
    """A bottle, a mug, a book or a bag of the colour `look.goods_rgb` at the hand."""
    held, colour = held_goods(look), look.goods_rgb
    cx, cy = arm.hand
    x, y = (x - cx) / u, (y - cy) / u

    def c(distance: Tensor) -> Tensor:
        return cover(distance * u)

    def box(px: float, py: float, half_w: float, half_h: float, taper: float = 0.0, rounded: float = 0.0) -> Tensor:
        return block((x - px) * u, (y - py) * u, half_w * u, half_h * u, taper, rounded)

    def round_shade(half: float) -> Tensor:
        return shade(colour, 1.08 - 0.35 * (x / half + 0.25).square().clamp(0, 1.2))

    pale, dark = torch.full_like(colour, 0.95), colour * 0.45
    if held.bottle.any():  # a body with a label, a neck, a cap
        canvas.lay(cover(box(0, -0.14, 0.155, 0.34, 0.0, 0.35)) * held.bottle, round_shade(0.155), GOODS)
        canvas.lay(cover(box(0, -0.53, 0.065, 0.1, -0.1, 0.2)) * held.bottle, round_shade(0.1), GOODS)
        canvas.lay(cover(box(0, -0.64, 0.08, 0.055, 0.0, 0.3)) * held.bottle, dark, GOODS)
        canvas.lay(cover(box(0, -0.2, 0.155, 0.11)) * held.bottle, pale, GOODS)
    if held.cup.any():  # a ring for a handle, a body, coffee
        ring = (((x + 0.25).square() + (y + 0.12).square() + 1e-6).sqrt() - 0.125).abs() - 0.04
        coffee = torch.tensor([[0.3, 0.17, 0.1]]).expand_as(colour)
        canvas.lay(c(ring) * held.cup, colour * 0.8, GOODS)
        canvas.lay(cover(box(0, -0.12, 0.23, 0.24, -0.06, 0.25)) * held.cup, round_shade(0.23), GOODS)
        canvas.lay(c(ellipse(x, y + 0.34, 0.225, 0.065)) * held.cup, pale, GOODS)
        canvas.lay(c(ellipse(x, y + 0.345, 0.18, 0.042)) * held.cup, coffee, GOODS)
    if held.book.any():  # pages behind a cover with a title
        canvas.lay(cover(box(0.03, -0.16, 0.26, 0.36, 0.0, 0.03)) * held.book, pale, GOODS)
        canvas.lay(cover(box(-0.02, -0.18, 0.26, 0.37, 0.0, 0.05)) * held.book, colour, GOODS)
        canvas.lay(cover(box(-0.25, -0.18, 0.03, 0.37)) * held.book, dark, GOODS)
        for line, width in ((0.36, 0.15), (0.28, 0.11)):
            canvas.lay(cover(box(0.01, -line, width, 0.022, 0.0, 0.3)) * held.book, pale, GOODS)
    if held.bag.any():  # two handles up to the hand, a body with a flap and a clasp
        handle = (((x / 0.17).square() + ((y - 0.2) / 0.22).square() + 1e-6).sqrt() - 1).abs() * 0.18 - 0.028
        canvas.lay(c(torch.maximum(handle, y - 0.22)) * held.bag, dark, GOODS)
        body = box(0, 0.47, 0.36, 0.27, 0.14, 0.25)
        canvas.lay(cover(body) * held.bag, shade(colour, 1.04 - 0.2 * (x / 0.4).square().clamp(0, 1.2)), GOODS)
        flap = torch.maximum(body, (y - 0.43 + 0.25 * x.square()) * u)
        canvas.lay(cover(flap) * held.bag, colour * 0.78, GOODS)
        canvas.lay(c(ellipse(x, y - 0.43, 0.045, 0.045)) * held.bag, pale, GOODS)


def paint_grip(canvas: Canvas, look: Look, x: Tensor, y: Tensor, arm: Arm, radius: Tensor, skin: Tensor) -> None:
    """Four fingers around what is held up, or over a bag's handle."""
    held, fingers = held_goods(look), _fingers(look, arm)
    cx, cy = arm.hand
    for shown, across in ((held.upright, 0), (held.bag, 1)):
        if not shown.any():
            continue
        if across:
            palm = ellipse(x - cx, y - cy + radius * 0.1, radius * 0.95, radius * 0.75)
            canvas.lay(
                cover(palm) * shown * (fingers > STUMP), shade(skin, 0.88 + 0.1 * cover(palm + radius * 0.5)), BODY_SKIN
            )
        for k in range(4):
            offset = (k - 1.5) * radius * 0.5
            if across:
                ends = (cx + offset, cy - radius * 0.3, cx + offset, cy + radius * 0.6)
            else:
                ends = (cx - radius, cy + offset + radius * 0.08, cx + radius * 0.75, cy + offset)
            finger, _ = limb(x, y, *ends, radius * 0.27, radius * 0.24)
            canvas.lay(
                cover(finger) * shown * (fingers > k),
                shade(skin, 0.8 + 0.18 * cover(finger + radius * 0.13)),
                BODY_SKIN,
            )
