"""Everything of a person below the head: body, clothes, arms, and what a hand holds.

Measured in head heights `u` (chin to crown) in pixels, from the middle of the head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from miniature.world.canvas import BODY_SKIN, CLOTHES, Canvas, Look, shade
from miniature.world.hands import held_goods, paint_goods, paint_grip, paint_hand, place_arms
from miniature.world.identity import Colours, trait
from miniature.world.shapes import block, cover, ellipse, limb

_SIDES = (-1, 1)


class Body:
    """Measures of the bodies of one batch; `x` and `y` [1, h, w] are pixels, `hx` and `hy` [b, 1, 1] where heads are."""

    def __init__(
        self, identity: Tensor, look: Look, c: Colours, x: Tensor, y: Tensor, hx: Tensor, hy: Tensor, u: Tensor
    ) -> None:
        self.masculine, self.build, height = (trait(identity, n) for n in ("masculine", "build", "height"))
        turn = 0.8 + 0.2 * torch.cos(look.yaw * 1.4)[:, None, None]
        self.shoulder_y = hy + (0.8 - 0.02 * self.masculine) * u
        self.shoulder = (0.72 + 0.13 * self.masculine + 0.13 * self.build) * u * turn
        self.hip = (0.56 - 0.06 * self.masculine + 0.12 * self.build) * u * turn
        self.waist = (0.47 + 0.05 * self.masculine + 0.13 * self.build) * u * turn
        self.hip_y = self.shoulder_y + (1.6 + 0.12 * height) * u
        self.foot_y = self.hip_y + (2.35 + 0.4 * height) * u
        self.waist_y = self.shoulder_y + 0.62 * (self.hip_y - self.shoulder_y)
        self.neck_y = hy + 0.56 * u
        self.gap = 0.27 * u * turn
        self.arm_r = (0.125 + 0.02 * self.masculine + 0.03 * self.build) * u
        self.tee, self.hoodie, self.dress, self.suit, self.coat = (
            (look.outfit[:, None, None] == k).to(x.dtype) for k in range(5)
        )
        self.cloth, self.skin, self.look = look.outfit_rgb, c.skin, look
        self.x, self.y, self.hx, self.hy, self.u = x, y, hx, hy, u
        self.left, self.right = place_arms(look, hx, hy, self.shoulder_y, self.shoulder, u)
        self.relaxed = (look.pose == 0).to(x.dtype)[:, None, None]
        held = held_goods(look)
        self.hanging = 1 - held.upright - held.bag

    def paint(self, canvas: Canvas) -> Tensor:
        """Paint from behind to the front. Returns keypoints [b, 15, 3] in pixels."""
        self._legs(canvas)
        self._neck(canvas)
        self._arms(canvas)
        torso = self._torso(canvas)
        self._neckline(canvas)
        self._front(canvas, torso)
        self._in_front(canvas)
        return self._points()

    def _legs(self, canvas: Canvas) -> None:
        x, y, hx, u, gap, foot_y = self.x, self.y, self.hx, self.u, self.gap, self.foot_y
        # Where the feet stand, the floor is darker.
        canvas.darken(cover(ellipse(x - hx, y - foot_y - 0.07 * u, 0.75 * u, 0.13 * u), 5.0), 0.72)
        leg_r = (0.2 + 0.035 * self.build) * u
        for side in _SIDES:
            d, _ = limb(x, y, hx + side * gap, self.hip_y, hx + side * gap * 0.9, foot_y, leg_r, leg_r * 0.55)
            bare = torch.lerp(self.look.bottom_rgb[:, :, None, None], self.skin[:, :, None, None], self.dress[:, None])
            colour = bare * (0.9 + 0.12 * cover(d + leg_r * 0.5))[:, None]
            mask = cover(d)
            canvas.lay(mask * (1 - self.dress), colour, CLOTHES)
            canvas.lay(mask * self.dress, colour, BODY_SKIN)
            shoe, _ = limb(x, y, hx + side * gap * 0.9, foot_y + 0.02 * u, hx + side * gap * 1.25, foot_y + 0.05 * u,
                           0.12 * u, 0.1 * u)  # fmt: skip
            canvas.lay(cover(shoe), self.look.shoe_rgb, CLOTHES)

    def _neck(self, canvas: Canvas) -> None:
        hx, u = self.hx, self.u
        wide = (0.185 + 0.035 * self.masculine) * u
        neck, _ = limb(self.x, self.y, hx, self.hy + 0.25 * u, hx, self.shoulder_y + 0.1 * u, wide, 0.2 * u)
        light = 0.84 + 0.1 * ((self.y - self.neck_y) / (0.4 * u)).clamp(0, 1)
        canvas.lay(cover(neck), shade(self.skin, light), BODY_SKIN)

    def _arms(self, canvas: Canvas) -> None:
        """Arms behind the torso's edge."""
        x, y, u, arm_r = self.x, self.y, self.u, self.arm_r
        long_sleeve = self.hoodie + self.suit + self.coat
        for arm in (self.left, self.right):
            upper, t_upper = limb(x, y, *arm.shoulder, *arm.elbow, arm_r * 1.15, arm_r * 0.92)
            lower, _ = limb(x, y, *arm.elbow, *arm.hand, arm_r * 0.9, arm_r * 0.7)
            bare = torch.minimum(upper, lower)
            canvas.lay(cover(bare), shade(self.skin, 0.86 + 0.14 * cover(bare + arm_r * 0.6)), BODY_SKIN)
            resting = self.hanging if arm is self.left else self.relaxed
            paint_hand(canvas, self.look, x, y, arm, arm_r, self.skin, resting)
            short = (self.tee + self.dress * 0.9) * (t_upper < 0.55).to(x.dtype)
            sleeve = cover(upper - 0.03 * u) * (long_sleeve + short) + 0 * lower
            canvas.lay(sleeve.clamp(0, 1), self._sleeve(upper), CLOTHES)
            canvas.lay(cover(lower - 0.03 * u) * long_sleeve, self._sleeve(lower), CLOTHES)

    def _sleeve(self, distance: Tensor) -> Tensor:
        return shade(self.cloth, 0.84 + 0.14 * cover(distance + self.arm_r * 0.5))

    def _torso(self, canvas: Canvas) -> Tensor:
        """Shoulders to waist, then waist to the hem; returns the distance to its outline."""
        x, y, hx, u = self.x, self.y, self.hx, self.u
        shoulder_y, shoulder, waist, waist_y = self.shoulder_y, self.shoulder, self.waist, self.waist_y
        top_h = (waist_y - shoulder_y) * 0.5
        chest = block(x - hx, y - shoulder_y - top_h, (shoulder + waist) / 2, top_h + 0.07 * u,
                      (waist - shoulder) / (shoulder + waist), 0.6)  # fmt: skip
        drop = 0.08 * self.tee + 0.12 * self.hoodie + 1.15 * self.dress + 0.1 * self.suit + 1.3 * self.coat
        hem_y = self.hip_y + drop * u
        hem_w = self.hip * (1 + 0.45 * self.dress + 0.22 * self.coat + 0.05 * self.hoodie)
        low_h = (hem_y - waist_y) * 0.5
        skirt = block(x - hx, y - waist_y - low_h, (waist + hem_w) / 2, low_h + 0.06 * u,
                      (hem_w - waist) / (hem_w + waist), 0.12)  # fmt: skip
        slope = torch.minimum(*(
            limb(x, y, hx, shoulder_y + 0.02 * u, hx + side * shoulder * 0.8, shoulder_y + 0.13 * u, 0.15 * u, 0.16 * u)[0]
            for side in _SIDES
        ))  # fmt: skip
        torso = torch.minimum(torch.minimum(chest, skirt), slope)
        light = (
            1.0
            - 0.16 * ((x - hx) / (shoulder * 1.1)).square().clamp(0, 1.2)
            - 0.05 * ((y - shoulder_y) / (2.2 * u)).clamp(0, 1)
        )
        folds = 1 + 0.035 * torch.sin((x - hx) / u * 16) * ((y - waist_y) / u).clamp(0, 1) * (self.dress + self.coat)
        canvas.lay(cover(torso), shade(self.cloth, light * folds), CLOTHES)
        return torso

    def _neckline(self, canvas: Canvas) -> None:
        """What tells T-shirts, dresses and hoodies apart above."""
        across, down, u, cloth = self.x - self.hx, self.y - self.shoulder_y, self.u, self.cloth
        neckline = ellipse(across, down + 0.06 * u, (0.27 + 0.03 * self.dress) * u, (0.19 + 0.08 * self.dress) * u)
        bare = shade(self.skin, torch.full_like(neckline, 0.92))
        canvas.lay(cover(neckline) * (self.tee + self.dress), bare, BODY_SKIN)
        hood = ellipse(across, down + 0.02 * u, 0.44 * u, 0.2 * u)
        hood_in = ellipse(across, down + 0.1 * u, 0.27 * u, 0.17 * u)
        canvas.lay(cover(hood) * self.hoodie, cloth * 0.78, CLOTHES)
        canvas.lay(cover(hood_in) * self.hoodie, self.skin * 0.9, BODY_SKIN)
        pocket = block(across, self.y - self.waist_y - 0.2 * u, 0.32 * u, 0.17 * u, 0.2, 0.3)
        canvas.lay(cover(pocket) * self.hoodie, cloth * 0.8, CLOTHES)
        for side in _SIDES:
            cord = block(across - side * 0.11 * u, down - 0.28 * u, 0.022 * u, 0.16 * u, 0.0, 0.9)
            canvas.lay(cover(cord) * self.hoodie, torch.full_like(cloth, 0.95), CLOTHES)

    def _front(self, canvas: Canvas, torso: Tensor) -> None:
        """What tells suits, coats and dresses apart in front: shirt, tie, lapels, collar, belt."""
        across, down, u, cloth = self.x - self.hx, self.y - self.shoulder_y, self.u, self.cloth
        vee = across.abs() - (0.3 * u - (down + 0.1 * u) * 0.3)
        shirt = torch.maximum(vee, torch.maximum(self.shoulder_y - 0.12 * u - self.y, down - 0.9 * u))
        canvas.lay(cover(shirt) * self.suit, torch.full_like(cloth, 0.96), CLOTHES)
        tie = block(across, down - 0.42 * u, 0.055 * u, 0.42 * u, 0.3, 0.2)
        canvas.lay(cover(tie) * self.suit, 1 - cloth * 0.75, CLOTHES)
        lapel = (shirt.abs() - 0.05 * u).clamp(min=-3)
        canvas.lay(cover(lapel) * self.suit * cover(torso), cloth * 0.66, CLOTHES)
        inner = block(across, down - 1.4 * u, 0.17 * u, 1.5 * u, 0.12, 0.2)
        canvas.lay(cover(inner) * self.coat, torch.full_like(cloth, 0.9) * torch.tensor([1.0, 0.96, 0.88]), CLOTHES)
        collar = inner.abs() - 0.055 * u
        canvas.lay(cover(collar) * self.coat * cover(torso), cloth * 0.7, CLOTHES)
        belt = block(across, self.y - self.waist_y, self.waist * 1.05, 0.05 * u, 0.0, 0.3)
        canvas.lay(cover(belt) * self.dress, cloth * 0.6, CLOTHES)

    def _in_front(self, canvas: Canvas) -> None:
        """A forearm that holds something crosses the torso; so does a hand that poses."""
        x, y, left, arm_r = self.x, self.y, self.left, self.arm_r
        fore, _ = limb(x, y, *left.elbow, *left.hand, arm_r * 0.92, arm_r * 0.72)
        sleeve_colour = shade(self.cloth, 0.8 + 0.18 * cover(fore + arm_r * 0.5))
        bare_colour = shade(self.skin, 0.86 + 0.14 * cover(fore + arm_r * 0.6))
        holding = 1 - self.hanging
        canvas.lay(cover(fore) * holding * (self.hoodie + self.suit + self.coat), sleeve_colour, CLOTHES)
        canvas.lay(cover(fore) * holding * (self.tee + self.dress), bare_colour, BODY_SKIN)
        paint_hand(canvas, self.look, x, y, self.right, arm_r, self.skin, 1 - self.relaxed)
        paint_goods(canvas, self.look, x, y, left, self.u)
        paint_grip(canvas, self.look, x, y, left, arm_r, self.skin)

    def _points(self) -> Tensor:
        hx, hy, u, hip, gap, one = self.hx, self.hy, self.u, self.hip, self.gap, torch.ones_like(self.u)
        left, right, hip_y, foot_y = self.left, self.right, self.hip_y, self.foot_y
        points = [
            (hx, hy - 0.5 * u), (hx, hy + 0.5 * u), (hx, self.neck_y),
            left.shoulder, right.shoulder, left.elbow, right.elbow, left.hand, right.hand,
            (hx - hip * 0.8, hip_y), (hx + hip * 0.8, hip_y),
            (hx - gap, (hip_y + foot_y) / 2), (hx + gap, (hip_y + foot_y) / 2),
            (hx - gap * 0.9, foot_y), (hx + gap * 0.9, foot_y),
        ]  # fmt: skip
        return torch.stack(
            [torch.cat([(px * one)[:, 0], (py * one)[:, 0], one[:, 0]], dim=1) for px, py in points], dim=1
        )
