"""One person on the canvas: body, clothes, head, hair, with labels and keypoints.

Everything is measured in head heights `u` (chin to crown) in pixels, from the middle of the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from miniature.world.identity import Colours, colours, trait
from miniature.world.shapes import block, cover, ellipse, limb

KEYPOINT_COUNT = 20
BODY_SKIN, FACE, HAIR, CLOTHES = 2, 3, 4, 5  # personas.measures.regions.LABELS

OUTFIT_RGB = {
    "red": (200, 40, 44), "orange": (240, 130, 36), "yellow": (244, 208, 60), "green": (60, 150, 80),
    "blue": (52, 92, 190), "purple": (124, 66, 168), "pink": (244, 150, 186), "white": (246, 244, 240),
    "black": (36, 36, 42), "brown": (122, 80, 50),
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How the people of a batch stand: all [b], except rgb [b, 3]. Sizes in pixels, angles in radians."""

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
    pose: Tensor


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


def paint_figure(canvas: Canvas, identity: Tensor, look: Look, x: Tensor, y: Tensor) -> Tensor:
    """Paint the people on the canvas; pixel coordinates x, y [1, h, w]. Returns keypoints [b, 20, 3] in pixels."""
    c = colours(identity)
    u = look.unit[:, None, None]
    hx, hy = look.head_x[:, None, None], look.head_y[:, None, None]
    head = _Head(identity, look, c)
    _back_hair(canvas, identity, c, x - hx, y - hy, u, look)
    body_points = _body(canvas, identity, look, c, x, y, hx, hy, u)
    cos, sin = torch.cos(look.tilt)[:, None, None], torch.sin(look.tilt)[:, None, None]
    lx, ly = x - hx, y - hy - 0.35 * u
    lx, ly = cos * lx + sin * ly, -sin * lx + cos * ly + 0.35 * u
    head.paint(canvas, lx, ly, u)
    face_points = head.points(u, hx, hy, cos, sin)
    return torch.cat([face_points, body_points], dim=1)


def _shade(colour: Tensor, amount: Tensor) -> Tensor:
    """Lighten or darken [b, 3] by a factor per pixel [b, h, w]."""
    return (colour[:, :, None, None] * amount[:, None]).clamp(0, 1)


def _back_hair(canvas: Canvas, identity: Tensor, c: Colours, x: Tensor, y: Tensor, u: Tensor, look: Look) -> None:
    length = trait(identity, "hair_length") * 0.5 + 0.5
    volume = 1 + 0.18 * trait(identity, "hair_volume")
    reach = (0.12 + 1.55 * length.clamp(min=0.12)) * u
    width = (0.43 + 0.05 * trait(identity, "face_width") + 0.06 * length) * u * volume
    shift = -0.1 * u * torch.sin(look.yaw)[:, None, None]
    distance = block(x - shift, y - reach * 0.5, width, reach * 0.5 + 0.12 * u, 0.1 * length, 0.75)
    strands = 0.62 + 0.07 * torch.sin(x / u * 34 + 3 * torch.sin(y / u * 3))
    long = (trait(identity, "hair_length") > -0.6).to(x.dtype)
    canvas.lay(cover(distance) * long, _shade(c.hair, strands.expand_as(distance)), HAIR)


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
    arm_r = (0.125 + 0.02 * masculine + 0.03 * build) * u

    # Arms: image-left and image-right; the pose moves the image-right one.
    pose = look.pose[:, None, None]
    waving, on_hip = (pose == 1).to(x.dtype), (pose == 2).to(x.dtype)
    relaxed = 1 - waving - on_hip
    sl_x, sr_x = hx - shoulder + 0.1 * u, hx + shoulder - 0.1 * u
    sy = shoulder_y + 0.12 * u
    el_x, el_y = sl_x - 0.16 * u, sy + 0.78 * u
    hl_x, hl_y = sl_x - 0.1 * u, sy + 1.5 * u
    er_x = sr_x + (0.16 * relaxed + 0.42 * waving + 0.5 * on_hip) * u
    er_y = sy + (0.78 * relaxed + 0.42 * waving + 0.62 * on_hip) * u
    hr_x = sr_x + (0.1 * relaxed + 0.52 * waving - 0.12 * on_hip) * u
    hr_y = sy + (1.5 * relaxed - 0.42 * waving + 1.15 * on_hip) * u

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
    canvas.lay(cover(neck), _shade(skin, 0.84 + 0.1 * ((y - neck_y) / (0.4 * u)).clamp(0, 1)), BODY_SKIN)

    # Arms behind the torso's edge.
    for points in (((sl_x, sy), (el_x, el_y), (hl_x, hl_y)), ((sr_x, sy), (er_x, er_y), (hr_x, hr_y))):
        (ax, ay), (bx, by), (cx, cy) = points
        upper, t_upper = limb(x, y, ax, ay, bx, by, arm_r * 1.15, arm_r * 0.92)
        lower, _ = limb(x, y, bx, by, cx, cy, arm_r * 0.9, arm_r * 0.7)
        hand = ellipse(x - cx, y - cy, arm_r * 0.95, arm_r * 1.15)
        bare = torch.minimum(upper, lower)
        canvas.lay(cover(bare), _shade(skin, 0.86 + 0.14 * cover(bare + arm_r * 0.6)), BODY_SKIN)
        canvas.lay(cover(hand), _shade(skin, 0.9 + 0.1 * cover(hand + arm_r * 0.5)), BODY_SKIN)
        long_sleeve = hoodie + suit + coat
        short = (tee + dress * 0.9) * (t_upper < 0.55).to(x.dtype)
        sleeve = cover(upper - 0.03 * u) * (long_sleeve + short) + 0 * lower
        canvas.lay(sleeve.clamp(0, 1), _shade(cloth, 0.84 + 0.14 * cover(upper + arm_r * 0.5)), CLOTHES)
        canvas.lay(
            cover(lower - 0.03 * u) * long_sleeve, _shade(cloth, 0.84 + 0.14 * cover(lower + arm_r * 0.5)), CLOTHES
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
        0.32,
    )
    hem_y = hip_y + (0.08 * tee + 0.12 * hoodie + 1.15 * dress + 0.1 * suit + 1.3 * coat) * u
    hem_w = hip * (1 + 0.45 * dress + 0.22 * coat + 0.05 * hoodie)
    low_h = (hem_y - waist_y) * 0.5
    skirt = block(
        x - hx, y - waist_y - low_h, (waist + hem_w) / 2, low_h + 0.06 * u, (hem_w - waist) / (hem_w + waist), 0.12
    )
    torso = torch.minimum(chest, skirt)
    light = (
        1.0
        - 0.16 * ((x - hx) / (shoulder * 1.1)).square().clamp(0, 1.2)
        - 0.05 * ((y - shoulder_y) / (2.2 * u)).clamp(0, 1)
    )
    folds = 1 + 0.035 * torch.sin((x - hx) / u * 16) * ((y - waist_y) / u).clamp(0, 1) * (dress + coat)
    canvas.lay(cover(torso), _shade(cloth, light * folds), CLOTHES)

    # What tells the outfits apart: necklines, lapels, pockets, hems.
    neckline = ellipse(x - hx, y - shoulder_y + 0.06 * u, (0.27 + 0.03 * dress) * u, (0.19 + 0.08 * dress) * u)
    canvas.lay(cover(neckline) * (tee + dress), _shade(skin, torch.full_like(neckline, 0.92)), BODY_SKIN)
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

    # A hand on the hip or waving stays in front of the torso.
    front = ellipse(x - hr_x, y - hr_y, arm_r * 0.95, arm_r * 1.15)
    canvas.lay(cover(front) * (1 - relaxed), _shade(skin, 0.9 + 0.1 * cover(front + arm_r * 0.5)), BODY_SKIN)

    one = torch.ones_like(u)
    points = [
        (hx, hy - 0.5 * u), (hx, hy + 0.5 * u), (hx, neck_y),
        (sl_x, sy), (sr_x, sy), (el_x, el_y), (er_x, er_y), (hl_x, hl_y), (hr_x, hr_y),
        (hx - hip * 0.8, hip_y), (hx + hip * 0.8, hip_y),
        (hx - gap, (hip_y + foot_y) / 2), (hx + gap, (hip_y + foot_y) / 2),
        (hx - gap * 0.9, foot_y), (hx + gap * 0.9, foot_y),
    ]  # fmt: skip
    return torch.stack([torch.cat([(px * one)[:, 0], (py * one)[:, 0], one[:, 0]], dim=1) for px, py in points], dim=1)


class _Head:
    """The head of each person, in head coordinates (origin: middle of the head, y down), sizes in `u`."""

    def __init__(self, identity: Tensor, look: Look, c: Colours) -> None:
        def t(name: str) -> Tensor:
            return trait(identity, name)

        self.c = c
        self.t = t
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
        canvas.lay(c(face), _shade(skin, lit), FACE)
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

    def _nose_and_mouth(self, canvas: Canvas, x: Tensor, y: Tensor, c: _Cover) -> None:
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
        mx = nx * 1.02
        u_ = (x - mx) / self.mouth_w
        bend = self.smile * 0.05 * (1 - u_.square())
        yy = y - self.mouth_y - bend + 0.5 * self.smile * 0.05
        full = 0.026 + 0.012 * t("lip_fullness")
        taper = (1 - u_.square()).clamp(min=0).sqrt()
        lips = torch.maximum(yy.abs() - (full + self.open * 0.075) * taper, u_.abs() * self.mouth_w - self.mouth_w)
        canvas.lay(c(lips), self.c.lips, FACE)
        hole = torch.maximum((yy + 0.004).abs() - self.open * 0.068 * taper, (u_.abs() - 0.86) * self.mouth_w)
        canvas.lay(c(hole) * (self.open > 0.15), torch.tensor([[0.36, 0.1, 0.12]]).expand_as(skin), FACE)
        teeth = torch.maximum(hole, yy + 0.012)
        canvas.lay(c(teeth) * (self.open > 0.15), torch.full_like(skin, 0.97), FACE)
        line = torch.maximum((yy.abs() - 0.007), (u_.abs() - 0.95) * self.mouth_w)
        canvas.lay(c(line) * (self.open <= 0.15), self.c.lips * 0.55, FACE)

    def _eyes(self, canvas: Canvas, x: Tensor, y: Tensor, c: _Cover) -> None:
        t = self.t
        dark = self.c.hair * 0.45 + 0.03
        feminine = (0.5 - 0.5 * t("masculine")).clamp(0, 1)
        for side in (-1.0, 1.0):
            ex, squeeze = self._at(side * self.eye_angle)
            w = self.eye_w * squeeze
            dx, dy = x - ex, y - self.eye_y
            slant = -side * (0.16 * t("eye_tilt"))
            dy = dy - slant * dx * -1.0
            white = ellipse(dx, dy, w, self.eye_h)
            canvas.lay(c(ellipse(dx, dy + 0.012, w * 1.12, self.eye_h * 1.1)), dark, FACE)
            canvas.lay(c(white), torch.full_like(self.c.skin, 0.97), FACE)
            gaze = 0.015 * torch.sin(self.yaw)
            iris_r = 0.055 + 0.012 * t("eye_size")
            iris = ellipse(dx - gaze, dy, iris_r * squeeze.sqrt(), iris_r)
            canvas.lay(c(iris) * c(white), self.c.eyes, FACE)
            pupil = ellipse(dx - gaze, dy, iris_r * 0.48, iris_r * 0.48)
            canvas.lay(c(pupil) * c(white), torch.full_like(self.c.skin, 0.06), FACE)
            glint = ellipse(dx - gaze + 0.018, dy + 0.02, 0.015, 0.015)
            canvas.lay(c(glint) * c(white), torch.full_like(self.c.skin, 1.0), FACE)
            lash, _ = limb(x, y, ex - w * side * 0.2, self.eye_y - self.eye_h, ex + w * side * 1.35, self.eye_y - self.eye_h * 0.62 + slant * w * side,
                           0.012, 0.004 + 0.014 * feminine)  # fmt: skip
            canvas.lay(c(lash), dark, FACE)
            bx, _ = self._at(side * self.eye_angle * 1.08)
            by = self.eye_y - 0.135 - 0.02 * t("eye_size") - 0.02 * self.brow_move
            tilt = side * (0.025 * t("brow_tilt") + 0.045 * (self.brow_move < -0.2).to(x.dtype))
            thick = 0.02 + 0.009 * t("brow_thickness") + 0.006 * t("masculine")
            brow, _ = limb(x, y, bx - w * 1.0, by + tilt, bx + w * 1.0, by - tilt, thick, thick * 0.8)
            canvas.lay(c(brow), self.c.hair * 0.6 + self.c.skin * 0.08, FACE)

    def _hair(self, canvas: Canvas, x: Tensor, y: Tensor, c: _Cover) -> None:
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
        canvas.lay(c(hair), _shade(self.c.hair, amount) + 0.25 * shine[:, None] * 0.5, HAIR)
        # Locks in front of the shoulders for long hair.
        long = (t("hair_length") > -0.45).to(x.dtype)
        end = 0.1 + 1.15 * length
        for side in (-1.0, 1.0):
            lx = side * (self.half_w * 0.98) - 0.03 * torch.sin(self.yaw)
            lock, _ = limb(x, y, lx, torch.full_like(lx, -0.12), lx + side * 0.07, end, 0.06 + 0.03 * volume, 0.05)
            canvas.lay(c(lock) * long, _shade(self.c.hair, 0.84 + 0.06 * torch.sin(x * 40)), HAIR)


class _Cover:
    """Type of the soft-edge function handed to the parts of a head."""

    def __call__(self, distance: Tensor) -> Tensor: ...
