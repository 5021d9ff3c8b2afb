"""Places: ten classes, each instance fixed by a seed, each with one landmark.

A place is a list of tapered rounded blocks with depth, so that the camera can move in it. Coordinates: x in units of
the picture's height from its middle, y from 0 (top) to 1 (bottom).
"""

from __future__ import annotations

import colorsys
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from miniature.world.shapes import block, cover

SLOTS = 16
_FIELDS = 17  # x y half_w half_h taper round r g b r2 g2 b2 stripe_freq stripe_amp stripe_angle depth landmark
_FLOOR = ("studio", "cafe", "bedroom", "kitchen", "shop", "office", "gym")


@dataclass(frozen=True)
class SceneBatch:
    """Slots [b, 16, 17], backdrop colours [b, 4, 3] (wall top, wall bottom, floor near, floor far), horizon [b]."""

    slots: Tensor
    backdrop: Tensor
    horizon: Tensor
    settings: tuple[str, ...]
    seeds: tuple[int, ...]

    def to(self, device: torch.device) -> SceneBatch:
        return replace(
            self, slots=self.slots.to(device), backdrop=self.backdrop.to(device), horizon=self.horizon.to(device)
        )

    def take(self, rows: Sequence[int]) -> SceneBatch:
        index = torch.tensor(list(rows))
        return SceneBatch(
            self.slots[index],
            self.backdrop[index],
            self.horizon[index],
            tuple(self.settings[i] for i in rows),
            tuple(self.seeds[i] for i in rows),
        )


Colour = tuple[float, float, float]


class _Stage:
    """Collects the blocks of one place."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.rows: list[list[float]] = []

    def hue(self, saturation: float = 0.5, value: float = 0.75) -> Colour:
        return colorsys.hsv_to_rgb(self.rng.random(), saturation, value)

    def near(self, base: Colour, spread: float = 0.1) -> Colour:
        r, g, b = (min(1.0, max(0.0, c + self.rng.uniform(-spread, spread))) for c in base)
        return r, g, b

    def put(
        self, x: float, y: float, half_w: float, half_h: float, colour: Colour, *, to: Colour | None = None,
        taper: float = 0.0, rounded: float = 0.1, stripes: float = 0.0, amp: float = 0.0, angle: float = 0.0,
        depth: float = 0.6, landmark: bool = False,
    ) -> None:  # fmt: skip
        low = to or (colour[0] * 0.8, colour[1] * 0.8, colour[2] * 0.8)
        self.rows.append(
            [x, y, half_w, half_h, taper, rounded, *colour, *low, stripes, amp, angle, depth, float(landmark)]
        )


def _side(rng: random.Random) -> float:
    return rng.choice((-1.0, 1.0))


def _studio(s: _Stage) -> None:
    side = _side(s.rng)
    s.put(-side * 0.24, 0.3, 0.05, 0.3, s.hue(0.35, 0.8), stripes=s.rng.uniform(50, 90), amp=0.12)
    colour = s.hue(0.75, 0.85)
    s.put(side * 0.27, 0.52, 0.006, 0.26, (0.2, 0.2, 0.22), landmark=True)
    s.put(side * 0.27, 0.2, 0.085, 0.085, (1.0, 0.97, 0.85), to=colour, rounded=1.0, landmark=True)
    s.put(side * 0.27, 0.2, 0.05, 0.05, (1.0, 1.0, 0.95), rounded=1.0, landmark=True)


def _cafe(s: _Stage) -> None:
    side = _side(s.rng)
    wood = s.near((0.5, 0.32, 0.2))
    s.put(-side * 0.2, 0.26, 0.12, 0.15, (0.7, 0.85, 0.95), to=(0.9, 0.9, 0.8), stripes=52, amp=0.1)
    for i in range(3):
        s.put(-0.25 + 0.25 * i + s.rng.uniform(-0.04, 0.04), 0.07, 0.03, 0.035, s.hue(0.6, 0.9), taper=0.5)
    s.put(side * 0.26, 0.78, 0.16, 0.13, wood, stripes=60, amp=0.08)
    body = s.hue(0.75, 0.75)
    s.put(side * 0.25, 0.53, 0.085, 0.115, body, rounded=0.3, landmark=True)
    s.put(side * 0.25, 0.46, 0.06, 0.022, (0.95, 0.9, 0.7), rounded=0.5, landmark=True)
    s.put(side * 0.25, 0.58, 0.045, 0.03, (0.15, 0.13, 0.13), rounded=0.3, landmark=True)


def _street(s: _Stage) -> None:
    side = _side(s.rng)
    for i, x in enumerate((-0.34, -0.12, 0.12, 0.34)):
        height = s.rng.uniform(0.18, 0.3)
        s.put(x, 0.62 - height, 0.11, height, s.hue(0.35, 0.7), stripes=s.rng.choice((70, 90)), amp=0.15,
              angle=0.0 if i % 2 else 1.57, depth=0.25)  # fmt: skip
    s.put(side * 0.25, 0.55, 0.012, 0.32, (0.16, 0.2, 0.2), landmark=True)
    s.put(side * 0.25, 0.22, 0.075, 0.075, s.hue(0.7, 0.6), rounded=1.0, landmark=True)
    s.put(side * 0.25, 0.22, 0.055, 0.055, (0.98, 0.96, 0.88), rounded=1.0, landmark=True)
    s.put(side * 0.25, 0.2, 0.005, 0.028, (0.1, 0.1, 0.1), landmark=True)


def _beach(s: _Stage) -> None:
    side = _side(s.rng)
    s.put(0.0, 0.5, 0.6, 0.07, s.near((0.15, 0.5, 0.65)), stripes=120, amp=0.08, angle=1.57, depth=0.1)
    s.put(-side * 0.25, 0.14, 0.05, 0.05, (1.0, 0.95, 0.6), rounded=1.0, depth=0.05)
    for _ in range(2):
        s.put(s.rng.uniform(-0.3, 0.3), s.rng.uniform(0.06, 0.25), 0.09, 0.018, (1, 1, 1), rounded=1.0, depth=0.05)
    colour = s.hue(0.8, 0.8)
    s.put(side * 0.25, 0.32, 0.05, 0.2, (0.97, 0.95, 0.92), to=colour, taper=0.25, stripes=40, amp=0.45, angle=1.57,
          landmark=True, depth=0.4)  # fmt: skip
    s.put(side * 0.25, 0.1, 0.045, 0.03, colour, taper=0.8, landmark=True, depth=0.4)
    s.put(-side * 0.28, 0.72, 0.11, 0.06, s.hue(0.7, 0.9), taper=0.9, rounded=0.5, stripes=70, amp=0.2)


def _park(s: _Stage) -> None:
    side = _side(s.rng)
    for x in (-0.3, -0.05, 0.2, 0.36):
        size = s.rng.uniform(0.09, 0.14)
        s.put(x, 0.42, size, size, s.near((0.25, 0.5, 0.25), 0.12), rounded=1.0, depth=0.2)
    s.put(-side * 0.27, 0.52, 0.02, 0.2, (0.4, 0.28, 0.2))
    s.put(-side * 0.27, 0.25, 0.14, 0.15, s.near((0.3, 0.58, 0.22), 0.15), rounded=0.9)
    stone = s.near((0.7, 0.68, 0.66))
    s.put(side * 0.26, 0.66, 0.12, 0.035, stone, rounded=0.5, landmark=True)
    s.put(side * 0.26, 0.54, 0.02, 0.1, stone, landmark=True)
    s.put(side * 0.26, 0.44, 0.075, 0.025, s.hue(0.6, 0.8), rounded=0.8, landmark=True)
    s.put(side * 0.26, 0.37, 0.02, 0.05, (0.7, 0.88, 0.98), rounded=1.0, landmark=True)


def _bedroom(s: _Stage) -> None:
    side = _side(s.rng)
    s.put(-side * 0.25, 0.25, 0.1, 0.14, (0.75, 0.87, 0.98), to=(0.92, 0.94, 0.98), stripes=60, amp=0.1)
    s.put(-side * 0.25, 0.25, 0.13, 0.17, s.hue(0.3, 0.9), rounded=0.1, depth=0.55)
    s.rows[-1], s.rows[-2] = s.rows[-2], s.rows[-1]
    cloth = s.hue(0.5, 0.8)
    s.put(side * 0.24, 0.74, 0.2, 0.09, cloth, rounded=0.3, stripes=s.rng.uniform(40, 80), amp=0.1)
    s.put(side * 0.26, 0.64, 0.09, 0.04, (0.96, 0.95, 0.95), rounded=0.7)
    frame = s.hue(0.7, 0.6)
    s.put(side * 0.25, 0.26, 0.09, 0.11, frame, rounded=0.05, landmark=True)
    s.put(side * 0.25, 0.26, 0.07, 0.09, s.hue(0.4, 0.95), rounded=0.05, landmark=True)
    s.put(side * 0.25, 0.26, 0.04, 0.04, s.hue(0.8, 0.8), rounded=1.0, landmark=True)


def _kitchen(s: _Stage) -> None:
    side = _side(s.rng)
    cupboard = s.hue(0.35, 0.85)
    s.put(-side * 0.15, 0.13, 0.24, 0.09, cupboard, stripes=50, amp=0.1)
    s.put(-side * 0.15, 0.38, 0.26, 0.1, s.near((0.88, 0.88, 0.86), 0.06), stripes=110, amp=0.06)
    s.put(-side * 0.12, 0.68, 0.26, 0.14, cupboard, stripes=45, amp=0.1)
    colour = s.hue(0.65, 0.8)
    s.put(side * 0.27, 0.47, 0.1, 0.32, colour, rounded=0.25, landmark=True)
    s.put(side * 0.27, 0.36, 0.1, 0.006, (0.95, 0.95, 0.95), landmark=True)
    s.put(side * 0.21, 0.27, 0.008, 0.05, (0.95, 0.95, 0.95), landmark=True)
    s.put(side * 0.21, 0.47, 0.008, 0.07, (0.95, 0.95, 0.95), landmark=True)


def _shop(s: _Stage) -> None:
    side = _side(s.rng)
    for y in (0.16, 0.34, 0.52):
        s.put(-side * 0.22, y + 0.06, 0.15, 0.008, (0.45, 0.32, 0.24))
        s.put(
            -side * 0.22, y, 0.13, 0.045, s.hue(0.6, 0.8), to=s.hue(0.6, 0.8), stripes=s.rng.uniform(70, 130), amp=0.25
        )
    colour = s.hue(0.8, 0.8)
    s.put(side * 0.26, 0.2, 0.1, 0.05, colour, rounded=0.3, landmark=True)
    s.put(side * 0.26, 0.2, 0.07, 0.016, (1.0, 0.98, 0.9), rounded=0.4, landmark=True)
    s.put(side * 0.26, 0.5, 0.07, 0.14, colour, taper=0.35, rounded=0.3, landmark=True)
    s.put(side * 0.26, 0.72, 0.012, 0.09, (0.25, 0.22, 0.22), landmark=True)


def _office(s: _Stage) -> None:
    side = _side(s.rng)
    s.put(-side * 0.18, 0.28, 0.16, 0.18, (0.72, 0.85, 0.95), to=(0.85, 0.9, 0.92), stripes=90, amp=0.14, angle=1.57)
    s.put(side * 0.2, 0.68, 0.22, 0.025, s.near((0.6, 0.46, 0.34)))
    s.put(side * 0.3, 0.8, 0.02, 0.1, (0.3, 0.3, 0.32))
    s.put(-side * 0.31, 0.66, 0.05, 0.05, s.near((0.75, 0.5, 0.35)), taper=-0.2)
    s.put(-side * 0.31, 0.54, 0.06, 0.09, s.near((0.25, 0.55, 0.3)), rounded=0.9)
    s.put(side * 0.25, 0.53, 0.1, 0.075, (0.14, 0.15, 0.18), rounded=0.1, landmark=True)
    s.put(side * 0.25, 0.53, 0.085, 0.06, s.hue(0.7, 0.85), to=s.hue(0.6, 0.9), rounded=0.1, landmark=True)
    s.put(side * 0.25, 0.63, 0.015, 0.03, (0.14, 0.15, 0.18), landmark=True)


def _gym(s: _Stage) -> None:
    side = _side(s.rng)
    s.put(-side * 0.2, 0.3, 0.14, 0.22, (0.75, 0.82, 0.86), to=(0.6, 0.68, 0.74), rounded=0.03)
    s.put(0.0, 0.08, 0.5, 0.012, s.hue(0.8, 0.9), depth=0.3)
    s.put(-side * 0.22, 0.72, 0.13, 0.03, (0.2, 0.2, 0.23), rounded=0.4)
    s.put(-side * 0.22, 0.79, 0.02, 0.06, (0.35, 0.35, 0.38))
    colour = s.hue(0.8, 0.85)
    s.put(side * 0.26, 0.2, 0.006, 0.14, (0.2, 0.2, 0.2), landmark=True)
    s.put(side * 0.26, 0.46, 0.065, 0.17, colour, rounded=0.7, landmark=True)
    s.put(side * 0.26, 0.4, 0.065, 0.025, (0.97, 0.97, 0.95), landmark=True)


_BUILDERS: dict[str, Callable[[_Stage], None]] = {
    "studio": _studio, "cafe": _cafe, "street": _street, "beach": _beach, "park": _park, "bedroom": _bedroom,
    "kitchen": _kitchen, "shop": _shop, "office": _office, "gym": _gym,
}  # fmt: skip


def sample_scenes(settings: Sequence[str], seeds: Sequence[int]) -> SceneBatch:
    """The instance `seeds[i]` of class `settings[i]` for each i; the same pair is always the same place."""
    slots = torch.zeros(len(settings), SLOTS, _FIELDS)
    slots[:, :, 1] = -9.0  # an unused slot lies outside the picture
    slots[:, :, 2:4] = 0.01
    backdrop = torch.zeros(len(settings), 4, 3)
    horizon = torch.zeros(len(settings))
    for i, (setting, seed) in enumerate(zip(settings, seeds, strict=True)):
        rng = random.Random(f"{setting}-{seed}")
        stage = _Stage(rng)
        _BUILDERS[setting](stage)
        rows = torch.tensor(stage.rows)
        slots[i, : len(rows)] = rows
        backdrop[i] = torch.tensor(_backdrop(setting, stage))
        horizon[i] = 0.8 if setting in _FLOOR else {"street": 0.62, "beach": 0.57, "park": 0.52}[setting]
    return SceneBatch(slots, backdrop, horizon, tuple(settings), tuple(int(s) for s in seeds))


def _backdrop(setting: str, stage: _Stage) -> list[Colour]:
    sky: list[Colour] = [stage.near((0.45, 0.68, 0.92), 0.06), stage.near((0.82, 0.9, 0.96), 0.05)]
    if setting == "street":
        return [*sky, stage.near((0.42, 0.42, 0.44), 0.06), (0.55, 0.54, 0.53)]
    if setting == "beach":
        return [*sky, stage.near((0.92, 0.82, 0.6), 0.05), (0.84, 0.72, 0.5)]
    if setting == "park":
        return [*sky, stage.near((0.4, 0.62, 0.3), 0.07), (0.5, 0.66, 0.36)]
    wall = stage.hue(0.28, 0.9)
    floor = stage.near((0.6, 0.46, 0.36), 0.12)
    return [
        wall,
        (wall[0] * 0.88, wall[1] * 0.88, wall[2] * 0.88),
        floor,
        (floor[0] * 0.8, floor[1] * 0.8, floor[2] * 0.8),
    ]


def paint_scene(
    scene: SceneBatch, x: Tensor, y: Tensor, pan: Tensor, zoom: Tensor, px: float
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The place without people: RGB [b, 3, h, w] and the landmark's coverage [b, h, w].

    x, y: pixel coordinates in units of the height, [1 or b, h, w]; pan: sideways camera shift [b]; zoom [b] about 1;
    px: a pixel in units of the height.
    """
    pan, zoom = pan[:, None, None], zoom[:, None, None]
    horizon = scene.horizon[:, None, None]
    yy = (y - 0.5) / zoom + 0.5
    wall_t = (yy / horizon).clamp(0, 1)[:, None]
    floor_t = ((yy - horizon) / (1 - horizon)).clamp(0, 1)[:, None]
    b = scene.backdrop[..., None, None]
    wall = torch.lerp(b[:, 0], b[:, 1], wall_t)
    floor = torch.lerp(b[:, 3], b[:, 2], floor_t)
    rgb = torch.lerp(wall, floor, cover((horizon - yy) / px)[:, None])
    landmark = torch.zeros_like(yy * pan)
    for k in range(SLOTS):
        s = scene.slots[:, k, :, None, None]
        depth = s[:, 15]
        dx = (x - (s[:, 0] * (0.9 + 0.1 * zoom) - pan * depth) * zoom) / zoom
        dy = yy - s[:, 1]
        mask = cover(block(dx / px, dy / px, s[:, 2] / px, s[:, 3] / px, s[:, 4], s[:, 5]))
        v = (dy / s[:, 3] * 0.5 + 0.5).clamp(0, 1)[:, None]
        colour = torch.lerp(s[:, 6:9], s[:, 9:12], v)
        wave = torch.sin(s[:, 12] * (dx * torch.cos(s[:, 14]) + dy * torch.sin(s[:, 14])))
        colour = colour * (1 + s[:, 13] * (wave * 4).clamp(-1, 1))[:, None]
        rgb = torch.lerp(rgb, colour.clamp(0, 1), mask[:, None])
        landmark = torch.lerp(landmark, s[:, 16].expand_as(mask), mask)
    return rgb, landmark
