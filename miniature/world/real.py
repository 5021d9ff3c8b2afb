"""The world's second look: the same places and people as a careless photographer with one hard lamp shows them.

It stands for real photographs in the miniature's experiments of style: tones, light, patterns, clutter and poses that
`miniature.world.render` never has, of the same truth, which labels and keypoints still say. Nothing of it is fine
grain: the miniature's VAE keeps none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from miniature.world.identity import sample_identities
from miniature.world.render import Rendered, World, render
from miniature.world.scenes import sample_scenes
from personas.measures.regions import LABELS, PERSON
from personas.shots import SETTINGS, Shot

__all__ = ["Treatment", "render_real", "sample_treatment", "tone"]

_CLOTHES, _LANDMARK = LABELS.index("clothes"), LABELS.index("landmark")
_ROLL, _LEAN, _TILT, _ASIDE = math.radians(14), math.radians(9), math.radians(20), 0.18
_PERIOD = 24  # px, the least of a pattern: finer ones the VAE wipes out
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Treatment:
    """What the photographer does to each of b pictures, all [b] unless said otherwise.

    `roll`, `lean`, `tilt` in radians; `aside` in picture widths; `raised` 0 or 1, an arm above the head; `light` is
    where the lamp stands, an angle; `edge` where its shadow's edge crosses, in picture widths from the middle;
    `exposure` a factor; `clutter` blocks [b, 8, 6] of x, y, half width, half height (shares of a side), hue and value,
    of which a value of 0 is none; `passer` [b, 3], whether somebody passes behind, where, and how large; `patterns`
    [b, 2, 3] of cloth and wall: period in px, angle, depth.
    """

    roll: Tensor
    lean: Tensor
    tilt: Tensor
    aside: Tensor
    raised: Tensor
    light: Tensor
    edge: Tensor
    exposure: Tensor
    clutter: Tensor
    passer: Tensor
    patterns: Tensor


def sample_treatment(count: int, seed: int) -> Treatment:
    """Draw what is done to `count` pictures; the same seed is the same photographer."""
    g = torch.Generator().manual_seed(seed)

    def spread(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=g) * 2 - 1

    def share(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=g)

    clutter = share(8, 6)
    clutter[:, :, 2:4] = 0.025 + 0.07 * clutter[:, :, 2:4]
    clutter[:, :, 5] = 0.25 + 0.6 * clutter[:, :, 5]
    clutter[:, :, 5] *= torch.arange(8) < 3 + (share(1) * 6).floor()
    patterns = share(2, 3)
    patterns[:, :, 0] = _PERIOD + 20 * patterns[:, :, 0]
    patterns[:, :, 1] *= math.pi
    patterns[:, :, 2] = 0.14 + 0.2 * patterns[:, :, 2]
    passer = torch.stack([(share() < 0.5).float(), spread(), 0.45 + 0.2 * share()], dim=1)
    return Treatment(
        roll=_ROLL * spread(), lean=_LEAN * spread(), tilt=_TILT * spread(), aside=_ASIDE * spread(),
        raised=(share() < 0.25).float(), light=math.pi * spread(), edge=0.35 * spread(),
        exposure=1.15 * torch.exp(0.2 * torch.randn(count, generator=g)), clutter=clutter, passer=passer, patterns=patterns,
    )  # fmt: skip


def render_real(world: World, treatment: Treatment, height: int = 256, width: int = 192) -> Rendered:
    """Draw the world so; labels and keypoints are moved with what they belong to."""
    posed = replace(world, tilt=treatment.tilt, raised=treatment.raised)
    shown = render(posed, height, width)
    empty = render(replace(world, with_person=False), height, width)
    person, back = _as_float(shown.images), _as_float(empty.images)
    mask = torch.isin(shown.labels, torch.tensor(PERSON)).float()[:, None]
    cloth = (shown.labels == _CLOTHES).float()[:, None]
    behind = _pattern(back, treatment.patterns[:, 1])
    behind, landmark = _clutter(behind, (empty.labels == _LANDMARK).float()[:, None], treatment.clutter)
    behind, landmark = _pass_by(behind, landmark, world, treatment)
    dressed = torch.lerp(person, _pattern(person, treatment.patterns[:, 0]), cloth)
    soft = F.avg_pool2d(F.pad(mask, (1, 1, 1, 1), mode="replicate"), 3, 1)
    move = _motion(treatment.lean, treatment.aside * width, height, width)
    figure = _warp(torch.cat([dressed * soft, soft, mask], dim=1), move)
    labels = _warp(shown.labels.float()[:, None], move, nearest=True)
    alpha = figure[:, 3:4]
    lit = _shade(figure[:, :3], alpha, behind, treatment)
    turn = _motion(treatment.roll, torch.zeros_like(treatment.aside), height, width, zoom=1.12)
    images = tone(_warp(lit, turn, outside="border"), treatment.exposure)
    is_person = figure[:, 4:5] > 0.5
    whole = torch.where(is_person, labels, landmark.round() * _LANDMARK)
    truth = _warp(whole, turn, nearest=True)[:, 0].round().to(torch.uint8)
    points = _moved(_moved(shown.keypoints, move), turn)
    inside = (points[..., 0] >= 0) & (points[..., 0] < width) & (points[..., 1] >= 0) & (points[..., 1] < height)
    points[..., 2] *= inside.float()
    pixels = (images.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return Rendered(pixels, truth, points, shown.tint)


def tone(x: Tensor, exposure: Tensor) -> Tensor:
    """Give RGB [b, 3, h, w] in [0, 1] the photographer's tones: exposure [b], −40% saturation, contrast, split-tone."""
    luma = (x * torch.tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    x = torch.lerp(luma, x, 0.6) * exposure[:, None, None, None]
    x = x.clamp(0, 1)
    x = torch.lerp(x, x * x * (3 - 2 * x), 0.8) * 0.92 + 0.03  # an S, blacks lifted, whites held
    luma = (x * torch.tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    cold, warm = torch.tensor([-0.03, 0.005, 0.04]), torch.tensor([0.045, 0.015, -0.045])
    return (x + torch.lerp(cold[:, None, None], warm[:, None, None], luma)).clamp(0, 1)


def _as_float(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float() / 255


def _grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    ys, xs = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return ys, xs


def _pattern(x: Tensor, patterns: Tensor) -> Tensor:
    """Stripes, or checks where the angle is steep, over RGB [b, 3, h, w]; `patterns` [b, 3]."""
    ys, xs = _grid(*x.shape[2:])
    period, angle, depth = (patterns[:, k, None, None] for k in range(3))
    along = xs * torch.cos(angle) + ys * torch.sin(angle)
    across = -xs * torch.sin(angle) + ys * torch.cos(angle)
    stripe = torch.tanh(4 * torch.sin(2 * math.pi * along / period))
    check = stripe * torch.tanh(4 * torch.sin(2 * math.pi * across / period))
    wave = torch.where(angle > math.pi / 2, check, stripe)
    return (x * (1 + depth * wave)[:, None]).clamp(0, 1)


def _clutter(x: Tensor, landmark: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes of any colour that lie about, behind the person; what they hide of the landmark is no longer it."""
    height, width = x.shape[2:]
    ys, xs = _grid(height, width)
    for k in range(blocks.shape[1]):
        bx, by, bw, bh, hue, value = (blocks[:, k, i, None, None] for i in range(6))
        inside = ((xs / width - bx).abs() < bw) & ((ys / height - (0.35 + 0.65 * by)).abs() < bh) & (value > 0)
        wheel = torch.tensor([0.0, 1 / 3, 2 / 3])[None, :, None, None]
        colour = value[:, None] * (0.6 + 0.4 * torch.cos(2 * math.pi * (hue[:, None] - wheel)))
        lit = colour * (1.1 - 0.4 * ((ys / height - by) / bh).clamp(-1, 1))[:, None]
        x = torch.where(inside[:, None], lit.clamp(0, 1), x)
        landmark = torch.where(inside[:, None], torch.zeros_like(landmark), landmark)
    return x, landmark


def _pass_by(x: Tensor, landmark: Tensor, world: World, treatment: Treatment) -> tuple[Tensor, Tensor]:
    """Somebody else, smaller, behind and to a side."""
    b, _, height, width = x.shape
    others = sample_identities(b, torch.Generator().manual_seed(world.seed + 7))
    shots = tuple(Shot(framing="full-body", view=("left", "right")[i % 2], light=s.light, outfit_colour="brown")
                  for i, s in enumerate(world.shots))  # fmt: skip
    place = sample_scenes([SETTINGS[0]] * b, [world.seed] * b)
    drawn = render(World(others, shots, place, world.seed + 8), height, width)
    mask = torch.isin(drawn.labels, torch.tensor(PERSON)).float()[:, None]
    there, side, size = treatment.passer.unbind(dim=1)
    # from the picture back to the smaller figure: its feet on the same floor
    scale = 1 / size
    middle = width / 2 + torch.sign(side) * (0.24 + 0.2 * side.abs()) * width
    zero = torch.zeros_like(scale)
    back = torch.stack([
        torch.stack([scale, zero, width / 2 - scale * middle], dim=1),
        torch.stack([zero, scale, height * (1 - 0.97 * scale)], dim=1),
    ], dim=1)  # fmt: skip
    moved = _warp(torch.cat([_as_float(drawn.images), mask], dim=1), back)
    cover = moved[:, 3:4] * there[:, None, None, None]
    return torch.lerp(x, moved[:, :3] * 0.8, cover), landmark * (cover < 0.5)


def _shade(figure: Tensor, alpha: Tensor, behind: Tensor, treatment: Treatment) -> Tensor:
    """One hard lamp: a shadow's edge across the place, the person's own shadow on it, and a dark side of the person.

    `figure` is RGB times `alpha`.
    """
    height, width = behind.shape[2:]
    ys, xs = _grid(height, width)
    cos, sin = torch.cos(treatment.light)[:, None, None], 0.5 * torch.sin(treatment.light)[:, None, None]
    across = (xs - width / 2) * cos + (ys - height / 2) * sin
    edge = ((across / width - treatment.edge[:, None, None]) * width / 3).clamp(-1, 1) * 0.5 + 0.5
    place = behind * (0.5 + 0.62 * (1 - edge))[:, None]
    side = torch.where(torch.cos(treatment.light) > 0, 1.0, -1.0)
    thrown = _warp(alpha, _motion(torch.zeros_like(side), side * 0.13 * width, height, width))
    place = place * (1 - 0.42 * thrown)
    weight = alpha.sum(dim=(1, 2, 3)).clamp(min=1)
    centre = (alpha[:, 0] * xs).sum(dim=(1, 2)) / weight
    reach = ((alpha[:, 0] * (xs - centre[:, None, None]).abs()).sum(dim=(1, 2)) / weight).clamp(min=4)
    toward = (xs - centre[:, None, None]) / reach[:, None, None] * side[:, None, None]
    dark = torch.sigmoid(6 * (toward - 0.35))
    person = figure * (1.12 - 0.5 * dark)[:, None]
    return (person + place * (1 - alpha)).clamp(0, 1)


def _motion(turn: Tensor, aside: Tensor, height: int, width: int, zoom: float = 1.0) -> Tensor:
    """From a picture's pixels back to where they were [b, 2, 3]: turned about the lower middle, enlarged, then moved
    sideways by `aside` px."""
    cos, sin = torch.cos(turn) / zoom, torch.sin(turn) / zoom
    x0, y0 = width / 2, height * (0.5 if zoom > 1 else 0.85)
    first = torch.stack([cos, sin, x0 - cos * (x0 + aside) - sin * y0], dim=1)
    second = torch.stack([-sin, cos, y0 + sin * (x0 + aside) - cos * y0], dim=1)
    return torch.stack([first, second], dim=1)


def _warp(x: Tensor, back: Tensor, *, nearest: bool = False, outside: str = "zeros") -> Tensor:
    """Look each pixel of [b, c, h, w] up where `back` [b, 2, 3] says it was."""
    height, width = x.shape[2:]
    ys, xs = _grid(height, width)
    at = back @ torch.stack([xs.flatten(), ys.flatten(), torch.ones(height * width)])
    unit = torch.stack([at[:, 0] * 2 / width - 1, at[:, 1] * 2 / height - 1], dim=2).view(len(x), height, width, 2)
    mode = "nearest" if nearest else "bilinear"
    return F.grid_sample(x, unit, mode=mode, padding_mode=outside, align_corners=False)


def _moved(points: Tensor, back: Tensor) -> Tensor:
    """Where keypoints [b, n, 3] are after the motion whose way back is `back`."""
    linear, shift = back[:, :, :2], back[:, :, 2]
    places = torch.linalg.solve(linear, (points[..., :2] - shift[:, None]).transpose(1, 2)).transpose(1, 2)
    return torch.cat([places, points[..., 2:]], dim=2)
