"""The head: skull and jaw, features placed by their angle around it, hair in front."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from miniature.world.canvas import FACE, HAIR, Canvas, Look, shade
from miniature.world.faults import NO_EYE, NO_IRIS, NO_PUPIL
from miniature.world.identity import Colours, trait
from miniature.world.shapes import ellipse, limb

Cover = Callable[[Tensor], Tensor]
"""From signed distances to how much of each pixel is inside."""


class Head:
    """The head of each person, in head coordinates (origin: middle of the head, y down), sizes in `u`."""

    def __init__(self, identity: Tensor, look: Look, c: Colours) -> None:
        def t(name: str) -> Tensor:
            return trait(identity, name)

        self.c = c
        self.t = t
        self.faults = look.faults
        self.yaw = look.yaw[:, None, None]
        self.smile, self.open = look.smile[:, None, None], look.mouth_open[:, None, None]
        self.brow_move, self.eye_open = look.brow[:, None, None], look.eye_open[:, None, None]
        masculine = t("masculine")
        self.half_w = 0.375 + 0.045 * t("face_width")
        self.jaw_w = 0.285 + 0.055 * t("jaw_width") + 0.03 * masculine
        self.chin = 0.475 + 0.035 * t("chin_length")
        self.eye_y = 0.03 + 0.035 * t("eye_height")
        self.eye_w = 0.098 + 0.022 * t("eye_size")
        self.eye_h = (0.066 + 0.022 * t("eye_size") - 0.01 * masculine) * self.eye_open
        self.eye_angle = 0.44 + 0.07 * t("eye_gap")
        self.nose_y = 0.2 + 0.045 * t("nose_length")
        self.mouth_y = 0.325 + 0.02 * t("nose_length")
        self.mouth_w = 0.125 + 0.035 * t("mouth_width") + 0.025 * self.smile.clamp(0, 1)

    def _at(self, angle: Tensor | float) -> tuple[Tensor, Tensor]:
        """Sideways place and width factor of a feature at `angle` around the head."""
        a = angle + self.yaw
        return self.half_w * torch.sin(a) * 0.98, torch.cos(a).clamp(min=0.25)

    def points(self, u: Tensor, hx: Tensor, hy: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        left, _ = self._at(-self.eye_angle)
        right, _ = self._at(self.eye_angle)
        nose, _ = self._at(0.0)
        places = [
            (left, self.eye_y), (right, self.eye_y), (nose * 1.15, self.nose_y),
            (nose - self.mouth_w * 0.9, self.mouth_y), (nose + self.mouth_w * 0.9, self.mouth_y),
        ]  # fmt: skip
        rows = []
        for px, py in places:
            py = py - 0.35
            qx, qy = cos * px - sin * py, sin * px + cos * py + 0.35
            rows.append(torch.cat([(hx + qx * u)[:, 0], (hy + qy * u)[:, 0], torch.ones_like(u)[:, 0]], dim=1))
        return torch.stack(rows, dim=1)

    def paint(self, canvas: Canvas, px: Tensor, py: Tensor, u: Tensor) -> None:
        x, y = px / u, py / u
        soft = 0.7 / u  # edges stay about a pixel and a half wide at any size

        def c(d: Tensor) -> Tensor:
            return (0.5 - d / (2 * soft)).clamp(0, 1)

        skin = self.c.skin
        t = self.t
        # Ears, then the face: a skull ellipse joined to a jaw that narrows to the chin.
        for side in (-1.0, 1.0):
            ex = torch.sin(side * 1.45 + self.yaw) * self.half_w
            shown = (torch.cos(side * 1.45 + self.yaw) > -0.45).to(x.dtype)
            canvas.lay(c(ellipse(x - ex, y - 0.08, 0.055, 0.1)) * shown, skin * 0.9, FACE)
        sway = 0.05 * torch.sin(self.yaw)
        skull = ellipse(x, y + 0.06, self.half_w, 0.44)
        v = ((y - 0.02) / (self.chin - 0.02)).clamp(0, 1)
        jaw_half = self.half_w + (self.jaw_w - self.half_w) * v.square()
        round_off = (1 - ((v - 0.55) / 0.45).clamp(0, 1).square()).clamp(min=0).sqrt()
        jaw = torch.maximum((x - sway * v).abs() - jaw_half * round_off, torch.maximum(-y, y - self.chin))
        face = torch.minimum(skull, jaw)
        lit = 1.04 - 0.2 * ((x + 0.1 - 0.1 * torch.sin(self.yaw)) / self.half_w).square().clamp(0, 1.3) - 0.06 * v
        canvas.lay(c(face), shade(skin, lit), FACE)
        inside = c(face)
        blush = (0.12 + 0.25 * t("blush")).clamp(min=0)
        for side in (-1.0, 1.0):
            bx, _ = self._at(side * 0.62)
            spot = (1 - ellipse(x - bx, y - 0.19, 0.1, 0.065).clamp(-0.1, 0.1) * 10).clamp(0, 2) * 0.5
            canvas.rgb = torch.lerp(
                canvas.rgb, torch.tensor([0.95, 0.42, 0.42])[None, :, None, None], (spot * blush * inside)[:, None]
            )
        self._nose_and_mouth(canvas, x, y, c)
        self._eyes(canvas, x, y, c)
        self._hair(canvas, x, y, c)

    def _nose_and_mouth(self, canvas: Canvas, x: Tensor, y: Tensor, c: Cover) -> None:
        skin, t = self.c.skin, self.t
        nx, _ = self._at(0.0)
        nose_w = 0.05 + 0.02 * t("nose_width")
        bridge, _ = limb(
            x, y, nx * 0.9 + 0.02 * torch.sign(self.yaw), self.eye_y + 0.02, nx * 1.15, self.nose_y, 0.014, 0.02
        )
        canvas.lay(c(bridge) * 0.35, skin * 0.78, FACE)
        tip = ellipse(x - nx * 1.15, y - self.nose_y, nose_w, 0.03)
        canvas.lay(c(tip) * 0.75, skin * 0.82, FACE)
        canvas.lay(c(ellipse(x - nx * 1.15 + 0.005, y - self.nose_y + 0.018, nose_w * 0.75, 0.024)), skin, FACE)
        # Mouth: a curved band; it opens when laughing.
        slip_x, slip_y, there = self._mouth_fault()
        mx = nx * 1.02 + slip_x
        u_ = (x - mx) / self.mouth_w
        bend = self.smile * 0.05 * (1 - u_.square())
        yy = y - self.mouth_y - slip_y - bend + 0.5 * self.smile * 0.05
        full = 0.026 + 0.012 * t("lip_fullness")
        taper = (1 - u_.square()).clamp(min=0).sqrt()
        lips = torch.maximum(yy.abs() - (full + self.open * 0.075) * taper, u_.abs() * self.mouth_w - self.mouth_w)
        canvas.lay(c(lips) * there, self.c.lips, FACE)
        hole = torch.maximum((yy + 0.004).abs() - self.open * 0.068 * taper, (u_.abs() - 0.86) * self.mouth_w)
        canvas.lay(c(hole) * (self.open > 0.15) * there, torch.tensor([[0.36, 0.1, 0.12]]).expand_as(skin), FACE)
        teeth = torch.maximum(hole, yy + 0.012)
        canvas.lay(c(teeth) * (self.open > 0.15) * there, torch.full_like(skin, 0.97), FACE)
        line = torch.maximum((yy.abs() - 0.007), (u_.abs() - 0.95) * self.mouth_w)
        canvas.lay(c(line) * (self.open <= 0.15) * there, self.c.lips * 0.55, FACE)

    def _mouth_fault(self) -> tuple[Tensor | float, Tensor | float, Tensor | float]:
        """How far right and down it slipped, and 0 where there is none; [b, 1, 1] each."""
        if self.faults is None:
            return 0.0, 0.0, 1.0
        slip = self.faults.mouth[..., None, None]
        return slip[:, 0], slip[:, 1], 1 - self.faults.mouthless[:, None, None]

    def _eye_fault(self, which: int) -> tuple[Tensor, Tensor | float, Tensor | float, Tensor | float]:
        """The iris's colour [b, 3]; and 0 where eye, iris or pupil are missing, [b, 1, 1] each."""
        if self.faults is None:
            return self.c.eyes, 1.0, 1.0, 1.0
        state = self.faults.eyes[:, which, None, None]
        eye, iris, pupil = ((state < least).float() for least in (NO_EYE, NO_IRIS, NO_PUPIL))
        return self.faults.irises[:, which], eye, iris, pupil

    def _eyes(self, canvas: Canvas, x: Tensor, y: Tensor, c: Cover) -> None:
        t = self.t
        dark = self.c.hair * 0.45 + 0.03
        feminine = (0.5 - 0.5 * t("masculine")).clamp(0, 1)
        for which, side in enumerate((-1.0, 1.0)):
            iris_rgb, eye_there, iris_there, pupil_there = self._eye_fault(which)
            ex, squeeze = self._at(side * self.eye_angle)
            w = self.eye_w * squeeze
            dx, dy = x - ex, y - self.eye_y
            slant = -side * (0.16 * t("eye_tilt"))
            dy = dy - slant * dx * -1.0
            white = ellipse(dx, dy, w, self.eye_h)
            canvas.lay(c(ellipse(dx, dy + 0.012, w * 1.12, self.eye_h * 1.1)) * eye_there, dark, FACE)
            canvas.lay(c(white) * eye_there, torch.full_like(self.c.skin, 0.97), FACE)
            gaze = 0.015 * torch.sin(self.yaw)
            iris_r = 0.055 + 0.012 * t("eye_size")
            iris = ellipse(dx - gaze, dy, iris_r * squeeze.sqrt(), iris_r)
            canvas.lay(c(iris) * c(white) * iris_there, iris_rgb, FACE)
            pupil = ellipse(dx - gaze, dy, iris_r * 0.48, iris_r * 0.48)
            canvas.lay(c(pupil) * c(white) * pupil_there, torch.full_like(self.c.skin, 0.06), FACE)
            glint = ellipse(dx - gaze + 0.018, dy + 0.02, 0.015, 0.015)
            canvas.lay(c(glint) * c(white) * pupil_there, torch.full_like(self.c.skin, 1.0), FACE)
            lash, _ = limb(x, y, ex - w * side * 0.2, self.eye_y - self.eye_h, ex + w * side * 1.35, self.eye_y - self.eye_h * 0.62 + slant * w * side,
                           0.012, 0.004 + 0.014 * feminine)  # fmt: skip
            canvas.lay(c(lash) * eye_there, dark, FACE)
            bx, _ = self._at(side * self.eye_angle * 1.08)
            by = self.eye_y - 0.135 - 0.02 * t("eye_size") - 0.02 * self.brow_move
            tilt = side * (0.025 * t("brow_tilt") + 0.045 * (self.brow_move < -0.2).to(x.dtype))
            thick = 0.02 + 0.009 * t("brow_thickness") + 0.006 * t("masculine")
            brow, _ = limb(x, y, bx - w * 1.0, by + tilt, bx + w * 1.0, by - tilt, thick, thick * 0.8)
            canvas.lay(c(brow), self.c.hair * 0.6 + self.c.skin * 0.08, FACE)

    def _hair(self, canvas: Canvas, x: Tensor, y: Tensor, c: Cover) -> None:
        t = self.t
        volume = 0.5 + 0.5 * t("hair_volume")
        length = t("hair_length") * 0.5 + 0.5
        grow = 1.06 + 0.13 * volume
        cap = ellipse(x, y + 0.09 + 0.02 * volume, self.half_w * grow + 0.015, 0.47 * (0.98 + 0.1 * volume))
        cap = torch.maximum(cap, y - 0.12)
        part = 0.16 * t("parting") + 0.11 * torch.sin(self.yaw)
        hairline = -0.22 + 0.1 * t("fringe")
        roll = x - part
        # The opening of the hair around the face; a parting lifts it on one side.
        rise = 0.16 * t("parting") * (roll / 0.3).clamp(-1, 1) * (0.35 + 0.65 * (1 - t("fringe")) * 0.5)
        open_h = 0.78
        opening = ellipse(
            x - 0.14 * torch.sin(self.yaw),
            y - hairline - open_h - rise * 0.5,
            self.half_w * (0.93 - 0.06 * length),
            open_h,
        )
        hair = torch.maximum(cap, -opening)
        wave = torch.sin((torch.atan2(x - part, y + 0.75)) * 46)
        shine = torch.exp(-(((y + 0.3 + 0.25 * x.square()) / 0.07).square())) * (0.14 + 0.12 * t("hair_shine"))
        amount = 0.88 + 0.06 * wave + shine
        canvas.lay(c(hair), shade(self.c.hair, amount) + 0.25 * shine[:, None] * 0.5, HAIR)
        # Locks in front of the shoulders for long hair.
        long = (t("hair_length") > -0.45).to(x.dtype)
        end = 0.1 + 1.15 * length
        for side in (-1.0, 1.0):
            lx = side * (self.half_w * 0.98) - 0.03 * torch.sin(self.yaw)
            lock, _ = limb(x, y, lx, torch.full_like(lx, -0.12), lx + side * 0.07, end, 0.06 + 0.03 * volume, 0.05)
            canvas.lay(c(lock) * long, shade(self.c.hair, 0.84 + 0.06 * torch.sin(x * 40)), HAIR)
