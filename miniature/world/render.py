"""From people, shots and places to pictures with ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from miniature.world.canvas import Canvas, Look, Wear
from miniature.world.faults import Faults
from miniature.world.figure import OUTFIT_RGB, paint_figure
from miniature.world.scenes import SceneBatch, paint_scene
from personas.shots import GOODS, OUTFITS, POSES, Shot

_LIGHT_RGB = {"day": (1.0, 1.0, 1.0), "dusk": (1.0, 0.8, 0.64), "night": (0.5, 0.56, 0.8)}
_ON_PERSON = {"day": 1.0, "dusk": 0.55, "night": 0.45}  # how much of the light's tint reaches the person
#                 head height and its middle, in picture heights
_FRAMES = {"close-up": (0.43, 0.41), "half-body": (0.25, 0.27), "full-body": (0.148, 0.16)}
_SMILE = {"neutral": 0.05, "smiling": 1.0, "laughing": 0.9, "serious": -0.6}
_OPEN = {"neutral": 0.0, "smiling": 0.0, "laughing": 1.0, "serious": 0.0}
_BROW = {"neutral": 0.0, "smiling": 0.4, "laughing": 0.8, "serious": -1.0}
_EYE = {"neutral": 1.0, "smiling": 0.86, "laughing": 0.7, "serious": 0.85}


@dataclass(frozen=True)
class World:
    """What to render: identities [b, 26], one shot, scene and jitter seed for each; nothing is wrong without `faults`.

    `tilt` [b] turns heads by so many radians more, `raised` [b] of 1 lifts an arm above the head: no shot asks for it.
    Without `wear`, colours of trousers, shoes and goods come from the seed.
    """

    identity: Tensor
    shots: tuple[Shot, ...]
    scenes: SceneBatch
    seed: int
    with_person: bool = True
    faults: Faults | None = None
    tilt: Tensor | None = None
    raised: Tensor | None = None
    wear: Wear | None = None


@dataclass(frozen=True)
class Rendered:
    """Pictures uint8 [b, h, w, 3], labels uint8 [b, h, w], keypoints float32 [b, 20, 3] (x, y in pixels, visible 0/1).

    `tint` [b, 3] is what the light makes of a white shirt, RGB in [0, 1].
    """

    images: Tensor
    labels: Tensor
    keypoints: Tensor
    tint: Tensor


@dataclass(frozen=True)
class Window:
    """The part of each picture that is drawn: from `corner` [b, 2] (x, y) on, in pixels of the whole picture."""

    corner: Tensor
    height: int
    width: int


def _words(shots: Sequence[Shot], field: str, table: dict[str, float]) -> Tensor:
    return torch.tensor([table[getattr(shot, field)] for shot in shots])


def _look(world: World, height: int, width: int) -> Look:
    g = torch.Generator("cpu").manual_seed(world.seed)
    shots, b = world.shots, len(world.shots)

    def jitter(spread: float) -> Tensor:
        return (spread * (torch.rand(b, generator=g, device="cpu") * 2 - 1)).to(world.identity.device)

    yaw = {"front": 0.0, "left": -0.4, "right": 0.4}
    unit = torch.tensor([_FRAMES[s.framing][0] for s in shots]) * height * (1 + jitter(0.05))
    head_y = torch.tensor([_FRAMES[s.framing][1] for s in shots]) * height * (1 + jitter(0.04))
    rgb = torch.tensor([OUTFIT_RGB[s.outfit_colour] for s in shots]) / 255
    bottoms = torch.tensor([(54, 62, 92), (60, 58, 60), (150, 140, 124), (92, 74, 60)]) / 255
    look = Look(
        head_x=width * (0.5 + jitter(0.035)),
        head_y=head_y,
        unit=unit,
        yaw=_words(shots, "view", yaw) + jitter(0.08),
        tilt=jitter(0.06) + (0 if world.tilt is None else world.tilt),
        smile=_words(shots, "expression", _SMILE) + jitter(0.1),
        mouth_open=_words(shots, "expression", _OPEN),
        brow=_words(shots, "expression", _BROW),
        eye_open=_words(shots, "expression", _EYE) * (1 + jitter(0.06)),
        outfit=torch.tensor([OUTFITS.index(s.outfit) for s in shots]),
        outfit_rgb=(rgb * (1 + jitter(0.06)[:, None])).clamp(0, 1),
        bottom_rgb=(bottom := bottoms[torch.randint(0, len(bottoms), (b,), generator=g, device="cpu")]),
        shoe_rgb=bottom * 0.45,
        pose=torch.tensor([POSES.index(s.pose) for s in shots]),
        goods=torch.tensor([GOODS.index(s.goods) for s in shots]),
        goods_rgb=_vivid(torch.rand(b, generator=g, device="cpu")).to(world.identity.device),
        close=torch.tensor([float(s.framing == "close-up") for s in shots]),
        faults=world.faults,
        raised=world.raised,
    )
    if world.wear is None:
        return look
    told = {name: colour.to(world.identity.device) for name, colour in vars(world.wear).items()}
    return replace(look, **told)  # drawn all the same, so that all else stays what the seed says


def _vivid(hue: Tensor) -> Tensor:
    """Saturated colours [b, 3] of hues in [0, 1)."""
    wheel = torch.tensor([5.0, 3.0, 1.0], device="cpu")
    k = (wheel + 6 * hue[:, None]) % 6
    return 0.86 - 0.6 * torch.minimum(k, 4 - k).clamp(0, 1)


@torch.no_grad()
def render(
    world: World, height: int = 256, width: int = 192, *, pan: Tensor | None = None, window: Window | None = None
) -> Rendered:
    """Draw the world on the device of its identities; the same request gives the same pixels.

    `pan` [b] moves the camera sideways, in picture heights (default: a small shift from the seed). Of a `window` only
    those pixels are drawn.
    """
    with world.identity.device:  # randomness comes from the CPU everywhere, so that seeds mean the same people
        return _render(world, height, width, pan, window or Window(torch.zeros(len(world.shots), 2), height, width))


def _render(world: World, height: int, width: int, pan: Tensor | None, window: Window) -> Rendered:
    b = len(world.shots)
    device = world.identity.device
    if pan is None:
        g = torch.Generator("cpu").manual_seed(world.seed + 1)
        pan = 0.03 * (torch.rand(b, generator=g, device="cpu") * 2 - 1)
    pan = pan.to(device)
    zoom = torch.tensor([{"close-up": 1.2, "half-body": 1.1, "full-body": 1.0}[s.framing] for s in world.shots])
    corner = window.corner.to(device)
    ys = (torch.arange(window.height) + 0.5)[None, :, None] + corner[:, 1, None, None]
    xs = (torch.arange(window.width) + 0.5)[None, None, :] + corner[:, 0, None, None]
    rgb, landmark = paint_scene(
        world.scenes.to(device), (xs - width / 2) / height + 0 * ys, ys / height + 0 * xs, pan, zoom, 1.0 / height
    )
    tint = torch.tensor([_LIGHT_RGB[s.light] for s in world.shots])
    rgb = rgb * tint[:, :, None, None]
    labels = (landmark > 0.5).to(torch.uint8)
    keypoints = torch.zeros(b, 20, 3)
    strength = torch.tensor([_ON_PERSON[s.light] for s in world.shots])[:, None]
    on_person = 1 + (tint - 1) * strength
    if world.with_person:
        canvas = Canvas(rgb, labels)
        plain = canvas.rgb / on_person[:, :, None, None]
        canvas.rgb = plain  # painted in plain colours, lit together below
        keypoints = paint_figure(canvas, world.identity, _look(world, height, width), xs, ys)
        rgb, labels = canvas.rgb * on_person[:, :, None, None], canvas.labels
        seen = (
            (keypoints[..., 0] >= 0)
            & (keypoints[..., 0] < width)
            & (keypoints[..., 1] >= 0)
            & (keypoints[..., 1] < height)
        )
        keypoints[..., 2] = seen.float()
    images = (rgb.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return Rendered(images, labels, keypoints, on_person)
